package card

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"onecard/card/profile"
	"onecard/internal/gb"
)

// Fen is an amount of money on a card (分).
type Fen uint32

// Value is one element, or one record of a cyclic file, as it was read from a
// card.
type Value struct {
	File string       `json:"file"` // such as "SSSE/EF06"
	Tag  string       `json:"tag"`  // two hexadecimal digits; the number of the record in a cyclic file
	Name string       `json:"name"`
	Text profile.Text `json:"text"`
	// Value is the text, the digits, the amount in fen, or hexadecimal, by the
	// element's coding. It is empty for what was never written.
	Value string `json:"value"`
	// Parts are those of a template or of a record.
	Parts []Value `json:"parts,omitempty"`
}

// Date returns the value as a day (YYYYMMDD).
func (v Value) Date() (gb.Date, error) { return gb.ParseDate(v.Value) }

// Fen returns the value as an amount.
func (v Value) Fen() (Fen, error) {
	fen, err := strconv.ParseUint(v.Value, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("element %s: %w: no amount", v.Name, errMalformed)
	}
	return Fen(fen), nil
}

// Part returns a part by name.
func (v Value) Part(name string) (Value, bool) {
	i := slices.IndexFunc(v.Parts, func(p Value) bool { return p.Name == name })
	if i < 0 {
		return Value{}, false
	}
	return v.Parts[i], true
}

func newValue(p *profile.Profile, path string, e *profile.Element, value []byte) (Value, error) {
	v := Value{File: path, Tag: fmt.Sprintf("%02X", e.Tag), Name: e.Name, Text: e.Title}
	var err error
	if e.Coding != "template" {
		v.Value, err = DecodeValue(p, e, value)
		return v, err
	}
	if len(trimRight(value, 0xFF)) == 0 {
		return v, nil
	}
	for i := range e.Inner {
		inner := &e.Inner[i]
		size := 2 + inner.Length
		if len(value) < size {
			return Value{}, fmt.Errorf("element %s: %w: part %02X is missing", e.Name, errMalformed, inner.Tag)
		}
		raw, err := elementValue(inner, value[:size])
		if err != nil {
			return Value{}, err
		}
		part, err := newValue(p, path, inner, raw)
		if err != nil {
			return Value{}, err
		}
		v.Parts, value = append(v.Parts, part), value[size:]
	}
	return v, nil
}

// newRecord decodes a record of a cyclic file.
func newRecord(p *profile.Profile, path string, file *profile.File, number int, record []byte) (Value, error) {
	v := Value{File: path, Tag: strconv.Itoa(number), Name: "record", Text: file.Title}
	if len(record) != file.Size {
		return Value{}, fmt.Errorf("%s: %w: a record of %d bytes, not %d", path, errMalformed, len(record), file.Size)
	}
	for i := range file.Fields {
		field := &file.Fields[i]
		part, err := newValue(p, path, field, record[:field.Length])
		if err != nil {
			return Value{}, err
		}
		part.Tag = ""
		v.Parts, record = append(v.Parts, part), record[field.Length:]
	}
	return v, nil
}

// Data is what is to be written to an element or appended as a record: text,
// or the parts of a template or record by name. A part that is left out is
// written as never written.
type Data struct {
	Text  string            `json:"text,omitempty"`
	Parts map[string]string `json:"parts,omitempty"`
}

// encode makes the bytes of an element.
func (d Data) encode(p *profile.Profile, e *profile.Element) ([]byte, error) {
	if e.Coding != "template" {
		if len(d.Parts) > 0 {
			return nil, tooLong(e, "没有分项", "it has no parts")
		}
		return EncodeValue(p, e, d.Text)
	}
	if d.Text != "" {
		return nil, tooLong(e, "应按分项填写", "its parts are needed")
	}
	return encodeParts(p, e, e.Inner, d.Parts, true)
}

// encodeRecord makes the bytes of a cyclic record.
func (d Data) encodeRecord(p *profile.Profile, file *profile.File) ([]byte, error) {
	return encodeParts(p, &profile.Element{Name: file.Name(), Title: file.Title}, file.Fields, d.Parts, false)
}

func encodeParts(p *profile.Profile, whole *profile.Element, parts []profile.Element, values map[string]string, tagged bool) ([]byte, error) {
	var out []byte
	left := maps.Clone(values)
	for i := range parts {
		part := &parts[i]
		value := make([]byte, part.Length)
		text, given := values[part.Name]
		if given {
			var err error
			if value, err = EncodeValue(p, part, text); err != nil {
				return nil, err
			}
		} else {
			for j := range value {
				value[j] = 0xFF
			}
		}
		delete(left, part.Name)
		if tagged {
			out = append(out, part.Tag, byte(part.Length))
		}
		out = append(out, value...)
	}
	if len(left) > 0 {
		names := strings.Join(slices.Sorted(maps.Keys(left)), ", ")
		return nil, tooLong(whole, "没有分项 "+names, "no part "+names)
	}
	return out, nil
}
