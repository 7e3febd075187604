package card

import (
	"errors"
	"fmt"

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
			value, err := EncodeValue(p, element, text)
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
	first, ok := file.Element("name")
	if !ok {
		return "", "", errNoName
	}
	room := first.Length
	if second, ok := file.Element("nameExtension"); ok { // from 2.00 on
		room += second.Length
	}
	if name == "" {
		return "", "", tooLong(first, "不能为空", "must not be empty")
	}
	encoded, err := encodeText(p, first, name)
	if err != nil {
		return "", "", err
	}
	if len(encoded) <= first.Length {
		return name, "", nil
	}
	size := 0
	for i, r := range name {
		one, _ := encodeRune(p, r) // all of them were encoded above
		if size+len(one) > first.Length {
			if len(encoded)-size > room-first.Length {
				return "", "", tooLong(first, fmt.Sprintf("至多 %d 字节（约 %d 个汉字）", room, room/2), fmt.Sprintf("at most %d bytes in GBK", room))
			}
			return name[:i], name[i:], nil
		}
		size += len(one)
	}
	return name, "", nil
}

// HolderItems returns the items that write the holder's part of the contents.
func (c Contents) HolderItems(p *profile.Profile) ([]Item, error) {
	all, err := c.encode(p, make([]byte, cardIDLength))
	if err != nil {
		return nil, err
	}
	var items []Item
	for _, w := range all {
		if p.Scopes[0].Name+"/"+w.file.Name() != holderFile {
			continue
		}
		text, err := DecodeValue(p, w.element, w.value)
		if err != nil {
			return nil, err
		}
		items = append(items, Item{Path: holderFile + "/" + w.element.Name, Write: &Data{Text: text}})
	}
	return items, nil
}
