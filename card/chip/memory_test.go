package chip_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/card/chip"
	"onecard/card/profile"
)

// A thousand software chips must fit into 200 MB of one process.
const mostPerChip = 200 << 20 / 1000

// many personalises n chips, and returns what of the heap each of them holds
// and what the process holds in all.
func many(t testing.TB, n int) (perChip, resident uint64) {
	t.Helper()
	keeper := province(t)
	profiles, err := profile.Load()
	require.NoError(t, err)
	chips := make([]*chip.Chip, 0, n)
	before := heap()
	for serial := range uint32(n) {
		image, err := chip.Blank(profiles[0], [4]byte(binary.BigEndian.AppendUint32(nil, serial)), [16]byte(named(profiles[0].Maker.Transport)))
		require.NoError(t, err)
		store, err := chip.NewMemory(image)
		require.NoError(t, err)
		c, err := chip.New(profiles, store, nil)
		require.NoError(t, err)
		personalise(t, keeper, c, profiles[0])
		chips = append(chips, c)
	}
	perChip = (heap() - before) / uint64(n)
	debug.FreeOSMemory()
	resident = residentMemory(t)
	runtime.KeepAlive(chips)
	return perChip, resident
}

// TestManyChips holds the limit with fewer chips: what one holds does not
// depend on how many there are.
func TestManyChips(t *testing.T) {
	perChip, _ := many(t, 50)
	t.Logf("%d bytes for a chip", perChip)
	require.Less(t, perChip, uint64(mostPerChip))
}

// BenchmarkManyChips personalises a thousand.
func BenchmarkManyChips(b *testing.B) {
	var perChip, resident uint64
	for b.Loop() {
		perChip, resident = many(b, 1000)
	}
	b.ReportMetric(float64(perChip), "B/chip")
	b.ReportMetric(float64(resident>>20), "MB-resident")
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// residentMemory is the whole process's, the race detector's with it.
func residentMemory(t testing.TB) (bytes uint64) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, line, found := strings.Cut(string(status), "VmRSS:")
	require.True(t, found)
	_, err = fmt.Sscan(line, &bytes)
	require.NoError(t, err)
	return bytes << 10
}
