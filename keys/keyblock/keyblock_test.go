package keyblock_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys/keyblock"
)

// kbpk is the protection key for a block of that version.
func kbpk(t testing.TB, version byte, text string) keyblock.KBPK {
	t.Helper()
	key, err := hex.DecodeString(text)
	require.NoError(t, err)
	if version == 'D' {
		return keyblock.KBPK{Algorithm: 'A', Key: key}
	}
	return keyblock.KBPK{Algorithm: 'T', Key: key}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	require.Len(t, vectors, 27)
	for i, v := range vectors {
		t.Run(fmt.Sprintf("%d %s", i, v.source), func(t *testing.T) {
			t.Parallel()
			header, key, err := keyblock.Open(kbpk(t, v.block[0], v.kbpk), v.block)
			require.NoError(t, err)
			require.Equal(t, v.key, strings.ToUpper(hex.EncodeToString(key)))
			fixed := fmt.Sprintf("%c%s%c%c%s%c", header.Version, header.Usage, header.Algorithm, header.Mode, header.KeyVersion, header.Exportability)
			require.Equal(t, v.block[:1]+v.block[5:12], fixed)
			if at := strings.Index(v.block, "KS18"); at > 0 {
				serial, ok := header.Get("KS")
				require.True(t, ok)
				require.Equal(t, v.block[at+4:at+24], serial)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	require.Len(t, refused, 40)
	for _, r := range refused {
		key := hex.EncodeToString(bytes.Repeat([]byte("E"), r.kbpk))
		_, _, err := keyblock.Open(kbpk(t, r.block[0], key), r.block)
		require.Error(t, err, r.block)
		require.True(t, errors.Is(err, keyblock.ErrFormat) || errors.Is(err, keyblock.ErrMAC) || errors.Is(err, keyblock.ErrKBPK), "%s: %v", r.block, err)
	}
}

// Every character of every vector is changed, in two ways.
func TestEveryCharacterCounts(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		protection := kbpk(t, v.block[0], v.kbpk)
		for i := range len(v.block) {
			for _, mask := range []byte{0x01, 0x02, 0x20} {
				altered := []byte(v.block)
				altered[i] ^= mask
				_, key, err := keyblock.Open(protection, string(altered))
				require.Error(t, err, "%s: character %d", v.source, i)
				require.Nil(t, key)
				require.NotContains(t, err.Error(), v.block[len(v.block)-16:])
			}
		}
		for _, altered := range []string{"", v.block[:15], v.block[:16], v.block[:len(v.block)-2], v.block + "00", v.block + v.block} {
			_, _, err := keyblock.Open(protection, altered)
			require.ErrorIs(t, err, keyblock.ErrFormat)
		}
	}
}

func TestWrongProtectionKey(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		right := kbpk(t, v.block[0], v.kbpk)
		other := keyblock.KBPK{Algorithm: right.Algorithm, Key: bytes.Clone(right.Key)}
		other.Key[3] ^= 0x10
		_, _, err := keyblock.Open(other, v.block)
		require.ErrorIs(t, err, keyblock.ErrMAC, v.source)
		other.Algorithm ^= 'A' ^ 'T' // the cipher of the other versions
		_, _, err = keyblock.Open(other, v.block)
		require.ErrorIs(t, err, keyblock.ErrKBPK, v.source)
		for _, size := range []int{0, 7, 15, 17, 33} {
			_, _, err = keyblock.Open(keyblock.KBPK{Algorithm: right.Algorithm, Key: make([]byte, size)}, v.block)
			require.ErrorIs(t, err, keyblock.ErrKBPK, v.source)
		}
	}
}

// header is one of a key for deriving others.
func header(version byte, optional ...keyblock.Optional) keyblock.Header {
	return keyblock.Header{Version: version, Usage: "E0", Algorithm: 'T', Mode: 'X', KeyVersion: "07", Exportability: 'N', Context: '0', Optional: optional}
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	labels := [][]keyblock.Optional{
		nil,
		{{ID: "LB", Data: "IRK"}},
		{{ID: "LB", Data: "UKSSSE_3DES"}, {ID: "10", Data: ""}},
		{{ID: "LB", Data: strings.Repeat("x", 251)}},
		{{ID: "LB", Data: strings.Repeat("x", 252)}, {ID: "KS", Data: "0060"}},
	}
	for _, p := range []struct {
		version, algorithm byte
		size               int
	}{{'B', 'T', 16}, {'B', 'T', 24}, {'D', 'A', 16}, {'D', 'A', 24}, {'D', 'A', 32}} {
		protection := keyblock.KBPK{Algorithm: p.algorithm, Key: make([]byte, p.size)}
		_, err := rand.Read(protection.Key)
		require.NoError(t, err)
		for _, optional := range labels {
			for _, size := range []int{1, 8, 14, 16, 24, 32, 2400} {
				key := make([]byte, size)
				_, err := rand.Read(key)
				require.NoError(t, err)
				block, err := keyblock.Seal(protection, header(p.version, optional...), key, rand.Reader)
				require.NoError(t, err)
				if size >= 8 {
					require.NotContains(t, block, strings.ToUpper(hex.EncodeToString(key)))
				}
				got, opened, err := keyblock.Open(protection, block)
				require.NoError(t, err)
				require.Equal(t, key, opened)
				require.Equal(t, header(p.version, optional...), got)
			}
		}
	}
}

// What is published comes out again, byte for byte, when the padding is the
// published one: the header, the derivation and the MAC are those of others.
func TestSealReproducesVectors(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ kbpk, block, key, padding string }{
		{"DD7515F2BFC17F85CE48F3CA25CB21F6", "B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E", "3F419E1CB7079442AA37474C2EFBF8B8", ""},
		{"88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6", "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34", "3F419E1CB7079442AA37474C2EFBF8B8", ""},
	} {
		protection := kbpk(t, v.block[0], v.kbpk)
		h, key, padding, err := keyblock.OpenPadded(protection, v.block)
		require.NoError(t, err)
		require.NotEmpty(t, padding)
		again, err := keyblock.Seal(protection, h, key, bytes.NewReader(padding))
		require.NoError(t, err)
		require.Equal(t, v.block, again)
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	key := make([]byte, 16)
	tripleDES, aes := keyblock.KBPK{Algorithm: 'T', Key: make([]byte, 16)}, keyblock.KBPK{Algorithm: 'A', Key: make([]byte, 16)}
	changed := func(change func(*keyblock.Header)) keyblock.Header {
		h := header('B')
		change(&h)
		return h
	}
	for name, c := range map[string]struct {
		kbpk   keyblock.KBPK
		header keyblock.Header
		key    []byte
		want   error
	}{
		"version A":         {tripleDES, header('A'), key, keyblock.ErrVersion},
		"version C":         {tripleDES, header('C'), key, keyblock.ErrVersion},
		"version E":         {aes, header('E'), key, keyblock.ErrVersion},
		"AES for B":         {aes, header('B'), key, keyblock.ErrKBPK},
		"3DES for D":        {tripleDES, header('D'), key, keyblock.ErrKBPK},
		"no key":            {tripleDES, header('B'), nil, keyblock.ErrFormat},
		"long key":          {tripleDES, header('B'), make([]byte, 4097), keyblock.ErrFormat},
		"usage":             {tripleDES, changed(func(h *keyblock.Header) { h.Usage = "E" }), key, keyblock.ErrFormat},
		"long usage":        {tripleDES, changed(func(h *keyblock.Header) { h.Usage, h.KeyVersion = "E0T", "0" }), key, keyblock.ErrFormat},
		"algorithm":         {tripleDES, changed(func(h *keyblock.Header) { h.Algorithm = 't' }), key, keyblock.ErrFormat},
		"mode":              {tripleDES, changed(func(h *keyblock.Header) { h.Mode = ' ' }), key, keyblock.ErrFormat},
		"key version":       {tripleDES, changed(func(h *keyblock.Header) { h.KeyVersion = "1_" }), key, keyblock.ErrFormat},
		"exportability":     {tripleDES, changed(func(h *keyblock.Header) { h.Exportability = 'X' }), key, keyblock.ErrFormat},
		"context":           {tripleDES, changed(func(h *keyblock.Header) { h.Context = '3' }), key, keyblock.ErrFormat},
		"optional id":       {tripleDES, header('B', keyblock.Optional{ID: "L_"}), key, keyblock.ErrFormat},
		"optional repeated": {tripleDES, header('B', keyblock.Optional{ID: "LB"}, keyblock.Optional{ID: "LB"}), key, keyblock.ErrFormat},
		"padding":           {tripleDES, header('B', keyblock.Optional{ID: "PB"}), key, keyblock.ErrFormat},
		"optional data":     {tripleDES, header('B', keyblock.Optional{ID: "LB", Data: "密钥"}), key, keyblock.ErrFormat},
		"too long":          {tripleDES, header('B', keyblock.Optional{ID: "LB", Data: strings.Repeat("x", 9990)}), key, keyblock.ErrFormat},
	} {
		block, err := keyblock.Seal(c.kbpk, c.header, c.key, rand.Reader)
		require.ErrorIs(t, err, c.want, name)
		require.Empty(t, block, name)
	}
	_, err := keyblock.Seal(tripleDES, header('B'), key, strings.NewReader("x"))
	require.ErrorContains(t, err, "random")
}

// Whatever opens seals again to a block that opens to the same.
func FuzzOpen(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.block)
	}
	for _, r := range refused {
		f.Add(r.block)
	}
	f.Add("D0048E04X00N0200LB07IRKPB1500000000000000000")
	f.Fuzz(func(t *testing.T, block string) {
		for _, protection := range []keyblock.KBPK{
			kbpk(t, 'D', "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6"),
			kbpk(t, 'B', "89E88CF7931444F334BD7547FC3F380C"),
		} {
			header, key, err := keyblock.Open(protection, block)
			if err != nil {
				require.Nil(t, key)
				continue
			}
			require.NotEmpty(t, key)
			if header.Version != 'B' && header.Version != 'D' {
				continue
			}
			again, err := keyblock.Seal(protection, header, key, rand.Reader)
			require.NoError(t, err)
			back, same, err := keyblock.Open(protection, again)
			require.NoError(t, err)
			require.Equal(t, header, back)
			require.Equal(t, key, same)
		}
	})
}

// The header alone, without a MAC in the way.
func FuzzParseHeader(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.block)
	}
	f.Add("B0000P0TE00N0100KS0004010A" + strings.Repeat("P", 256))
	f.Fuzz(func(t *testing.T, block string) {
		header, length, err := keyblock.ParseHeader(block)
		if err != nil {
			require.True(t, errors.Is(err, keyblock.ErrFormat) || errors.Is(err, keyblock.ErrVersion))
			return
		}
		require.LessOrEqual(t, length, len(block))
		encoded, err := keyblock.Encode(header, len(block)-length)
		if err == nil {
			again, _, err := keyblock.ParseHeader(encoded + block[length:])
			require.NoError(t, err)
			require.Equal(t, header, again)
		}
	})
}
