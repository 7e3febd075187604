package signed_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/api/pki"
	"onecard/internal/signed"
)

// TestParcel writes a large file sealed to one side and opens it there; the
// other side cannot, and one that was cut off or altered is found out.
func TestParcel(t *testing.T) {
	t.Parallel()
	authority, err := pki.Open(filepath.Join(t.TempDir(), "pki"), nil, time.Now)
	require.NoError(t, err)
	to, err := authority.Exchange()
	require.NoError(t, err)
	other, err := authority.Orders()
	require.NoError(t, err)
	dir := t.TempDir()
	content := make([]byte, 300_000)
	_, _ = rand.Read(content)

	parcel, err := signed.NewParcel(dir, "some-kind", to.Leaf)
	require.NoError(t, err)
	_, err = parcel.Write(content)
	require.NoError(t, err)
	name, digest, err := parcel.Finish()
	require.NoError(t, err)
	require.NoError(t, signed.WriteManifest(dir, name, map[string]string{"digest": digest}, other))
	path := filepath.Join(dir, name)
	told, ok := signed.ParcelDigest(path)
	require.True(t, ok)
	require.Equal(t, digest, told)
	again, size, err := signed.Digest(path)
	require.NoError(t, err)
	require.Equal(t, digest, again)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, size, info.Size())
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 2, "the file and its manifest, nothing else")

	sealed, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(sealed), string(content[:32]))
	plain, err := signed.OpenParcel(bytes.NewReader(sealed), to)
	require.NoError(t, err)
	back, err := io.ReadAll(plain)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, back))

	_, err = signed.OpenParcel(bytes.NewReader(sealed), other)
	require.ErrorIs(t, err, signed.ErrSealed)
	altered := bytes.Clone(sealed)
	altered[len(altered)-70_000] ^= 1
	for name, bad := range map[string][]byte{"half": sealed[:len(sealed)/2], "altered": altered, "without its end": sealed[:len(sealed)-1]} {
		plain, err := signed.OpenParcel(bytes.NewReader(bad), to)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, plain)
		require.ErrorIs(t, err, signed.ErrParcel, name)
	}
}
