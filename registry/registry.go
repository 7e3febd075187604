package registry

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Vault protects personal data at rest (字段加密). The registry stores what Seal
// returns and searches by what Index returns.
type Vault interface {
	// Seal enciphers plain and binds it to context (table, column, row).
	Seal(ctx context.Context, context, plain []byte) ([]byte, error)
	// Open deciphers what Seal returned for the same context.
	Open(ctx context.Context, context, sealed []byte) ([]byte, error)
	// Index returns a keyed digest of value by which equal values are found, under
	// a version of the key, from 1.
	Index(ctx context.Context, version int, purpose string, value []byte) ([]byte, error)
}

// Actor is who does something, from where (经办人、工作站). Place is the division
// (six digits, GB/T 2260) whose prefecture's audit chain takes the record.
// Locality is that of an office below the county, else empty. Workstation may
// be empty for work of the platform itself.
type Actor struct {
	Operator    string
	Workstation string
	Place       string
	Locality    string
}

func (a Actor) check() error {
	if a.Operator == "" {
		return &FieldError{Field: "operator", ZH: "不能为空", EN: "must not be empty"}
	}
	if !isCode(a.Place) {
		return &FieldError{Field: "place", ZH: "应为 6 位行政区划代码", EN: "a division code of 6 digits"}
	}
	return nil
}

// isCode reports whether s is a division code in form: six digits.
func isCode(s string) bool {
	return len(s) == 6 && strings.Trim(s, "0123456789") == ""
}

// Tx is one change: its rows and its audit records are written in the same
// database transaction or not at all.
type Tx struct {
	db       *DB
	ctx      context.Context
	gorm     *gorm.DB
	conn     *connTx // under gorm; nil where statements cannot be sent together
	actor    Actor
	now      time.Time
	indexes  indexKeys // with which it began
	pending  []auditEntry
	queued   []statement
	appended []appended
	numbered []numbered
	reserved map[string]reserve
	known    *known      // read beforehand; see Prefetch
	values   map[any]any // see SetValue
	failed   error       // the first error of the database
	replayed bool        // the answer was stored already: see Once
}

// DB returns the transaction for the tables of the calling package. A row that
// a decision rests on is read with [Tx.ForUpdate].
func (tx *Tx) DB() *gorm.DB { return tx.gorm }

// ForUpdate is DB for a row that a decision rests on: it stays locked until the
// transaction ends. SQLite has one writer at a time and leaves the lock out.
func (tx *Tx) ForUpdate() *gorm.DB { return Lock(tx.gorm) }

// Lock makes a query one like those of [Tx.ForUpdate], for [Tx.Ask].
func Lock(db *gorm.DB) *gorm.DB { return db.Clauses(forUpdate) }

var forUpdate = clause.Locking{Strength: clause.LockingStrengthUpdate}

// SetValue keeps a value of the calling package until the transaction ends.
func (tx *Tx) SetValue(key, value any) {
	if tx.values == nil {
		tx.values = map[any]any{}
	}
	tx.values[key] = value
}

// Value returns what [Tx.SetValue] kept, or nil.
func (tx *Tx) Value(key any) any { return tx.values[key] }

// Context returns the context of the change, for what is called inside it.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Actor returns who makes the change.
func (tx *Tx) Actor() Actor { return tx.actor }

// Now returns the instant of the change, the same for all its rows, in UTC.
func (tx *Tx) Now() time.Time { return tx.now }

// NewID returns a new id (UUID version 7: ids of one time lie together in the
// database's indexes).
func (tx *Tx) NewID() (uuid.UUID, error) { return uuid.NewV7FromReader(tx.db.rand) }
