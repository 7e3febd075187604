package registry

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// connTx is a transaction of PostgreSQL on a connection of its own. BEGIN goes
// out with the first statements and COMMIT with the last ones, when they are
// sent together: that spares two journeys of a transaction, of which the second
// would be made while others wait for its rows. It is gorm's pool for the
// transaction.
type connTx struct {
	conn  *sql.Conn
	ctx   context.Context
	begun bool
	ended bool
}

var (
	_ gorm.ConnPool    = (*connTx)(nil)
	_ gorm.TxCommitter = (*connTx)(nil)
)

// rollbackTime is how long a rollback may take, also of a caller who gave up.
const rollbackTime = 5 * time.Second

// begin sends BEGIN by itself, if it has not gone out.
func (t *connTx) begin() error {
	if t.begun {
		return nil
	}
	t.begun = true
	_, err := t.conn.ExecContext(t.ctx, "begin")
	return err
}

// send carries statements out at once, BEGIN before them if it has not gone out
// and COMMIT after them if they are the last. It returns the number of the
// statement that failed; one past the last was BEGIN or COMMIT.
func (t *connTx) send(statements []statement, last bool) (at int, err error) {
	err = t.conn.Raw(func(driver any) error {
		var batch pgx.Batch
		first := !t.begun
		if first {
			batch.Queue("begin")
			t.begun = true
		}
		for _, s := range statements {
			batch.Queue(s.sql, plainly(s.vars)...)
		}
		if last {
			batch.Queue("commit")
		}
		results := driver.(*stdlib.Conn).Conn().SendBatch(t.ctx, &batch)
		if first {
			if _, err := results.Exec(); err != nil {
				at = len(statements)
				return errors.Join(err, results.Close())
			}
		}
		var failed error
		if at, failed = carryOut(statements, pipelined{results}); failed == nil && last {
			at = len(statements)
			_, failed = results.Exec()
		}
		if closed := results.Close(); failed == nil {
			failed = closed
		}
		t.ended = last && failed == nil
		return failed
	})
	return at, err
}

// plainly gives ids in the form that pgx puts on the wire without going through
// their text.
func plainly(values []any) []any {
	for i, value := range values {
		switch id := value.(type) {
		case uuid.UUID:
			values[i] = [16]byte(id)
		case *uuid.UUID:
			values[i] = (*[16]byte)(id)
		}
	}
	return values
}

// PlanAnew has the statements of the rest of the transaction planned for the
// values and the tables as they are now: for those that go through whole tables,
// where a plan for every value would be a bad one.
func (tx *Tx) PlanAnew() error {
	if tx.conn == nil {
		return nil
	}
	return tx.gorm.Exec("SET LOCAL " + planMode + " = force_custom_plan").Error
}

// raw gives what stands below database/sql, inside the transaction.
func (t *connTx) raw(use func(conn *pgx.Conn) error) error {
	if err := t.begin(); err != nil {
		return err
	}
	return t.conn.Raw(func(driver any) error { return use(driver.(*stdlib.Conn).Conn()) })
}

// pipelined takes the answers to what was sent together.
type pipelined struct{ results pgx.BatchResults }

func (p pipelined) query(statement) (gorm.Rows, error) {
	rows, err := p.results.Query()
	return pipelinedRows{rows}, err
}

func (p pipelined) exec(statement) (int64, error) {
	tag, err := p.results.Exec()
	return tag.RowsAffected(), err
}

// pipelinedRows are rows of pgx as gorm wants them.
type pipelinedRows struct{ pgx.Rows }

func (r pipelinedRows) Columns() ([]string, error) {
	fields := r.FieldDescriptions()
	names := make([]string, len(fields))
	for i, field := range fields {
		names[i] = field.Name
	}
	return names, nil
}

// ColumnTypes implements gorm.Rows, which asks it for maps only.
func (pipelinedRows) ColumnTypes() ([]*sql.ColumnType, error) { return nil, nil }

func (r pipelinedRows) Close() error {
	r.Rows.Close()
	return r.Err()
}

// Commit implements [gorm.TxCommitter].
func (t *connTx) Commit() error {
	_, err := t.send(nil, true)
	return err
}

// Rollback implements [gorm.TxCommitter].
func (t *connTx) Rollback() error {
	if !t.begun || t.ended {
		return nil
	}
	t.ended = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), rollbackTime)
	defer cancel()
	_, err := t.conn.ExecContext(ctx, "rollback")
	return err
}

// release gives the connection back to its pool, or gives it up if it is in a
// transaction still.
func (t *connTx) release() {
	_ = t.conn.Raw(func(driven any) error {
		if conn := driven.(*stdlib.Conn).Conn(); conn.IsClosed() || conn.PgConn().TxStatus() != 'I' {
			return driver.ErrBadConn
		}
		return nil
	})
	_ = t.conn.Close()
}

// PrepareContext implements [gorm.ConnPool].
func (t *connTx) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	return t.conn.PrepareContext(ctx, query)
}

// ExecContext implements [gorm.ConnPool].
func (t *connTx) ExecContext(ctx context.Context, query string, values ...any) (sql.Result, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	return t.conn.ExecContext(ctx, query, values...)
}

// QueryContext implements [gorm.ConnPool].
func (t *connTx) QueryContext(ctx context.Context, query string, values ...any) (*sql.Rows, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	return t.conn.QueryContext(ctx, query, values...)
}

// QueryRowContext implements [gorm.ConnPool].
func (t *connTx) QueryRowContext(ctx context.Context, query string, values ...any) *sql.Row {
	_ = t.begin() // a connection that could not begin cannot answer either
	return t.conn.QueryRowContext(ctx, query, values...)
}
