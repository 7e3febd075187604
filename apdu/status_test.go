package apdu_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	for sw, kind := range map[apdu.SW]error{
		0x63C0: apdu.ErrBlockedKey, 0x63C5: apdu.ErrWrongSecret, 0x6281: apdu.ErrWarning, 0x6283: apdu.ErrBlocked,
		0x6400: apdu.ErrMemory, 0x6581: apdu.ErrMemory, 0x6700: apdu.ErrLength, 0x6901: apdu.ErrConditions,
		0x6982: apdu.ErrSecurity, 0x6983: apdu.ErrBlockedKey, 0x6988: apdu.ErrMessageMAC, 0x6A80: apdu.ErrData,
		0x6A82: apdu.ErrNotFound, 0x6A83: apdu.ErrNotFound, 0x6D00: apdu.ErrUnsupported, 0x6E00: apdu.ErrUnsupported,
		0x9302: apdu.ErrMessageMAC, 0x9303: apdu.ErrBlocked, 0x9401: apdu.ErrFunds, 0x9406: apdu.ErrConditions, 0x1234: apdu.ErrUnknown,
	} {
		t.Run(sw.String(), func(t *testing.T) {
			t.Parallel()
			err := apdu.Response{SW: sw}.Err()
			require.ErrorIs(t, err, kind)
			var status *apdu.StatusError
			require.ErrorAs(t, err, &status)
			require.Equal(t, sw, status.SW)
			require.Contains(t, err.Error(), fmt.Sprintf("%04X", uint16(sw)))
		})
	}
}

// TestEveryStatusWord: no word is without a text, and those that a person can
// do something about say what.
func TestEveryStatusWord(t *testing.T) {
	t.Parallel()
	for word := range 0x10000 {
		info := apdu.SW(word).Info()
		require.NotEmpty(t, info.ZH, "%04X", word)
		require.NotEmpty(t, info.EN, "%04X", word)
		require.Equal(t, info.RemedyZH == "", info.RemedyEN == "", "%04X: a remedy in both languages or none", word)
	}
}

func TestTries(t *testing.T) {
	t.Parallel()
	for sw, want := range map[apdu.SW]int{0x63C0: 0, 0x63C5: 5, 0x63CF: 15} {
		left, ok := sw.Tries()
		require.True(t, ok)
		require.Equal(t, want, left)
	}
	for _, sw := range []apdu.SW{0x9000, 0x6300, 0x63D1, 0x6983} {
		_, ok := sw.Tries()
		require.False(t, ok, sw)
	}
}
