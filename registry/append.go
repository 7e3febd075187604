package registry

import (
	"fmt"
	"reflect"

	"gorm.io/gorm"
)

// appendMost bounds the rows of one INSERT: with 16 columns it stays far below
// the variables that either database takes.
const appendMost = 256

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
		all = append(all, tx.written(func(dry *gorm.DB) *gorm.DB { return dry.Create(rows.Slice(from, to).Interface()) }))
		from = to
	}
	return all
}

// chunk is how many of n rows go into one INSERT: powers of two, so that few
// different statements are ever prepared.
func chunk(n int) int {
	size := appendMost
	for size > n {
		size /= 2
	}
	return size
}
