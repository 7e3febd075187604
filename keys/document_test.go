package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sample makes a key file with three keys, one in two versions of which the
// first is for cards in the field only, and not for ever.
func sample(t testing.TB) (kek KEK, path string, content []byte) {
	t.Helper()
	kek, err := GenerateKEK(rand.Reader)
	require.NoError(t, err)
	path = filepath.Join(t.TempDir(), "keys.json")
	keeper, err := Create(path, kek, []Spec{
		{Name: "IRK", Usage: Authentication, Algorithm: SM4, Depth: 2},
		{Name: DataKey, Usage: FieldEncryption, Algorithm: SM4},
		{Name: IndexKey, Usage: BlindIndex, Algorithm: HMACSM3},
	})
	require.NoError(t, err)
	_, err = keeper.Rotate("IRK")
	require.NoError(t, err)
	now := time.Now()
	require.NoError(t, keeper.SetLife("IRK", 1, Life{Status: Field, From: now.Add(-time.Hour), Until: now.Add(time.Hour)}))
	content, err = os.ReadFile(path)
	require.NoError(t, err)
	return kek, path, content
}

// openContent writes content as a key file and opens it.
func openContent(t testing.TB, kek KEK, path string, content []byte) error {
	t.Helper()
	require.NoError(t, os.WriteFile(path, content, 0o600))
	_, err := Open(path, kek)
	return err
}

func TestEveryByteOfTheFileCounts(t *testing.T) {
	t.Parallel()
	kek, path, content := sample(t)
	require.NoError(t, openContent(t, kek, path, content))
	for i := range content {
		for _, mask := range []byte{0x01, 0x20} {
			altered := slices.Clone(content)
			altered[i] ^= mask
			require.Error(t, openContent(t, kek, path, altered), "byte %d", i)
		}
	}
	for _, altered := range [][]byte{
		nil, content[:len(content)-1], content[:len(content)/2], append(slices.Clone(content), '\n'),
		append(slices.Clone(content), content...), bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n")),
		bytes.Replace(content, []byte(`"version"`), []byte(`"Version"`), 1), make([]byte, maxFile+1),
	} {
		require.Error(t, openContent(t, kek, path, altered))
	}
}

// Every field is changed by one who knows the format but not the key: the MAC
// finds it. Then by one who could even repair the MAC: the entry's seal finds
// it in the fields of an entry.
func TestEveryFieldIsProtected(t *testing.T) {
	t.Parallel()
	kek, path, content := sample(t)
	changes := map[string]func(*document){
		"salt":       func(d *document) { d.Salt[0] ^= 1 },
		"kekCheck":   func(d *document) { d.KEKCheck[0] ^= 1 },
		"mac":        func(d *document) { d.MAC[0] ^= 1 },
		"no mac":     func(d *document) { d.MAC = nil },
		"removed":    func(d *document) { d.Keys = d.Keys[:len(d.Keys)-1] },
		"repeated":   func(d *document) { d.Keys = append(d.Keys, d.Keys[0]) },
		"reordered":  func(d *document) { d.Keys[0], d.Keys[1] = d.Keys[1], d.Keys[0] },
		"name":       func(d *document) { d.Keys[3].Name = "JRK" },
		"usage":      func(d *document) { d.Keys[3].Usage = Maintenance },
		"algorithm":  func(d *document) { d.Keys[3].Algorithm = TripleDES },
		"depth":      func(d *document) { d.Keys[3].Depth = 0 },
		"factor":     func(d *document) { d.Keys[3].Depth, d.Keys[3].Factor = 1, "3633303130307378" },
		"exportable": func(d *document) { d.Keys[3].Exportable = true },
		"status":     func(d *document) { d.Keys[2].Status = Active },
		"from":       func(d *document) { d.Keys[2].From = time.Time{} },
		"until":      func(d *document) { d.Keys[2].Until = time.Time{} },
		"version":    func(d *document) { d.Keys[3].Version = 7 },
		"created":    func(d *document) { d.Keys[3].Created = d.Keys[3].Created.Add(time.Hour) },
		"checkValue": func(d *document) { d.Keys[3].CheckValue = "000000" },
		"sealed":     func(d *document) { d.Keys[3].Sealed[20] ^= 1 },
		"nonce":      func(d *document) { d.Keys[3].Sealed[0] ^= 1 },
		"short":      func(d *document) { d.Keys[3].Sealed = d.Keys[3].Sealed[:5] },
		"swapped":    func(d *document) { d.Keys[2].Sealed, d.Keys[3].Sealed = d.Keys[3].Sealed, d.Keys[2].Sealed },
		"format":     func(d *document) { d.Format = "onecard-keys/2" },
	}
	inEntry := []string{"name", "usage", "algorithm", "depth", "factor", "exportable", "status", "from", "until", "version", "created", "checkValue", "sealed", "nonce", "short", "swapped"}
	for name, change := range changes {
		doc, err := parseDocument(content)
		require.NoError(t, err)
		require.Equal(t, []string{DataKey, IndexKey, "IRK", "IRK"}, []string{doc.Keys[0].Name, doc.Keys[1].Name, doc.Keys[2].Name, doc.Keys[3].Name})
		change(doc)
		altered, err := doc.encode()
		require.NoError(t, err)
		err = openContent(t, kek, path, altered)
		require.Error(t, err, name)
		if name != "format" {
			require.ErrorIs(t, err, ErrTampered, name)
		}
		if slices.Contains(inEntry, name) {
			require.NoError(t, doc.sign(kek))
			altered, err = doc.encode()
			require.NoError(t, err)
			require.ErrorIs(t, openContent(t, kek, path, altered), ErrTampered, name)
		}
	}
	// A field added later must be added above.
	require.Equal(t, 5, reflect.TypeFor[document]().NumField())
	require.Equal(t, 6, reflect.TypeFor[entry]().NumField())
	require.Equal(t, 6, reflect.TypeFor[Spec]().NumField())
	require.Equal(t, 3, reflect.TypeFor[Life]().NumField())
}

func TestWrongKEK(t *testing.T) {
	t.Parallel()
	_, path, _ := sample(t)
	other, err := GenerateKEK(rand.Reader)
	require.NoError(t, err)
	_, err = Open(path, other)
	require.ErrorIs(t, err, ErrWrongKEK)
	_, err = Open(path, KEK{})
	require.ErrorIs(t, err, ErrWrongKEK)
	_, err = Create(filepath.Join(t.TempDir(), "new.json"), KEK{}, nil)
	require.ErrorIs(t, err, ErrWrongKEK)
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	kek, path, _ := sample(t)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o660, 0o644, 0o666, 0o700} {
		require.NoError(t, os.Chmod(path, mode))
		_, err := Open(path, kek)
		require.ErrorIs(t, err, ErrPermissions, "%o", mode)
	}
	require.NoError(t, os.Chmod(path, 0o600))
	_, err := Open(path, kek)
	require.NoError(t, err)

	_, err = Open(t.TempDir(), kek)
	require.ErrorIs(t, err, ErrPermissions, "a directory")
	_, err = Open(filepath.Join(t.TempDir(), "none"), kek)
	require.ErrorIs(t, err, os.ErrNotExist)
	if os.Geteuid() == 0 { // only root can give a file away
		require.NoError(t, os.Chown(path, 65534, -1))
		_, err = Open(path, kek)
		require.ErrorIs(t, err, ErrPermissions, "another's file")
	}
}

// Nothing but the key file and its lock is left behind.
func TestNoTemporaryFilesRemain(t *testing.T) {
	t.Parallel()
	_, path, _ := sample(t)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 2)
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

func FuzzParseDocument(f *testing.F) {
	_, _, content := sample(f)
	f.Add(content)
	f.Add([]byte(`{"format":"onecard-keys/1"}`))
	f.Add([]byte("{}"))
	kek, err := GenerateKEK(rand.Reader)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, content []byte) {
		doc, err := parseDocument(content)
		if err != nil {
			return
		}
		again, err := doc.encode()
		require.NoError(t, err)
		require.Equal(t, content, again)
		require.Error(t, doc.verify(kek), "nobody guesses the key")
		for _, e := range doc.Keys {
			_, err := e.unseal(kek, doc.Salt)
			require.ErrorIs(t, err, ErrTampered)
		}
	})
}

func FuzzSecretFiles(f *testing.F) {
	f.Add([]byte(kekMagic + " 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"))
	f.Add([]byte(shareMagic + " 01020304 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"))
	f.Add([]byte("# transport\n00112233445566778899AABBCCDDEEFF 6F8C4D"))
	spec := Spec{Name: "TRANSPORT", Usage: Transport, Algorithm: SM4, Depth: 1}
	f.Fuzz(func(t *testing.T, text []byte) {
		if kek, err := parseKEK(text); err == nil {
			require.Len(t, kek.value(), kekSize)
		} else {
			require.ErrorIs(t, err, ErrFormat)
		}
		if share, err := parseShare(text); err == nil {
			require.Contains(t, []int{1, 2}, share.number)
		} else {
			require.ErrorIs(t, err, ErrFormat)
		}
		if key, err := parseKey(spec, text); err == nil {
			require.Len(t, key, 16)
		} else {
			require.ErrorIs(t, err, ErrFormat)
		}
	})
}

// FuzzCeremonyFiles reads records and components of a ceremony: what is read is
// written alike.
func FuzzCeremonyFiles(f *testing.F) {
	f.Add([]byte(`{"format":"` + ceremonyFormat + `","key":{"name":"TRANSPORT"},"version":1,"custodians":2}`))
	f.Add([]byte("0011 2233 4455 6677 8899 AABB CCDD EEFF"))
	spec := Spec{Name: "TRANSPORT", Usage: Transport, Algorithm: SM4, Depth: 1}
	f.Fuzz(func(t *testing.T, text []byte) {
		if record, err := parseRecord(text); err == nil {
			again, err := record.encode()
			require.NoError(t, err)
			require.Equal(t, text, again)
		} else {
			require.True(t, errors.Is(err, ErrFormat) || errors.Is(err, ErrTampered))
		}
		if component, err := ParseComponent(spec, text); err == nil {
			again, err := ParseComponent(spec, component.Reveal())
			require.NoError(t, err)
			require.True(t, component.Equal(again))
		} else {
			require.ErrorIs(t, err, ErrFormat)
		}
	})
}

// The document holds no key in the clear, nor does anything it marshals to.
func TestFileHoldsNoKey(t *testing.T) {
	t.Parallel()
	kek, path, content := sample(t)
	keeper, err := Open(path, kek)
	require.NoError(t, err)
	for _, versions := range keeper.keys {
		for _, h := range versions {
			encoded, err := json.Marshal(h.value())
			require.NoError(t, err)
			require.NotContains(t, string(content), string(bytes.Trim(encoded, `"`)))
		}
	}
}
