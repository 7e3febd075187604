package inventory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"onecard/registry"
)

// sealedRow is a row's key and the values that are sealed in it.
type sealedRow struct {
	key    []any
	values []namedValue
}

type namedValue struct {
	name string // of the column in the database
	registry.SealedValue
}

// read returns the rows after a key, in the key's order, and how many bytes are
// sealed in them.
func (t sealedTable) read(ctx context.Context, db *registry.DB, after []any, limit int) (rows []sealedRow, size int, err error) {
	key := strings.Join(t.key, ", ")
	columns := slices.Clone(t.key)
	for _, c := range t.columns {
		columns = append(columns, c.Name)
		columns = append(columns, c.Binding.Row...)
	}
	where, args := "", []any{}
	if after != nil {
		// The blank: right after a parenthesis gorm makes a list of the bytes.
		where = fmt.Sprintf("WHERE (%s) > ( %s)", key, strings.TrimSuffix(strings.Repeat("?, ", len(after)), ", "))
		args = after
	}
	query := fmt.Sprintf("SELECT %s FROM %s %s ORDER BY %s LIMIT %d", strings.Join(columns, ", "), t.name, where, key, limit)
	found, err := db.Read(ctx).Raw(query, args...).Rows()
	if err != nil {
		return nil, 0, err
	}
	defer found.Close()
	for found.Next() {
		cells := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := found.Scan(into...); err != nil {
			return nil, 0, err
		}
		row := sealedRow{key: cells[:len(t.key)]}
		rest := cells[len(t.key):]
		for _, c := range t.columns {
			value, _ := rest[0].([]byte) // nil for NULL
			bound := make([]string, len(c.Binding.Row))
			for i, cell := range rest[1 : 1+len(bound)] {
				bound[i] = fmt.Sprint(cell)
			}
			rest = rest[1+len(bound):]
			if len(value) == 0 {
				continue
			}
			size += len(value)
			row.values = append(row.values, namedValue{c.Name, registry.SealedValue{Column: c.Binding.Column, Row: strings.Join(bound, "/"), Value: value}})
		}
		rows = append(rows, row)
	}
	return rows, size, found.Err()
}

// write puts the values that were sealed anew in the place of the old ones, if
// those are still there, and returns 1 if it did. anew has one for each value of
// the batch that does not begin with head; at counts them.
func (t sealedTable) write(tx *registry.Tx, row sealedRow, head []byte, anew [][]byte, at *int) (int64, error) {
	var set, where []string
	var values, args []any
	for i, name := range t.key {
		where, args = append(where, name+" = ?"), append(args, row.key[i])
	}
	for _, v := range row.values {
		if bytes.HasPrefix(v.Value, head) {
			continue
		}
		fresh := anew[*at]
		*at++
		if fresh == nil {
			continue
		}
		set, values = append(set, v.name+" = ?"), append(values, fresh)
		where, args = append(where, v.name+" = ?"), append(args, v.Value)
	}
	if len(set) == 0 {
		return 0, nil
	}
	query := fmt.Sprintf("UPDATE %s SET %s WHERE %s", t.name, strings.Join(set, ", "), strings.Join(where, " AND "))
	done := tx.DB().Exec(query, append(values, args...)...)
	return done.RowsAffected, done.Error
}
