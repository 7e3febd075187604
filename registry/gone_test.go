package registry_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/internal/pgtest"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// TestDatabaseGone stops the server under a running program and starts it again.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t)
	db := registrytest.Open(t, registrytest.Config(cluster.DSN(t), registrytest.NewClock()))
	counters(t, db)
	staff(t, db)
	addOne := func() error {
		return db.InTx(t.Context(), clerk, func(tx *registry.Tx) error { _, err := add(tx); return err })
	}
	require.NoError(t, addOne())

	cluster.Stop(t)
	for name, use := range map[string]func() error{
		"change": addOne,
		"once":   func() error { _, _, err := db.Once(t.Context(), clerk, "k", nil, add); return err },
		"read":   func() error { return db.Read(t.Context()).Exec("SELECT 1").Error },
		"scan": func() error {
			var one int
			return db.Read(t.Context()).Raw("SELECT 1").Scan(&one).Error
		},
		"ping":   func() error { return db.Ping(t.Context()) },
		"verify": func() error { return db.VerifyAudit(t.Context()) },
		"sign in": func() error {
			_, err := db.Authenticate(t.Context(), zhang.Login, password, counter1.ID)
			return err
		},
	} {
		err := use()
		require.ErrorIs(t, err, registry.ErrDatabaseGone, name)
		require.NotErrorIs(t, err, registry.ErrOutcomeUnknown, name)
		require.ErrorContains(t, err, "数据库连接中断", name)
	}

	cluster.Start(t)
	require.NoError(t, addOne(), "connections that broke are replaced")
	require.Eventually(t, func() bool { return db.Ping(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
	require.EqualValues(t, 2, counter(t, db))
	require.NoError(t, db.VerifyAudit(t.Context()))
}

// TestServerDiesDuringTheChange: what was written before is rolled back.
func TestServerDiesDuringTheChange(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t)
	db := registrytest.Open(t, registrytest.Config(cluster.DSN(t), registrytest.NewClock()))
	counters(t, db)
	var died sync.Once
	err := db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
		_, err := add(tx)
		died.Do(func() { cluster.Stop(t) })
		return err
	})
	require.ErrorIs(t, err, registry.ErrDatabaseGone)
	require.NotErrorIs(t, err, registry.ErrOutcomeUnknown)
	cluster.Start(t)
	require.NoError(t, db.InTx(t.Context(), clerk, note))
	require.Eventually(t, func() bool { return db.Ping(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
	require.Zero(t, counter(t, db))
}

// TestConnectionBreaksDuringCommit: the server commits, its answer is lost. The
// caller is told that the outcome is unknown, and the same request under the
// same key gives the answer without a second effect.
func TestConnectionBreaksDuringCommit(t *testing.T) {
	t.Parallel()
	relay := newRelay(t, pgtest.DSN(t))
	db := registrytest.Open(t, registrytest.Config(relay.dsn, registrytest.NewClock()))
	counters(t, db)

	relay.cutAtCommit.Store(true)
	_, _, err := db.Once(t.Context(), clerk, "key", []byte("r"), add)
	require.ErrorIs(t, err, registry.ErrOutcomeUnknown)
	require.ErrorIs(t, err, registry.ErrDatabaseGone)
	require.False(t, relay.cutAtCommit.Load(), "the connection was cut")

	_, replayed, err := db.Once(t.Context(), clerk, "key", []byte("r"), add)
	require.NoError(t, err)
	require.True(t, replayed)
	require.EqualValues(t, 1, counter(t, db))
}

// relay stands between the program and the server, and can keep the server's
// answer to COMMIT back and cut the connection.
type relay struct {
	dsn         string
	cutAtCommit atomic.Bool
	server      string
}

func newRelay(t *testing.T, dsn string) *relay {
	t.Helper()
	address, err := url.Parse(dsn)
	require.NoError(t, err)
	directory, err := os.MkdirTemp("/tmp", "relay") // short: it is a socket's
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(directory)) })
	const socket = ".s.PGSQL.5432"
	r := &relay{server: filepath.Join(address.Query().Get("host"), socket)}
	query := address.Query()
	query.Set("host", directory)
	address.RawQuery = query.Encode()
	r.dsn = address.String()

	listener, err := net.Listen("unix", filepath.Join(directory, socket))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	go func() {
		for {
			client, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			go r.carry(client)
		}
	}()
	return r
}

func (r *relay) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", r.server)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(client, reader(func(chunk []byte) (int, error) {
			n, err := server.Read(chunk)
			if bytes.Contains(chunk[:n], []byte("COMMIT\x00")) && r.cutAtCommit.CompareAndSwap(true, false) {
				return 0, io.EOF
			}
			return n, err
		}))
		_ = client.Close()
	}()
	_, _ = io.Copy(server, client)
}

type reader func([]byte) (int, error)

func (r reader) Read(chunk []byte) (int, error) { return r(chunk) }
