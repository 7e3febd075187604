// Package indicator holds one mapping table for each peer (指标对照表): under which
// code a peer knows a field of ours, what the code means to that peer (one code
// has many meanings), in which encoding and length, and with which codes. Inside
// only our own field names are used. The tables are data; the one engine here
// makes a peer's record of ours and reads it back.
package indicator

import (
	"bytes"
	_ "embed"
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
