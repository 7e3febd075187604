package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
)

// Config is what a database needs.
type Config struct {
	DSN    string           // "sqlite:/path/file.db" or "postgres://…"
	Vault  Vault            // protects personal data; required
	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default: nothing is logged
	Rand   io.Reader        // default crypto/rand.Reader
	SignIn SignInPolicy     // what is zero has its default
}

// DB is the database of record.
type DB struct {
	engine *engine
	write  *gorm.DB
	read   *gorm.DB
	vault  Vault
	bulk   bulkVault
	clock  func() time.Time
	logger *slog.Logger
	rand   io.Reader
	signIn SignInPolicy
	// hashing bounds the passwords hashed at once: each takes megabytes.
	hashing chan struct{}
	lookups lookups
	indexes knownIndexes
	inserts sync.Map                                   // by insertKey: see Tx.create
	follow  []func(tx *Tx, before, after Person) error // see OnPersonChanged
	places  atomic.Pointer[knownPlaces]
}

// Open connects, checks the server's settings, brings the schema and the
// national code tables up to date and makes sure that the Vault's keys are
// those of this database.
func Open(ctx context.Context, config Config) (*DB, error) {
	if config.Vault == nil {
		return nil, &FieldError{Field: "vault", ZH: "不能为空", EN: "must be given"}
	}
	db := &DB{
		vault: config.Vault, clock: config.Now, logger: config.Logger, rand: config.Rand,
		signIn: config.SignIn.withDefaults(), hashing: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	db.lookups.db = db
	db.bulk = oneByOne{config.Vault}
	if bulk, ok := config.Vault.(bulkVault); ok {
		db.bulk = bulk
	}
	if db.clock == nil {
		db.clock = time.Now
	}
	if db.logger == nil {
		db.logger = slog.New(slog.DiscardHandler)
	}
	if db.rand == nil {
		db.rand = rand.Reader
	}
	var err error
	if db.engine, err = connect(config.DSN); err != nil {
		return nil, err
	}
	if err := db.prepare(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (db *DB) prepare(ctx context.Context) error {
	if err := db.engine.check(ctx, db.engine.write); err != nil {
		return fmt.Errorf("registry: open: %w", err)
	}
	if err := db.migrate(ctx); err != nil {
		return fmt.Errorf("registry: migrate: %w", err)
	}
	if err := db.engine.keepHistory(ctx); err != nil {
		return fmt.Errorf("registry: history: %w", err)
	}
	var err error
	if db.write, err = db.gorm(db.engine.write); err != nil {
		return fmt.Errorf("registry: open: %w", translate(err))
	}
	if db.read, err = db.gorm(db.engine.read); err != nil {
		return fmt.Errorf("registry: open: %w", translate(err))
	}
	if err := db.checkIndexes(ctx); err != nil {
		return fmt.Errorf("registry: open: %w", err)
	}
	if err := db.loadDivisions(ctx); err != nil {
		return fmt.Errorf("registry: open: divisions: %w", err)
	}
	if err := db.loadLocalities(ctx); err != nil {
		return fmt.Errorf("registry: open: localities: %w", err)
	}
	if err := db.indexNames(ctx); err != nil {
		return fmt.Errorf("registry: open: names: %w", err)
	}
	return nil
}

// gorm opens a pool or a single connection. Statements are kept prepared by the
// driver, for each connection: gorm's own store makes them anew in every
// transaction, which costs a round trip and a plan each.
func (db *DB) gorm(pool gorm.ConnPool) (*gorm.DB, error) {
	opened, err := gorm.Open(db.engine.wrap(pool), &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		Logger:                 newQueryLog(db.logger),
		NowFunc:                db.Now,
	})
	if err != nil {
		return nil, err
	}
	return opened, watch(opened)
}

// Close closes all connections.
func (db *DB) Close() error {
	return errors.Join(db.engine.read.Close(), db.engine.write.Close())
}

// Ping asks whether the database answers, for reading and for writing.
func (db *DB) Ping(ctx context.Context) error {
	return errors.Join(translate(db.engine.write.PingContext(ctx)), translate(db.engine.read.PingContext(ctx)))
}

// Read returns the pool for lists and pages. It refuses writes.
func (db *DB) Read(ctx context.Context) *gorm.DB { return db.read.WithContext(ctx) }

// Now returns the present instant in UTC, cut to the microsecond that
// PostgreSQL keeps.
func (db *DB) Now() time.Time { return db.clock().UTC().Truncate(time.Microsecond) }
