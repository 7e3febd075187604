package card_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"onecard/card"
	"onecard/card/profile"
)

// vector is what a target holds on the chip.
type vector struct {
	Path, Text, Record, Source string
	Parts                      map[string]string
}

func vectors(t *testing.T, p *profile.Profile) map[string]vector {
	t.Helper()
	all := map[string]vector{}
	files := []string{p.Version}
	if len(p.Areas) > 0 {
		files = append(files, strings.Join(append(files, p.Areas...), "-"))
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join("..", "testdata", "vectors", file+".yaml"))
		require.NoError(t, err)
		var list []vector
		require.NoError(t, yaml.Unmarshal(text, &list))
		for _, v := range list {
			require.NotContains(t, all, v.Path, "stands twice")
			all[v.Path] = v
		}
	}
	return all
}

// TestVectors holds every element and every cyclic record of every profile to
// its vector, in both directions. An element that has none fails.
func TestVectors(t *testing.T) {
	t.Parallel()
	profiles, err := profile.Load()
	require.NoError(t, err)
	for _, p := range profiles {
		t.Run(p.Title.EN, func(t *testing.T) {
			t.Parallel()
			vectors := vectors(t, p)
			targets := card.Targets(p)
			for _, target := range targets {
				v, ok := vectors[target.Path]
				require.True(t, ok, "%s has no vector", target.Path)
				record, err := hex.DecodeString(v.Record)
				require.NoError(t, err)
				got, err := target.Encode(card.Data{Text: v.Text, Parts: v.Parts})
				require.NoError(t, err, target.Path)
				require.Equal(t, record, got, target.Path)
				value, err := target.Decode(1, record)
				require.NoError(t, err, target.Path)
				require.Equal(t, v.Text, value.Value, target.Path)
				require.Len(t, value.Parts, len(v.Parts), target.Path)
				for _, part := range value.Parts {
					require.Equal(t, v.Parts[part.Name], part.Value, "%s %s", target.Path, part.Name)
				}
			}
			require.Len(t, vectors, len(targets), "a vector of nothing")
			t.Logf("%d elements and records", len(targets))
		})
	}
}
