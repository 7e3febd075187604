package keys

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The values of GlobalPlatformPro, TestPlaintextKeys.java: a master key 40 41 …
// of each length, diversification data 00 01 … 09; check values of the keys
// ENC, MAC and DEK.
func TestDiversificationOfGlobalPlatformPro(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		protocol, method string
		algorithm        Algorithm
		master, data     string
		want             []string
	}{
		"EMV":       {SCP02, DiversifyEMV, TripleDES, master(16), "00010203040506070809", []string{"C33013", "6F4CA6", "BB8179"}},
		"VISA2":     {SCP02, DiversifyVISA2, TripleDES, master(16), "00010203040506070809", []string{"2BE598", "58DA38", "3C328E"}},
		"KDF3 128":  {SCP03, DiversifyKDF3, AES128, master(16), "00010203040506070809", []string{"E79C05", "D1BD77", "3FDE8C"}},
		"KDF3 192":  {SCP03, DiversifyKDF3, AES192, master(24), "00010203040506070809", []string{"1DE8EA", "47C00C", "C04D76"}},
		"KDF3 256":  {SCP03, DiversifyKDF3, AES256, master(32), "00010203040506070809", []string{"2972D2", "036F94", "5D57B8"}},
		"none 3DES": {SCP02, DiversifyNone, TripleDES, master(16), "00010203040506070809", []string{"8BAF47", "8BAF47", "8BAF47"}},
		"none AES":  {SCP03, DiversifyNone, AES128, master(16), "00010203040506070809", []string{"504A77", "504A77", "504A77"}},
	} {
		s := &session{Diversification: test.method, Data: bytesOf(t, test.data)}
		for i, want := range test.want {
			key, err := protocols[test.protocol].static(s, test.algorithm, bytesOf(t, test.master), byte(purposeENC+i))
			require.NoError(t, err, name)
			require.Equal(t, want, platformCheckValue(t, test.algorithm, key), name)
		}
	}
	// The whole key of its "external vector".
	s := &session{Diversification: DiversifyKDF3, Data: bytesOf(t, "D9B1DE5D0362DEDCE4FB")}
	key, err := scp03{}.static(s, AES256, bytesOf(t, "8C72C72CF908411653018807950D82FBAD947562F0828A0B10B8B9606ABF3BCD"), purposeENC)
	require.NoError(t, err)
	require.Equal(t, bytesOf(t, "9AAC5D0B3601F89438A0D9D0B6B256CFB47E6462DFA5228D3420C4AC7C224781"), key)
}

// TestSessionKeysOfGlobalPlatformPro: the same source, the keys of a session.
func TestSessionKeysOfGlobalPlatformPro(t *testing.T) {
	t.Parallel()
	key := bytesOf(t, master(16))
	static := [3][]byte{key, key, key}
	two, err := scp02{}.derive(&session{Context: []byte{0, 0}, Challenge: make([]byte, 16)}, static)
	require.NoError(t, err)
	for want, key := range map[string][]byte{"F2DCDD": two.enc, "5FCC69": two.mac, "85272E": two.dek} {
		require.Equal(t, want, platformCheckValue(t, TripleDES, key))
	}
	three, err := scp03{}.derive(&session{Context: bytesOf(t, "00010203040506070809"), Size: 8}, static)
	require.NoError(t, err)
	for want, key := range map[string][]byte{"C25559": three.enc, "0E12CC": three.mac, "9ACB9C": three.responseMAC, "504A77": three.dek} {
		require.Equal(t, want, platformCheckValue(t, AES128, key))
	}
	derived, err := counterKDF(key, make([]byte, 16), make([]byte, 16), 16)
	require.NoError(t, err)
	require.Equal(t, "BD8165", platformCheckValue(t, AES128, derived))

	_, err = scp03{}.derive(&session{Size: 8}, [3][]byte{key, key, bytesOf(t, master(24))})
	require.ErrorIs(t, err, ErrAlgorithm)
}

// TestKeyFieldOfGlobalPlatformPro: the same source, a key under the DEK of an
// SCP02 session; for SCP03 it gives none, so what comes out is deciphered.
func TestKeyFieldOfGlobalPlatformPro(t *testing.T) {
	t.Parallel()
	kek, err := GenerateKEK(bytes.NewReader(make([]byte, 32)))
	require.NoError(t, err)
	keeper, err := Create(t.TempDir()+"/keys.json", kek, nil)
	require.NoError(t, err)
	require.NoError(t, keeper.Import(Spec{Name: "OLD", Usage: Authentication, Algorithm: TripleDES}, 1, strings.NewReader(master(16))))
	require.NoError(t, keeper.Import(Spec{Name: "NEW", Usage: Authentication, Algorithm: SM4}, 1, strings.NewReader(master(16))))
	key := bytesOf(t, master(16))
	two, err := scp02{}.derive(&session{Context: []byte{0, 0}, Challenge: make([]byte, 16)}, [3][]byte{key, key, key})
	require.NoError(t, err)
	field, err := keeper.keyField(t.Context(), SCP02, two, ChannelLoad{Target: Key{Name: "OLD"}, Type: 0x80})
	require.NoError(t, err)
	require.Equal(t, "8010"+"EFBEE6C6D99D7B70BDE9D7E927F020AF"+"038BAF47", strings.ToUpper(hex.EncodeToString(field)))

	field, err = keeper.keyField(t.Context(), SCP03, &sessionKeys{dek: bytesOf(t, master(32))}, ChannelLoad{Target: Key{Name: "NEW"}, Type: 0x89})
	require.NoError(t, err)
	require.Equal(t, []byte{0x89, 0x11, 0x10}, field[:3])
	block, err := aes.NewCipher(bytesOf(t, master(32)))
	require.NoError(t, err)
	block.Decrypt(field[3:19], field[3:19])
	require.Equal(t, key, field[3:19])
	require.Len(t, field, 23)
}

// TestSCP02WrapOfKeycard holds the commands of status-im/keycard-go,
// globalplatform/scp02_wrapper_test.go, whose session key is published.
func TestSCP02WrapOfKeycard(t *testing.T) {
	t.Parallel()
	s, keys := &session{Level: levelMAC}, &sessionKeys{mac: bytesOf(t, "2983BA77D709C2DAA1E6000ABCCAC951")}
	for _, c := range []struct {
		command ChannelCommand
		want    string
	}{
		{ChannelCommand{Header: bytesOf(t, "80820100"), Data: bytesOf(t, "1D4DE92EAF7A2C9F")}, "84820100101D4DE92EAF7A2C9F8F9B0DF681C1D3EC"},
		{ChannelCommand{Header: bytesOf(t, "80F28002"), Data: bytesOf(t, "4F00"), Answer: true}, "84F280020A4F0030F149209E17B39700"},
	} {
		wrapped, err := scp02{}.wrap(s, keys, c.command)
		require.NoError(t, err)
		require.Equal(t, bytesOf(t, c.want), wrapped)
	}
}

// master is 40 41 42 … of a length.
func master(size int) string {
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(0x40 + i)
	}
	return hex.EncodeToString(value)
}

func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	value, err := hex.DecodeString(text)
	require.NoError(t, err)
	return value
}

// platformCheckValue is GlobalPlatform's: a block of zeroes for 3DES, of ones
// (01…01) for AES (Amendment D clause 7.2.2).
func platformCheckValue(t *testing.T, algorithm Algorithm, key []byte) string {
	t.Helper()
	block, err := newCipher(algorithm, key)
	require.NoError(t, err)
	value := make([]byte, block.BlockSize())
	if algorithm.aes() {
		value = bytes.Repeat([]byte{1}, block.BlockSize())
	}
	block.Encrypt(value, value)
	return strings.ToUpper(hex.EncodeToString(value[:3]))
}
