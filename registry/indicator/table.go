package indicator

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
)

//go:embed peers/*.yaml
var peerFiles embed.FS

// Table is the mapping table of one peer.
type Table struct {
	Name  string `yaml:"-"`
	Title struct {
		ZH string `yaml:"zh"`
		EN string `yaml:"en"`
	} `yaml:"title"`
	Assumed   bool                `yaml:"assumed"` // no public source confirms all of it
	Encoding  string              `yaml:"encoding"`
	Form      string              `yaml:"form"`      // json, or delimited
	Separator string              `yaml:"separator"` // of delimited
	Fields    map[string]*Rule    `yaml:"fields"`    // by our own name
	Messages  map[string][]string `yaml:"messages"`  // topic → our fields, in the peer's order

	Text     []byte            `yaml:"-"` // the file
	encoding encoding.Encoding // nil: UTF-8
}

// Rule is how a peer knows a field.
type Rule struct {
	Code     string            `yaml:"code"`     // indicator code, such as AAZ502
	Meaning  string            `yaml:"meaning"`  // of the code, to this peer
	Bytes    int               `yaml:"bytes"`    // most of them, in the peer's encoding
	Optional bool              `yaml:"optional"` // may be empty
	Cut      bool              `yaml:"cut"`      // a text that is too long is cut between two characters; else it is refused
	Replace  string            `yaml:"replace"`  // ASCII, for a character that the encoding lacks; else it is refused
	Standard bool              `yaml:"standard"` // the values are ours but for those in Codes
	Codes    map[string]codes  `yaml:"codes"`    // our value → the peer's: the first is written, all are read
	Back     map[string]string `yaml:"back"`     // which of several of our values a code is read as
	None     []string          `yaml:"none"`     // values of ours that the peer has no code for

	field Field
	write map[string]string // our value → the peer's
	read  map[string]string // the peer's → ours
}

// codes is one code or a list of them.
type codes []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (c *codes) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*c = codes{node.Value}
		return nil
	}
	return node.Decode((*[]string)(c))
}

// Forms and encodings of a peer's records.
const (
	formJSON      = "json"
	formDelimited = "delimited"
	encodingUTF8  = "UTF-8"
	encodingGBK   = "GBK"
)

var encodings = map[string]encoding.Encoding{
	encodingUTF8: nil, encodingGBK: simplifiedchinese.GBK, "GB 18030": simplifiedchinese.GB18030,
}

// Tables are the tables of all peers, by name.
type Tables map[string]*Table

var embedded = sync.OnceValues(func() (Tables, error) {
	files, err := fs.Sub(peerFiles, "peers")
	if err != nil {
		return nil, err
	}
	return Read(files)
})

// All returns the tables that the program brings.
func All() (Tables, error) { return embedded() }

// ErrTable: a mapping table is not usable; the error says why.
var ErrTable = errors.New("对照表有误 the mapping table is wrong")

// Read reads a folder of tables, one file (NAME.yaml) for each peer.
func Read(files fs.FS) (Tables, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	tables := Tables{}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		t, err := Parse(strings.TrimSuffix(path.Base(name), ".yaml"), text)
		if err != nil {
			return nil, err
		}
		tables[t.Name] = t
	}
	return tables, nil
}

// Parse reads and checks the table of a peer.
func Parse(name string, text []byte) (*Table, error) {
	t := &Table{Name: name, Text: text}
	if err := decode(text, t); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrTable, name, err)
	}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrTable, name, err)
	}
	return t, nil
}

// check refuses a table that is not complete or that could be read in two ways.
func (t *Table) check() error {
	var known bool
	t.encoding, known = encodings[t.Encoding]
	switch {
	case t.Title.ZH == "" || len(t.Fields) == 0:
		return errors.New("title and fields are needed")
	case !known:
		return fmt.Errorf("encoding %q: one of UTF-8, GBK, GB 18030", t.Encoding)
	case t.Form == formJSON && (t.Encoding != encodingUTF8 || t.Separator != ""):
		return errors.New("JSON is UTF-8 and has no separator")
	case t.Form == formDelimited && (len(t.Separator) != 1 || !strings.Contains("|,;\t^", t.Separator)):
		return errors.New(`separator: one of | , ; ^ and the tabulator`)
	case t.Form != formJSON && t.Form != formDelimited:
		return fmt.Errorf("form %q: json or delimited", t.Form)
	}
	meant := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(t.Fields)) {
		rule := t.Fields[name]
		field, ok := Own(name)
		if !ok {
			return fmt.Errorf("field %s: not one of ours", name)
		}
		if rule == nil || rule.Code == "" || rule.Meaning == "" || rule.Bytes < 1 {
			return fmt.Errorf("field %s: code, meaning and bytes are needed", name)
		}
		if other, twice := meant[rule.Code]; twice {
			return fmt.Errorf("code %s: both %s and %s", rule.Code, other, name)
		}
		meant[rule.Code] = name
		rule.field = field
		if err := rule.check(t); err != nil {
			return fmt.Errorf("field %s: %w", name, err)
		}
	}
	for topic, fields := range t.Messages {
		for i, name := range fields {
			if t.Fields[name] == nil || slices.Contains(fields[:i], name) {
				return fmt.Errorf("message %s: field %s is not in the table, or stands twice", topic, name)
			}
		}
	}
	return nil
}

// check makes the two directions of a field's codes and sees that each leads
// back, and that what becomes of a text is said of texts alone.
func (r *Rule) check(t *Table) error {
	values := r.field.values
	if (r.Cut || r.Replace != "") && (values != nil || r.field.Form != "") {
		return errors.New("cut and replace are for texts")
	}
	if r.Cut && r.Bytes < utf8.UTFMax {
		return fmt.Errorf("cut: a character takes up to %d bytes", utf8.UTFMax)
	}
	if r.Replace != "" && (t.Encoding != encodingGBK || len(r.Replace) != 1 || !strings.Contains("?*_", r.Replace)) {
		return errors.New("replace: one of ? * _, and with GBK alone: the others lack no character")
	}
	if values == nil {
		if r.Standard || len(r.Codes)+len(r.Back)+len(r.None) > 0 {
			return errors.New("is no field of codes")
		}
		return nil
	}
	r.write, r.read = map[string]string{}, map[string]string{}
	meant := map[string][]string{} // code → our values
	for _, value := range slices.Sorted(maps.Keys(values)) {
		list, told := r.Codes[value]
		none := slices.Contains(r.None, value)
		switch {
		case told && (none || len(list) == 0):
			return fmt.Errorf("value %s: both a code and none", value)
		case none:
			continue
		case !told && !r.Standard:
			return fmt.Errorf("value %s (%s) has no code", value, values[value].ZH)
		case !told:
			list = codes{value}
		}
		r.write[value] = list[0]
		for _, code := range list {
			if size, err := t.size(code); err != nil || size < 1 || size > r.Bytes {
				return fmt.Errorf("value %s: its code takes 1 to %d bytes", value, r.Bytes)
			}
			meant[code] = append(meant[code], value)
			r.read[code] = value
		}
	}
	for _, value := range slices.Concat(slices.Sorted(maps.Keys(r.Codes)), r.None) {
		if _, ok := values[value]; !ok {
			return fmt.Errorf("value %s: not one of ours", value)
		}
	}
	for code, several := range meant {
		back, told := r.Back[code]
		if len(several) > 1 && !told {
			return fmt.Errorf("code %s: could be %s; say which under back", code, strings.Join(several, " or "))
		}
		if told && !slices.Contains(several, back) {
			return fmt.Errorf("back: code %s is not written for %s", code, back)
		}
		if told {
			r.read[code] = back
		}
	}
	for code, value := range r.Back {
		if meant[code] == nil {
			return fmt.Errorf("back: code %s stands nowhere", code)
		}
		// What it is read as must be written as the same code, or reading and
		// writing would never come to rest.
		if r.write[value] != code {
			return fmt.Errorf("back: %s is written as %s", value, r.write[value])
		}
	}
	return nil
}

// size is how many bytes a text takes in the peer's encoding.
func (t *Table) size(text string) (int, error) {
	encoded, err := t.encode(text)
	return len(encoded), err
}

var errCharacter = errors.New("a character that the encoding lacks")

func (t *Table) encode(text string) ([]byte, error) {
	if !utf8.ValidString(text) {
		return nil, errCharacter
	}
	if t.encoding == nil {
		return []byte(text), nil
	}
	encoded, err := t.encoding.NewEncoder().Bytes([]byte(text))
	if err != nil {
		return nil, errCharacter // the library's error may show it
	}
	return encoded, nil
}

// Codes returns what a peer's codes of a field mean here, code by code; nil
// where the table has no such field of codes.
func (t *Table) Codes(field string) map[string]string {
	if rule := t.Fields[field]; rule != nil {
		return rule.read
	}
	return nil
}
