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
	goose.DialectPostgres: `SELECT c.table_name, c.column_name, c.data_type, COALESCE(k.ordinal_position, 0)
		FROM information_schema.columns c
		JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.table_type = 'BASE TABLE'
		LEFT JOIN information_schema.table_constraints p ON p.table_schema = c.table_schema AND p.table_name = c.table_name AND p.constraint_type = 'PRIMARY KEY'
		LEFT JOIN information_schema.key_column_usage k ON k.constraint_schema = p.constraint_schema AND k.constraint_name = p.constraint_name
			AND k.table_name = c.table_name AND k.column_name = c.column_name
		WHERE c.table_schema = current_schema() ORDER BY c.table_name, c.ordinal_position`,
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
