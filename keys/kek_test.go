package keys_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

func TestKEKFile(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	_, path := create(t, kek, keys.Provincial()...)
	secret := filepath.Join(t.TempDir(), "kek")
	require.NoError(t, kek.WriteFile(secret))
	require.ErrorIs(t, kek.WriteFile(secret), keys.ErrExists)
	read, err := keys.ReadKEK(secret)
	require.NoError(t, err)
	_, err = keys.Open(path, read)
	require.NoError(t, err)

	require.NoError(t, os.Chmod(secret, 0o640))
	_, err = keys.ReadKEK(secret)
	require.ErrorIs(t, err, keys.ErrPermissions)
	_, err = keys.ReadShare(secret)
	require.ErrorIs(t, err, keys.ErrPermissions)
	require.NoError(t, os.Chmod(secret, 0o600))
	_, err = keys.ReadShare(secret)
	require.ErrorIs(t, err, keys.ErrFormat, "a key is no share")
	require.ErrorIs(t, keys.KEK{}.WriteFile(filepath.Join(t.TempDir(), "zero")), keys.ErrWrongKEK)
}

func TestKEKFileFormat(t *testing.T) {
	t.Parallel()
	zero := strings.Repeat("0", 64)
	for _, text := range []string{"", zero, "onecard-kek/2 " + zero, "onecard-kek/1 " + zero[:62], "onecard-kek/1 " + zero + "0",
		"onecard-kek/1 " + zero + "00", "onecard-kek/1 g" + zero[:63], "onecard-kek/1 " + zero + " x"} {
		path := filepath.Join(t.TempDir(), "kek")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := keys.ReadKEK(path)
		require.ErrorIs(t, err, keys.ErrFormat, text)
	}
	for _, text := range []string{"", "onecard-share/1 00000000 0 " + zero, "onecard-share/1 00000000 3 " + zero,
		"onecard-share/1 000000 1 " + zero, "onecard-share/1 00000000 12 " + zero, "onecard-share/1 00000000 1 " + zero[:60], "onecard-kek/1 00000000 1 " + zero} {
		path := filepath.Join(t.TempDir(), "share")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := keys.ReadShare(path)
		require.ErrorIs(t, err, keys.ErrFormat, text)
	}
}

func TestShares(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	_, path := create(t, kek, keys.Provincial()...)
	first, second, err := kek.Split(rand.Reader)
	require.NoError(t, err)
	directory := t.TempDir()
	require.NoError(t, first.WriteFile(filepath.Join(directory, "1")))
	require.NoError(t, second.WriteFile(filepath.Join(directory, "2")))
	require.ErrorIs(t, second.WriteFile(filepath.Join(directory, "1")), keys.ErrExists)
	a, err := keys.ReadShare(filepath.Join(directory, "1"))
	require.NoError(t, err)
	b, err := keys.ReadShare(filepath.Join(directory, "2"))
	require.NoError(t, err)

	for _, pair := range [][2]keys.Share{{a, b}, {b, a}} {
		combined, err := keys.Combine(pair[0], pair[1])
		require.NoError(t, err)
		_, err = keys.Open(path, combined)
		require.NoError(t, err)
	}
	otherFirst, otherSecond, err := kek.Split(rand.Reader)
	require.NoError(t, err)
	for _, pair := range [][2]keys.Share{{a, a}, {b, b}, {a, otherSecond}, {otherFirst, b}, {a, otherFirst}, {{}, b}, {a, {}}, {{}, {}}} {
		_, err := keys.Combine(pair[0], pair[1])
		require.ErrorIs(t, err, keys.ErrShares)
	}
	_, _, err = keys.KEK{}.Split(rand.Reader)
	require.ErrorIs(t, err, keys.ErrWrongKEK)
	require.ErrorIs(t, keys.Share{}.WriteFile(filepath.Join(directory, "3")), keys.ErrShares)

	// A share alone is not the key, however it is dressed up.
	text, err := os.ReadFile(filepath.Join(directory, "1"))
	require.NoError(t, err)
	words := strings.Fields(string(text))
	lone := filepath.Join(directory, "lone")
	require.NoError(t, os.WriteFile(lone, []byte("onecard-kek/1 "+words[3]+"\n"), 0o600))
	half, err := keys.ReadKEK(lone)
	require.NoError(t, err)
	_, err = keys.Open(path, half)
	require.ErrorIs(t, err, keys.ErrWrongKEK)
}
