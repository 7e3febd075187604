package keystest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// Run runs the whole suite.
func Run(t *testing.T, can Capabilities, open Open) {
	t.Run("SM4", func(t *testing.T) { runSM4(t, can, open) })
	t.Run("3DES", func(t *testing.T) { runTripleDES(t, can, open) })
	t.Run("channel", func(t *testing.T) { runChannel(t, can, open) })
	t.Run("vault", func(t *testing.T) { runVault(t, can, open) })
	t.Run("shows no key", func(t *testing.T) { testShowsNoKey(t, can, open) })
	if can.Rotates {
		t.Run("rotate", func(t *testing.T) { testRotate(t, can, open) })
	}
}

// runSM4 runs what concerns cards of specification 3.00.
func runSM4(t *testing.T, can Capabilities, open Open) {
	taken, refused := can.split(sm4Fixtures())
	t.Run("refused", func(t *testing.T) { testRefused(t, open, refused) })
	if len(taken) == 0 {
		return
	}
	require.Empty(t, refused, "SM4 for some purposes only")
	keeper := open.must(t, append(taken, can.vaultFixtures(1)...))
	t.Run("cryptogram", func(t *testing.T) { testSM4Cryptogram(t, keeper) })
	t.Run("diversification", func(t *testing.T) { testDiversification(t, keeper, keys.SM4, testKeySM4Card) })
	t.Run("PIN", func(t *testing.T) { testSM4PIN(t, keeper) })
	t.Run("cipher", func(t *testing.T) { testCipher(t, keeper, "8424000114") })
	t.Run("transaction", func(t *testing.T) { testTransaction(t, keeper, "933D0299") })
	t.Run("key loading", func(t *testing.T) { testWrapKey(t, keeper) })
	t.Run("chain", func(t *testing.T) { testWrapChain(t, keeper) })
	t.Run("MAC", func(t *testing.T) { testDirectMAC(t, keeper) })
	runRules(t, can, keys.SM4, keeper)
}

// runTripleDES runs what concerns cards of specifications 1.0 and 2.0.
func runTripleDES(t *testing.T, can Capabilities, open Open) {
	taken, refused := can.split(desFixtures())
	t.Run("refused", func(t *testing.T) { testRefused(t, open, refused) })
	if len(taken) == 0 {
		return
	}
	keeper := open.must(t, append(taken, can.vaultFixtures(1)...))
	t.Run("cryptogram", func(t *testing.T) { testDESCryptogram(t, keeper) })
	t.Run("diversification", func(t *testing.T) { testDiversification(t, keeper, keys.TripleDES, testKeyDESCard) })
	t.Run("PIN", func(t *testing.T) { testDESPIN(t, keeper) })
	t.Run("cipher", func(t *testing.T) { testCipher(t, keeper, "842400010C") })
	t.Run("transaction", func(t *testing.T) { testTransaction(t, keeper, "232B9BAD") })
	if can.can(keys.TripleDES, keys.Master) {
		t.Run("key loading", func(t *testing.T) { testDESWrapKey(t, keeper) })
		t.Run("MAC", func(t *testing.T) { testDESDirectMAC(t, keeper) })
	} else {
		t.Run("no key loading", func(t *testing.T) { testNoKeyLoading(t, keeper) })
	}
	runRules(t, can, keys.TripleDES, keeper)
}

// runRules runs what holds for any algorithm.
func runRules(t *testing.T, can Capabilities, algorithm keys.Algorithm, keeper Keeper) {
	r := newRules(can, algorithm, keeper)
	t.Run("one purpose", r.testUsages)
	t.Run("names and factors", r.testNames)
	t.Run("lengths", r.testLengths)
	t.Run("cancelled", r.testCancelled)
	t.Run("concurrent", r.testConcurrent)
}

// testRefused: what a keeper does not claim it refuses, and says which
// algorithm it was.
func testRefused(t *testing.T, open Open, refused []Fixture) {
	for _, f := range refused {
		_, err := open(t, []Fixture{f})
		require.ErrorIs(t, err, keys.ErrAlgorithm, f.Spec.Name)
		require.ErrorContains(t, err, f.Spec.Name)
	}
}

// testNoKeyLoading: a keeper without master keys gives no card key out.
func testNoKeyLoading(t *testing.T, keeper Chip) {
	data, next, err := keeper.WrapKey(t.Context(), flat("FLATSTK"), flat("FLAT"), [3]byte{}, unhex(t, "84D4000024"), make([]byte, 16))
	require.ErrorIs(t, err, keys.ErrAlgorithm)
	require.ErrorContains(t, err, "FLAT")
	require.Nil(t, data)
	require.Nil(t, next)
	mac, err := keeper.DirectMAC(t.Context(), flat("FLAT"), make([]byte, 16), make([]byte, 12))
	require.ErrorIs(t, err, keys.ErrWrongUsage)
	require.Nil(t, mac)
}

// testRotate: the next version serves at once, the one before still.
func testRotate(t *testing.T, can Capabilities, open Open) {
	taken, _ := can.split(append(sm4Fixtures(), desFixtures()...))
	keeper := open.must(t, append([]Fixture{taken[0]}, can.vaultFixtures(1)...))
	rotator, ok := keeper.(Rotator)
	require.True(t, ok)
	name := taken[0].Spec.Name

	old, err := keeper.Seal(t.Context(), nil, []byte("x"))
	require.NoError(t, err)
	for _, key := range []string{name, keys.DataKey} {
		version, err := rotator.Rotate(key)
		require.NoError(t, err)
		require.Equal(t, 2, version)
	}
	opened, err := keeper.Open(t.Context(), nil, old)
	require.NoError(t, err)
	require.Equal(t, "x", string(opened))
	sealed, err := keeper.Seal(t.Context(), nil, []byte("x"))
	require.NoError(t, err)
	require.Equal(t, 2, keys.SealedVersion(sealed))
	auth := func(version int) []byte {
		out, err := keeper.Cryptogram(t.Context(), keys.Key{Name: name, Version: version}, make([]byte, 8), make([]byte, 8))
		require.NoError(t, err)
		return out
	}
	require.NotEqual(t, auth(1), auth(2))
	require.Equal(t, auth(2), auth(0))

	first, err := keeper.Index(t.Context(), 1, "column", []byte("x"))
	require.NoError(t, err)
	version, err := rotator.Rotate(keys.IndexKey)
	require.NoError(t, err)
	require.Equal(t, 2, version)
	still, err := keeper.Index(t.Context(), 1, "column", []byte("x"))
	require.NoError(t, err)
	require.Equal(t, first, still, "an index is of one version")
	second, err := keeper.Index(t.Context(), 2, "column", []byte("x"))
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	_, err = keeper.Index(t.Context(), 3, "column", []byte("x"))
	require.ErrorIs(t, err, keys.ErrNoKey)
	_, err = rotator.Rotate("NONE")
	require.ErrorIs(t, err, keys.ErrNoKey)
}
