package registry_test

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/glebarez/sqlite" // the driver "sqlite"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"onecard/registry"
)

// clerk is an operator in Xining (630100), herder one in Yushu (632700).
var (
	clerk  = registry.Actor{Operator: "zhangying", Workstation: "W-630102-01", Place: "630102"}
	herder = registry.Actor{Operator: "caiwang", Workstation: "W-632723-01", Place: "632723"}
)

// raw opens the database beside the registry, as an administrator could.
func raw(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	driver, address := "pgx", dsn
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, address = "sqlite", path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, address)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// note audits something, for transactions whose audit is of no interest.
func note(tx *registry.Tx) error { return tx.Audit("test.noted", "test", nil) }

// counters makes a table of the test's own.
func counters(t *testing.T, db *registry.DB) {
	t.Helper()
	require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
		err := tx.DB().Exec("CREATE TABLE counters (name TEXT NOT NULL PRIMARY KEY, value BIGINT NOT NULL CHECK (value < 1000))").Error
		if err != nil {
			return err
		}
		if err := tx.DB().Exec("INSERT INTO counters VALUES ('a', 0)").Error; err != nil {
			return err
		}
		return note(tx)
	}))
}

func counter(t *testing.T, db *registry.DB) int64 {
	t.Helper()
	var value int64
	require.NoError(t, db.Read(t.Context()).Raw("SELECT value FROM counters WHERE name = 'a'").Scan(&value).Error)
	return value
}
