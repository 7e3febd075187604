package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// outside embeds and hides values as other packages would.
type outside struct {
	Keeper  *Keeper
	KEK     KEK
	Share   Share
	private struct {
		keeper *Keeper
		kek    KEK
		share  Share
		held   *held
	}
}

// renderings shows a value in every way a program shows values.
func renderings(t *testing.T, value any) string {
	t.Helper()
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		fmt.Fprintf(&out, verb+"\n", value)
	}
	fmt.Fprintln(&out, value)
	encoded, err := json.Marshal(value)
	require.NoError(t, err)
	out.Write(encoded)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("value", "value", value, "group", slog.GroupValue(slog.Any("inner", value)))
	}
	fmt.Fprintln(&out, fmt.Errorf("wrapped: %v", value))
	return out.String()
}

// A known key is planted everywhere and searched for in all that is shown.
func TestNothingShowsAKey(t *testing.T) {
	t.Parallel()
	planted := []byte("\xCA\xFE\xBA\xBE\xDE\xAD\xBE\xEF\x13\x37\xC0\xDE\xFE\xED\xFA\xCE")
	kek := KEK{value: hide(append(planted, planted...))}
	first, second, err := kek.Split(bytes.NewReader(make([]byte, 64)))
	require.NoError(t, err)
	require.Equal(t, planted, second.value()[:16])
	keeper, err := Create(filepath.Join(t.TempDir(), "keys.json"), kek, nil)
	require.NoError(t, err)
	spec := Spec{Name: "IRK", Usage: Authentication, Algorithm: SM4, Depth: 2}
	require.NoError(t, keeper.Import(spec, 1, strings.NewReader(hex.EncodeToString(planted))))
	h := keeper.keys["IRK"][0]
	require.Equal(t, planted, h.value())

	everything := outside{Keeper: keeper, KEK: kek, Share: second}
	everything.private.keeper, everything.private.kek, everything.private.share, everything.private.held = keeper, kek, second, h
	var shown strings.Builder
	for _, value := range []any{keeper, kek, &kek, first, second, &second, h, keeper.Keys(), everything, &everything,
		[]any{keeper, kek}, map[string]any{"kek": kek, "keeper": keeper}} {
		shown.WriteString(renderings(t, value))
	}
	for _, err := range plantedErrors(t, keeper, planted) {
		require.Error(t, err)
		shown.WriteString(renderings(t, err.Error()))
	}
	require.Empty(t, found(planted, shown.String()))
	require.Contains(t, shown.String(), maskText)
}

// plantedErrors provokes errors in whose making the key had a part.
func plantedErrors(t *testing.T, keeper *Keeper, planted []byte) []error {
	t.Helper()
	name := Key{Name: "IRK", Version: 1, Factors: [][]byte{make([]byte, 8), make([]byte, 7)}}
	_, factors := keeper.Cryptogram(t.Context(), name, make([]byte, 8), make([]byte, 8))
	_, usage := keeper.CommandMAC(t.Context(), name, make([]byte, 8), make([]byte, 5))
	spec := Spec{Name: "STK", Usage: Maintenance, Algorithm: SM4}
	text := hex.EncodeToString(planted)
	list := []error{factors, usage}
	for _, wrong := range []string{text + "00", text + " 000000", text + " " + text, text[:30]} {
		list = append(list, keeper.Import(spec, 1, strings.NewReader(wrong)))
	}
	return append(list, keeper.ImportComponents(spec, 1, strings.NewReader(text), strings.NewReader(text)))
}

// found searches for any four bytes of the key in every notation and returns
// the first it meets.
func found(planted []byte, shown string) string {
	lower := strings.ToLower(shown)
	for i := 0; i+4 <= len(planted); i++ {
		part := planted[i : i+4]
		goSyntax := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", part), "[]byte{"), "}")
		for _, text := range []string{
			string(part), hex.EncodeToString(part), fmt.Sprintf("% x", part), goSyntax, strings.Trim(fmt.Sprint(part), "[]"),
			base64.StdEncoding.EncodeToString(planted[i : i+3]),
		} {
			if strings.Contains(shown, text) || strings.Contains(lower, text) {
				return text
			}
		}
	}
	return ""
}

// The search does find what is there.
func TestSearchFindsAKey(t *testing.T) {
	t.Parallel()
	planted := make([]byte, 16)
	_, err := rand.Read(planted)
	require.NoError(t, err)
	for _, format := range []string{"%s", "%x", "%X", "% x", "%#v", "%v", "%d"} {
		require.NotEmpty(t, found(planted, "text "+fmt.Sprintf(format, planted)), format)
	}
	encoded, err := json.Marshal(planted)
	require.NoError(t, err)
	require.NotEmpty(t, found(planted, string(encoded)))
	require.Empty(t, found(planted, maskText))
}
