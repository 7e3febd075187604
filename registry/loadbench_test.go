package registry_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/internal/memory"
	"onecard/internal/pgtest"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// BenchmarkLoad loads residents into PostgreSQL as an import does, and copies
// the same final rows of the same tables, with the same indexes, by plain COPY:
// the ratio is of rows per second.
func BenchmarkLoad(b *testing.B) {
	const batch = 5000
	memory.Relax(0)
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

// BenchmarkLookup looks up persons by number from several sides at once, and
// beside it lets pgbench do prepared selects of single rows of the same table.
func BenchmarkLookup(b *testing.B) {
	const batch = 5000
	memory.Relax(0)
	dsn := pgtest.DSN(b)
	db := registrytest.Open(b, registrytest.Config(dsn, registrytest.NewClock()))
	rows := residents(b, 0, 4*batch)
	for i := 0; i < len(rows); i += batch {
		_, err := db.Load(b.Context(), clerk, "bench", rows[i:i+batch], nil)
		require.NoError(b, err)
	}
	numbers := make([]gb.IDNumber, len(rows))
	for i, row := range rows {
		numbers[i] = row.Person.IDNumber
	}
	for _, sides := range []int{8, 32} {
		b.Run(fmt.Sprintf("sides=%d", sides), func(b *testing.B) { lookUp(b, db, dsn, numbers, sides) })
	}
}

// lookUp measures three rounds of each, in turn.
func lookUp(b *testing.B, db *registry.DB, dsn string, numbers []gb.IDNumber, sides int) {
	scripts := selectScripts(b, db)
	var ours, theirs []float64
	for range 3 {
		ours = append(ours, lookupRate(b, db, numbers, sides))
		theirs = append(theirs, pgbench(b, dsn, sides, scripts...))
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	b.ReportMetric(ours[1], "lookups/s")
	b.ReportMetric(theirs[1], "pgbench/s")
	b.ReportMetric(ours[1]/theirs[1], "of-pgbench")
	b.ReportMetric(0, "ns/op")
}

const round = 3 * time.Second

func lookupRate(b *testing.B, db *registry.DB, numbers []gb.IDNumber, sides int) float64 {
	var done atomic.Int64
	began := time.Now()
	var group sync.WaitGroup
	for side := range sides {
		group.Go(func() {
			for i := side; time.Since(began) < round; i += 7919 {
				if _, err := db.PersonByIDNumber(b.Context(), numbers[i%len(numbers)]); err != nil {
					b.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	return float64(done.Load()) / time.Since(began).Seconds()
}

// selectScripts writes pgbench scripts, each of which selects another person.
func selectScripts(b *testing.B, db *registry.DB) []string {
	const most = 100
	var indexes []struct{ IDNumberIndex []byte }
	require.NoError(b, db.Read(b.Context()).Table("persons").Select("id_number_index").Order("name_index, id").Limit(most).Find(&indexes).Error)
	directory := b.TempDir()
	require.NoError(b, os.Chmod(directory, 0o755))
	var scripts []string
	for i, index := range indexes {
		path := fmt.Sprintf("%s/%d.sql", directory, i)
		require.NoError(b, os.WriteFile(path, []byte(fmt.Sprintf("SELECT * FROM persons WHERE id_number_index = '\\x%x';\n", index.IDNumberIndex)), 0o644))
		scripts = append(scripts, path)
	}
	return scripts
}

// pgbench runs scripts from several sides for a round and returns transactions
// per second.
func pgbench(b *testing.B, dsn string, sides int, scripts ...string) float64 {
	arguments := []string{"-n", "-M", "prepared", "-c", fmt.Sprint(sides), "-j", "2", "-T", fmt.Sprint(int(round.Seconds()))}
	for _, script := range scripts {
		arguments = append(arguments, "-f", script)
	}
	out, err := exec.CommandContext(b.Context(), "pgbench", append(arguments, dsn)...).CombinedOutput()
	require.NoError(b, err, string(out))
	match := regexp.MustCompile(`tps = ([0-9.]+) \(without`).FindSubmatch(out)
	require.NotNil(b, match, string(out))
	rate, err := strconv.ParseFloat(string(match[1]), 64)
	require.NoError(b, err)
	return rate
}
