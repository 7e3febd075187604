package pcsc_test

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/internal/rig"
)

// BenchmarkTransmit measures one exchange with a virtual card through this
// package, and in the same run through libpcsclite alone in C: the metric
// times-C is the ratio of the two.
func BenchmarkTransmit(b *testing.B) {
	insert(b, 0)
	card := connect(b, 0)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := card.Transmit(b.Context(), challenge); err != nil {
			b.Fatal(err)
		}
	}
	ours := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	require.NoError(b, card.Close())
	raw := rawRoundTrip(b, b.N)
	b.ReportMetric(raw, "C-ns/op")
	b.ReportMetric(ours/raw, "times-C")
}

// rawRoundTrip is the time of one exchange in C, in nanoseconds.
func rawRoundTrip(b *testing.B, n int) float64 {
	b.Helper()
	for _, tool := range []string{"cc", "pkg-config"} {
		if _, err := exec.LookPath(tool); err != nil {
			b.Skipf("nothing to compare with: %s is missing", tool)
		}
	}
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "libpcsclite").Output()
	require.NoError(b, err)
	program := filepath.Join(b.TempDir(), "roundtrip")
	args := append([]string{"-O2", "-o", program, "testdata/roundtrip.c"}, strings.Fields(string(flags))...)
	out, err := exec.Command("cc", args...).CombinedOutput()
	require.NoError(b, err, string(out))
	out, err = exec.Command(program, rig.Readers[0], strconv.Itoa(n)).CombinedOutput()
	require.NoError(b, err, string(out))
	nanoseconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	require.NoError(b, err)
	return nanoseconds
}
