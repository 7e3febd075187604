package registry

import (
	"context"
	"fmt"
	"strings"

	"github.com/pressly/goose/v3"
)

// SealedValue is a sealed value with what it is bound to.
type SealedValue struct {
	Column, Row string
	Value       []byte
}

// Reseal opens values and seals them anew, under the Vault's present key; what
// they are bound to stays. They go through the Vault together.
func (db *DB) Reseal(ctx context.Context, values []SealedValue) ([][]byte, error) {
	plain := make([]string, len(values))
	anew := make([][]byte, len(values))
	opening, sealing := newOpening(len(values)), newSealing(len(values), 0)
	for i, v := range values {
		opening.open(v.Column, v.Row, v.Value, &plain[i])
	}
	if err := opening.run(ctx, db); err != nil {
		return nil, err
	}
	for i, v := range values {
		sealing.seals = append(sealing.seals, sealed{v.Column, v.Row, plain[i], &anew[i]})
	}
	return anew, sealing.run(ctx, db)
}

// sealHead is how many bytes at the beginning of a sealed value tell of its key:
// every keeper writes its format and the version there.
const sealHead = 3

// SealHead returns what values begin with under the Vault's present key, and
// proves that the Vault opens what it seals.
func (db *DB) SealHead(ctx context.Context) ([]byte, error) {
	probe := SealedValue{Column: "reseal.probe"}
	var err error
	if probe.Value, err = db.Seal(ctx, probe.Column, probe.Row, []byte("probe")); err != nil {
		return nil, err
	}
	if _, err := db.Unseal(ctx, probe.Column, probe.Row, probe.Value); err != nil {
		return nil, err
	}
	return probe.Value[:sealHead], nil
}

// SealHeads counts the values of sealed columns of a table by what they begin
// with. It reads the whole table.
func (db *DB) SealHeads(ctx context.Context, table string, columns []string) (map[string]int64, error) {
	var parts []string
	for _, column := range columns {
		parts = append(parts, fmt.Sprintf("SELECT substr(%[1]s, 1, %[2]d) AS head, count(*) FROM %[3]s WHERE length(%[1]s) > 0 GROUP BY 1", column, sealHead, table))
	}
	tx, err := db.engine.read.BeginTx(ctx, nil)
	if err != nil {
		return nil, translate(err)
	}
	defer func() { _ = tx.Rollback() }() // only read
	if db.engine.dialect == goose.DialectPostgres {
		// A province's table takes longer than any statement of the platform may.
		if _, err := tx.ExecContext(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
			return nil, translate(err)
		}
	}
	rows, err := tx.QueryContext(ctx, strings.Join(parts, " UNION ALL "))
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	heads := map[string]int64{}
	for rows.Next() {
		var head []byte
		var count int64
		if err := rows.Scan(&head, &count); err != nil {
			return nil, translate(err)
		}
		heads[string(head)] += count
	}
	return heads, translate(rows.Err())
}
