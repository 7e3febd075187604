package keystest

import (
	"context"
	"crypto/des"
	"encoding/binary"
	"testing"

	"github.com/emmansun/gmsm/sm4"
	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// testSM4Cryptogram holds the values of the vendor's document for a card with
// an undiversified key of zeroes, and the computed vector.
func testSM4Cryptogram(t *testing.T, keeper Chip) {
	for _, c := range []struct{ key, r1, r2, auth string }{
		{"ZERO", "ACD2B737EB592356", "CEEC03C01AFD4974", "7BD79AFBF9AAABD7"},
		{"ZERO", "0B0375FD364ACE7D", "4259BD052859AB09", "A08F320C7F307107"},
		{"ZERO", "A93C621824F093B2", "8E18CF183BED0E13", "0FA0893931E4BEB6"},
		{"ZERO", "552AC0A2B28C30D0", "7FF7D50ED7F3991E", "C49B6CD0732CA2B6"},
		{"ZERO", "C36E6C9A4EF56625", "6EA56ED80C12C399", "31F5BF0F1B433284"},
		{"ZERO", "DE5C2EE8201F213C", "4552E58B04E0CEAF", "0D0B53A227399997"},
		{"FLAT", "1122334455667788", "8877665544332211", "592A5EF774F1757C"},
	} {
		auth, err := keeper.Cryptogram(t.Context(), flat(c.key), unhex(t, c.r1), unhex(t, c.r2))
		require.NoError(t, err)
		require.Equal(t, unhex(t, c.auth), auth)
	}
}

// testDESCryptogram holds the computed vectors.
func testDESCryptogram(t *testing.T, keeper Chip) {
	for _, c := range []struct{ key, r1, r2, auth string }{
		{"FLAT", "1122334455667788", "8877665544332211", "5C97F12949FEBB2D"},
		{"ZERO", "1122334455667788", "0102030405060708", "6BB4AF7B7EFE5194"},
	} {
		auth, err := keeper.Cryptogram(t.Context(), flat(c.key), unhex(t, c.r1), unhex(t, c.r2))
		require.NoError(t, err)
		require.Equal(t, unhex(t, c.auth), auth)
	}
}

// testDiversification compares a diversified key with the same key held as it is.
func testDiversification(t *testing.T, keeper Keeper, algorithm keys.Algorithm, leaf string) {
	r1, r2 := unhex(t, "1122334455667788"), unhex(t, "8877665544332211")
	want, err := keeper.Cryptogram(t.Context(), flat("LEAF"), r1, r2)
	require.NoError(t, err)
	card := keys.Key{Name: "IRK", Version: 1, Factors: factors(t)}
	got, err := keeper.Cryptogram(t.Context(), card, r1, r2)
	require.NoError(t, err)
	require.Equal(t, want, got)

	kcv, method, err := keeper.CheckValue(t.Context(), card)
	require.NoError(t, err)
	require.Equal(t, keys.CheckValueECB, method)
	require.Equal(t, zeroBlock(t, algorithm, unhex(t, leaf)), kcv)
	root, _, err := keeper.CheckValue(t.Context(), flat("IRK"))
	require.NoError(t, err)
	require.NotEqual(t, root, kcv)
}

// zeroBlock returns the first three bytes of a block of zeroes enciphered.
func zeroBlock(t *testing.T, algorithm keys.Algorithm, key []byte) []byte {
	t.Helper()
	block, err := sm4.NewCipher(key)
	if algorithm == keys.TripleDES {
		block, err = des.NewTripleDESCipher(append(key, key[:8]...))
	}
	require.NoError(t, err)
	zero := make([]byte, block.BlockSize())
	block.Encrypt(zero, zero)
	return zero[:3]
}

// testSM4PIN holds the computed vector of PIN reload, and unblocking without data.
func testSM4PIN(t *testing.T, keeper Chip) {
	r := unhex(t, "A1A2A3A4A5A6A7A8")
	data, err := keeper.PINBlock(t.Context(), flat("FLATSTK"), r, unhex(t, "8424000114"), "123456")
	require.NoError(t, err)
	require.Equal(t, unhex(t, "FDBE989970C17FA59397630D0FDF7B5DB20828BB"), data)

	// The MAC of the reload is that of the command as a whole.
	mac, err := keeper.CommandMAC(t.Context(), flat("FLATSTK"), r, unhex(t, "8424000114FDBE989970C17FA59397630D0FDF7B5D"))
	require.NoError(t, err)
	require.Equal(t, unhex(t, "B20828BB"), mac)

	process := unhex(t, "E192FB7E687F5B62C9C068B427D737A6")
	mac, err = keeper.CommandMAC(t.Context(), flat("FLATSTK"), r, unhex(t, "8424000004"))
	require.NoError(t, err)
	require.Equal(t, fold(chain(t, process, make([]byte, 16), unhex(t, "84240000048000000000000000000000"))), mac)
}

// testDESPIN holds the computed vectors of PIN reload and unblock.
func testDESPIN(t *testing.T, keeper Chip) {
	r := unhex(t, "A1A2A3A4A5A6A7A8")
	data, err := keeper.PINBlock(t.Context(), flat("FLATSTK"), r, unhex(t, "842400010C"), "123456")
	require.NoError(t, err)
	require.Equal(t, unhex(t, "A716636CF784475FECA6593C"), data)
	mac, err := keeper.CommandMAC(t.Context(), flat("FLATSTK"), r, unhex(t, "8424000004"))
	require.NoError(t, err)
	require.Equal(t, unhex(t, "AB9F6F4C"), mac)
}

// testCipher enciphers more than one block; the number of a reload is the same
// operation.
func testCipher(t *testing.T, keeper Keeper, header string) {
	r := unhex(t, "A1A2A3A4A5A6A7A8")
	pin, err := keeper.PINBlock(t.Context(), flat("FLATSTK"), r, unhex(t, header), "123456")
	require.NoError(t, err)
	data, err := keeper.CipherCommand(t.Context(), flat("FLATSTK"), r, unhex(t, header), unhex(t, "123456"))
	require.NoError(t, err)
	require.Equal(t, pin, data)
	long, err := keeper.CipherCommand(t.Context(), flat("FLATSTK"), r, unhex(t, "04DC0C3434"), make([]byte, 40))
	require.NoError(t, err)
	require.Len(t, long, 52)
	for _, plain := range [][]byte{nil, make([]byte, 254)} {
		_, err := keeper.CipherCommand(t.Context(), flat("FLATSTK"), r, unhex(t, "04DC0C3434"), plain)
		require.ErrorIs(t, err, keys.ErrInput)
	}
	_, err = keeper.CipherCommand(t.Context(), flat("FLAT"), r, unhex(t, header), unhex(t, "123456"))
	require.ErrorIs(t, err, keys.ErrWrongUsage)
}

// testTransaction holds vectors of the code of a debit, computed with OpenSSL.
func testTransaction(t *testing.T, keeper Keeper, code string) {
	factor, message := unhex(t, "F962FAD600070005"), unhex(t, "0000000A000000143244990081002720150624183211")
	mac, err := keeper.TransactionMAC(t.Context(), flat("FLATDPK"), factor, message)
	require.NoError(t, err)
	require.Equal(t, unhex(t, code), mac)
	_, err = keeper.TransactionMAC(t.Context(), flat("FLAT"), factor, message)
	require.ErrorIs(t, err, keys.ErrWrongUsage)
	_, err = keeper.TransactionMAC(t.Context(), flat("FLATDPK"), factor[:4], message)
	require.ErrorIs(t, err, keys.ErrInput)
	_, err = keeper.TransactionMAC(t.Context(), flat("FLATDPK"), factor, nil)
	require.ErrorIs(t, err, keys.ErrInput)
}

// testWrapKey deciphers what was wrapped, and follows a chain of two.
func testWrapKey(t *testing.T, keeper Chip) {
	iv := unhex(t, "000102030405060708090A0B0C0D0E0F")
	target := keys.Key{Name: "IRK", Version: 1, Factors: factors(t)}
	header := unhex(t, "84D4000024")
	data, next, err := keeper.WrapKey(t.Context(), flat("MK"), target, [3]byte{0x34, 0x01, 0xFF}, header, iv)
	require.NoError(t, err)
	checkWrapped(t, otherKey, "133401FF"+testKeySM4Card, header, iv, data, next)

	// The next key of the chain starts from the last MAC block; the maker's
	// transport key is diversified by the card alone.
	header = unhex(t, "84D4000224")
	under := keys.Key{Name: "TRANSPORT", Version: 1, Factors: [][]byte{[]byte("330100sx")}}
	data, last, err := keeper.WrapKey(t.Context(), under, flat("FLATSTK"), [3]byte{0x36, 0x02, 0x33}, header, next)
	require.NoError(t, err)
	checkWrapped(t, "1E8C69B370BC1328C851E9163E2A394C", "13360233"+testKey, header, next, data, last)
}

// testWrapChain: a chain in one call is the chain of its keys one by one.
func testWrapChain(t *testing.T, keeper Chip) {
	iv := unhex(t, "000102030405060708090A0B0C0D0E0F")
	var loads []keys.Load
	for i := range 40 {
		loads = append(loads, keys.Load{Target: keys.Key{Name: "IRK", Version: 1, Factors: factors(t)}, Attributes: [3]byte{byte(i), 1, 0xFF}, Header: unhex(t, "84D4000024")})
	}
	data, last, err := wrapChain(t.Context(), keeper, flat("MK"), loads, iv)
	require.NoError(t, err)
	require.Len(t, data, len(loads))
	next := iv
	for i, load := range loads {
		var want []byte
		want, next, err = keeper.WrapKey(t.Context(), flat("MK"), load.Target, load.Attributes, load.Header, next)
		require.NoError(t, err)
		require.Equal(t, want, data[i])
	}
	require.Equal(t, next, last)

	// One key that cannot be wrapped, and nothing comes out.
	loads[20].Target.Factors = nil
	data, last, err = wrapChain(t.Context(), keeper, flat("MK"), loads, iv)
	require.ErrorIs(t, err, keys.ErrFactors)
	require.Nil(t, data)
	require.Nil(t, last)
}

// wrapChain uses the keeper's own way where it has one.
func wrapChain(ctx context.Context, keeper Chip, under keys.Key, loads []keys.Load, iv []byte) ([][]byte, []byte, error) {
	if chain, ok := keeper.(interface {
		WrapKeys(ctx context.Context, under keys.Key, loads []keys.Load, iv []byte) (data [][]byte, next []byte, err error)
	}); ok {
		return chain.WrapKeys(ctx, under, loads, iv)
	}
	return keys.WrapChain(ctx, keeper, under, loads, iv)
}

// checkWrapped deciphers the data field of a key load under the key it was
// made with and computes its MAC block by block.
func checkWrapped(t *testing.T, under, plain string, header, iv, data, next []byte) {
	t.Helper()
	require.Len(t, data, 36)
	block, err := sm4.NewCipher(unhex(t, under))
	require.NoError(t, err)
	clear := make([]byte, 32)
	block.Decrypt(clear[:16], data[:16])
	block.Decrypt(clear[16:], data[16:32])
	require.Equal(t, unhex(t, plain+"80"+"0000000000000000000000"), clear)

	message := append(append(append([]byte{}, header...), data[:32]...), unhex(t, "8000000000000000000000")...)
	want := chain(t, unhex(t, under), iv, message)
	require.Equal(t, want, next)
	require.Equal(t, fold(want), data[32:])
}

// testDirectMAC computes a check code and the end of personalisation.
func testDirectMAC(t *testing.T, keeper Chip) {
	mac, err := keeper.DirectMAC(t.Context(), flat("CHECK"), make([]byte, 16), unhex(t, "639900D15600000500000001"))
	require.NoError(t, err)
	require.Equal(t, fold(chain(t, unhex(t, testKey), make([]byte, 16), unhex(t, "639900D1560000050000000180000000"))), mac)

	// A message of whole blocks gets a block of padding.
	mac, err = keeper.DirectMAC(t.Context(), flat("CHECK"), make([]byte, 16), make([]byte, 16))
	require.NoError(t, err)
	require.Equal(t, fold(chain(t, unhex(t, testKey), make([]byte, 16), append(make([]byte, 16), unhex(t, "80000000000000000000000000000000")...))), mac)

	iv := unhex(t, "F0E0D0C0B0A090807060504030201000")
	mac, err = keeper.DirectMAC(t.Context(), flat("MK"), iv, unhex(t, "84F0000004"))
	require.NoError(t, err)
	require.Equal(t, fold(chain(t, unhex(t, otherKey), iv, unhex(t, "84F00000048000000000000000000000"))), mac)

	// A master key never authenticates a command with a data field.
	_, err = keeper.DirectMAC(t.Context(), flat("MK"), iv, make([]byte, 37))
	require.ErrorIs(t, err, keys.ErrWrongUsage)
}

// chain computes the last block of a CBC-MAC step by step.
func chain(t *testing.T, key, iv, padded []byte) []byte {
	t.Helper()
	block, err := sm4.NewCipher(key)
	require.NoError(t, err)
	state := append([]byte{}, iv...)
	for len(padded) > 0 {
		for i := range state {
			state[i] ^= padded[i]
		}
		block.Encrypt(state, state)
		padded = padded[16:]
	}
	return state
}

// fold returns the XOR of the four words of a block.
func fold(block []byte) []byte {
	var word uint32
	for i := 0; i < len(block); i += 4 {
		word ^= binary.BigEndian.Uint32(block[i:])
	}
	return binary.BigEndian.AppendUint32(nil, word)
}
