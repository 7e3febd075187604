package pgtest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"onecard/internal/pgtest"
)

func TestDatabasesAreSeparate(t *testing.T) {
	t.Parallel()
	first, second := connect(t, pgtest.DSN(t)), connect(t, pgtest.DSN(t))
	_, err := first.Exec(t.Context(), "CREATE TABLE only_here (id BIGINT)")
	require.NoError(t, err)
	_, err = second.Exec(t.Context(), "SELECT id FROM only_here")
	require.ErrorContains(t, err, "42P01")
}

func TestStopAndStart(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t)
	dsn := cluster.DSN(t)
	conn := connect(t, dsn)
	_, err := conn.Exec(t.Context(), "CREATE TABLE kept (id BIGINT)")
	require.NoError(t, err)

	cluster.Stop(t)
	require.Error(t, conn.Ping(t.Context()))
	_, err = pgx.Connect(t.Context(), dsn)
	require.Error(t, err)

	cluster.Start(t)
	_, err = connect(t, dsn).Exec(t.Context(), "INSERT INTO kept VALUES (1)")
	require.NoError(t, err)
}

// TestNothingStaysBehind kills a test process that holds a cluster and waits
// until the server and its directory are gone.
func TestNothingStaysBehind(t *testing.T) {
	if held := os.Getenv("PGTEST_HOLD"); held != "" {
		require.NoError(t, os.WriteFile(held, []byte(pgtest.New(t).Directory()), 0o600))
		<-t.Context().Done()
	}
	t.Parallel()
	held := filepath.Join(t.TempDir(), "directory")
	holder := exec.Command(os.Args[0], "-test.run", "^TestNothingStaysBehind$")
	holder.Env = append(os.Environ(), "PGTEST_HOLD="+held)
	require.NoError(t, holder.Start())
	var directory string
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(held)
		directory = strings.TrimSpace(string(content))
		return err == nil && directory != ""
	}, time.Minute, 20*time.Millisecond)
	require.DirExists(t, directory)

	require.NoError(t, holder.Process.Kill())
	require.Error(t, holder.Wait())
	require.Eventually(t, func() bool {
		_, err := os.Stat(directory)
		return os.IsNotExist(err)
	}, time.Minute, 20*time.Millisecond)
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}
