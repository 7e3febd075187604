package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"
)

// A conflict with another transaction is tried again, after a pause that grows
// from firstPause by doubling, spread at random so that rivals part.
const (
	maxAttempts  = 6
	goneAttempts = 3 // a connection that broke before COMMIT has changed nothing
	firstPause   = 5 * time.Millisecond
)

// insideKey marks the context of a transaction; its value is the *Tx.
type insideKey struct{}

// errNested: a transaction inside a transaction would wait for itself on SQLite.
var errNested = errors.New("registry: InTx inside InTx")

// InTx runs change in a transaction and commits it with its audit records.
//
// An error or a panic of change rolls everything back, and so does an error of
// the database that change has passed over: PostgreSQL gives a transaction up
// at its first error. Without [Tx.Audit] the transaction is refused with
// [ErrNoAudit]. After a conflict with another transaction, or a connection that
// broke before COMMIT, change runs again, a bounded number of times; then
// [ErrBusy] or [ErrDatabaseGone]. [ErrOutcomeUnknown] says that the connection
// broke (it is also ErrDatabaseGone) or ctx ended while COMMIT was on its way.
func (db *DB) InTx(ctx context.Context, actor Actor, change func(tx *Tx) error) error {
	if err := actor.check(); err != nil {
		return err
	}
	if ctx.Value(insideKey{}) != nil {
		return errNested
	}
	return repeat(ctx, again, func() error { return db.attempt(ctx, actor, change) })
}

// repeat runs work until it succeeds, the rule tells to stop or ctx ends, with
// pauses that grow.
func repeat(ctx context.Context, again func(err error, attempt int) bool, work func() error) error {
	for attempt := 1; ; attempt++ {
		err := work()
		if !again(err, attempt) {
			return err
		}
		longest := firstPause << min(attempt, maxAttempts)
		pause := time.NewTimer(longest/2 + rand.N(longest/2))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// again reports whether the attempt of this number, from 1, is worth another.
func again(err error, attempt int) bool {
	switch {
	case errors.Is(err, ErrOutcomeUnknown):
		return false
	case errors.Is(err, ErrBusy):
		return attempt < maxAttempts
	case errors.Is(err, ErrDatabaseGone):
		return attempt < goneAttempts
	default:
		return false
	}
}

func (db *DB) attempt(ctx context.Context, actor Actor, change func(tx *Tx) error) error {
	present, err := db.presentIndexes(ctx, transactionLease)
	if err != nil {
		return fmt.Errorf("registry: begin: %w", err)
	}
	tx := &Tx{db: db, actor: actor, now: db.Now(), indexes: present.indexKeys}
	tx.ctx = context.WithValue(ctx, insideKey{}, tx)
	end, err := tx.begin()
	defer end()
	if err != nil {
		return fmt.Errorf("registry: begin: %w", err)
	}
	committed := false
	defer func() { // also after a panic of change, which goes on upwards
		if !committed {
			tx.gorm.Rollback()
		}
	}()
	if err := change(tx); err != nil {
		return db.believed(ctx, present, err)
	}
	if tx.failed != nil {
		return fmt.Errorf("registry: an error was passed over: %w", tx.failed)
	}
	if tx.replayed {
		return nil // nothing was written
	}
	if err := tx.finish(); err != nil {
		return err
	}
	committed = true
	return nil
}

// watch makes gorm send what a transaction has queued before anything else, and
// tell each transaction of its first error. It also translates the errors of
// Rows, Row and Raw(…).Scan, which gorm passes on as they are.
func watch(db *gorm.DB) error {
	inside := func(statement *gorm.DB) *Tx {
		tx, _ := statement.Statement.Context.Value(insideKey{}).(*Tx)
		if statement.DryRun {
			return nil
		}
		return tx
	}
	before := func(statement *gorm.DB) {
		if tx := inside(statement); tx != nil && len(tx.queued) > 0 {
			if err := tx.flush(); err != nil {
				_ = statement.AddError(err)
			}
		}
	}
	read := func(statement *gorm.DB) {
		statement.Error = translate(statement.Error)
		tx := inside(statement)
		if tx != nil && tx.failed == nil && statement.Error != nil && !errors.Is(statement.Error, ErrNotFound) {
			tx.failed = statement.Error
		}
	}
	written := func(statement *gorm.DB) {
		read(statement)
		if tx := inside(statement); tx != nil {
			tx.forget(statement.Statement.Table)
		}
	}
	callbacks := db.Callback()
	return errors.Join(
		callbacks.Create().Before("*").Register(queueName, before), callbacks.Create().After("*").Register(watchName, written),
		callbacks.Query().Before("*").Register(queueName, before), callbacks.Query().After("*").Register(watchName, read),
		callbacks.Update().Before("*").Register(queueName, before), callbacks.Update().After("*").Register(watchName, written),
		callbacks.Delete().Before("*").Register(queueName, before), callbacks.Delete().After("*").Register(watchName, written),
		callbacks.Row().Before("*").Register(queueName, before), callbacks.Row().After("*").Register(watchName, read),
		callbacks.Raw().Before("*").Register(queueName, before), callbacks.Raw().After("*").Register(watchName, written),
	)
}

// The names of our own callbacks among gorm's.
const (
	queueName = "registry:queue"
	watchName = "registry:watch"
)
