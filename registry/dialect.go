package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/glebarez/sqlite"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

// engine is what differs between the two databases.
type engine struct {
	dialect goose.Dialect
	write   *sql.DB
	read    *sql.DB // refuses writes
	wrap    func(gorm.ConnPool) gorm.Dialector
	// pipelines: statements can be sent together.
	pipelines bool
	check     func(context.Context, *sql.DB) error
}

// connect opens the pools for a DSN. Nothing is sent yet.
func connect(dsn string) (*engine, error) {
	scheme, rest, _ := strings.Cut(dsn, ":")
	switch scheme {
	case "sqlite":
		return connectSQLite(rest)
	case "postgres", "postgresql":
		return connectPostgres(dsn)
	default:
		return nil, &FieldError{Field: "dsn", ZH: "应以 sqlite: 或 postgres:// 开头", EN: "must begin with sqlite: or postgres://"}
	}
}

// SQLite: one writer, whose transactions take the write lock at once
// (_txlock=immediate; a transaction that reads first would fail as soon as
// another has written), and a pool of readers. busy_timeout comes first: the
// PRAGMAs after it may have to wait. secure_delete: what is overwritten leaves
// no trace in the file.
const (
	sqlitePragmas = "_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=synchronous(FULL)&_pragma=secure_delete(1)"
	sqliteReaders = 4
	sqliteOpening = 50 // attempts to set the journal mode, against instances that start at the same time
)

func connectSQLite(path string) (*engine, error) {
	if path == "" || strings.Contains(path, "?") || strings.Contains(path, ":memory:") {
		return nil, &FieldError{Field: "dsn", ZH: "sqlite: 之后应为文件路径", EN: "a file path must follow sqlite:"}
	}
	// The file is for this program's user alone, as are the -wal and -shm files
	// that SQLite makes with the same mode.
	created, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDatabaseGone, err)
	}
	if err := created.Close(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDatabaseGone, err)
	}
	file := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}).String()
	write, err := sql.Open(sqlite.DriverName, file+"?"+sqlitePragmas+"&_txlock=immediate")
	if err != nil {
		return nil, translate(err)
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open(sqlite.DriverName, file+"?"+sqlitePragmas+"&_pragma=query_only(1)")
	if err != nil {
		return nil, translate(err)
	}
	read.SetMaxOpenConns(sqliteReaders)
	return &engine{
		dialect: goose.DialectSQLite3,
		write:   write,
		read:    read,
		wrap:    func(pool gorm.ConnPool) gorm.Dialector { return sqliteDialector{&sqlite.Dialector{Conn: pool}} },
		check:   checkSQLite,
	}, nil
}

// checkSQLite also sets the journal mode, which stays with the file. That step
// takes the whole file and does not wait for busy_timeout.
func checkSQLite(ctx context.Context, pool *sql.DB) error {
	busy := func(err error, attempt int) bool { return errors.Is(err, ErrBusy) && attempt < sqliteOpening }
	err := repeat(ctx, busy, func() error {
		_, err := pool.ExecContext(ctx, "PRAGMA journal_mode = WAL")
		return translate(err)
	})
	if err != nil {
		return err
	}
	for pragma, wanted := range map[string]string{"foreign_keys": "1", "journal_mode": "wal"} {
		var value string
		if err := pool.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&value); err != nil {
			return translate(err)
		}
		if value != wanted {
			return fmt.Errorf("%w: PRAGMA %s = %s, %s is needed", ErrDatabase, pragma, value, wanted)
		}
	}
	return nil
}

// Limits for PostgreSQL. A lock that is not granted in time, a statement or an
// idle transaction that takes too long must not hold the province up.
const (
	postgresWriters = 16
	postgresReaders = 16
	postgresIdle    = 16
	postgresLife    = 30 * time.Minute
	connectTimeout  = 5 * time.Second
	minimumPostgres = 140000
)

var postgresLimits = map[string]string{
	"lock_timeout":                        "10s",
	"statement_timeout":                   "60s",
	"idle_in_transaction_session_timeout": "60s",
	"timezone":                            "UTC",
	"application_name":                    "onecard",
}

// planMode: the statements of transactions go by keys and are planned once for
// a connection. Left to itself the server plans many of them each time, which
// costs more than to carry them out. Lists and pages, on the connections that
// only read, keep plans for their values.
const planMode = "plan_cache_mode"

func connectPostgres(dsn string) (*engine, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		// pgx repeats the address, with its password: leave its text out.
		return nil, &FieldError{Field: "dsn", ZH: "postgres:// 地址无法解析", EN: "the postgres:// address cannot be parsed"}
	}
	for name, value := range postgresLimits {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	readOnly := config.Copy()
	if _, set := config.RuntimeParams[planMode]; !set {
		config.RuntimeParams[planMode] = "force_generic_plan"
	}
	readOnly.RuntimeParams["default_transaction_read_only"] = "on"
	write, read := stdlib.OpenDB(*config), stdlib.OpenDB(*readOnly)
	for pool, size := range map[*sql.DB]int{write: postgresWriters, read: postgresReaders} {
		pool.SetMaxOpenConns(size)
		pool.SetMaxIdleConns(postgresIdle)
		pool.SetConnMaxLifetime(postgresLife)
	}
	return &engine{
		dialect:   goose.DialectPostgres,
		pipelines: true,
		write:     write,
		read:      read,
		wrap: func(pool gorm.ConnPool) gorm.Dialector {
			return postgresDialector{&postgres.Dialector{Config: &postgres.Config{Conn: pool}}}
		},
		check: checkPostgres,
	}, nil
}

func checkPostgres(ctx context.Context, pool *sql.DB) error {
	var (
		version  int
		encoding string
	)
	row := pool.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::integer, current_setting('server_encoding')")
	if err := row.Scan(&version, &encoding); err != nil {
		return translate(err)
	}
	if version < minimumPostgres {
		return fmt.Errorf("%w: 需要 PostgreSQL 14 以上 PostgreSQL 14 or later is needed", ErrDatabase)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("%w: 数据库编码须为 UTF8 the database's encoding must be UTF8", ErrDatabase)
	}
	return nil
}

// The dialectors give every error that passes through gorm its meaning.
type (
	sqliteDialector   struct{ *sqlite.Dialector }
	postgresDialector struct{ *postgres.Dialector }
)

// Translate implements gorm.ErrorTranslator.
func (sqliteDialector) Translate(err error) error { return translate(err) }

// Translate implements gorm.ErrorTranslator.
func (postgresDialector) Translate(err error) error { return translate(err) }
