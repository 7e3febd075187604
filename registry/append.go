package registry

import (
	"context"
	"fmt"
	"reflect"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

// appendMost bounds the rows of one INSERT: with 16 columns it stays far below
// the variables that either database takes. So few rows go at once whatever
// their number.
const (
	appendMost = 256
	appendFew  = 8
)

// appended are rows of one type that wait for the end of a transaction.
type appended struct {
	kind reflect.Type
	rows reflect.Value // a slice of kind
}

// Append has a row, a struct that gorm can create, written at the end of the
// transaction, with the others of its table in one statement: for journals and
// messages, which the transaction itself does not read again.
func (tx *Tx) Append(row any) {
	value := reflect.Indirect(reflect.ValueOf(row))
	for i := range tx.appended {
		if a := &tx.appended[i]; a.kind == value.Type() {
			a.rows = reflect.Append(a.rows, value)
			return
		}
	}
	rows := reflect.Append(reflect.MakeSlice(reflect.SliceOf(value.Type()), 0, 4), value)
	tx.appended = append(tx.appended, appended{value.Type(), rows})
}

// finish writes what waits for the end of the transaction: what is queued, the
// rows that were appended, the audit record, last what the whole province waits
// in line for; and commits.
func (tx *Tx) finish() error {
	if len(tx.pending) == 0 {
		return ErrNoAudit
	}
	rows := tx.queued
	tx.queued = nil
	for _, a := range tx.appended {
		rows = append(rows, tx.creates(a.rows)...)
	}
	record, err := tx.writeAudit(rows)
	if err != nil {
		return fmt.Errorf("registry: audit: %w", err)
	}
	if err := tx.commit(append(record, tx.number()...)); err != nil {
		return fmt.Errorf("registry: commit: %w", err)
	}
	return nil
}

// creates makes the statements that write the rows of a slice.
func (tx *Tx) creates(rows reflect.Value) (all []statement) {
	for from := 0; from < rows.Len(); {
		to := from + chunk(rows.Len()-from)
		all = append(all, tx.create(rows.Slice(from, to)))
		from = to
	}
	return all
}

// create is the INSERT that gorm makes of some rows. It makes the text once for
// as many rows of a type; after that only the values are gathered.
func (tx *Tx) create(rows reflect.Value) statement {
	key := insertKey{rows.Type(), rows.Len()}
	if known, ok := tx.db.inserts.Load(key); ok {
		return known.(insert).of(tx.ctx, rows)
	}
	made := tx.gorm.Session(&gorm.Session{DryRun: true, NewDB: true}).Create(rows.Interface()).Statement
	known := insert{text: made.SQL.String()}
	for _, name := range made.Schema.DBNames {
		known.fields = append(known.fields, made.Schema.FieldsByDBName[name])
	}
	s := statement{sql: known.text, vars: made.Vars}
	if len(s.vars) == rows.Len()*len(known.fields) { // none is left to the database
		tx.db.inserts.Store(key, known)
	}
	return s
}

type insertKey struct {
	rows reflect.Type
	n    int
}

// insert is an INSERT without its values, and the fields that these are of.
type insert struct {
	text   string
	fields []*schema.Field
}

func (i insert) of(ctx context.Context, rows reflect.Value) statement {
	s := statement{sql: i.text, vars: make([]any, 0, rows.Len()*len(i.fields))}
	for row := range rows.Len() {
		for _, field := range i.fields {
			value, _ := field.ValueOf(ctx, rows.Index(row))
			s.vars = append(s.vars, value)
		}
	}
	return s
}

// chunk is how many of n rows go into one INSERT: a few at once, and of many
// powers of two, so that few different statements are ever prepared.
func chunk(n int) int {
	if n <= appendFew {
		return n
	}
	size := appendMost
	for size > n {
		size /= 2
	}
	return size
}
