package keys_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/emmansun/gmsm/sm4"
	"github.com/stretchr/testify/require"

	"onecard/keys"
	"onecard/keys/keyblock"
)

// deliverySpecs are a key of delivery with a wrong one, and keys of each usage.
var deliverySpecs = []keys.Spec{
	{Name: "KTK", Usage: keys.CardDelivery, Algorithm: keys.AES256}, {Name: "ZMK", Usage: keys.KeyExchange, Algorithm: keys.AES256},
	{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.SM4, Depth: 2}, {Name: "MK", Usage: keys.Master, Algorithm: keys.SM4, Depth: 2},
	{Name: "DPK", Usage: keys.Debit, Algorithm: keys.SM4, Depth: 2}, {Name: "STK_3DES", Usage: keys.Maintenance, Algorithm: keys.TripleDES, Depth: 2},
	{Name: "FLAT", Usage: keys.Authentication, Algorithm: keys.SM4}, {Name: "CHECK", Usage: keys.CheckCode, Algorithm: keys.SM4},
	{Name: keys.DataKey, Usage: keys.FieldEncryption, Algorithm: keys.SM4},
}

func deliveryKeeper(t testing.TB, options ...keys.Option) *keys.Keeper {
	t.Helper()
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	keeper, err := keys.Create(filepath.Join(t.TempDir(), "keys.json"), kek, deliverySpecs, options...)
	require.NoError(t, err)
	return keeper
}

// factorsOf are the factors of the n-th card of an area.
func factorsOf(area string, n int) [][]byte {
	return [][]byte{[]byte(area + "sx"), fmt.Appendf(nil, "%08d", n)}
}

// TestWrapCards opens the blocks of several cards as their maker would and
// finds in each the key that two levels of diversification give, computed here
// step by step.
func TestWrapCards(t *testing.T) {
	t.Parallel()
	keeper := deliveryKeeper(t, keys.WithRandom(zeroKeys{}))
	cards := [][][]byte{factorsOf("639900", 1), factorsOf("639900", 2), factorsOf("630100", 1)}
	blocks, err := keeper.WrapCards(t.Context(), keys.Key{Name: "KTK"}, []keys.Key{{Name: "IRK"}, {Name: "MK", Version: 1}, {Name: "DPK"}, {Name: "STK_3DES"}}, cards)
	require.NoError(t, err)
	require.Len(t, blocks, len(cards))
	kbpk := keyblock.KBPK{Algorithm: 'A', Key: make([]byte, 32)}
	for i, card := range cards {
		value := make([]byte, 16)
		for _, factor := range card {
			block, err := sm4.NewCipher(value)
			require.NoError(t, err)
			for j, b := range factor {
				value[j], value[8+j] = b, ^b
			}
			block.Encrypt(value, value)
		}
		for j, usage := range []string{"E0", "E5", "52", "E6"} {
			header, key, err := keyblock.Open(kbpk, blocks[i][j])
			require.NoError(t, err)
			require.Equal(t, usage, header.Usage)
			require.Equal(t, "01", header.KeyVersion)
			require.Equal(t, byte('N'), header.Exportability)
			label, _ := header.Get("LB")
			require.Equal(t, []string{"IRK", "MK", "DPK", "STK_3DES"}[j], label)
			if j < 3 {
				require.Equal(t, hex.EncodeToString(value), hex.EncodeToString(key))
			}
		}
	}
	require.NotEqual(t, blocks[0], blocks[1])
}

// TestWrapCardsRefuses tries to get out what is no card's own key, and under
// what is no key of delivery.
func TestWrapCardsRefuses(t *testing.T) {
	t.Parallel()
	keeper := deliveryKeeper(t)
	right := [][][]byte{factorsOf("639900", 1)}
	for _, c := range []struct {
		under, name string
		cards       [][][]byte
		want        error
	}{
		{"KTK", "IRK", [][][]byte{{}}, keys.ErrFactors},
		{"KTK", "IRK", [][][]byte{right[0][:1]}, keys.ErrFactors},
		{"KTK", "IRK", [][][]byte{{right[0][0], []byte("short")}}, keys.ErrFactors},
		{"KTK", "FLAT", [][][]byte{{}}, keys.ErrFactors}, // the province's own
		{"KTK", "CHECK", right, keys.ErrWrongUsage},
		{"KTK", keys.DataKey, right, keys.ErrWrongUsage},
		{"KTK", "KTK", right, keys.ErrWrongUsage},
		{"KTK", "NONE", right, keys.ErrNoKey},
		{"ZMK", "IRK", right, keys.ErrWrongUsage},
		{"IRK", "MK", right, keys.ErrWrongUsage},
	} {
		_, err := keeper.WrapCards(t.Context(), keys.Key{Name: c.under}, []keys.Key{{Name: c.name}}, c.cards)
		require.ErrorIs(t, err, c.want, "%s under %s", c.name, c.under)
	}
	// The key of delivery itself never leaves.
	_, err := keeper.ExportBlock(t.Context(), keys.Key{Name: "ZMK"}, keys.Key{Name: "KTK"}, keys.AssumedCodes())
	require.ErrorIs(t, err, keys.ErrNotExportable)
}

// TestCodeAll holds the codes of many against those of each.
func TestCodeAll(t *testing.T) {
	t.Parallel()
	keeper := deliveryKeeper(t)
	messages := [][]byte{make([]byte, 12), []byte("twelve bytes")}
	codes, err := keeper.CodeAll(t.Context(), keys.Key{Name: "CHECK"}, messages)
	require.NoError(t, err)
	for i, message := range messages {
		single, err := keeper.DirectMAC(t.Context(), keys.Key{Name: "CHECK"}, make([]byte, 16), message)
		require.NoError(t, err)
		require.Equal(t, single, codes[i])
	}
	_, err = keeper.CodeAll(t.Context(), keys.Key{Name: "IRK"}, messages)
	require.ErrorIs(t, err, keys.ErrWrongUsage)
}

// BenchmarkWrapCards is the keys of a card of specification 3.00, 49 of them.
func BenchmarkWrapCards(b *testing.B) {
	keeper := deliveryKeeper(b)
	names := make([]keys.Key, 49)
	for i := range names {
		names[i] = keys.Key{Name: "IRK"}
	}
	const cards = 200
	list := make([][][]byte, cards)
	for i := range list {
		list[i] = factorsOf("639900", i)
	}
	for b.Loop() {
		if _, err := keeper.WrapCards(b.Context(), keys.Key{Name: "KTK"}, names, list); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cards*b.N)/b.Elapsed().Seconds(), "cards/s")
}
