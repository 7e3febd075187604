package remote_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
	"onecard/keys/keyblock"
	"onecard/keys/keystest"
)

// TestDeliveries wraps the keys of more cards than fit into one answer, finds in
// the blocks what the keeper itself gives, and leaves a log of keys and of
// nothing else. A keeper that cannot says so.
func TestDeliveries(t *testing.T) {
	t.Parallel()
	under := make([]byte, 32)
	near, err := software(t, []keystest.Fixture{
		{Spec: keys.Spec{Name: "KTK", Usage: keys.CardDelivery, Algorithm: keys.AES256}, Version: 1, Value: under},
		{Spec: keys.Spec{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.SM4, Depth: 2}, Version: 1, Value: make([]byte, 16)},
		{Spec: keys.Spec{Name: "CHECK", Usage: keys.CheckCode, Algorithm: keys.SM4}, Version: 1, Value: make([]byte, 16)},
	})
	require.NoError(t, err)
	var log lines
	far := served(t, near, &log)
	names := make([]keys.Key, 49)
	for i := range names {
		names[i] = keys.Key{Name: "IRK", Version: 1}
	}
	cards := make([][][]byte, 500)
	for i := range cards {
		cards[i] = [][]byte{[]byte("639900sx"), fmt.Appendf(nil, "%08d", i)}
	}
	told, err := far.WrapCards(t.Context(), keys.Key{Name: "KTK"}, names, cards)
	require.NoError(t, err)
	require.Len(t, told, len(cards))
	right, err := near.WrapCards(t.Context(), keys.Key{Name: "KTK"}, names[:1], cards)
	require.NoError(t, err)
	for _, i := range []int{0, 407, 408, 409, 499} {
		kbpk := keyblock.KBPK{Algorithm: 'A', Key: under}
		_, mine, err := keyblock.Open(kbpk, right[i][0])
		require.NoError(t, err)
		_, theirs, err := keyblock.Open(kbpk, told[i][48])
		require.NoError(t, err)
		require.Equal(t, mine, theirs, "card %d", i)
	}
	require.Contains(t, log.String(), `"purpose":"wrap-cards"`)
	require.NotContains(t, log.String(), told[0][0])

	messages := [][]byte{make([]byte, 12), []byte("twelve bytes")}
	codes, err := far.CodeAll(t.Context(), keys.Key{Name: "CHECK"}, messages)
	require.NoError(t, err)
	mine, err := near.CodeAll(t.Context(), keys.Key{Name: "CHECK"}, messages)
	require.NoError(t, err)
	require.Equal(t, mine, codes)

	_, err = far.WrapCards(t.Context(), keys.Key{Name: "IRK"}, names, cards[:1])
	require.ErrorIs(t, err, keys.ErrWrongUsage)
	without := served(t, struct{ keys.Backend }{near}, io.Discard)
	_, err = without.WrapCards(t.Context(), keys.Key{Name: "KTK"}, names, cards[:1])
	require.ErrorIs(t, err, keys.ErrNoDelivery)
	_, err = without.CodeAll(t.Context(), keys.Key{Name: "CHECK"}, messages)
	require.ErrorIs(t, err, keys.ErrNoDelivery)
}
