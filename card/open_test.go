package card_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/card"
)

// TestSerial: the serial number is at the end of the historical bytes, before
// the check byte where there is one, right or wrong.
func TestSerial(t *testing.T) {
	t.Parallel()
	for atr, want := range map[string]string{
		"3B6D000000814E43318697639900BF7C7A":   "00BF7C7A",
		"3B8D800100814E43318697639900BF7C7A05": "00BF7C7A",
		"3B8D800100814E43318697639900BF7C7AFF": "00BF7C7A",
	} {
		b, err := hex.DecodeString(atr)
		require.NoError(t, err)
		require.Equal(t, want, (&card.Identity{ATR: b}).Serial(), atr)
	}
}
