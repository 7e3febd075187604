package card

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"

	"onecard/card/profile"
)

// EncodeValue makes the bytes of an element: exactly its length.
//
//	an     GBK, left, padded by the profile's choice
//	cn     BCD digits, left, padded F
//	b      hexadecimal of exactly the length
//	dec    an amount in fen, in the form of the profile's choice
//	hex4   an amount in fen, binary, the high byte first
func EncodeValue(p *profile.Profile, e *profile.Element, text string) ([]byte, error) {
	var value []byte
	var err error
	switch e.Coding {
	case "an":
		if value, err = encodeText(p, e, text); err == nil {
			value = append(value, bytes.Repeat([]byte{p.Choices.NamePad}, max(0, e.Length-len(value)))...)
		}
	case "cn":
		value, err = encodeDigits(e, text)
	case "b":
		value, err = hex.DecodeString(text)
		if err != nil || len(value) != e.Length {
			err = tooLong(e, fmt.Sprintf("应为 %d 字节十六进制", e.Length), fmt.Sprintf("%d bytes in hexadecimal", e.Length))
		}
	case "dec", "hex4":
		value, err = encodeAmount(p, e, text)
	default:
		return nil, fmt.Errorf("element %s: coding %s cannot be written from text", e.Name, e.Coding)
	}
	if err != nil {
		return nil, err
	}
	if len(value) > e.Length {
		return nil, tooLong(e, fmt.Sprintf("至多 %d 字节", e.Length), fmt.Sprintf("at most %d bytes", e.Length))
	}
	return value, nil
}

func encodeDigits(e *profile.Element, text string) ([]byte, error) {
	digits := text
	if len(digits)%2 != 0 {
		digits += "F"
	}
	packed, err := hex.DecodeString(digits)
	if err != nil || strings.Trim(text, "0123456789") != "" {
		return nil, tooLong(e, "应为数字", "digits")
	}
	return append(packed, bytes.Repeat([]byte{0xFF}, max(0, e.Length-len(packed)))...), nil
}

// encodeAmount writes fen. BCD has eight digits, binary 32 bits.
func encodeAmount(p *profile.Profile, e *profile.Element, text string) ([]byte, error) {
	fen, err := strconv.ParseUint(text, 10, 32)
	most := uint64(math.MaxUint32)
	if decimal(p, e) {
		most = 99_999_999
	}
	if err != nil || fen > most {
		return nil, tooLong(e, fmt.Sprintf("应为金额，单位分，至多 %d", most), fmt.Sprintf("an amount in fen, at most %d", most))
	}
	if decimal(p, e) {
		return hex.DecodeString(fmt.Sprintf("%08d", fen))
	}
	return binary.BigEndian.AppendUint32(nil, uint32(fen)), nil
}

// decimal says whether an amount is written in BCD.
func decimal(p *profile.Profile, e *profile.Element) bool {
	return e.Coding == "dec" && p.Choices.Amounts == profile.AmountsBCD
}

func tooLong(e *profile.Element, zh, en string) *EncodeError {
	return &EncodeError{Element: e.Title, Expected: profile.Text{ZH: zh, EN: en}}
}

// charset returns the character set of a profile's text.
func charset(p *profile.Profile) encoding.Encoding {
	if p.Choices.Charset == profile.CharsetGB18030 {
		return simplifiedchinese.GB18030
	}
	return simplifiedchinese.GBK
}

// encodeRune encodes one character, or says that the character set lacks it.
func encodeRune(p *profile.Profile, r rune) ([]byte, bool) {
	encoded, err := charset(p).NewEncoder().Bytes([]byte(string(r)))
	return encoded, err == nil && r != 0 && r != '\uFFFD'
}

// encodeText encodes text, naming the first character that is lacking.
func encodeText(p *profile.Profile, e *profile.Element, text string) ([]byte, error) {
	var out []byte
	position := 0
	for _, r := range text {
		position++
		encoded, ok := encodeRune(p, r)
		if !ok {
			return nil, &EncodeError{Element: e.Title, Rune: r, Position: position}
		}
		out = append(out, encoded...)
	}
	return out, nil
}

// DecodeValue returns an element's value as text; empty for one that was never
// written (all FF).
func DecodeValue(p *profile.Profile, e *profile.Element, value []byte) (string, error) {
	if len(trimRight(value, 0xFF)) == 0 {
		return "", nil
	}
	switch e.Coding {
	case "an":
		// Cards in the field pad with 00, with blanks, or were cut off by FF.
		decoded, err := charset(p).NewDecoder().Bytes(trimRight(value, 0x00, 0x20, 0xFF))
		if err != nil {
			return "", fmt.Errorf("element %s: %w", e.Name, err)
		}
		return strings.Map(printable, string(decoded)), nil
	case "cn":
		return strings.TrimRight(upperHex(value), "F"), nil
	case "dec", "hex4":
		if decimal(p, e) {
			fen, err := strconv.ParseUint(hex.EncodeToString(value), 10, 32)
			if err != nil {
				return "", fmt.Errorf("element %s: %w: no amount", e.Name, errMalformed)
			}
			return strconv.FormatUint(fen, 10), nil
		}
		return strconv.FormatUint(uint64(binary.BigEndian.Uint32(value)), 10), nil
	}
	return upperHex(value), nil
}

// printable puts a sign in the place of what a screen or a log would obey.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return unicode.ReplacementChar
	}
	return r
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// elementValue takes a record `tag len value` apart.
func elementValue(e *profile.Element, record []byte) ([]byte, error) {
	if len(record) != 2+e.Length || record[0] != e.Tag || int(record[1]) != e.Length {
		return nil, fmt.Errorf("element %s: %w: the record is not tag %02X with %d bytes", e.Name, errMalformed, e.Tag, e.Length)
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
