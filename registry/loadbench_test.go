package registry_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"onecard/internal/pgtest"
	"onecard/registry/registrytest"
)

// BenchmarkLoad loads residents into PostgreSQL as an import does, and copies
// the same final rows of the same tables, with the same indexes, by plain COPY:
// the ratio is of rows per second.
func BenchmarkLoad(b *testing.B) {
	const batch = 5000
	dsn := pgtest.DSN(b)
	config := registrytest.Config(dsn, registrytest.NewClock())
	db := registrytest.Open(b, config)
	rows := residents(b, 0, 20*batch)
	began := time.Now()
	for i := 0; i < len(rows); i += batch {
		_, err := db.Load(b.Context(), clerk, "bench", rows[i:i+batch], nil)
		require.NoError(b, err)
	}
	loading := time.Since(began)
	copying := copyAgain(b, dsn, "persons", "person_numbers", "insured")
	b.ReportMetric(float64(len(rows))/loading.Seconds(), "rows/s")
	b.ReportMetric(float64(len(rows))/copying.Seconds(), "COPY-rows/s")
	b.ReportMetric(copying.Seconds()/loading.Seconds(), "of-COPY")
	b.ReportMetric(0, "ns/op")
}

// copyAgain copies tables out, empties them and copies them in again by plain
// COPY, and returns how long the copying in took.
func copyAgain(b *testing.B, dsn string, tables ...string) time.Duration {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	require.NoError(b, err)
	defer conn.Close(ctx)
	directory := b.TempDir()
	for _, table := range tables {
		file, err := os.Create(directory + "/" + table)
		require.NoError(b, err)
		_, err = conn.PgConn().CopyTo(ctx, file, "COPY "+table+" TO STDOUT BINARY")
		require.NoError(b, err)
		require.NoError(b, file.Close())
	}
	_, err = conn.Exec(ctx, "TRUNCATE "+strings.Join(tables, ", ")+" CASCADE")
	require.NoError(b, err)
	began := time.Now()
	for _, table := range tables {
		file, err := os.Open(directory + "/" + table)
		require.NoError(b, err)
		_, err = conn.PgConn().CopyFrom(ctx, file, fmt.Sprintf("COPY %s FROM STDIN BINARY", table))
		require.NoError(b, err)
		require.NoError(b, file.Close())
	}
	return time.Since(began)
}
