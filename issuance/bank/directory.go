package bank

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed banks.yaml
var directory []byte

// Bank is a bank as the directory has it (合作银行).
type Bank struct {
	Code        string   `yaml:"code"`        // hotline number
	Institution string   `yaml:"institution"` // three digits
	Name        string   `yaml:"name"`
	BINs        []string `yaml:"bins"` // what its accounts begin with
}

// Banks is a directory of banks.
type Banks []Bank

// ParseBanks reads a directory.
func ParseBanks(text []byte) (all Banks, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("bank: directory: %w", err)
	}
	return all, nil
}

// find returns a bank by either code.
func (all Banks) find(code string) (Bank, bool) {
	i := slices.IndexFunc(all, func(b Bank) bool { return b.Code == code || b.Institution == code })
	if i < 0 {
		return Bank{}, false
	}
	return all[i], true
}

// holds says whether an account's number is one of the bank's: 16 to 19 digits
// that begin with one of its BINs and end with Luhn's check digit (ISO/IEC
// 7812-1).
func (b Bank) holds(account string) bool {
	if len(account) < 16 || len(account) > 19 || strings.Trim(account, "0123456789") != "" {
		return false
	}
	if !slices.ContainsFunc(b.BINs, func(bin string) bool { return strings.HasPrefix(account, bin) }) {
		return false
	}
	sum := 0
	for i := range len(account) {
		digit := int(account[len(account)-1-i] - '0')
		if i%2 == 1 {
			if digit *= 2; digit > 9 {
				digit -= 9
			}
		}
		sum += digit
	}
	return sum%10 == 0
}
