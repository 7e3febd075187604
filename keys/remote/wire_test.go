package remote

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// atHome lists errors of package keys that no operation over the socket gives:
// they are about files, about making keys and about key blocks.
var atHome = []string{"ErrExists", "ErrWrongKEK", "ErrTampered", "ErrFormat", "ErrPermissions", "ErrChanged", "ErrShares",
	"ErrNotExportable", "ErrWeak", "ErrNotInBlock", "ErrBlock", "ErrPassphrase", "ErrCeremony", "ErrInUse"}

// A new error of package keys either crosses the socket or is listed as one
// that does not.
func TestEveryErrorHasACode(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../errors.go", nil, 0)
	require.NoError(t, err)
	declared := map[string]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Err") {
			declared[spec.Names[0].Name] = true
		}
		return true
	})
	source, err := parser.ParseFile(token.NewFileSet(), "wire.go", nil, 0)
	require.NoError(t, err)
	ast.Inspect(source, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			delete(declared, selector.Sel.Name)
		}
		return true
	})
	for _, name := range atHome {
		require.True(t, declared[name], name)
		delete(declared, name)
	}
	require.Empty(t, declared)
}

func TestErrorsKeepTheirIdentity(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range codes {
		require.False(t, seen[c.code], c.code)
		seen[c.code] = true
		p, status := problemOf(keys.KeyError("IRK", 3, c.err))
		require.Equal(t, c.status, status)
		got := p.err()
		for _, other := range codes {
			require.Equal(t, other.err == c.err, errors.Is(got, other.err), "%s %s", c.code, other.code)
		}
		require.ErrorContains(t, got, "IRK")
	}
	both, _ := problemOf(fmt.Errorf("%w: %w", keys.ErrSealed, keys.ErrNoKey))
	require.ErrorIs(t, both.err(), keys.ErrSealed)
	require.ErrorIs(t, both.err(), keys.ErrNoKey)
	require.ErrorIs(t, problem{Codes: []string{"of a later version"}}.err(), ErrProtocol)
}
