package keystest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// testShowsNoKey asks for everything, rightly and wrongly, shows the keeper in
// every way a program shows values, and searches all of it for the keys.
func testShowsNoKey(t *testing.T, can Capabilities, open Open) {
	for _, fixtures := range [][]Fixture{sm4Fixtures(), desFixtures()} {
		taken, _ := can.split(fixtures)
		if len(taken) == 0 {
			continue
		}
		taken = append(taken, can.vaultFixtures(2)...)
		keeper := open.must(t, taken)
		var shown bytes.Buffer
		shown.Write(everyAnswer(t, can, keeper, taken))
		shown.Write(everyFormat(t, keeper))
		for _, f := range taken {
			if key := f.Value; !bytes.Equal(key, make([]byte, len(key))) {
				require.Empty(t, Find(key, shown.Bytes()), "%s %d", f.Spec.Name, f.Version)
			}
		}
		require.NotEmpty(t, Find([]byte("330100sx"), append(shown.Bytes(), "330100sx"...)), "the search finds what is there")
	}
}

// everyAnswer collects the answers and errors of all operations with all keys.
func everyAnswer(t *testing.T, can Capabilities, keeper Keeper, fixtures []Fixture) []byte {
	var out bytes.Buffer
	add := func(answer []byte, err error) { fmt.Fprintf(&out, "%s %v\n", answer, err) }
	iv := make([]byte, blockSize(fixtures[0].Spec.Algorithm))
	for _, f := range fixtures {
		for _, key := range []keys.Key{complete(f), {Name: f.Spec.Name, Version: f.Version}} {
			for _, op := range newRules(can, fixtures[0].Spec.Algorithm, keeper).operations() {
				fmt.Fprintln(&out, op.run(t.Context(), keeper, key))
			}
			// Zeroes in, so that an answer which is the key itself shows as such.
			add(keeper.Cryptogram(t.Context(), key, make([]byte, 8), make([]byte, 8)))
			add(keeper.CommandMAC(t.Context(), key, make([]byte, 8), make([]byte, 16)))
			add(keeper.PINBlock(t.Context(), key, make([]byte, 8), []byte{0x84, 0x24, 0, 1, byte(len(iv) + 4)}, "000000"))
			add(keeper.DirectMAC(t.Context(), key, iv, make([]byte, 16)))
			data, next, err := keeper.WrapKey(t.Context(), flat("MK"), key, [3]byte{}, loadHeader(fixtures[0].Spec.Algorithm), iv)
			add(slices.Concat(data, next), err)
			kcv, method, err := keeper.CheckValue(t.Context(), key)
			add(kcv, err)
			out.WriteString(method)
		}
	}
	add(keeper.Seal(t.Context(), nil, make([]byte, 64)))
	add(keeper.Index(t.Context(), 1, "", make([]byte, 64)))
	return out.Bytes()
}

// everyFormat shows the keeper, also from within another value.
func everyFormat(t *testing.T, keeper Keeper) []byte {
	var out bytes.Buffer
	inside := struct{ keeper Keeper }{keeper}
	for _, value := range []any{keeper, inside, &inside, []any{keeper}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("value", "value", value)
		if encoded, err := json.Marshal(value); err == nil {
			out.Write(encoded)
		}
	}
	return out.Bytes()
}

// Find searches what was shown for any eight bytes of a key, in every notation,
// and returns the first it meets.
func Find(key, shown []byte) string {
	lower := bytes.ToLower(shown)
	for part := range slices.Chunk(key, 8) {
		decimal := strings.Trim(fmt.Sprint(part), "[]")
		for _, text := range []string{
			string(part), hex.EncodeToString(part), fmt.Sprintf("% x", part), decimal, strings.ReplaceAll(decimal, " ", ","),
			base64.StdEncoding.EncodeToString(part[:6]),
		} {
			if bytes.Contains(shown, []byte(text)) || bytes.Contains(lower, []byte(text)) {
				return text
			}
		}
	}
	return ""
}
