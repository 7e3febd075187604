package keys_test

import (
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"encoding/hex"
	"path/filepath"
	"testing"

	"github.com/emmansun/gmsm/sm4"
	"github.com/stretchr/testify/require"

	"onecard/keys"
)

type zeroKeys struct{}

func (zeroKeys) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestTransactionMAC computes the codes of a debit step by step under keys of
// zeroes, and refuses other keys, other lengths and a key without its factors.
func TestTransactionMAC(t *testing.T) {
	t.Parallel()
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	keeper, err := keys.Create(filepath.Join(t.TempDir(), "keys.json"), kek, []keys.Spec{
		{Name: "DPK", Usage: keys.Debit, Algorithm: keys.SM4}, {Name: "DPK_3DES", Usage: keys.Debit, Algorithm: keys.TripleDES},
		{Name: "DPKCARD", Usage: keys.Debit, Algorithm: keys.SM4, Depth: 2}, {Name: "STK", Usage: keys.Maintenance, Algorithm: keys.SM4},
	}, keys.WithRandom(zeroKeys{}))
	require.NoError(t, err)
	factor, message := []byte{0xF9, 0x62, 0xFA, 0xD6, 0, 7, 0, 5}, []byte{0, 0, 0, 10, 0, 0, 0, 20, 0x32}

	// SM4: PK = SM4(0, factor ‖ 0⁸); one padded block; the four words folded.
	root, err := sm4.NewCipher(make([]byte, 16))
	require.NoError(t, err)
	process := make([]byte, 16)
	root.Encrypt(process, append(append([]byte{}, factor...), make([]byte, 8)...))
	block, err := sm4.NewCipher(process)
	require.NoError(t, err)
	last := append(append([]byte{}, message...), 0x80, 0, 0, 0, 0, 0, 0)
	block.Encrypt(last, last)
	want := make([]byte, 4)
	for i, b := range last {
		want[i%4] ^= b
	}
	got, err := keeper.TransactionMAC(t.Context(), keys.Key{Name: "DPK"}, factor, message)
	require.NoError(t, err)
	require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(got))

	// 3DES with one key of zeroes is DES: two padded blocks, chained.
	single, err := des.NewCipher(make([]byte, 8))
	require.NoError(t, err)
	process = make([]byte, 8)
	single.Encrypt(process, factor)
	var chain cipher.Block
	chain, err = des.NewCipher(process)
	require.NoError(t, err)
	padded := append(append([]byte{}, message...), 0x80, 0, 0, 0, 0, 0, 0)
	cipher.NewCBCEncrypter(chain, make([]byte, 8)).CryptBlocks(padded, padded)
	got, err = keeper.TransactionMAC(t.Context(), keys.Key{Name: "DPK_3DES"}, factor, message)
	require.NoError(t, err)
	require.Equal(t, padded[8:12], got)

	for _, test := range []struct {
		key             keys.Key
		factor, message []byte
		want            error
	}{
		{keys.Key{Name: "STK"}, factor, message, keys.ErrWrongUsage},
		{keys.Key{Name: "NONE"}, factor, message, keys.ErrNoKey},
		{keys.Key{Name: "DPKCARD"}, factor, message, keys.ErrFactors},
		{keys.Key{Name: "DPK"}, factor[:7], message, keys.ErrInput},
		{keys.Key{Name: "DPK"}, factor, nil, keys.ErrInput},
	} {
		_, err := keeper.TransactionMAC(t.Context(), test.key, test.factor, test.message)
		require.ErrorIs(t, err, test.want)
	}
	_, err = keeper.CommandMAC(t.Context(), keys.Key{Name: "DPK"}, factor, make([]byte, 5))
	require.ErrorIs(t, err, keys.ErrWrongUsage, "the debit key does nothing else")
}
