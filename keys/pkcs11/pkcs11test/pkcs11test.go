// Package pkcs11test gives each test a SoftHSM 2 token of its own, in a
// directory of its own. It is for tests only.
package pkcs11test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys/keystest"
	"onecard/keys/pkcs11"
)

// The token's label and PIN.
const (
	Label = "onecard test"
	PIN   = "2468013579"
)

// softHSM is where Debian puts the library.
const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// Token is an initialised token without keys.
type Token struct {
	// Module is a copy of the library, so that this test's instance of it shares
	// nothing with another test's.
	Module string
	// Configuration is SoftHSM's, to which SOFTHSM2_CONF points.
	Configuration string
}

// New makes a token.
func New(t *testing.T) Token {
	t.Helper()
	dir := t.TempDir()
	token := Token{filepath.Join(dir, "libsofthsm2.so"), filepath.Join(dir, "softhsm2.conf")}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "tokens"), 0o700))
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", filepath.Join(dir, "tokens"))
	require.NoError(t, os.WriteFile(token.Configuration, []byte(text), 0o600))
	library, err := os.ReadFile(softHSM)
	require.NoError(t, err, "apt-get install softhsm2")
	require.NoError(t, os.WriteFile(token.Module, library, 0o700))
	command := exec.CommandContext(t.Context(), "softhsm2-util", "--init-token", "--free", "--label", Label, "--pin", PIN, "--so-pin", "0000000000")
	command.Env = append(os.Environ(), "SOFTHSM2_CONF="+token.Configuration)
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	return token
}

// environment guards SOFTHSM2_CONF, which the library reads when it is opened.
var environment sync.Mutex

// Open opens the token in this process.
func (token Token) Open(t *testing.T, pin string, config pkcs11.Config) (*pkcs11.Keeper, error) {
	t.Helper()
	environment.Lock()
	defer environment.Unlock()
	require.NoError(t, os.Setenv("SOFTHSM2_CONF", token.Configuration))
	defer func() { _ = os.Unsetenv("SOFTHSM2_CONF") }()
	config.Module = token.Module
	if config.Token == "" {
		config.Token = Label
	}
	return pkcs11.Open(config, pin)
}

// Keeper makes a token with those keys and opens it until the test ends. It
// returns the error if the token will not have one of them.
func Keeper(t *testing.T, fixtures []keystest.Fixture) (*pkcs11.Keeper, error) {
	t.Helper()
	token := New(t)
	keeper, err := token.Open(t, PIN, pkcs11.Config{})
	require.NoError(t, err)
	for _, f := range fixtures {
		if err := keeper.Import(f.Spec, f.Version, f.Value); err != nil {
			require.NoError(t, keeper.Close())
			return nil, err
		}
	}
	// What counts is what lies in the token.
	require.NoError(t, keeper.Close())
	reopened, err := token.Open(t, PIN, pkcs11.Config{})
	require.NoError(t, err)
	require.Equal(t, keeper.Keys(), reopened.Keys())
	t.Cleanup(func() { require.NoError(t, reopened.Close()) })
	return reopened, nil
}
