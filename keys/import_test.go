package keys_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// transport describes the maker's key.
func transport() keys.Spec {
	return keys.Spec{Name: "TRANSPORT", Usage: keys.Transport, Algorithm: keys.SM4, Depth: 1}
}

const makerKey = "00112233445566778899AABBCCDDEEFF"

// makerCheckValue returns the check value of makerKey as the keeper computes it.
func makerCheckValue(t *testing.T) string {
	t.Helper()
	keeper, _ := create(t, newKEK(t))
	require.NoError(t, keeper.Import(transport(), 1, strings.NewReader(makerKey)))
	return keeper.Keys()[0].CheckValue
}

func TestImportFile(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	keeper, path := create(t, kek, keys.Provincial()...)
	file := filepath.Join(t.TempDir(), "maker.hex")
	text := "# transport key of the maker, 卡商传输密钥\n" + makerKey + " " + strings.ToUpper(makerCheckValue(t)) + "\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	require.ErrorIs(t, keeper.ImportFile(transport(), 1, file), keys.ErrPermissions)
	require.NoError(t, os.Chmod(file, 0o600))
	require.NoError(t, keeper.ImportFile(transport(), 1, file))
	require.ErrorIs(t, keeper.ImportFile(transport(), 1, file), keys.ErrExists)
	require.NoError(t, keeper.ImportFile(transport(), 3, file), "versions need not follow one another")
	require.NoError(t, keeper.ImportFile(transport(), 2, file))

	reopened, err := keys.Open(path, kek)
	require.NoError(t, err)
	current, err := reopened.Current("TRANSPORT")
	require.NoError(t, err)
	require.Equal(t, 3, current)

	other := transport()
	other.Usage = keys.Master
	require.ErrorIs(t, keeper.ImportFile(other, 4, file), keys.ErrExists)
	for _, version := range []int{-1, 0, 255} {
		require.ErrorIs(t, keeper.ImportFile(transport(), version, file), keys.ErrInput)
	}
	other.Name = "transport"
	require.ErrorIs(t, keeper.ImportFile(other, 1, file), keys.ErrInput)
}

func TestImportFormat(t *testing.T) {
	t.Parallel()
	keeper, _ := create(t, newKEK(t))
	for name, text := range map[string]string{
		"empty":             "",
		"comment only":      "# nothing\n",
		"short":             makerKey[:30],
		"odd":               makerKey[:31],
		"long":              makerKey + "00",
		"not hexadecimal":   "G" + makerKey[1:],
		"wrong check value": makerKey + " 000000",
		"short check value": makerKey + " " + makerCheckValue(t)[:4],
		"third word":        makerKey + " " + makerCheckValue(t) + " x",
	} {
		err := keeper.Import(transport(), 1, strings.NewReader(text))
		require.ErrorIs(t, err, keys.ErrFormat, name)
		require.NotContains(t, strings.ToUpper(err.Error()), makerKey[:16])
	}
	require.Empty(t, keeper.Keys())
}

func TestImportComponents(t *testing.T) {
	t.Parallel()
	keeper, _ := create(t, newKEK(t))
	const first, second = "F0112233445566778899AABBCCDDEEF0", "F000000000000000000000000000000F"
	require.NoError(t, keeper.ImportComponents(transport(), 1, strings.NewReader(first), strings.NewReader(second)))
	require.Equal(t, makerCheckValue(t), keeper.Keys()[0].CheckValue)

	require.ErrorIs(t, keeper.ImportComponents(transport(), 2, strings.NewReader(first), strings.NewReader(first)), keys.ErrInput)
	require.ErrorIs(t, keeper.ImportComponents(transport(), 2, strings.NewReader(first), strings.NewReader("")), keys.ErrFormat)
	require.ErrorIs(t, keeper.ImportComponents(transport(), 2, strings.NewReader(""), strings.NewReader(first)), keys.ErrFormat)
	require.ErrorIs(t, keeper.ImportComponents(transport(), 1, strings.NewReader(first), strings.NewReader(second)), keys.ErrExists)
}
