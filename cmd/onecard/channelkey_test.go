package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// TestKeysChannel imports a maker's static keys, one version after another.
func TestKeysChannel(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	out, printed := terminalWith("")
	require.NoError(t, (&keysInitCommand{settings: s}).Run(out))
	file := filepath.Join(t.TempDir(), "enc.key")
	require.NoError(t, os.WriteFile(file, []byte(transportKey(t)), 0o600))
	for range 2 {
		require.NoError(t, (&keysChannelCommand{settings: s, Name: "GPENC", Algorithm: "AES-128", File: file}).Run(out))
	}
	require.Contains(t, printed.String(), "GPENC")
	require.ErrorIs(t, (&keysChannelCommand{settings: s, Name: "GPENC", Algorithm: "3DES", File: file}).Run(out), keys.ErrExists)
	require.ErrorIs(t, (&keysChannelCommand{settings: s, Name: "IRK", Algorithm: "AES-128", File: file}).Run(out), keys.ErrExists)
	require.ErrorIs(t, (&keysChannelCommand{settings: s, Name: "GPMAC", Algorithm: "AES-256", File: file}).Run(out), keys.ErrFormat)

	config, err := load(s.Config, os.Environ, s.given())
	require.NoError(t, err)
	keeper, err := openKeeper(config)
	require.NoError(t, err)
	version, err := keeper.Current("GPENC")
	require.NoError(t, err)
	require.Equal(t, 2, version)
}
