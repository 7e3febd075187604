package province_test

import (
	"encoding/csv"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/registry"
	"onecard/registry/intake"
	"onecard/registry/province"
	"onecard/registry/registrytest"
)

func today(t testing.TB) gb.Date {
	t.Helper()
	day, err := gb.ParseDate("2026-01-01")
	require.NoError(t, err)
	return day
}

// TestResidents: the same seed makes the same people; each is as a resident
// must be, and the groups have their shares.
func TestResidents(t *testing.T) {
	t.Parallel()
	const n = 20000
	first, err := province.New(7, today(t))
	require.NoError(t, err)
	second, err := province.New(7, today(t))
	require.NoError(t, err)
	numbers, groups := map[string]bool{}, map[string]int{}
	old := 0
	for range n {
		r := first.Next()
		require.Equal(t, r, second.Next())
		number, err := gb.ParseIDNumber(r.IDNumber)
		require.NoError(t, err)
		require.Equal(t, r.Birth, number.Birth())
		require.False(t, today(t).Before(r.Birth))
		require.False(t, numbers[r.IDNumber], "a number twice")
		numbers[r.IDNumber] = true
		groups[r.Ethnic]++
		if number.Area() != r.Place {
			old++
		}
		_, err = registry.NewPerson{IDNumber: r.IDNumber, Name: r.Name, NameTibetan: r.NameTibetan, Ethnic: r.Ethnic, Phone: r.Phone, Address: r.Address, Place: r.Place}.Check()
		require.NoError(t, err)
	}
	require.InDelta(t, 0.24, float64(groups["04"])/n, 0.06)
	require.InDelta(t, 0.53, float64(groups["01"])/n, 0.08)
	require.InDelta(t, 0.15, float64(groups["03"])/n, 0.05)
	require.Greater(t, old, n/10, "numbers of old codes")
}

// TestImported: an import of each layout takes every good row and names every
// error by its kind, and none that is not there.
func TestImported(t *testing.T) {
	t.Parallel()
	const residents = 3000
	for _, layout := range province.LayoutNames() {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			directory := t.TempDir()
			p, err := province.New(63, today(t))
			require.NoError(t, err)
			table, err := os.Create(directory + "/in.csv")
			require.NoError(t, err)
			var truth strings.Builder
			w := province.Writer{Layout: layout, Errors: 20}
			require.NoError(t, w.Write(p, residents, table, &truth))
			require.NoError(t, table.Close())

			clock := registrytest.NewClock()
			db := registrytest.Open(t, registrytest.Config("sqlite:"+directory+"/r.db", clock))
			mappings, err := intake.Mappings()
			require.NoError(t, err)
			run := intake.Run{
				DB: db, Actor: registry.Actor{Operator: "test", Place: "630000"}, Mapping: mappings[layout], Path: directory + "/in.csv",
				Rejects: directory + "/rejects.csv", Owner: "test", Batch: 500,
			}
			done, err := run.Do(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, residents, done.Read)

			told := map[string]string{}
			file, err := os.Open(directory + "/rejects.csv")
			require.NoError(t, err)
			defer file.Close()
			_, err = file.Seek(3, io.SeekStart)
			require.NoError(t, err)
			records, err := csv.NewReader(file).ReadAll()
			require.NoError(t, err)
			for _, record := range records[1:] {
				told[record[0]] += " " + record[3]
			}
			kinds, faults := province.Kinds(), 0
			for _, line := range strings.Split(strings.TrimSpace(truth.String()), "\n")[1:] {
				row, kind, _ := strings.Cut(line, ",")
				named := false
				for _, code := range kinds[kind] {
					named = named || (code != "" && strings.Contains(told[row], code)) || (code == "" && told[row] == "")
				}
				require.True(t, named, "line %s: %s, told %q", row, kind, told[row])
				delete(told, row)
				faults++
			}
			require.Empty(t, told, "what is not wrong was refused")
			require.GreaterOrEqual(t, done.Added, int64(residents-faults))
			require.Greater(t, faults, residents/40)
		})
	}
}

func BenchmarkResidents(b *testing.B) {
	p, err := province.New(1, today(b))
	require.NoError(b, err)
	w := province.Writer{Layout: "pension", Errors: 100}
	b.ResetTimer()
	require.NoError(b, w.Write(p, b.N, io.Discard, io.Discard))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
