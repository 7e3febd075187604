// Package indicator holds one mapping table for each peer (指标对照表): under which
// code a peer knows a field of ours, what the code means to that peer (one code
// has many meanings), in which encoding and length, and with which codes. Inside
// only our own field names are used. The tables are data; the one engine here
// makes a peer's record of ours and reads it back.
package indicator

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"onecard/internal/gb"
)

//go:embed own.yaml
var ownText []byte

// Record is a record under our own field names. Days are 2006-01-02, instants
// RFC 3339.
type Record map[string]string

// UnmarshalJSON reads a message of ours: texts, numbers as their digits, lists of
// texts with spaces between. What is not a field of ours is passed over: a message
// may say more than a peer can be told.
func (r *Record) UnmarshalJSON(text []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	*r = Record{}
	for name, raw := range all {
		if _, ok := Own(name); !ok {
			continue
		}
		value, err := plain(raw)
		if err != nil {
			return fmt.Errorf("indicator: field %s: %w", name, err)
		}
		(*r)[name] = value
	}
	return nil
}

func plain(raw json.RawMessage) (string, error) {
	var number json.Number // of a text, the text must be one
	var text string
	var list []string
	switch {
	case json.Unmarshal(raw, &text) == nil:
		return text, nil
	case json.Unmarshal(raw, &number) == nil:
		return number.String(), nil
	case json.Unmarshal(raw, &list) == nil:
		return strings.Join(list, " "), nil
	}
	return "", errors.New("a text, a number or a list of texts")
}

// Field is one of our own fields.
type Field struct {
	Name   string `yaml:"name"`
	ZH     string `yaml:"zh"`
	EN     string `yaml:"en"`
	Codes  string `yaml:"codes"` // name of its set of values; empty: it has none
	Form   string `yaml:"form"`  // day, instant; empty: text
	values map[string]Value
}

// Forms of a field.
const (
	formDay     = "day"
	formInstant = "instant"
)

// Value is what a value of a set means.
type Value struct {
	ZH   string   `yaml:"zh"`
	EN   string   `yaml:"en"`
	Also []string `yaml:"also"` // how people write it besides
}

var own = sync.OnceValue(func() map[string]Field {
	var all struct {
		Fields []Field                     `yaml:"fields"`
		Codes  map[string]map[string]Value `yaml:"codes"`
	}
	if err := decode(ownText, &all); err != nil {
		panic("indicator: own.yaml: " + err.Error()) // part of the program
	}
	groups := map[string]Value{}
	for _, g := range gb.EthnicGroups() {
		groups[g.Code] = Value{ZH: g.Name, EN: g.Roman, Also: []string{g.Name + "族"}}
	}
	all.Codes["ethnic"] = groups
	fields := map[string]Field{}
	for _, f := range all.Fields {
		f.values = all.Codes[f.Codes]
		fields[f.Name] = f
	}
	return fields
})

// Own returns a field of ours by name.
func Own(name string) (Field, bool) {
	f, ok := own()[name]
	return f, ok
}

// Values returns the values that a field may have, nil where it is not one of
// codes.
func (f Field) Values() map[string]Value { return f.values }

// Words returns our value of each word that people write for it, such as
// resident for 身份证.
func (f Field) Words() map[string]string {
	words := map[string]string{}
	for value, meaning := range f.values {
		for _, word := range append([]string{meaning.ZH}, meaning.Also...) {
			words[word] = value
		}
	}
	return words
}

// decode reads YAML strictly; its errors name the line.
func decode(text []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	return decoder.Decode(into)
}

// list writes values with their meanings, for errors and people.
func list(meanings map[string]string) string {
	var parts []string
	for code, meaning := range meanings {
		parts = append(parts, strings.TrimSpace(code+" "+meaning))
	}
	slices.Sort(parts)
	if len(parts) > mostListed {
		return strings.Join(parts[:mostListed], "、") + fmt.Sprintf("…（%d）", len(parts))
	}
	return strings.Join(parts, "、")
}

// mostListed bounds the values that an error lists.
const mostListed = 15
