package bank

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/api/pki"
)

var fuzzTime = time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)

// own returns credentials with which a side can open what it has written.
func own(t testing.TB) credentials {
	t.Helper()
	authority, err := pki.Open(filepath.Join(t.TempDir(), "pki"), nil, func() time.Time { return fuzzTime })
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(authority.CA()))
	seal, err := authority.Exchange()
	require.NoError(t, err)
	return credentials{sign: authority.Orders, open: authority.Exchange, seal: seal.Leaf, roots: pool}
}

func written(t testing.TB, keys credentials, kind string, rows ...[]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := newFileWriter(&out, keys, head{Kind: kind, Bank: "95533", Batch: "B1", MadeAt: fuzzTime})
	require.NoError(t, err)
	for _, row := range rows {
		require.NoError(t, w.row(amountOf(row), row...))
	}
	_, _, err = w.finish()
	require.NoError(t, err)
	return out.Bytes()
}

// FuzzFile: whatever is done to the bytes of a file, it is read as it was
// written or refused, and never partly.
func FuzzFile(f *testing.F) {
	keys := own(f)
	whole := written(f, keys, kindReturn, []string{"a", "扎西·多杰", "𠅤"}, []string{"b", "", "x"})
	f.Add(0, 0, []byte(nil))
	f.Add(10, 5, []byte("x"))
	f.Add(len(whole)/2, len(whole), []byte(nil))
	f.Add(len(whole)-1, 1, []byte("\n\n"))
	f.Fuzz(func(t *testing.T, at, cut int, put []byte) {
		at = min(max(at, 0), len(whole))
		cut = min(max(cut, 0), len(whole)-at)
		altered := bytes.Join([][]byte{whole[:at], put, whole[at+cut:]}, nil)
		got, digest, err := readFile(bytes.NewReader(altered), keys, fuzzTime, func(int64, []string) error { return nil })
		if err != nil {
			var refused *FileError
			require.True(t, errors.As(err, &refused), "%v", err)
			return
		}
		require.EqualValues(t, 2, got.Rows)
		_, same, err := readFile(bytes.NewReader(whole), keys, fuzzTime, func(int64, []string) error { return nil })
		require.NoError(t, err)
		// What is no part of any line, such as a carriage return, alters the digest
		// in the name and nothing else.
		require.Equal(t, bytes.Equal(altered, whole), digest == same)
	})
}

// FuzzContent: whatever a bank signs and seals, its records are of the form or
// refused, and the rows that pass can be taken without a panic.
func FuzzContent(f *testing.F) {
	f.Add([]byte("H|statement|95533|2026-03-02|20260302\nD|1|A|6214670000000000011|active\nD|2|F|0190b7a0-0000-7000-8000-000000000000|fee.charge|63|2000\nT|2|2000\n"), "statement")
	f.Add([]byte("H|account-return|95533|B1|20260302\nD|1|0190b7a0-0000-7000-8000-000000000000|1|\xd4\xfa|63|62|done|0000|\nT|1|0\n"), "account-return")
	f.Add([]byte("D|1\nT|1\n\xff|\n"), "account-return")
	f.Fuzz(func(t *testing.T, content []byte, kind string) {
		r := &fileReader{content: nil, decoder: newDecoder(), head: head{Kind: kind, Bank: "95533", Batch: "B1"}, pieces: 1}
		check := checkReturn
		if kind == kindStatement {
			check = checkStatement
		}
		for record := range bytes.Lines(content) {
			err := r.record(record, func(row int64, fields []string) error {
				require.Equal(t, r.rows, row)
				if check(fields) == nil {
					_ = amountOf(fields)
					for _, field := range fields {
						require.False(t, strings.ContainsAny(field, "|\n"))
					}
				}
				return nil
			})
			if err != nil {
				require.ErrorIs(t, err, ErrFile)
				return
			}
		}
	})
}

// TestHundredThousandRows: a file of a province's batch goes through in memory
// that does not grow with it.
func TestHundredThousandRows(t *testing.T) {
	keys := own(t)
	peak := func(rows int) uint64 {
		in, out := io.Pipe()
		go func() {
			w, err := newFileWriter(out, keys, head{Kind: kindOpen, Bank: "95533", Batch: "B1", MadeAt: fuzzTime})
			for i := 0; err == nil && i < rows; i++ {
				err = w.row(0, fmt.Sprintf("0190b7a0-0000-7000-8000-%012d", i), "0190b7a0-0000-7000-8000-000000000000", "100000008", "扎西·多杰", "resident", "632701197507020111", "13997000001", "632723")
			}
			if err == nil {
				_, _, err = w.finish()
			}
			_ = out.CloseWithError(err)
		}()
		var high uint64
		runtime.GC()
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		got, _, err := readFile(in, keys, fuzzTime, func(row int64, _ []string) error {
			if row%(int64(rows)/10) == 0 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				high = max(high, now.HeapAlloc)
			}
			return nil
		})
		require.NoError(t, err)
		require.EqualValues(t, rows, got.Rows)
		return high - min(high, before.HeapAlloc)
	}
	small, large := peak(2_000), peak(100_000)
	t.Logf("heap above the start: 2000 rows %d KiB, 100000 rows %d KiB", small>>10, large>>10)
	require.Less(t, large, uint64(4<<20))
}
