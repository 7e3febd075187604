package keystest

import (
	"crypto/cipher"
	"crypto/des"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// testDESWrapKey deciphers what was wrapped, and follows a chain of two.
func testDESWrapKey(t *testing.T, keeper Chip) {
	iv := unhex(t, "F0E0D0C0B0A09080")
	for range 2 {
		header := unhex(t, "84D400041C")
		data, next, err := keeper.WrapKey(t.Context(), flat("MK"), flat("FLAT"), [3]byte{0x39, 0x01, 0x0F}, header, iv)
		require.NoError(t, err)
		require.Len(t, data, 28)
		clear := make([]byte, 24)
		for i := 0; i < len(clear); i += 8 {
			twice(t, otherKey).Decrypt(clear[i:], data[i:])
		}
		require.Equal(t, unhex(t, "1339010F"+testKey+"80000000"), clear)
		last := retail(t, otherKey, iv, append(append(header, data[:24]...), 0x80, 0, 0))
		require.Equal(t, last, next)
		require.Equal(t, last[:4], data[24:])
		iv = next
	}
	// The chain starts from one block.
	data, next, err := keeper.WrapKey(t.Context(), flat("MK"), flat("FLAT"), [3]byte{}, unhex(t, "84D400041C"), make([]byte, 16))
	require.ErrorIs(t, err, keys.ErrInput)
	require.Nil(t, data)
	require.Nil(t, next)
}

// testDESDirectMAC computes a check code and the end of personalisation.
func testDESDirectMAC(t *testing.T, keeper Chip) {
	mac, err := keeper.DirectMAC(t.Context(), flat("CHECK"), make([]byte, 8), unhex(t, "639900D15600000500000001"))
	require.NoError(t, err)
	require.Equal(t, retail(t, testKey, make([]byte, 8), unhex(t, "639900D1560000050000000180000000"))[:4], mac)
	_, err = keeper.DirectMAC(t.Context(), flat("CHECK"), make([]byte, 16), unhex(t, "639900D15600000500000001"))
	require.ErrorIs(t, err, keys.ErrInput)
	_, err = keeper.DirectMAC(t.Context(), flat("MK"), make([]byte, 8), make([]byte, 29))
	require.ErrorIs(t, err, keys.ErrWrongUsage)
}

// twice is 3DES with a key of two halves.
func twice(t *testing.T, key string) cipher.Block {
	t.Helper()
	block, err := des.NewTripleDESCipher(unhex(t, key+key[:16]))
	require.NoError(t, err)
	return block
}

// retail computes ISO/IEC 9797-1 algorithm 3 step by step: single DES with the
// left half, and on the last block the whole of 3DES.
func retail(t *testing.T, key string, iv, padded []byte) []byte {
	t.Helper()
	left, err := des.NewCipher(unhex(t, key[:16]))
	require.NoError(t, err)
	state := append([]byte{}, iv...)
	for ; len(padded) > 0; padded = padded[8:] {
		for i := range state {
			state[i] ^= padded[i]
		}
		if len(padded) == 8 {
			twice(t, key).Encrypt(state, state)
		} else {
			left.Encrypt(state, state)
		}
	}
	return state
}
