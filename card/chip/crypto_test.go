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
// against one of a key that is not.
func TestCryptogram(t *testing.T) {
	t.Parallel()
	const zero = "00000000000000000000000000000000"
	for _, test := range []struct{ key, r1, r2, want string }{
		{zero, "ACD2B737EB592356", "CEEC03C01AFD4974", "7BD79AFBF9AAABD7"},
		{zero, "0B0375FD364ACE7D", "4259BD052859AB09", "A08F320C7F307107"},
		{zero, "A93C621824F093B2", "8E18CF183BED0E13", "0FA0893931E4BEB6"},
		{zero, "552AC0A2B28C30D0", "7FF7D50ED7F3991E", "C49B6CD0732CA2B6"},
		{zero, "C36E6C9A4EF56625", "6EA56ED80C12C399", "31F5BF0F1B433284"},
		{zero, "DE5C2EE8201F213C", "4552E58B04E0CEAF", "0D0B53A227399997"},
		{"00112233445566778899AABBCCDDEEFF", "1122334455667788", "8877665544332211", "592A5EF774F1757C"},
	} {
		got, err := cryptogram(unhex(t, test.key), unhex(t, test.r1), unhex(t, test.r2))
		require.NoError(t, err)
		require.Equal(t, unhex(t, test.want), got, test.r1)
	}
}

func TestDiversify(t *testing.T) {
	t.Parallel()
	city, err := diversify(unhex(t, "00112233445566778899AABBCCDDEEFF"), []byte("330100sx"))
	require.NoError(t, err)
	require.Equal(t, unhex(t, "1E8C69B370BC1328C851E9163E2A394C"), city)
	card, err := diversify(city, unhex(t, "8665330100000001"))
	require.NoError(t, err)
	require.Equal(t, unhex(t, "175ADC97CC017809FE23ECF2B4DEE57B"), card)
}

// TestReloadVector is the reload of the number 123456 under the key of the
// vectors above.
func TestReloadVector(t *testing.T) {
	t.Parallel()
	pk, err := processKey(unhex(t, "00112233445566778899AABBCCDDEEFF"), unhex(t, "A1A2A3A4A5A6A7A8"))
	require.NoError(t, err)
	require.Equal(t, unhex(t, "E192FB7E687F5B62C9C068B427D737A6"), pk)
	block := unhex(t, "03123456800000000000000000000000")
	enciphered, err := encrypt(pk, block)
	require.NoError(t, err)
	require.Equal(t, unhex(t, "FDBE989970C17FA59397630D0FDF7B5D"), enciphered)
	back, err := decrypt(pk, enciphered)
	require.NoError(t, err)
	require.Equal(t, block, back)
	_, folded, err := mac(pk, make([]byte, 16), append(unhex(t, "8424000114"), enciphered...))
	require.NoError(t, err)
	require.Equal(t, unhex(t, "B20828BB"), folded)
}

func TestBadKey(t *testing.T) {
	t.Parallel()
	_, err := encrypt([]byte{1}, make([]byte, 16))
	require.Error(t, err)
	_, err = decrypt([]byte{1}, make([]byte, 16))
	require.Error(t, err)
	_, err = diversify(nil, make([]byte, 8))
	require.Error(t, err)
	_, err = cryptogram(nil, make([]byte, 8), make([]byte, 8))
	require.Error(t, err)
	_, _, err = mac(nil, make([]byte, 16), nil)
	require.Error(t, err)
}
