// Package inventory is the data inventory (数据清单): what every column of the
// three stores holds, what for, for how long, who reads it and how it is
// protected, as data in inventory.yaml; and what follows from it: the check of a
// live database against it, and the change of the field key ([Resealing]), which
// takes its columns from here.
package inventory

import (
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"onecard/registry"
)

//go:embed inventory.yaml
var file []byte

// Stores are the names of the stores.
var Stores = []string{"production", "exchange", "decision"}

// Class is what kind of data a column holds (类别).
type Class string

// The classes.
const (
	Secret    Class = "secret"
	Identity  Class = "identity"
	Contact   Class = "contact"
	Photo     Class = "photo"
	Special   Class = "special"
	Attribute Class = "attribute"
	Business  Class = "business"
	Technical Class = "technical"
)

var classes = []Class{Secret, Identity, Contact, Photo, Special, Attribute, Business, Technical}

// Protection is how a column is protected (保护方式).
type Protection string

// The protections.
const (
	Sealed    Protection = "sealed"    // 加密: enciphered by the keeper, bound to table, column and row
	Index     Protection = "index"     // 盲索引: keyed digest
	Hash      Protection = "hash"      // 摘要: of a password or a token
	Enveloped Protection = "enveloped" // 数字信封: enciphered to the receiver's certificate
	Plain     Protection = "plain"     // 明文
)

// Column is one line of the inventory.
type Column struct {
	Store, Table, Name string
	Class              Class
	Protection         Protection
	Purpose            string
	Retention          string
	Source             string // of the retention; empty: assumed
	Readers            string
	Why                string // it is plain, if it is personal
	Binding            Binding
}

// Binding is what a sealed value is bound to: the column's name for the keeper,
// and the columns whose values, joined by "/", name the row.
type Binding struct {
	Column string
	Row    []string
}

// document is inventory.yaml.
type document struct {
	Classes    map[Class]string
	Retentions map[string]struct{ Term, Source string }
	Technical  []string
	Stores     map[string]map[string]table
}

type table struct {
	Purpose, Retention, Why string
	Readers                 []string
	Columns                 map[string][]string `yaml:",inline"`
	Sealed                  map[string]string
	Indexed                 []string
	Hashed                  []string
	Enveloped               []string
}

// ErrInventory is what every finding is.
var ErrInventory = errors.New("数据清单不符 not as the data inventory says")

// Inventory is the inventory as the file has it.
type Inventory struct{ doc document }

// Read reads the inventory of this program.
func Read() (*Inventory, error) { return Parse(file) }

// Parse reads an inventory (YAML).
func Parse(text []byte) (*Inventory, error) {
	var i Inventory
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&i.doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInventory, err)
	}
	for store, tables := range i.doc.Stores {
		for name, t := range tables {
			if _, known := i.doc.Retentions[t.Retention]; !known {
				return nil, fmt.Errorf("%w: %s.%s: 没有保存期限 no such retention: %q", ErrInventory, store, name, t.Retention)
			}
			for class := range t.Columns {
				if _, known := i.doc.Classes[Class(class)]; !known || !slices.Contains(classes, Class(class)) {
					return nil, fmt.Errorf("%w: %s.%s: 没有类别 no such class: %q", ErrInventory, store, name, class)
				}
			}
			if t.Purpose == "" || len(t.Readers) == 0 {
				return nil, fmt.Errorf("%w: %s.%s: 缺少用途或读者 purpose or readers are missing", ErrInventory, store, name)
			}
		}
	}
	return &i, nil
}

// history is the ending of the tables of rows as they stood.
const history = "_history"

// Check compares a store's schema with the inventory and returns its lines by
// table, class and protection, and everything that does not fit, each naming the column.
func (i *Inventory) Check(store string, schema []registry.Column) ([]Column, error) {
	var lines []Column
	var wrong []error
	live := map[string]bool{}
	for _, c := range schema {
		live[c.Table] = true
		live[c.Table+"."+c.Name] = true
		line, err := i.line(store, c.Table, c.Name)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		lines = append(lines, line)
	}
	for _, name := range slices.Sorted(maps.Keys(i.doc.Stores[store])) {
		for _, columns := range i.doc.Stores[store][name].Columns {
			for _, column := range columns {
				if !live[name+"."+column] {
					wrong = append(wrong, finding(store, name, column, "清单中有，库中没有", "in the inventory, but not in the database"))
				}
			}
		}
	}
	slices.SortFunc(lines, func(a, b Column) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(slices.Index(classes, a.Class), slices.Index(classes, b.Class)),
			cmp.Compare(a.Protection, b.Protection), cmp.Compare(a.Name, b.Name))
	})
	return lines, errors.Join(wrong...)
}

func finding(store, table, column, zh, en string) error {
	return fmt.Errorf("%w: %s %s.%s: %s %s (registry/inventory/inventory.yaml)", ErrInventory, store, table, column, zh, en)
}

// line returns the line of a column.
func (i *Inventory) line(store, name, column string) (Column, error) {
	t, known := i.doc.Stores[store][name]
	if base, past := strings.CutSuffix(name, history); past && !known {
		t, known = i.doc.Stores[store][base]
	}
	if !known {
		return Column{}, finding(store, name, column, "表未列入", "the table is not classified")
	}
	line := Column{
		Store: store, Table: name, Name: column, Purpose: t.Purpose, Readers: strings.Join(t.Readers, ", "),
		Retention: i.doc.Retentions[t.Retention].Term, Source: i.doc.Retentions[t.Retention].Source,
	}
	for class, columns := range t.Columns {
		if !slices.Contains(columns, column) {
			continue
		}
		if line.Class != "" {
			return line, finding(store, name, column, "列入两类", "has two classes")
		}
		line.Class = Class(class)
	}
	if line.Class == "" && slices.Contains(i.doc.Technical, column) {
		line.Class = Technical
	}
	if line.Class == "" {
		return line, finding(store, name, column, "未分类", "is not classified")
	}
	return t.protect(line)
}

// protect says how a column is protected, and refuses what is less than its
// class asks for.
func (t table) protect(line Column) (Column, error) {
	bound, sealed := t.Sealed[line.Name]
	words := strings.Fields(bound)
	switch {
	case sealed && len(words) >= 2:
		line.Protection, line.Binding = Sealed, Binding{words[0], words[1:]}
	case sealed || strings.HasSuffix(line.Name, "_sealed"):
		return line, finding(line.Store, line.Table, line.Name, "未写明密文绑定（表.列 行键）", "what it is bound to is not told (table.column row)")
	case strings.HasSuffix(line.Name, "_index") || slices.Contains(t.Indexed, line.Name):
		line.Protection = Index
	case slices.Contains(t.Hashed, line.Name):
		line.Protection = Hash
	case slices.Contains(t.Enveloped, line.Name):
		line.Protection = Enveloped
	default:
		line.Protection = Plain
	}
	if line.Protection != Plain {
		return line, nil
	}
	switch line.Class {
	case Secret, Identity, Contact, Photo:
		return line, finding(line.Store, line.Table, line.Name, "个人信息须加密（*_sealed）或盲索引（*_index）", "is personal and neither sealed nor a keyed index")
	case Special, Attribute:
		if line.Why = t.Why; line.Why == "" {
			return line, finding(line.Store, line.Table, line.Name, "明文须写明理由（why）", "is plain and does not say why")
		}
	}
	return line, nil
}
