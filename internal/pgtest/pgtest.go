package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// shared is the cluster of this test process, started by the first test that
// needs it.
var shared = sync.OnceValues(func() (*Cluster, error) { return start() })

// databases numbers the databases of this test process.
var databases atomic.Int64

// DSN makes an empty database in the cluster of this test process and returns
// its URL (postgres://…). The database is dropped at the end of the test.
func DSN(t testing.TB) string {
	t.Helper()
	cluster, err := shared()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return cluster.DSN(t)
}

// New starts a cluster for this test alone and ends it with the test. Settings
// such as "shared_buffers=1GB" are for measurements: they come after those of
// tests, which neither flush nor remember much.
func New(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	cluster, err := start(settings...)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(cluster.end)
	return cluster
}

// DSN makes an empty database in the cluster and returns its URL. The database
// is dropped at the end of the test, if the server is up then.
func (c *Cluster) DSN(t testing.TB) string {
	t.Helper()
	return c.create(t, "")
}

func (c *Cluster) create(t testing.TB, how string) string {
	t.Helper()
	name := fmt.Sprintf("t%d", databases.Add(1))
	if err := c.exec(t.Context(), "CREATE DATABASE "+name+how); err != nil {
		t.Fatalf("pgtest: create database: %v", err)
	}
	t.Cleanup(func() {
		if c.ready() {
			_ = c.exec(t.Context(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		}
	})
	return c.url(name)
}

// Copies returns a function like [DSN] whose databases are copies of one that
// prepare has filled, once in the process. prepare leaves no connection open.
func Copies(prepare func(dsn string) error) func(t testing.TB) string {
	template := sync.OnceValues(func() (string, error) {
		cluster, err := shared()
		if err != nil {
			return "", err
		}
		name := fmt.Sprintf("t%d", databases.Add(1))
		if err := cluster.exec(context.Background(), "CREATE DATABASE "+name); err != nil {
			return "", err
		}
		return name, prepare(cluster.url(name))
	})
	return func(t testing.TB) string {
		t.Helper()
		name, err := template()
		if err != nil {
			t.Fatalf("pgtest: %v", err)
		}
		cluster, err := shared()
		if err != nil {
			t.Fatalf("pgtest: %v", err)
		}
		return cluster.create(t, " TEMPLATE "+name+" STRATEGY FILE_COPY")
	}
}

func (c *Cluster) url(database string) string {
	query := url.Values{"host": {c.dir}, "sslmode": {"disable"}}
	return "postgres://" + superuser + "@/" + database + "?" + strings.ReplaceAll(query.Encode(), "%2F", "/")
}

func (c *Cluster) exec(ctx context.Context, statement string) error {
	ctx, cancel := patience(ctx)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
