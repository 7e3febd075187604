package registry

import (
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// statement is what is asked of the database, with placeholders of its dialect;
// into are where the columns of its only row go, none if it has no rows.
type statement struct {
	sql  string
	vars []any
	into []any
}

// written makes the statement that a call of gorm would send.
func (tx *Tx) written(call func(dry *gorm.DB) *gorm.DB) statement {
	made := call(tx.gorm.Session(&gorm.Session{DryRun: true, NewDB: true})).Statement
	return statement{sql: made.SQL.String(), vars: made.Vars}
}

// together carries statements out in their order. PostgreSQL gets them all at
// once and answers once: each would cost a journey otherwise, while whoever
// waits for the same rows waits on. The first error of all is returned. One
// without its row is ErrNotFound.
func (tx *Tx) together(statements ...statement) (err error) {
	if len(statements) == 0 {
		return nil
	}
	began := time.Now()
	defer func() {
		err = translate(err)
		tx.gorm.Logger.Trace(tx.ctx, began, func() (string, int64) { return statements[0].sql, int64(len(statements)) }, err)
	}()
	if tx.conn == nil {
		return tx.inTurn(statements)
	}
	return tx.conn.Raw(func(driver any) error {
		var batch pgx.Batch
		for _, s := range statements {
			queued := batch.Queue(s.sql, s.vars...)
			if len(s.into) > 0 {
				queued.QueryRow(func(row pgx.Row) error { return row.Scan(s.into...) })
			}
		}
		return driver.(*stdlib.Conn).Conn().SendBatch(tx.ctx, &batch).Close()
	})
}

func (tx *Tx) inTurn(statements []statement) error {
	pool := tx.gorm.Statement.ConnPool
	for _, s := range statements {
		var err error
		if len(s.into) > 0 {
			err = pool.QueryRowContext(tx.ctx, s.sql, s.vars...).Scan(s.into...)
		} else {
			_, err = pool.ExecContext(tx.ctx, s.sql, s.vars...)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
