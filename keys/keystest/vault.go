package keystest

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"testing"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"
	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// runVault runs what concerns personal data at rest.
func runVault(t *testing.T, can Capabilities, open Open) {
	before := open.must(t, can.vaultFixtures(1))
	after := open.must(t, can.vaultFixtures(2))

	t.Run("round trip", func(t *testing.T) { testSeal(t, before) })
	t.Run("versions", func(t *testing.T) { testSealVersions(t, before, after) })
	t.Run("altered", func(t *testing.T) { testSealAltered(t, before) })
	t.Run("bulk", func(t *testing.T) { testBulk(t, before, after) })
	t.Run("index", func(t *testing.T) { testIndex(t, before, can.algorithm(keys.BlindIndex)) })
	t.Run("check values", func(t *testing.T) { testVaultCheckValues(t, after, can) })
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
func testIndex(t *testing.T, keeper Vault, algorithm keys.Algorithm) {
	index := func(purpose, value string) []byte {
		out, err := keeper.Index(t.Context(), 1, purpose, []byte(value))
		require.NoError(t, err)
		require.Len(t, out, 32)
		return out
	}
	mac := hmac.New(digest(algorithm), unhex(t, testKey+otherKey))
	mac.Write([]byte("\x00\x00\x00\x04name扎西·多杰"))
	require.Equal(t, mac.Sum(nil), index("name", "扎西·多杰"))
	require.NotEqual(t, index("name", "x"), index("name", "y"))
	require.NotEqual(t, index("name", "x"), index("phone", "x"))
	require.NotEqual(t, index("ab", "c"), index("a", "bc"), "purpose and value are not run together")
}

// digest returns the hash of an HMAC.
func digest(algorithm keys.Algorithm) func() hash.Hash {
	if algorithm == keys.HMACSM3 {
		return sm3.New
	}
	return sha256.New
}

// testVaultCheckValues: they exist, and give no secret of GCM away.
func testVaultCheckValues(t *testing.T, keeper Keeper, can Capabilities) {
	data := can.vaultFixtures(1)[1]
	block, err := sm4.NewCipher(data.Value[:16])
	if data.Spec.Algorithm != keys.SM4 {
		block, err = aes.NewCipher(data.Value)
	}
	require.NoError(t, err)
	secret := make([]byte, 16)
	block.Encrypt(secret, secret)

	kcv, method, err := keeper.CheckValue(t.Context(), flat(keys.DataKey))
	require.NoError(t, err)
	require.Equal(t, keys.CheckValueCMAC, method)
	require.Len(t, kcv, 3)
	require.NotEqual(t, secret[:3], kcv)
	other, _, err := keeper.CheckValue(t.Context(), keys.Key{Name: keys.DataKey, Version: 2})
	require.NoError(t, err)
	require.NotEqual(t, other, kcv)

	kcv, method, err = keeper.CheckValue(t.Context(), flat(keys.IndexKey))
	require.NoError(t, err)
	require.Equal(t, string(can.algorithm(keys.BlindIndex))+"()[0:3]", method)
	require.Equal(t, hmac.New(digest(can.algorithm(keys.BlindIndex)), unhex(t, testKey+otherKey)).Sum(nil)[:3], kcv)
}

// testBulk: many values in one call are what they are one by one, in whatever
// versions they were sealed; one that was altered fails them all, by its number.
func testBulk(t *testing.T, before, after Vault) {
	ctx := t.Context()
	bulk := keys.InBulk(after)
	var aad, plain, sealed, values [][]byte
	var purposes []string
	for i := range 50 {
		aad, plain = append(aad, []byte{byte(i)}), append(plain, make([]byte, i*i))
		purposes, values = append(purposes, string(rune('a'+i%3))), append(values, []byte{byte(i % 7)})
		vault := before
		if i%2 == 0 {
			vault = after
		}
		one, err := vault.Seal(ctx, aad[i], plain[i])
		require.NoError(t, err)
		sealed = append(sealed, one)
	}
	opened, err := bulk.OpenAll(ctx, aad, sealed)
	require.NoError(t, err)
	together, err := bulk.SealAll(ctx, aad, plain)
	require.NoError(t, err)
	indexes, err := bulk.IndexAll(ctx, 1, purposes, values)
	require.NoError(t, err)
	for i := range plain {
		require.Equal(t, string(plain[i]), string(opened[i]))
		one, err := after.Open(ctx, aad[i], together[i])
		require.NoError(t, err)
		require.Equal(t, string(plain[i]), string(one))
		require.Equal(t, 2, keys.SealedVersion(together[i]))
		index, err := after.Index(ctx, 1, purposes[i], values[i])
		require.NoError(t, err)
		require.Equal(t, index, indexes[i])
	}
	sealed[7] = append([]byte{}, sealed[7]...)
	sealed[7][len(sealed[7])-1] ^= 1
	_, err = bulk.OpenAll(ctx, aad, sealed)
	require.ErrorIs(t, err, keys.ErrSealed)
	require.ErrorContains(t, err, "value 7")
	_, err = bulk.OpenAll(ctx, aad, [][]byte{nil})
	require.Error(t, err)
	empty, err := bulk.SealAll(ctx, nil, nil)
	require.NoError(t, err)
	require.Empty(t, empty)
}
