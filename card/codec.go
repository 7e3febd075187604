package card

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"

	"onecard/apdu"
	"onecard/card/profile"
)

// encodeValue makes the bytes of an element: exactly its length.
//
//	an   GBK, left, padded 00
//	cn   BCD digits, left, padded F
//	b    hexadecimal of exactly the length
func encodeValue(e *profile.Element, text string) ([]byte, error) {
	var value []byte
	switch e.Coding {
	case "an":
		encoded, err := encodeGBK(e, text)
		if err != nil {
			return nil, err
		}
		value = encoded
	case "cn":
		digits := text
		if len(digits)%2 != 0 {
			digits += "F"
		}
		packed, err := hex.DecodeString(digits)
		if err != nil || strings.Trim(text, "0123456789") != "" {
			return nil, tooLong(e, "应为数字", "digits")
		}
		value = append(packed, bytes.Repeat([]byte{0xFF}, max(0, e.Length-len(packed)))...)
	case "b":
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != e.Length {
			return nil, tooLong(e, fmt.Sprintf("应为 %d 字节十六进制", e.Length), fmt.Sprintf("%d bytes in hexadecimal", e.Length))
		}
		value = raw
	default:
		return nil, fmt.Errorf("element %s: coding %s cannot be written from text", e.Name, e.Coding)
	}
	if len(value) > e.Length {
		return nil, tooLong(e, fmt.Sprintf("至多 %d 字节", e.Length), fmt.Sprintf("at most %d bytes", e.Length))
	}
	return append(value, make([]byte, e.Length-len(value))...), nil
}

func tooLong(e *profile.Element, zh, en string) *EncodeError {
	return &EncodeError{Element: e.Title, Expected: profile.Text{ZH: zh, EN: en}}
}

// encodeGBK encodes text, naming the first character that GBK lacks.
func encodeGBK(e *profile.Element, text string) ([]byte, error) {
	encoder := simplifiedchinese.GBK.NewEncoder()
	var out []byte
	position := 0
	for _, r := range text {
		position++
		encoded, err := encoder.Bytes([]byte(string(r)))
		if err != nil || r == 0 || r == '\uFFFD' {
			return nil, &EncodeError{Element: e.Title, Rune: r, Position: position}
		}
		out = append(out, encoded...)
	}
	return out, nil
}

// DecodeValue returns an element's value as text; empty for one that was never
// written (all FF).
func DecodeValue(e *profile.Element, value []byte) (string, error) {
	if len(trimRight(value, 0xFF)) == 0 {
		return "", nil
	}
	switch e.Coding {
	case "an":
		// Cards in the field pad with 00, with blanks, or were cut off by FF.
		decoded, err := simplifiedchinese.GBK.NewDecoder().Bytes(trimRight(value, 0x00, 0x20, 0xFF))
		if err != nil {
			return "", fmt.Errorf("element %s: %w", e.Name, err)
		}
		return string(decoded), nil
	case "cn":
		return strings.TrimRight(strings.ToUpper(hex.EncodeToString(value)), "F"), nil
	}
	return strings.ToUpper(hex.EncodeToString(value)), nil
}

// elementValue takes a record `tag len value` apart.
func elementValue(e *profile.Element, record []byte) ([]byte, error) {
	if len(record) != 2+e.Length || record[0] != e.Tag || int(record[1]) != e.Length {
		return nil, fmt.Errorf("element %s: %w: the record is not tag %02X with %d bytes", e.Name, apdu.ErrMalformed, e.Tag, e.Length)
	}
	return record[2:], nil
}

// trimRight cuts trailing bytes off. (The standard library cuts characters,
// for which half of a GBK character is no valid one.)
func trimRight(value []byte, cut ...byte) []byte {
	for len(value) > 0 && slices.Contains(cut, value[len(value)-1]) {
		value = value[:len(value)-1]
	}
	return value
}
