package registry

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// migrations is the one sequence for both databases, in types that both take:
// TEXT, BIGINT, INTEGER, BOOLEAN, TIMESTAMP (UTC), BYTEA, UUID. The files of
// issuance and exchange stand in the same folder. What one database says in
// other words stands in its own folder, under the same name in both. A file
// that has shipped is never changed.
//
//go:embed migrations/*.sql migrations/sqlite/*.sql migrations/postgres/*.sql
var migrations embed.FS

// sequence is the migrations of one database: the common files and its own.
type sequence struct {
	common, own fs.FS
}

func sequenceOf(dialect goose.Dialect) (sequence, error) {
	common, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return sequence{}, err
	}
	folder := "sqlite"
	if dialect == goose.DialectPostgres {
		folder = "postgres"
	}
	own, err := fs.Sub(common, folder)
	return sequence{common: common, own: own}, err
}

// Open implements fs.FS.
func (s sequence) Open(name string) (fs.File, error) {
	if file, err := s.own.Open(name); err == nil && name != "." {
		return file, nil
	}
	return s.common.Open(name)
}

// ReadDir implements fs.ReadDirFS for the one folder there is.
func (s sequence) ReadDir(name string) ([]fs.DirEntry, error) {
	common, err := fs.ReadDir(s.common, name)
	if err != nil {
		return nil, err
	}
	own, err := fs.ReadDir(s.own, name)
	return append(common, own...), err
}

// The migration lock is asked for once a second, for five minutes.
const (
	lockPeriod   = 1 // seconds
	lockAttempts = 300
)

// provider returns goose over the migrations in files. On PostgreSQL a session
// lock lets one of several starting instances migrate.
func provider(engine *engine, files fs.FS) (*goose.Provider, error) {
	options := []goose.ProviderOption{
		goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(slog.DiscardHandler)),
	}
	if engine.dialect == goose.DialectPostgres {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockPeriod, lockAttempts))
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(engine.dialect, engine.write, files, options...)
}

func (db *DB) migrate(ctx context.Context) error {
	files, err := sequenceOf(db.engine.dialect)
	if err != nil {
		return err
	}
	return db.migrateWith(ctx, files)
}

// migrateWith applies what is new of a sequence of migrations.
func (db *DB) migrateWith(ctx context.Context, files fs.FS) error {
	provider, err := provider(db.engine, files)
	if err != nil {
		return translate(err)
	}
	// SQLite has no lock that outlives a transaction: of two instances that
	// start at once, one fails at the first table and finds at its next try
	// what the other has made. Each try is a transaction per file.
	for range len(provider.ListSources()) + 1 {
		var results []*goose.MigrationResult
		if results, err = provider.Up(ctx); err == nil {
			for _, result := range results {
				db.logger.InfoContext(ctx, "数据库结构已更新 schema migrated", "file", result.Source.Path, "duration", result.Duration)
			}
			return nil
		}
		if db.engine.dialect == goose.DialectPostgres || ctx.Err() != nil {
			break
		}
	}
	var partial *goose.PartialError
	if errors.As(err, &partial) && partial.Failed != nil {
		return &migrationError{file: partial.Failed.Source.Path, err: err}
	}
	return translate(err)
}

// migrationError names the file; a migration handles no personal data, so the
// database's message is kept for the administrator.
type migrationError struct {
	file string
	err  error
}

func (e *migrationError) Error() string { return e.file + ": " + e.err.Error() }
func (e *migrationError) Unwrap() error { return translate(e.err) }
