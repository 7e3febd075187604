package card

import (
	"errors"
	"fmt"

	"golang.org/x/text/encoding/simplifiedchinese"

	"onecard/card/profile"
	"onecard/internal/gb"
)

// Contents is what a card says of its issuer and its holder (SSSE EF05 and
// EF06): what a personalisation writes and a reading returns.
type Contents struct {
	CardType   string      `json:"cardType"`   // 卡的类别
	Issuer     string      `json:"issuer"`     // 初始化机构编号, 24 hexadecimal digits
	IssuedOn   gb.Date     `json:"issuedOn"`   // 发卡日期
	ExpiresOn  gb.Date     `json:"expiresOn"`  // 卡有效期
	CardNumber string      `json:"cardNumber"` // 卡号
	IDNumber   gb.IDNumber `json:"idNumber"`   // 社会保障号码
	Name       string      `json:"name"`       // 姓名, Unicode
	Sex        gb.Sex      `json:"sex"`        // 性别, GB/T 2261.1
	Ethnic     string      `json:"ethnic"`     // 民族, GB/T 3304
	BirthPlace string      `json:"birthPlace"` // 出生地, GB/T 2260
}

// written is an element with the bytes that are to stand on the chip.
type written struct {
	file    *profile.File
	element *profile.Element
	value   []byte
}

// Check says whether the chip can hold the contents, as an *EncodeError that
// names what it cannot.
func (c Contents) Check(p *profile.Profile) error {
	_, err := c.encode(p, make([]byte, cardIDLength))
	return err
}

// encode makes the elements of EF05 and EF06 in the order of their records.
func (c Contents) encode(p *profile.Profile, cardID []byte) ([]written, error) {
	name, extension, err := splitName(p, c.Name)
	if err != nil {
		return nil, err
	}
	values := map[string]string{
		"cardID": fmt.Sprintf("%X", cardID), "cardType": c.CardType, "specVersion": p.Version, "issuer": c.Issuer,
		"issuedOn": c.IssuedOn.Compact(), "expiresOn": c.ExpiresOn.Compact(), "cardNumber": c.CardNumber,
		"idNumber": c.IDNumber.String(), "name": name, "nameExtension": extension, "sex": string(c.Sex),
		"ethnic": c.Ethnic, "birthPlace": c.BirthPlace, "birthDate": c.IDNumber.Birth().Compact(),
	}
	var all []written
	for _, path := range []string{issuerFile, holderFile} {
		file, ok := p.File(path)
		if !ok {
			return nil, fmt.Errorf("profile %s has no file %s", p.Version, path)
		}
		for i := range file.Elements {
			element := &file.Elements[i]
			text, known := values[element.Name]
			if !known {
				return nil, fmt.Errorf("profile %s: element %s has no source", p.Version, element.Name)
			}
			value, err := encodeValue(element, text)
			if err != nil {
				return nil, err
			}
			all = append(all, written{file, element, value})
		}
	}
	return all, nil
}

// The files that a personalisation writes.
const (
	issuerFile = "SSSE/EF05"
	holderFile = "SSSE/EF06"
)

var errNoName = errors.New("profile without name elements")

// splitName divides a name between 姓名 (09) and 姓名扩展 (4E) at the boundary of a
// character, since some readers decode each part by itself.
func splitName(p *profile.Profile, name string) (head, tail string, err error) {
	file, ok := p.File(holderFile)
	if !ok {
		return "", "", errNoName
	}
	first, ok1 := file.Element("name")
	second, ok2 := file.Element("nameExtension")
	if !ok1 || !ok2 {
		return "", "", errNoName
	}
	if name == "" {
		return "", "", tooLong(first, "不能为空", "must not be empty")
	}
	encoded, err := encodeGBK(first, name)
	if err != nil {
		return "", "", err
	}
	if len(encoded) <= first.Length {
		return name, "", nil
	}
	size := 0
	for i, r := range name {
		one, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte(string(r)))
		if err != nil {
			return "", "", fmt.Errorf("encode name: %w", err)
		}
		if size+len(one) > first.Length {
			if len(encoded)-size > second.Length {
				return "", "", tooLong(first, fmt.Sprintf("至多 %d 字节（约 %d 个汉字）", first.Length+second.Length, (first.Length+second.Length)/2),
					fmt.Sprintf("at most %d bytes in GBK", first.Length+second.Length))
			}
			return name[:i], name[i:], nil
		}
		size += len(one)
	}
	return name, "", nil
}

// Value is one element as it was read from a card.
type Value struct {
	File string       `json:"file"` // such as "SSSE/EF06"
	Tag  string       `json:"tag"`  // two hexadecimal digits
	Name string       `json:"name"`
	Text profile.Text `json:"text"`
	// Value is the text, the digits, or hexadecimal, by the element's coding.
	Value string `json:"value"`
}

func newValue(path string, e *profile.Element, value []byte) (Value, error) {
	text, err := DecodeValue(e, value)
	return Value{File: path, Tag: fmt.Sprintf("%02X", e.Tag), Name: e.Name, Text: e.Title, Value: text}, err
}
