package api

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGenerated makes the generated files again and compares: whoever changes
// the contract runs go generate.
func TestGenerated(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ dir, config, document, file string }{
		{".", "oapi-server.yaml", "openapi.yaml", "gen.go"},
		{"client", "oapi-client.yaml", "../openapi.yaml", "client.gen.go"},
	} {
		t.Run(test.file, func(t *testing.T) {
			t.Parallel()
			fresh := filepath.Join(t.TempDir(), test.file)
			command := exec.CommandContext(t.Context(), "go", "tool", "oapi-codegen", "-config", test.config, "-o", fresh, test.document)
			command.Dir = test.dir
			out, err := command.CombinedOutput()
			require.NoError(t, err, string(out))
			want, err := os.ReadFile(fresh)
			require.NoError(t, err)
			have, err := os.ReadFile(filepath.Join(test.dir, test.file))
			require.NoError(t, err)
			require.True(t, string(want) == string(have), "%s is stale: run go generate ./api/...", test.file)
		})
	}
}
