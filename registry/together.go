package registry

import (
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// statement is what is asked of the database, with placeholders of its dialect.
type statement struct {
	sql  string
	vars []any
	into []any // where the columns of its only row go; none if it has no rows
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

// Queue has a change of exactly one row sent with others, before the next
// statement that is not queued or at the end of the transaction. It is as if it
// had been sent at once, but for its error, which comes then: [ErrConflict] if
// it was not one row, and otherwise what refused, which may be nil, makes of it.
func (tx *Tx) Queue(change func(db *gorm.DB) *gorm.DB, refused func(error) error) {
	s := tx.written(change)
	s.one, s.refused = true, refused
	tx.queued = append(tx.queued, s)
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
func (tx *Tx) together(statements ...statement) (err error) {
	if len(statements) == 0 {
		return nil
	}
	began, at := time.Now(), 0
	defer func() {
		if gaveUp := tx.ctx.Err(); err != nil && gaveUp != nil {
			err = gaveUp // database/sql has closed the transaction and says only that
		}
		err = translate(err)
		tx.gorm.Logger.Trace(tx.ctx, began, func() (string, int64) { return statements[at].sql, int64(len(statements)) }, err)
		if refused := statements[at].refused; err != nil && refused != nil {
			err = refused(err)
		}
	}()
	if tx.conn == nil {
		at, err = carryOut(statements, inTurn{tx})
		return err
	}
	return tx.conn.Raw(func(driver any) error {
		var batch pgx.Batch
		for _, s := range statements {
			batch.Queue(s.sql, s.vars...)
		}
		results := driver.(*stdlib.Conn).Conn().SendBatch(tx.ctx, &batch)
		at, err = carryOut(statements, pipelined{results})
		return errors.Join(err, results.Close())
	})
}

// carrier carries the next of several statements out.
type carrier interface {
	row(s statement) error
	exec(s statement) (changed int64, err error)
}

// carryOut stops at the first statement that fails.
func carryOut(statements []statement, by carrier) (at int, err error) {
	for i, s := range statements {
		if len(s.into) > 0 {
			err = by.row(s)
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

// pipelined takes the answers to what was sent together.
type pipelined struct{ results pgx.BatchResults }

func (p pipelined) row(s statement) error { return p.results.QueryRow().Scan(s.into...) }

func (p pipelined) exec(statement) (int64, error) {
	tag, err := p.results.Exec()
	return tag.RowsAffected(), err
}

// inTurn sends one statement after the other.
type inTurn struct{ tx *Tx }

func (t inTurn) row(s statement) error {
	return t.tx.gorm.Statement.ConnPool.QueryRowContext(t.tx.ctx, s.sql, s.vars...).Scan(s.into...)
}

func (t inTurn) exec(s statement) (int64, error) {
	result, err := t.tx.gorm.Statement.ConnPool.ExecContext(t.tx.ctx, s.sql, s.vars...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// begin begins the transaction: on PostgreSQL with a connection of its own,
// over which statements can be sent together.
func (tx *Tx) begin(pool *gorm.DB) (end func(), err error) {
	end = func() {}
	session := pool.WithContext(tx.ctx)
	if own, ok := session.Statement.ConnPool.(*sql.DB); ok && tx.db.engine.pipelines {
		if tx.conn, err = own.Conn(tx.ctx); err != nil {
			return end, translate(err)
		}
		end = func() { _ = tx.conn.Close() } // back to the pool
		session.Statement.ConnPool = tx.conn
	}
	tx.gorm = session.Begin()
	return end, tx.gorm.Error
}
