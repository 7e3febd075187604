package apdu_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
)

// kinds are the ways in which a chip refuses.
var kinds = []error{
	apdu.ErrWarning, apdu.ErrMemory, apdu.ErrLength, apdu.ErrWrongSecret, apdu.ErrSecurity, apdu.ErrBlockedKey, apdu.ErrConditions,
	apdu.ErrMessageMAC, apdu.ErrData, apdu.ErrNotFound, apdu.ErrBlocked, apdu.ErrUnsupported, apdu.ErrFunds, apdu.ErrUnknown,
}

func TestStatus(t *testing.T) {
	t.Parallel()
	reached := map[error]bool{}
	for sw, kind := range map[apdu.SW]error{
		0x6281: apdu.ErrWarning, 0x6282: apdu.ErrWarning, 0x6283: apdu.ErrBlocked, 0x6300: apdu.ErrWrongSecret, 0x6381: apdu.ErrWarning,
		0x63C0: apdu.ErrBlockedKey, 0x63C5: apdu.ErrWrongSecret, 0x63D5: apdu.ErrWarning, 0x6400: apdu.ErrMemory, 0x6581: apdu.ErrMemory,
		0x6700: apdu.ErrLength, 0x6C05: apdu.ErrLength, 0x6901: apdu.ErrConditions, 0x6981: apdu.ErrData, 0x6982: apdu.ErrSecurity,
		0x6983: apdu.ErrBlockedKey, 0x6984: apdu.ErrConditions, 0x6985: apdu.ErrConditions, 0x6986: apdu.ErrConditions,
		0x6987: apdu.ErrMessageMAC, 0x6988: apdu.ErrMessageMAC, 0x6A80: apdu.ErrData, 0x6A81: apdu.ErrBlocked, 0x6A82: apdu.ErrNotFound,
		0x6A83: apdu.ErrNotFound, 0x6A84: apdu.ErrMemory, 0x6A86: apdu.ErrData, 0x6A88: apdu.ErrNotFound, 0x6B00: apdu.ErrData,
		0x6D00: apdu.ErrUnsupported, 0x6E00: apdu.ErrUnsupported, 0x9302: apdu.ErrMessageMAC, 0x9303: apdu.ErrBlocked,
		0x9401: apdu.ErrFunds, 0x9406: apdu.ErrConditions, 0x1234: apdu.ErrUnknown, 0x9001: apdu.ErrUnknown,
	} {
		reached[kind] = true
		t.Run(sw.String(), func(t *testing.T) {
			t.Parallel()
			err := apdu.Response{SW: sw}.Err()
			for _, k := range kinds {
				require.Equal(t, k == kind, errors.Is(err, k), "%v: exactly one kind", k)
			}
			var status *apdu.StatusError
			require.ErrorAs(t, err, &status)
			require.Equal(t, sw, status.SW)
			require.Contains(t, err.Error(), fmt.Sprintf("%04X", uint16(sw)))
		})
	}
	for _, kind := range kinds {
		require.True(t, reached[kind], kind)
	}
}

// TestEveryStatusWord: no word is without a text, and every refusal says what
// can be done, in both languages.
func TestEveryStatusWord(t *testing.T) {
	t.Parallel()
	for word := range 0x10000 {
		info := apdu.SW(word).Info()
		require.NotEmpty(t, info.ZH, "%04X", word)
		require.NotEmpty(t, info.EN, "%04X", word)
		done := apdu.SW(word) == apdu.OK
		require.Equal(t, done, info.Kind == nil, "%04X", word)
		require.Equal(t, done, info.RemedyZH == "", "%04X", word)
		require.Equal(t, done, info.RemedyEN == "", "%04X", word)
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
