package registry_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"onecard/internal/pgtest"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// filled is what stood in the tables before the version that made their history.
var filled = []string{
	"INSERT INTO settings (name, value, changed_at) VALUES ('kept', 'yes', '2026-01-01 00:00:00')",
	"INSERT INTO divisions (code, name, level) VALUES ('630000', '青海省', 'province')",
	"INSERT INTO institutions (id, kind, name, place, level, created_at) VALUES ('H-1', 'hospital', '医院', '630000', 3, '2026-01-01 00:00:00')",
	"INSERT INTO workstations (id, institution, place, kind, created_at) VALUES ('W-1', 'H-1', '630000', 'hospital', '2026-01-01 00:00:00')",
	"INSERT INTO operators (login, name, institution, place, password, created_at) VALUES ('li', '李', 'H-1', '630000', 'x', '2026-01-01 00:00:00')",
}

// TestEveryMigration applies the shipped files one after the other, with data
// in the tables of the first, and opens the result.
func TestEveryMigration(t *testing.T) {
	t.Parallel()
	registrytest.EachEmpty(t, func(t *testing.T, dsn string) {
		admin := raw(t, dsn)
		admin.SetMaxOpenConns(1)
		dialect := goose.DialectPostgres
		if strings.HasPrefix(dsn, "sqlite:") {
			dialect = goose.DialectSQLite3
		}
		files, err := registry.SequenceOf(dialect)
		require.NoError(t, err)
		provider, err := goose.NewProvider(dialect, admin, files)
		require.NoError(t, err)
		for i := range provider.ListSources() {
			_, err := provider.UpByOne(t.Context())
			require.NoError(t, err)
			if i == 0 {
				for _, statement := range filled {
					_, err := admin.ExecContext(t.Context(), statement)
					require.NoError(t, err, statement)
				}
			}
		}
		db := registrytest.Open(t, registrytest.Config(dsn, registrytest.NewClock()))
		var kept string
		require.NoError(t, db.Read(t.Context()).Table("settings").Where("name = 'kept'").Pluck("value", &kept).Error)
		require.Equal(t, "yes", kept)
		institution, err := db.Institution(t.Context(), "H-1")
		require.NoError(t, err)
		require.Equal(t, 3, institution.Level)
		_, err = db.Workstation(t.Context(), "W-1")
		require.NoError(t, err)
	})
}

// TestFailedMigration: the error names the file, and nothing of the file stays.
func TestFailedMigration(t *testing.T) {
	t.Parallel()
	registrytest.EachEmpty(t, func(t *testing.T, dsn string) {
		admin := raw(t, dsn)
		exec := func(statement string) {
			_, err := admin.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		exec("CREATE TABLE persons (id BIGINT)")
		_, err := registry.Open(t.Context(), registrytest.Config(dsn, registrytest.NewClock()))
		require.ErrorIs(t, err, registry.ErrDatabase)
		require.ErrorContains(t, err, "0001_registry.sql")
		exec("DROP TABLE persons")
		registrytest.Open(t, registrytest.Config(dsn, registrytest.NewClock()))
	})
}

// TestInstancesStartTogether: several instances find one empty database.
func TestInstancesStartTogether(t *testing.T) {
	t.Parallel()
	registrytest.EachEmpty(t, func(t *testing.T, dsn string) {
		config := registrytest.Config(dsn, registrytest.NewClock())
		together(3, func(int) {
			db, err := registry.Open(t.Context(), config)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			assert.NoError(t, db.InTx(t.Context(), clerk, note))
			assert.NoError(t, db.Close())
		})
		db := registrytest.Open(t, config)
		require.NoError(t, db.VerifyAudit(t.Context()))
		require.EqualValues(t, 3, rows(t, db, "audit_entries"))
	})
}

func TestOtherKeysAreRefused(t *testing.T) {
	t.Parallel()
	registrytest.EachEmpty(t, func(t *testing.T, dsn string) {
		config := registrytest.Config(dsn, registrytest.NewClock())
		registrytest.Open(t, config)
		other := config
		other.Vault = registrytest.Vault{Salt: "other"}
		_, err := registry.Open(t.Context(), other)
		require.ErrorIs(t, err, registry.ErrWrongVault)
		registrytest.Open(t, config)
	})
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	garbage := filepath.Join(directory, "garbage.db")
	require.NoError(t, os.WriteFile(garbage, bytes.Repeat([]byte("no database "), 1000), 0o600))
	cases := map[string]struct {
		dsn  string
		want error
	}{
		"nothing":      {"", registry.ErrInvalid},
		"other scheme": {"mysql://root@localhost/x", registry.ErrInvalid},
		"no path":      {"sqlite:", registry.ErrInvalid},
		"options":      {"sqlite:" + directory + "/a.db?_pragma=foreign_keys(0)", registry.ErrInvalid},
		"memory":       {"sqlite::memory:", registry.ErrInvalid},
		"bad address":  {"postgres://user:secret-word@[half", registry.ErrInvalid},
		"no directory": {"sqlite:" + directory + "/none/a.db", registry.ErrDatabaseGone},
		"garbage":      {"sqlite:" + garbage, registry.ErrDatabaseGone},
		"no server":    {"postgres://user:secret-word@/x?host=" + directory, registry.ErrDatabaseGone},
		"no such base": {strings.Replace(pgtest.DSN(t), "@/t", "@/none", 1), registry.ErrDatabaseGone},
	}
	for name, c := range cases {
		_, err := registry.Open(t.Context(), registrytest.Config(c.dsn, registrytest.NewClock()))
		require.ErrorIs(t, err, c.want, name)
		require.NotContains(t, err.Error(), "secret-word", name)
	}
	_, err := registry.Open(t.Context(), registry.Config{DSN: "sqlite:" + directory + "/a.db"})
	require.ErrorIs(t, err, registry.ErrInvalid, "no Vault")
}

func TestFileIsPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "数据 %20?.db")
	path = strings.ReplaceAll(path, "?", "") // a question mark begins options
	db := registrytest.Open(t, registrytest.Config("sqlite:"+path, registrytest.NewClock()))
	require.NoError(t, db.InTx(t.Context(), clerk, note))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), suffix)
	}
}

func TestTrial(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		trial, err := db.Trial(t.Context())
		require.NoError(t, err)
		require.False(t, trial)
		for range 2 {
			require.NoError(t, db.MarkTrial(t.Context(), clerk))
		}
		trial, err = db.Trial(t.Context())
		require.NoError(t, err)
		require.True(t, trial)
		require.Equal(t, []string{"database.trial"}, actions(t, db, "database"))
		addPerson(t, db, herderPerson(t))
		require.NoError(t, db.MarkTrial(t.Context(), clerk))
	})
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		addPerson(t, db, herderPerson(t))
		require.ErrorIs(t, db.MarkTrial(t.Context(), clerk), registry.ErrConflict)
	})
}

// TestLog: what the callers expect is not logged as an error, what they do not
// is, with the statement and without values.
func TestLog(t *testing.T) {
	t.Parallel()
	registrytest.EachEmpty(t, func(t *testing.T, dsn string) {
		var log bytes.Buffer
		config := registrytest.Config(dsn, registrytest.NewClock())
		config.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		db := registrytest.Open(t, config)
		counters(t, db)
		exec := func(statement string, values ...any) error {
			return db.InTx(t.Context(), clerk, func(tx *registry.Tx) error { return tx.DB().Exec(statement, values...).Error })
		}
		require.ErrorIs(t, exec("INSERT INTO counters VALUES (?, 1)", "a"), registry.ErrDuplicate)
		require.ErrorIs(t, exec("INSERT INTO counters VALUES (?, 1000)", "b"), registry.ErrConflict)
		require.NotContains(t, log.String(), "counters")
		require.ErrorIs(t, exec("INSERT INTO nowhere VALUES (?)", "planted"), registry.ErrDatabase)
		require.Contains(t, log.String(), "INSERT INTO nowhere")
		require.NotContains(t, log.String(), "planted")
	})
}
