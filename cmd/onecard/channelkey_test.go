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
	require.NoError(t, os.WriteFile(file, []byte("000102030405060708090A0B0C0D0E0F\n"), 0o600))
	run := func(name, algorithm string) error {
		return (&keysChannelCommand{settings: s, Name: name, Algorithm: algorithm, File: file}).Run(t.Context(), out)
	}
	for range 2 {
		require.NoError(t, run("GPENC", "AES-128"))
	}
	require.Contains(t, printed.String(), "GPENC 版本 version 2")
	require.NotContains(t, printed.String(), "00010203")
	require.ErrorIs(t, run("GPENC", "3DES"), keys.ErrExists)
	require.ErrorIs(t, run("IRK", "AES-128"), keys.ErrExists)
	require.ErrorIs(t, run("GPMAC", "AES-256"), keys.ErrFormat)
	require.Contains(t, audited(t, s), "keys.channel key:GPENC")
	require.Contains(t, audited(t, s), "keys.channel.failed key:GPMAC")

	keeper, err := openKeeper(loaded(t, s))
	require.NoError(t, err)
	version, err := keeper.Current("GPENC")
	require.NoError(t, err)
	require.Equal(t, 2, version)
}

// TestKeysChannelBlock: the maker's key comes as a key block under a key of a
// ceremony of both sides, which is how a maker sends it.
func TestKeysChannelBlock(t *testing.T) {
	t.Parallel()
	kbpk := keys.Spec{Name: "KBPK", Usage: keys.KeyExchange, Algorithm: keys.AES128}
	static := keys.Spec{Name: "GPENC", Usage: keys.Channel, Algorithm: keys.AES128}
	maker, province := delivered(t), delivered(t)
	for _, side := range []settings{maker, province} {
		deliver(t, side, keyFlags{Name: "KBPK", Usage: "key-exchange", Algorithm: "AES-128"}, kbpk, firstComponent, "0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F", "FF1E2D3C4B5A69788796A5B4C3D2E1FF")
	}
	flags := keyFlags{Name: "GPENC", Usage: "channel", Algorithm: "AES-128"}
	exportable := flags
	exportable.Exportable = true
	deliver(t, maker, exportable, static, firstComponent, secondComponent, combinedKey)

	block := filepath.Join(t.TempDir(), "block.txt")
	out, printed := terminalWith("")
	require.NoError(t, (&keysExportCommand{settings: maker, Name: "GPENC", Under: "KBPK", Out: block}).Run(t.Context(), out))
	text, err := os.ReadFile(block)
	require.NoError(t, err)
	require.NotContains(t, string(text)+printed.String(), combinedKey)
	wrong := flags
	wrong.Usage = "transport"
	wrong.Algorithm = "SM4"
	require.ErrorIs(t, (&keysImportCommand{settings: province, keyFlags: wrong, File: block, Under: "KBPK"}).Run(t.Context(), out), keys.ErrNotInBlock)
	require.NoError(t, (&keysImportCommand{settings: province, keyFlags: flags, File: block, Under: "KBPK"}).Run(t.Context(), out))
	shown := checkValues(printed.String())
	require.Len(t, shown, 2)
	require.Equal(t, shown[0], shown[1], "both sides read the same check value")
	require.Contains(t, audited(t, province), "keys.import key:GPENC")
}
