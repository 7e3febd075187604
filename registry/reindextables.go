package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"onecard/internal/pinyin"
)

// digestTable is a table with digests that move to a new version of the key.
type digestTable struct {
	name    string
	table   string   // whose rows they are or, in a history, were
	key     []string // primary key
	bound   []string // columns of the row for which values are sealed
	sealed  []string // columns, without _sealed, that the digests are made of
	plain   []string // plain columns, likewise
	columns []digestColumn
}

// digestColumn is a column with a digest, and what that is made of.
type digestColumn struct {
	name, purpose string
	length        int // 0: whole
	of            func(value map[string]string) string
}

func valueOf(name string) func(map[string]string) string {
	return func(value map[string]string) string { return value[name] }
}

// digestTables are the tables, those of rows as they stood last: what goes over
// into them in between has the new digest already.
var digestTables = withHistories([]digestTable{
	{
		table: "persons", key: []string{"id"}, bound: []string{"id"}, sealed: []string{"id_number", "name", "phone", "household"}, plain: []string{"id_type"},
		columns: []digestColumn{
			{"id_number_index", columnIDNumber, 0, func(v map[string]string) string { return numberKey(v["id_type"], v["id_number"]) }},
			{"name_index", columnName, shortIndex, valueOf("name")},
			{"sound_index", columnSound, shortIndex, func(v map[string]string) string { return pinyin.Sound(v["name"]) }},
			{"initials_index", columnInitials, shortIndex, func(v map[string]string) string { return pinyin.Initials(v["name"]) }},
			{"phone_index", columnPhone, shortIndex, valueOf("phone")},
			{"household_index", columnHousehold, shortIndex, valueOf("household")},
		},
	},
	{
		table: "person_numbers", key: []string{"number_index", "system"}, bound: []string{"person_id"}, sealed: []string{"number"},
		columns: []digestColumn{{"number_index", columnOtherNumber, numberIndex, valueOf("number")}},
	},
	{
		table: "bank_accounts", key: []string{"id"}, bound: []string{"id"}, sealed: []string{"account"},
		columns: []digestColumn{{"account_index", columnAccount, numberIndex, valueOf("account")}},
	},
	{
		table: "old_cards", key: []string{"pool", "number_index"}, bound: []string{"pool", "person_id"}, sealed: []string{"number"},
		columns: []digestColumn{{"number_index", columnOldCard, numberIndex, valueOf("number")}},
	},
})

func withHistories(tables []digestTable) []digestTable {
	all := slices.Clone(tables)
	for i, t := range tables {
		all[i].name = t.table
		t.name, t.key = t.table+"_history", append(slices.Clone(t.key), "version")
		all = append(all, t)
	}
	return all
}

// digestRow is a row with its digests as they stand and as they would be under
// the older and the new version.
type digestRow struct {
	key                []any
	cells              map[string]any
	have, older, fresh [][]byte // by column; nil: NULL, or not to be computed
	unreadable         error
}

// read returns the rows after a key, in the key's order.
func (t digestTable) read(ctx context.Context, db *DB, after []any, limit int) ([]digestRow, error) {
	columns := slices.Concat(t.key, t.bound, t.plain)
	for _, name := range t.sealed {
		columns = append(columns, name+"_sealed")
	}
	for _, c := range t.columns {
		columns = append(columns, c.name)
	}
	slices.Sort(columns)
	columns = slices.Compact(columns)
	key := strings.Join(t.key, ", ")
	where := ""
	if after != nil {
		// The blank: right after a parenthesis gorm makes a list of the bytes.
		where = fmt.Sprintf("WHERE (%s) > ( %s)", key, strings.TrimSuffix(strings.Repeat("?, ", len(after)), ", "))
	}
	query := fmt.Sprintf("SELECT %s FROM %s %s ORDER BY %s LIMIT %d", strings.Join(columns, ", "), t.name, where, key, limit)
	found, err := db.Read(ctx).Raw(query, after...).Rows()
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var rows []digestRow
	for found.Next() {
		cells, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		row := digestRow{cells: map[string]any{}, have: make([][]byte, len(t.columns)), older: make([][]byte, len(t.columns)), fresh: make([][]byte, len(t.columns))}
		for i, name := range columns {
			row.cells[name] = cells[i]
		}
		for _, name := range t.key {
			row.key = append(row.key, row.cells[name])
		}
		for i, c := range t.columns {
			row.have[i], _ = row.cells[c.name].([]byte)
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}

// open opens what the digests of rows are made of; a row that does not open says
// so. Only a Vault that is away is an error.
func (t digestTable) open(ctx context.Context, db *DB, rows []digestRow) ([]map[string]string, error) {
	values := make([]map[string]string, len(rows))
	plain := make([][]string, len(rows))
	gather := func(i int, into *opening) {
		row := rows[i]
		bound := make([]string, len(t.bound))
		for n, name := range t.bound {
			bound[n] = fmt.Sprint(row.cells[name])
		}
		for n, name := range t.sealed {
			sealed, _ := row.cells[name+"_sealed"].([]byte)
			into.open(t.table+"."+name, strings.Join(bound, "/"), sealed, &plain[i][n])
		}
	}
	together := newOpening(len(rows) * len(t.sealed))
	for i := range rows {
		plain[i] = make([]string, len(t.sealed))
		gather(i, together)
	}
	if err := together.run(ctx, db); err != nil {
		for i := range rows {
			alone := newOpening(len(t.sealed))
			gather(i, alone)
			rows[i].unreadable = alone.run(ctx, db)
		}
		if _, away := db.SealHead(ctx); away != nil {
			return nil, away
		}
	}
	for i, row := range rows {
		values[i] = map[string]string{}
		for _, name := range t.plain {
			values[i][name] = fmt.Sprint(row.cells[name])
		}
		for n, name := range t.sealed {
			values[i][name] = plain[i][n]
		}
	}
	return values, nil
}

// compute fills in the digests of rows under both versions.
func (t digestTable) compute(ctx context.Context, db *DB, keys indexKeys, rows []digestRow) error {
	values, err := t.open(ctx, db, rows)
	if err != nil {
		return err
	}
	work := newSealing(0, len(rows)*len(t.columns))
	work.both = true
	type cell struct{ row, column int }
	var cells []cell
	for i := range rows {
		if rows[i].unreadable != nil {
			continue
		}
		for n, c := range t.columns {
			if text := c.of(values[i]); text != "" {
				work.index(c.purpose, text, c.length, &rows[i].fresh[n])
				cells = append(cells, cell{i, n})
			}
		}
	}
	if err := work.run(context.WithValue(ctx, heldKey{}, keys), db); err != nil {
		return err
	}
	for at, c := range cells {
		rows[c.row].older[c.column] = work.olderAt(at)
	}
	return nil
}
