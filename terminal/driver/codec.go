package driver

import (
	"bytes"
	"encoding/hex"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"

	"onecard/card/profile"
)

// decode returns an element's value as the driver's strings have it: GBK text
// without its padding, digits, or hexadecimal; empty for one never written.
func decode(e *profile.Element, value []byte) (string, error) {
	if bytes.Count(value, []byte{0xFF}) == len(value) {
		return "", nil
	}
	switch e.Coding {
	case "an":
		for len(value) > 0 && (value[len(value)-1] == 0 || value[len(value)-1] == ' ' || value[len(value)-1] == 0xFF) {
			value = value[:len(value)-1]
		}
		text, err := simplifiedchinese.GBK.NewDecoder().Bytes(value)
		if err != nil || bytes.ContainsAny(text, "|$") {
			return "", ErrCheck
		}
		return string(text), nil
	case "cn":
		return strings.TrimRight(upperHex(value), "F"), nil
	}
	return upperHex(value), nil
}

// encode makes exactly the bytes of an element: GBK padded 00, BCD padded F, or
// what stands in hexadecimal.
func encode(e *profile.Element, text string) ([]byte, error) {
	var value, padding []byte
	var err error
	switch e.Coding {
	case "an":
		value, err = simplifiedchinese.GBK.NewEncoder().Bytes([]byte(text))
		padding = []byte{0x00}
	case "cn":
		if strings.Trim(text, "0123456789") != "" {
			return nil, ErrInput
		}
		value, err = hex.DecodeString(text + strings.Repeat("F", len(text)%2))
		padding = []byte{0xFF}
	default:
		if value, err = hex.DecodeString(text); len(value) != e.Length {
			return nil, ErrInput
		}
	}
	if err != nil || len(value) > e.Length {
		return nil, ErrInput
	}
	return append(value, bytes.Repeat(padding, e.Length-len(value))...), nil
}
