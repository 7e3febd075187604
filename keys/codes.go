package keys

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"regexp"

	"go.yaml.in/yaml/v3"
)

//go:embed codes.yaml
var assumedCodes []byte

// Codes says which codes of a key block stand for which usage and algorithm
// (密钥块代码). It is data: see codes.yaml.
type Codes struct {
	// Assumed: the codes are this program's choice, not agreed with anyone.
	Assumed    bool                 `yaml:"assumed"`
	Algorithms map[Algorithm]string `yaml:"algorithms"`
	Usages     map[Usage]UsageCode  `yaml:"usages"`
}

// UsageCode is how a key block names a usage: what the key is for, and how it
// may be used.
type UsageCode struct {
	Usage string `yaml:"usage"`
	Mode  string `yaml:"mode"`
}

// aesCode is the standard's code of AES of any length.
const aesCode = "A"

// derives is the mode of keys from which others are derived.
const derives = "X"

// AssumedCodes returns the codes that come with this package.
func AssumedCodes() Codes {
	codes, err := ParseCodes(bytes.NewReader(assumedCodes))
	if err != nil {
		panic(err) // the file is part of the program, and tested
	}
	return codes
}

// ParseCodes reads codes from YAML. A code that is missing, malformed or given
// twice is ErrFormat.
func ParseCodes(r io.Reader) (Codes, error) {
	decoder := yaml.NewDecoder(r)
	decoder.KnownFields(true)
	var codes Codes
	if err := decoder.Decode(&codes); err != nil {
		return Codes{}, fmt.Errorf("keys: codes: %w: %w", ErrFormat, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Codes{}, fmt.Errorf("keys: codes: %w", ErrFormat)
	}
	return codes, codes.check()
}

// The forms of codes.
var (
	usageForm = regexp.MustCompile(`^[0-9A-Z]{2}$`)
	codeForm  = regexp.MustCompile(`^[0-9A-Z]$`)
)

// check refuses codes that do not say exactly one thing.
func (c Codes) check() error {
	wrong := func(what any) error { return fmt.Errorf("keys: codes: %.32v: %w", what, ErrFormat) }
	usages, algorithms := map[string]bool{}, map[string]bool{}
	for usage, code := range c.Usages {
		if !usageForm.MatchString(code.Usage) || !codeForm.MatchString(code.Mode) || usages[code.Usage] ||
			(Spec{Usage: usage}).homebound() {
			return wrong(usage)
		}
		usages[code.Usage] = true
	}
	for algorithm, code := range c.Algorithms {
		if !codeForm.MatchString(code) || algorithms[code] || code == aesCode {
			return wrong(algorithm)
		}
		algorithms[code] = true
	}
	needed := []Usage{Authentication, Maintenance, Master, Transport, CheckCode}
	for _, usage := range needed {
		if _, known := c.Usages[usage]; !known {
			return wrong(usage)
		}
	}
	// Who buys no GlobalPlatform blanks has agreed on no code for their keys, who
	// has no cards made elsewhere on none for those of debits.
	for _, usage := range []Usage{Channel, Debit} {
		if _, known := c.Usages[usage]; known {
			needed = append(needed, usage)
		}
	}
	for _, algorithm := range []Algorithm{SM4, TripleDES} {
		if _, known := c.Algorithms[algorithm]; !known {
			return wrong(algorithm)
		}
	}
	if len(c.Usages) != len(needed) || len(c.Algorithms) != 2 {
		return wrong("unknown")
	}
	return nil
}

// code returns how a block names a key with that description and so many
// levels below it. A key whose use the codes cannot say is ErrNotInBlock.
func (c Codes) code(usage Usage, algorithm Algorithm, depth int) (UsageCode, byte, error) {
	code, known := c.Usages[usage]
	letter := c.Algorithms[algorithm]
	if algorithm.aes() {
		letter = aesCode
	}
	if !known || letter == "" || (code.Mode == derives) != (depth > 0) {
		return UsageCode{}, 0, ErrNotInBlock
	}
	return code, letter[0], nil
}
