package registry

import (
	"context"

	"github.com/pressly/goose/v3"
)

// Column is a column of a database as its own catalogue has it.
type Column struct {
	Table, Name, Kind string
	Key               int // place in the primary key from 1; 0: not in it
}

var catalogues = map[goose.Dialect]string{
	goose.DialectSQLite3: `SELECT m.name, c.name, c.type, c.pk FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY m.name, c.cid`,
	// The views of information_schema take seconds for the same.
	goose.DialectPostgres: `SELECT t.relname, c.attname, format_type(c.atttypid, c.atttypmod), COALESCE(array_position(p.indkey::int2[], c.attnum), -1) + 1
		FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped
		LEFT JOIN pg_index p ON p.indrelid = t.oid AND p.indisprimary
		WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind IN ('r', 'p') ORDER BY t.relname, c.attnum`,
}

// Columns returns every column of every table, tables by name and columns in
// their order.
func (db *DB) Columns(ctx context.Context) ([]Column, error) { return db.engine.catalogue(ctx) }

// Columns returns every column of every table, as [DB.Columns] does.
func (s *Store) Columns(ctx context.Context) ([]Column, error) { return s.db.engine.catalogue(ctx) }

func (e *engine) catalogue(ctx context.Context) ([]Column, error) {
	rows, err := e.read.QueryContext(ctx, catalogues[e.dialect])
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var columns []Column
	for rows.Next() {
		var c Column
		if err := rows.Scan(&c.Table, &c.Name, &c.Kind, &c.Key); err != nil {
			return nil, translate(err)
		}
		columns = append(columns, c)
	}
	return columns, translate(rows.Err())
}
