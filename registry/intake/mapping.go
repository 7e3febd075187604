// Package intake takes over residents from existing systems (存量数据导入): a
// mapping file describes how a system's tables are laid out, each row is
// checked and brought into the province's own form, and a run of an import can
// be stopped, taken up again and repeated without doubling anything.
package intake

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"onecard/registry/indicator"
)

//go:embed mappings/*.yaml
var mappingFiles embed.FS

// Mapping says how a system's tables are laid out (布局对照).
type Mapping struct {
	System  string // word under which the system's own numbers are kept
	Title   struct{ ZH, EN string }
	Assumed bool                 // no public source confirms the layout
	Fields  map[string]FieldRule // by our own field
	Ignore  []string             // columns that are known and not taken over

	words map[string]map[string]string // by field: the system's word → ours
}

// FieldRule says where a field comes from.
type FieldRule struct {
	Column   string // heading
	Required bool
	Codes    []string          // the peers whose codes of the field the system uses
	Words    map[string]string // further words of the system: its word → our value
	Default  string            // when the cell is empty
	Month    bool              // the date may be a month
}

// The fields that a mapping may name.
var fieldNames = []string{
	"key", "idType", "idNumber", "name", "nameTibetan", "sex", "ethnic", "birth", "householdKind", "household", "householdRole",
	"place", "address", "postcode", "phone", "education", "employment", "life", "insured", "insuredState", "insuredSince",
	"bank", "account", "pool", "oldCard", "oldCardState", "oldCardBalance",
}

// needed lists the fields without which nobody can be registered; place may
// stand in for pool.
var needed = []string{"idNumber", "name", "ethnic"}

var embedded = sync.OnceValues(func() (map[string]*Mapping, error) {
	files, err := fs.Sub(mappingFiles, "mappings")
	if err != nil {
		return nil, err
	}
	return ReadMappings(files)
})

// Mappings returns the mappings that the program brings, by their names.
func Mappings() (map[string]*Mapping, error) { return embedded() }

// ReadMappings reads a folder of mappings (*.yaml). What a code means stands in
// the mapping tables of the peers (package indicator), not in them.
func ReadMappings(files fs.FS) (map[string]*Mapping, error) {
	tables, err := indicator.All()
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	mappings := map[string]*Mapping{}
	for _, name := range names {
		m := &Mapping{}
		if err := decode(files, name, m); err != nil {
			return nil, err
		}
		if err := m.check(tables); err != nil {
			return nil, fmt.Errorf("intake: %s: %w", name, err)
		}
		mappings[strings.TrimSuffix(path.Base(name), ".yaml")] = m
	}
	return mappings, nil
}

// decode reads YAML strictly; its errors name the line.
func decode(files fs.FS, name string, into any) error {
	content, err := fs.ReadFile(files, name)
	if err != nil {
		return fmt.Errorf("intake: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("intake: %s: %w", name, err)
	}
	return nil
}

func (m *Mapping) check(tables indicator.Tables) error {
	if m.System == "" || m.Title.ZH == "" {
		return fmt.Errorf("system and title are needed")
	}
	for _, field := range needed {
		if m.Fields[field].Column == "" {
			return fmt.Errorf("field %s is needed", field)
		}
	}
	if m.Fields["place"].Column == "" && m.Fields["pool"].Column == "" {
		return fmt.Errorf("field place or pool is needed")
	}
	m.words = map[string]map[string]string{}
	for _, field := range slices.Sorted(maps.Keys(m.Fields)) {
		rule := m.Fields[field]
		switch {
		case !slices.Contains(fieldNames, field):
			return fmt.Errorf("unknown field %s", field)
		case rule.Column == "":
			return fmt.Errorf("field %s: no column", field)
		}
		var err error
		if m.words[field], err = rule.words(field, tables); err != nil {
			return fmt.Errorf("field %s: %w", field, err)
		}
	}
	return nil
}

// words gathers what the system may write for each value of ours: what people
// write, the codes of the peers named, and words of its own. A word has one
// meaning. nil: the field is not one of codes.
func (r FieldRule) words(field string, tables indicator.Tables) (map[string]string, error) {
	own, _ := indicator.Own(field)
	values := own.Values()
	if values == nil && len(r.Codes)+len(r.Words) == 0 {
		return nil, nil
	}
	words := map[string]string{}
	add := func(more map[string]string) error {
		for word, value := range more {
			if _, known := values[value]; !known {
				return fmt.Errorf("word %s: no value %s of ours", word, value)
			}
			if other, known := words[word]; known && other != value {
				return fmt.Errorf("word %s: both %s and %s", word, other, value)
			}
			words[word] = value
		}
		return nil
	}
	all := []map[string]string{own.Words(), r.Words}
	for _, peer := range r.Codes {
		table := tables[peer]
		if table == nil || table.Codes(field) == nil {
			return nil, fmt.Errorf("the table of peer %q has no codes of it", peer)
		}
		all = append(all, table.Codes(field))
	}
	for _, more := range all {
		if err := add(more); err != nil {
			return nil, err
		}
	}
	return words, nil
}

// layout is a mapping bound to the headings of a file.
type layout struct {
	*Mapping
	header  []string
	columns map[string]int // by field
}

// HeadingError says how a file's headings differ from the mapping's.
type HeadingError struct{ Missing, Unknown []string }

func (e *HeadingError) Error() string {
	var parts []string
	if len(e.Missing) > 0 {
		parts = append(parts, "缺少列 columns missing: "+strings.Join(e.Missing, "、"))
	}
	if len(e.Unknown) > 0 {
		parts = append(parts, "未知列 columns unknown: "+strings.Join(e.Unknown, "、"))
	}
	return strings.Join(parts, "；")
}

// bind finds the mapping's columns among the headings. Every heading must be
// known: a column that nobody has thought of may hold what matters.
func (m *Mapping) bind(header []string) (*layout, error) {
	l := &layout{Mapping: m, header: header, columns: map[string]int{}}
	bad := &HeadingError{}
	known := slices.Clone(m.Ignore)
	for _, field := range slices.Sorted(maps.Keys(m.Fields)) {
		column := m.Fields[field].Column
		known = append(known, column)
		at := slices.Index(header, column)
		switch {
		case at >= 0:
			l.columns[field] = at
		case m.Fields[field].Required:
			bad.Missing = append(bad.Missing, column)
		}
	}
	for _, heading := range header {
		if !slices.Contains(known, heading) {
			bad.Unknown = append(bad.Unknown, heading)
		}
	}
	if len(bad.Missing)+len(bad.Unknown) > 0 {
		return nil, bad
	}
	return l, nil
}
