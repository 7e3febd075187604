package chip

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return b
}

// TestCryptogram holds the authentication against the values that a published
// terminal specification gives for its test card, whose keys are zero, and
// against computed ones of a key that is not.
func TestCryptogram(t *testing.T) {
	t.Parallel()
	const (
		zero = "00000000000000000000000000000000"
		key  = "00112233445566778899AABBCCDDEEFF"
	)
	for _, test := range []struct {
		suite             suite
		key, r1, r2, want string
	}{
		{sm4Suite, zero, "ACD2B737EB592356", "CEEC03C01AFD4974", "7BD79AFBF9AAABD7"},
		{sm4Suite, zero, "0B0375FD364ACE7D", "4259BD052859AB09", "A08F320C7F307107"},
		{sm4Suite, zero, "A93C621824F093B2", "8E18CF183BED0E13", "0FA0893931E4BEB6"},
		{sm4Suite, zero, "552AC0A2B28C30D0", "7FF7D50ED7F3991E", "C49B6CD0732CA2B6"},
		{sm4Suite, zero, "C36E6C9A4EF56625", "6EA56ED80C12C399", "31F5BF0F1B433284"},
		{sm4Suite, zero, "DE5C2EE8201F213C", "4552E58B04E0CEAF", "0D0B53A227399997"},
		{sm4Suite, key, "1122334455667788", "8877665544332211", "592A5EF774F1757C"},
		{desSuite, key, "1122334455667788", "8877665544332211", "5C97F12949FEBB2D"},
		{desSuite, zero, "1122334455667788", "0102030405060708", "6BB4AF7B7EFE5194"},
	} {
		got, err := test.suite.cryptogram(unhex(t, test.key), unhex(t, test.r1), unhex(t, test.r2))
		require.NoError(t, err)
		require.Equal(t, unhex(t, test.want), got, test.r1)
	}
}

func TestDiversify(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		suite      suite
		city, card string
	}{
		{sm4Suite, "1E8C69B370BC1328C851E9163E2A394C", "175ADC97CC017809FE23ECF2B4DEE57B"},
		{desSuite, "BB4EB3154D6ACD6591D32A3B0CAB50C8", "5DED475310A8695C0F7DCFD35F191C23"},
	} {
		city, err := test.suite.diversify(unhex(t, "00112233445566778899AABBCCDDEEFF"), []byte("330100sx"))
		require.NoError(t, err)
		require.Equal(t, unhex(t, test.city), city)
		card, err := test.suite.diversify(city, unhex(t, "8665330100000001"))
		require.NoError(t, err)
		require.Equal(t, unhex(t, test.card), card)
	}
}

// TestReloadVector is the reload of the number 123456 under the key of the
// vectors above.
func TestReloadVector(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		suite                                suite
		pk, block, header, enciphered, short string
	}{
		{sm4Suite, "E192FB7E687F5B62C9C068B427D737A6", "03123456800000000000000000000000", "8424000114", "FDBE989970C17FA59397630D0FDF7B5D", "B20828BB"},
		{desSuite, "A3704A8C099C4EB8", "0312345680000000", "842400010C", "A716636CF784475F", "ECA6593C"},
	} {
		pk, err := test.suite.processKey(unhex(t, "00112233445566778899AABBCCDDEEFF"), unhex(t, "A1A2A3A4A5A6A7A8"))
		require.NoError(t, err)
		require.Equal(t, unhex(t, test.pk), pk)
		enciphered, err := test.suite.encrypt(pk, unhex(t, test.block))
		require.NoError(t, err)
		require.Equal(t, unhex(t, test.enciphered), enciphered)
		back, err := test.suite.decrypt(pk, enciphered)
		require.NoError(t, err)
		require.Equal(t, unhex(t, test.block), back)
		_, short, err := test.suite.mac(pk, make([]byte, test.suite.block), append(unhex(t, test.header), enciphered...))
		require.NoError(t, err)
		require.Equal(t, unhex(t, test.short), short)
	}
}

func TestBadKey(t *testing.T) {
	t.Parallel()
	for _, s := range []suite{sm4Suite, desSuite} {
		_, err := s.encrypt([]byte{1}, make([]byte, 16))
		require.Error(t, err)
		_, err = s.decrypt([]byte{1}, make([]byte, 16))
		require.Error(t, err)
		_, err = s.diversify(nil, make([]byte, 8))
		require.Error(t, err)
		_, err = s.cryptogram(nil, make([]byte, 8), make([]byte, 8))
		require.Error(t, err)
		_, _, err = s.mac(nil, make([]byte, 16), nil)
		require.Error(t, err)
	}
}
