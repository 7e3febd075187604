// Package registrytest opens databases for tests: a fresh SQLite file and a
// fresh PostgreSQL database, with a Vault of fixed test keys and a clock that
// the test sets. A test written with [Each] proves its statement on both.
package registrytest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/internal/pgtest"
	"onecard/registry"
)

// Start is the instant at which a test's clock begins.
var Start = time.Date(2026, time.March, 2, 1, 0, 0, 0, time.UTC)

// Clock is a clock that only the test moves.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at [Start].
func NewClock() *Clock { return &Clock{now: Start} }

// Now returns the instant at which the clock stands.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// Each runs a test on a fresh SQLite and on a fresh PostgreSQL database.
func Each(t *testing.T, test func(t *testing.T, db *registry.DB)) {
	t.Helper()
	EachClock(t, func(t *testing.T, db *registry.DB, _ *Clock) { test(t, db) })
}

// EachClock is [Each] with the clock of the database.
func EachClock(t *testing.T, test func(t *testing.T, db *registry.DB, clock *Clock)) {
	t.Helper()
	EachDSN(t, func(t *testing.T, dsn string) {
		clock := NewClock()
		test(t, Open(t, Config(dsn, clock)), clock)
	})
}

// EachDSN runs a test with the address of a SQLite file and of a PostgreSQL
// database whose schema is up to date and which hold no facts yet.
func EachDSN(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) {
		test(t, copies(t))
	})
}

// SQLite returns the address of a SQLite file as [EachDSN] gives it, for what
// does not depend on the database.
func SQLite(t testing.TB) string {
	t.Helper()
	content, err := prepared()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "registry.db")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return "sqlite:" + path
}

// Bringing a schema up to date takes longer than most tests: it is done once
// in a process, and copied.
var (
	copies   = pgtest.Copies(prepare)
	prepared = sync.OnceValues(func() ([]byte, error) {
		dir, err := os.MkdirTemp("", "registrytest")
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		path := filepath.Join(dir, "registry.db")
		if err := prepare("sqlite:" + path); err != nil {
			return nil, err
		}
		return os.ReadFile(path)
	})
)

func prepare(dsn string) error {
	db, err := registry.Open(context.Background(), Config(dsn, NewClock()))
	if err != nil {
		return err
	}
	return db.Close()
}

// EachEmpty runs a test with the address of an empty SQLite file and of an empty
// PostgreSQL database.
func EachEmpty(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		test(t, "sqlite:"+filepath.Join(t.TempDir(), "registry.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, pgtest.DSN(t))
	})
}

// Config returns the configuration with which the other functions open: the
// test Vault, cheap passwords, no log.
func Config(dsn string, clock *Clock) registry.Config {
	return registry.Config{
		DSN: dsn, Vault: Vault{}, Now: clock.Now, Logger: slog.New(slog.DiscardHandler),
		SignIn: registry.SignInPolicy{Cost: registry.PasswordCost{MemoryKiB: 64, Passes: 1, Lanes: 1}},
	}
}

// Open opens a database and closes it at the end of the test.
func Open(t testing.TB, config registry.Config) *registry.DB {
	t.Helper()
	db, err := registry.Open(context.WithoutCancel(t.Context()), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}
