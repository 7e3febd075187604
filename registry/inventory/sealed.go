package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"onecard/registry"
)

// sealedTable is a table of production with sealed columns.
type sealedTable struct {
	name    string
	key     []string // its primary key
	columns []Column
}

// sealedTables returns the tables with sealed columns, those of rows as they
// stood last: what goes over into them in between is then sealed anew already.
func sealedTables(ctx context.Context, db *registry.DB) ([]sealedTable, error) {
	list, err := Read()
	if err != nil {
		return nil, err
	}
	schema, err := db.Columns(ctx)
	if err != nil {
		return nil, err
	}
	lines, err := list.Check(Stores[0], schema)
	if err != nil {
		return nil, err
	}
	var tables []sealedTable
	for _, line := range lines {
		if line.Protection != Sealed {
			continue
		}
		at := slices.IndexFunc(tables, func(t sealedTable) bool { return t.name == line.Table })
		if at < 0 {
			at = len(tables)
			tables = append(tables, sealedTable{name: line.Table, key: primaryKey(schema, line.Table)})
		}
		tables[at].columns = append(tables[at].columns, line)
	}
	slices.SortStableFunc(tables, func(a, b sealedTable) int { return cmp.Compare(a.past(), b.past()) })
	return tables, nil
}

func (t sealedTable) past() int {
	if strings.HasSuffix(t.name, history) {
		return 1
	}
	return 0
}

func (t sealedTable) names() []string {
	var names []string
	for _, c := range t.columns {
		names = append(names, c.Name)
	}
	return names
}

func primaryKey(schema []registry.Column, table string) []string {
	var key []registry.Column
	for _, c := range schema {
		if c.Table == table && c.Key > 0 {
			key = append(key, c)
		}
	}
	slices.SortFunc(key, func(a, b registry.Column) int { return a.Key - b.Key })
	var names []string
	for _, c := range key {
		names = append(names, c.Name)
	}
	return names
}

// Heads counts all sealed values of production by what they begin with: the
// keeper's format and the version of its key.
func Heads(ctx context.Context, db *registry.DB) (map[string]int64, error) {
	tables, err := sealedTables(ctx, db)
	if err != nil {
		return nil, err
	}
	all := map[string]int64{}
	for _, t := range tables {
		heads, err := db.SealHeads(ctx, t.name, t.names())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		for head, count := range heads {
			all[head] += count
		}
	}
	return all, nil
}

// ErrRemaining: values are still sealed under another key than the newest.
var ErrRemaining = errors.New("仍有数据使用旧密钥 values are still sealed under an old key")
