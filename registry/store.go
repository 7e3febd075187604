package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"gorm.io/gorm"
)

// Store is a database beside that of record: the exchange store (交换库) and the
// decision store (决策库). It knows no audit and no keeper: no facts of record
// are changed there.
type Store struct{ db *DB }

// OpenStore connects to a store and brings its schema up to date.
func OpenStore(ctx context.Context, dsn string, migrations fs.FS, now func() time.Time) (*Store, error) {
	db := &DB{clock: now, logger: slog.New(slog.DiscardHandler)}
	var err error
	if db.engine, err = connect(dsn); err != nil {
		return nil, err
	}
	if err := db.prepareStore(ctx, migrations); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{db}, nil
}

func (db *DB) prepareStore(ctx context.Context, migrations fs.FS) (err error) {
	if err := db.engine.check(ctx, db.engine.write); err != nil {
		return fmt.Errorf("store: open: %w", err)
	}
	if err := db.migrateWith(ctx, migrations); err != nil {
		return fmt.Errorf("store: migrate: %w", err)
	}
	if db.write, err = db.gorm(db.engine.write); err != nil {
		return fmt.Errorf("store: open: %w", translate(err))
	}
	if db.read, err = db.gorm(db.engine.read); err != nil {
		return fmt.Errorf("store: open: %w", translate(err))
	}
	return nil
}

// Read returns the pool for questions. It refuses writes.
func (s *Store) Read(ctx context.Context) *gorm.DB { return s.db.Read(ctx) }

// Now returns the present instant.
func (s *Store) Now() time.Time { return s.db.Now() }

// Close closes all connections.
func (s *Store) Close() error { return s.db.Close() }

// Change runs a change in a transaction, again after a lost race: it must have
// no effect outside.
func (s *Store) Change(ctx context.Context, change func(tx *gorm.DB) error) error {
	return repeat(ctx, again, func() error {
		return translate(s.db.write.WithContext(ctx).Transaction(change))
	})
}
