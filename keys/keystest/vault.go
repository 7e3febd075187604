package keystest

import (
	"crypto/hmac"
	"testing"

	"github.com/emmansun/gmsm/sm3"
	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// RunVault runs what concerns personal data at rest.
func RunVault(t *testing.T, open Open) {
	first := fixture(keys.DataKey, 1, keys.FieldEncryption, keys.SM4, 0, testKey)
	second := fixture(keys.DataKey, 2, keys.FieldEncryption, keys.SM4, 0, otherKey)
	index := fixture(keys.IndexKey, 1, keys.BlindIndex, keys.HMACSM3, 0, testKey+otherKey)
	before := open(t, []Fixture{first, index})
	after := open(t, []Fixture{first, second, index})

	t.Run("round trip", func(t *testing.T) { testSeal(t, before) })
	t.Run("versions", func(t *testing.T) { testSealVersions(t, before, after) })
	t.Run("altered", func(t *testing.T) { testSealAltered(t, before) })
	t.Run("index", func(t *testing.T) { testIndex(t, before) })
	t.Run("check values", func(t *testing.T) { testVaultCheckValues(t, after) })
}

// testSeal opens what was sealed and never seals twice alike.
func testSeal(t *testing.T, keeper Vault) {
	for _, plain := range [][]byte{nil, []byte("扎西·多杰"), make([]byte, 100_000)} {
		sealed, err := keeper.Seal(t.Context(), []byte("person.name"), plain)
		require.NoError(t, err)
		again, err := keeper.Seal(t.Context(), []byte("person.name"), plain)
		require.NoError(t, err)
		require.NotEqual(t, sealed, again)
		opened, err := keeper.Open(t.Context(), []byte("person.name"), sealed)
		require.NoError(t, err)
		require.Equal(t, len(plain), len(opened))
		require.Equal(t, string(plain), string(opened))
	}
}

// testSealVersions: new values get the new key, old ones stay readable.
func testSealVersions(t *testing.T, before, after Vault) {
	old, err := before.Seal(t.Context(), nil, []byte("x"))
	require.NoError(t, err)
	opened, err := after.Open(t.Context(), nil, old)
	require.NoError(t, err)
	require.Equal(t, "x", string(opened))
	sealed, err := after.Seal(t.Context(), nil, []byte("x"))
	require.NoError(t, err)
	_, err = before.Open(t.Context(), nil, sealed)
	require.ErrorIs(t, err, keys.ErrNoKey)
}

// testSealAltered changes every byte, the length and the context.
func testSealAltered(t *testing.T, keeper Vault) {
	aad := []byte("person.name")
	sealed, err := keeper.Seal(t.Context(), aad, []byte("扎西·多杰"))
	require.NoError(t, err)
	for i := range sealed {
		altered := append([]byte{}, sealed...)
		altered[i] ^= 0x01
		opened, err := keeper.Open(t.Context(), aad, altered)
		require.Error(t, err, "byte %d", i)
		require.Empty(t, opened)
	}
	for i := range sealed {
		_, err := keeper.Open(t.Context(), aad, sealed[:i])
		require.ErrorIs(t, err, keys.ErrSealed)
	}
	for _, other := range [][]byte{nil, []byte("person.phone")} {
		_, err := keeper.Open(t.Context(), other, sealed)
		require.ErrorIs(t, err, keys.ErrSealed)
	}
}

// testIndex: the same for the same value, different for another purpose.
func testIndex(t *testing.T, keeper Vault) {
	index := func(purpose, value string) []byte {
		out, err := keeper.Index(t.Context(), purpose, []byte(value))
		require.NoError(t, err)
		require.Len(t, out, 32)
		return out
	}
	mac := hmac.New(sm3.New, unhex(t, testKey+otherKey))
	mac.Write([]byte("\x00\x00\x00\x04name扎西·多杰"))
	require.Equal(t, mac.Sum(nil), index("name", "扎西·多杰"))
	require.NotEqual(t, index("name", "x"), index("name", "y"))
	require.NotEqual(t, index("name", "x"), index("phone", "x"))
	require.NotEqual(t, index("ab", "c"), index("a", "bc"), "purpose and value are not run together")
}

// testVaultCheckValues: they exist, and give no secret of GCM away.
func testVaultCheckValues(t *testing.T, keeper Keeper) {
	kcv, method, err := keeper.CheckValue(t.Context(), flat(keys.DataKey))
	require.NoError(t, err)
	require.Equal(t, keys.CheckValueCMAC, method)
	require.Len(t, kcv, 3)
	require.NotEqual(t, chain(t, unhex(t, testKey), make([]byte, 16), make([]byte, 16))[:3], kcv)
	other, _, err := keeper.CheckValue(t.Context(), keys.Key{Name: keys.DataKey, Version: 2})
	require.NoError(t, err)
	require.NotEqual(t, other, kcv)
	kcv, method, err = keeper.CheckValue(t.Context(), flat(keys.IndexKey))
	require.NoError(t, err)
	require.Equal(t, keys.CheckValueHMAC, method)
	require.Len(t, kcv, 3)
}
