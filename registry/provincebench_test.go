package registry_test

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/internal/memory"
	"onecard/internal/pgtest"
	"onecard/internal/pinyin"
	"onecard/keys"
	"onecard/registry"
	"onecard/registry/intake"
	"onecard/registry/province"
	"onecard/registry/registrytest"
)

var residentsFlag = flag.Int("residents", 3000, "size of the made-up province of BenchmarkProvince")

// BenchmarkProvince makes up a province, imports it into PostgreSQL as an
// operator would (with the software keeper, from the table of a system, errors
// and all), looks people up, and copies the same rows again by plain COPY:
//
//	go test ./registry -run xxx -bench Province -benchtime 1x -timeout 2h -residents 6000000
func BenchmarkProvince(b *testing.B) {
	memory.Relax(memory.Loading)
	cluster := pgtest.New(b, "fsync=on", "full_page_writes=on", "shared_buffers=4GB", "max_wal_size=16GB", "checkpoint_timeout=30min", "maintenance_work_mem=512MB")
	dsn := cluster.DSN(b)
	directory := b.TempDir()
	keeper := softwareKeeper(b, directory)
	db := registrytest.Open(b, registry.Config{DSN: dsn, Vault: keeper})
	table := filepath.Join(directory, "pension.csv")
	writeProvince(b, table, *residentsFlag)

	b.Run("load", func(b *testing.B) { loadProvince(b, db, dsn, table) })
	numbers, names := sampleOf(b, db, *residentsFlag, 4000)
	_, err := raw(b, dsn).ExecContext(b.Context(), "VACUUM ANALYZE persons")
	require.NoError(b, err)
	for _, sides := range []int{8, 16, 32} {
		b.Run(fmt.Sprintf("lookup/sides=%d", sides), func(b *testing.B) { lookUp(b, db, dsn, numbers, sides) })
	}
	b.Run("names", func(b *testing.B) { findNames(b, db, names) })
}

// loadProvince imports the table, and then copies the same rows again by plain
// COPY.
func loadProvince(b *testing.B, db *registry.DB, dsn, table string) {
	mappings, err := intake.Mappings()
	require.NoError(b, err)
	last := time.Now()
	run := intake.Run{
		DB: db, Actor: clerk, Mapping: mappings["pension"], Path: table, Rejects: table + ".rejects", Owner: "bench",
		Report: func(s intake.Status) {
			if time.Since(last) > 10*time.Second || s.State == "done" {
				last = time.Now()
				// A benchmark's log is cut after ten lines.
				fmt.Fprintf(os.Stderr, "read %d, %.0f/s, added %d, rejected %d, left %s\n", s.Read, s.Rate, s.Added, s.Rejected, s.Left)
			}
		},
	}
	began := time.Now()
	done, err := run.Do(b.Context())
	require.NoError(b, err)
	loading := time.Since(began)
	persons, err := db.CountPersons(b.Context())
	require.NoError(b, err)
	require.Equal(b, done.Added, persons)
	b.Logf("%d rows = %d added + %d changed + %d unchanged + %d rejected in %s; peak memory %d MB, heap %d MB",
		done.Read, done.Added, done.Changed, done.Unchanged, done.Rejected, loading.Round(time.Millisecond), peakMemory(b)>>20, heapMemory()>>20)
	b.ReportMetric(float64(done.Read)/loading.Seconds(), "rows/s")
	b.ReportMetric(float64(peakMemory(b)>>20), "peak-MB")
	copying := copyAgain(b, dsn, "persons", "person_numbers", "insured", "bank_accounts")
	b.Logf("plain COPY of the same rows, with the same indexes: %s", copying.Round(time.Millisecond))
	b.ReportMetric(copying.Seconds()/loading.Seconds(), "of-COPY")
	b.ReportMetric(0, "ns/op")
}

func softwareKeeper(b *testing.B, directory string) *keys.Keeper {
	b.Helper()
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(b, err)
	keeper, err := keys.Create(filepath.Join(directory, "keys.json"), kek, keys.Provincial())
	require.NoError(b, err)
	return keeper
}

func writeProvince(b *testing.B, path string, residents int) {
	b.Helper()
	p, err := province.New(63, gb.DateOf(time.Now()))
	require.NoError(b, err)
	file, err := os.Create(path)
	require.NoError(b, err)
	w := province.Writer{Layout: "pension", Errors: 100}
	require.NoError(b, w.Write(p, residents, file, io.Discard))
	require.NoError(b, file.Close())
}

// sampleOf makes the same residents again and keeps some of those on record:
// one in a hundred was refused for an error.
func sampleOf(b *testing.B, db *registry.DB, residents, wanted int) (numbers []gb.IDNumber, names []province.Resident) {
	b.Helper()
	p, err := province.New(63, gb.DateOf(time.Now()))
	require.NoError(b, err)
	step := max(1, residents/wanted)
	for n := range residents {
		r := p.Next()
		if n%step != 0 {
			continue
		}
		number, err := gb.ParseIDNumber(r.IDNumber)
		require.NoError(b, err)
		if _, err := db.PersonByIDNumber(b.Context(), number); errors.Is(err, registry.ErrNotFound) {
			continue
		}
		numbers, names = append(numbers, number), append(names, r)
	}
	return numbers, names
}

// findNames looks residents up by what clerks know: the name, and the initials
// with the county.
func findNames(b *testing.B, db *registry.DB, residents []province.Resident) {
	for what, query := range map[string]func(r province.Resident) registry.Query{
		"name": func(r province.Resident) registry.Query { return registry.Query{Name: r.Name, Near: r.Place} },
		"initials": func(r province.Resident) registry.Query {
			return registry.Query{Latin: pinyin.Initials(r.Name), Near: r.Place}
		},
		"initials+county": func(r province.Resident) registry.Query {
			return registry.Query{Latin: pinyin.Initials(r.Name), Place: r.Place, Near: r.Place}
		},
		"birth+county": func(r province.Resident) registry.Query { return registry.Query{Birth: r.Birth, Place: r.Place} },
	} {
		var took []time.Duration
		for i := 0; i < len(residents) && len(took) < 500; i += max(1, len(residents)/500) {
			began := time.Now()
			_, err := db.Find(b.Context(), query(residents[i]))
			require.NoError(b, err)
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		b.Logf("%-16s p50 %s  p99 %s  max %s", what, took[len(took)/2].Round(time.Microsecond), took[len(took)*99/100].Round(time.Microsecond), took[len(took)-1].Round(time.Microsecond))
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, what+"-p99-ms")
	}
	b.ReportMetric(0, "ns/op")
}

// peakMemory is the most that this process ever had in memory, in bytes.
func peakMemory(b *testing.B) int64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(b, err)
	_, rest, found := strings.Cut(string(status), "VmHWM:")
	require.True(b, found)
	var kb int64
	_, err = fmt.Sscan(rest, &kb)
	require.NoError(b, err)
	return kb << 10
}

func heapMemory() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapSys
}
