package registry

import (
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// statement is what is asked of the database, with placeholders of its dialect.
type statement struct {
	sql  string
	vars []any
	// made is the call of gorm whose rows are wanted; nil if there are none.
	made *gorm.DB
	// one: it touches exactly one row, or it is ErrConflict.
	one bool
	// refused says what an error of it means; nil: what it says.
	refused func(error) error
}

// written makes the statement that a call of gorm would send.
func (tx *Tx) written(call func(dry *gorm.DB) *gorm.DB) statement {
	made := call(tx.gorm.Session(&gorm.Session{DryRun: true, NewDB: true})).Statement
	return statement{sql: made.SQL.String(), vars: made.Vars}
}

// asked is written for a query whose rows are wanted.
func (tx *Tx) asked(call func(dry *gorm.DB) *gorm.DB) statement {
	made := call(tx.gorm.Session(&gorm.Session{DryRun: true, NewDB: true}))
	return statement{sql: made.Statement.SQL.String(), vars: made.Statement.Vars, made: made}
}

// Queue has a change of exactly one row sent with others, before the next
// statement that is not queued or at the end of the transaction. It is as if it
// had been sent at once, but for its error, which comes then: [ErrConflict] if
// it was not one row, and otherwise what refused, which may be nil, makes of it.
func (tx *Tx) Queue(change func(db *gorm.DB) *gorm.DB, refused func(error) error) {
	s := tx.written(change)
	s.one, s.refused = true, refused
	tx.queued = append(tx.queued, s)
}

// Ask carries several queries out, each a call of gorm that reads into what it
// names ([gorm.DB.Take], [gorm.DB.Find], [gorm.DB.Scan] …). They go to the
// database together, after what is queued; a later one sees what an earlier one
// has locked. The first error of all is returned.
func (tx *Tx) Ask(queries ...func(db *gorm.DB) *gorm.DB) error {
	all := tx.queued
	tx.queued = nil
	for _, query := range queries {
		all = append(all, tx.asked(query))
	}
	err := tx.together(all...)
	if err != nil && tx.failed == nil && !errors.Is(err, ErrNotFound) {
		tx.failed = err
	}
	return err
}

// flush sends what is queued.
func (tx *Tx) flush() error {
	queued := tx.queued
	tx.queued = nil
	return tx.together(queued...)
}

// together carries statements out in their order. PostgreSQL gets them all at
// once and answers once: each would cost a journey otherwise, while whoever
// waits for the same rows waits on. The first error of all is returned. One
// without its row is ErrNotFound.
func (tx *Tx) together(statements ...statement) error {
	if len(statements) == 0 {
		return nil
	}
	return tx.send(statements, false)
}

// commit carries the last statements out and ends the transaction. None of them
// may be one that counts its rows: on PostgreSQL they are committed before the
// answer is here.
func (tx *Tx) commit(statements []statement) error {
	err := tx.send(statements, true)
	if errors.Is(err, ErrDatabaseGone) || contextError(err) != nil && tx.conn != nil {
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return err
}

func (tx *Tx) send(statements []statement, last bool) (err error) {
	began, at := time.Now(), 0
	if tx.conn != nil {
		at, err = tx.conn.send(statements, last)
	} else if at, err = carryOut(statements, inTurn{tx}); err == nil && last {
		err = tx.gorm.Commit().Error
	}
	if gaveUp := tx.ctx.Err(); err != nil && gaveUp != nil {
		err = gaveUp // database/sql has closed the transaction and says only that
	}
	err = translate(err)
	if at == len(statements) {
		return err // BEGIN or COMMIT
	}
	tx.gorm.Logger.Trace(tx.ctx, began, func() (string, int64) { return statements[at].sql, int64(len(statements)) }, err)
	if refused := statements[at].refused; err != nil && refused != nil {
		err = refused(err)
	}
	return err
}

// carrier carries the next of several statements out.
type carrier interface {
	query(s statement) (gorm.Rows, error)
	exec(s statement) (changed int64, err error)
}

// carryOut stops at the first statement that fails and returns its number.
func carryOut(statements []statement, by carrier) (at int, err error) {
	for i, s := range statements {
		if s.made != nil {
			err = s.read(by)
		} else {
			var changed int64
			if changed, err = by.exec(s); err == nil && s.one && changed != 1 {
				err = ErrConflict
			}
		}
		if err != nil {
			return i, err
		}
	}
	return 0, nil
}

// read lets gorm scan the rows as it would have if it had sent the query.
func (s statement) read(by carrier) error {
	rows, err := by.query(s)
	if err != nil {
		return err
	}
	s.made.Error, s.made.RowsAffected = nil, 0 // it may be carried out again
	gorm.Scan(rows, s.made, 0)
	return errors.Join(s.made.Error, rows.Close())
}

// inTurn sends one statement after the other.
type inTurn struct{ tx *Tx }

func (t inTurn) query(s statement) (gorm.Rows, error) {
	return t.tx.gorm.Statement.ConnPool.QueryContext(t.tx.ctx, s.sql, s.vars...)
}

func (t inTurn) exec(s statement) (int64, error) {
	result, err := t.tx.gorm.Statement.ConnPool.ExecContext(t.tx.ctx, s.sql, s.vars...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// begin makes the transaction: on PostgreSQL on a connection of its own, over
// which statements can be sent together.
func (tx *Tx) begin() (end func(), err error) {
	session := tx.db.write.WithContext(tx.ctx)
	if !tx.db.engine.pipelines {
		tx.gorm = session.Begin()
		return func() {}, tx.gorm.Error
	}
	conn, err := tx.db.engine.write.Conn(tx.ctx)
	if err != nil {
		return func() {}, translate(err)
	}
	tx.conn = &connTx{conn: conn, ctx: tx.ctx}
	session.Statement.ConnPool = tx.conn
	tx.gorm = session
	return tx.conn.release, nil
}
