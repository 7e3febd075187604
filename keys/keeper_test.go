package keys_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/keys"
	"onecard/keys/keystest"
)

// morning is the clock of the tests.
func morning() time.Time {
	return time.Date(2011, time.April, 14, 9, 0, 0, 5, time.FixedZone("CST", 8*3600))
}

// newKEK makes a key-encryption key.
func newKEK(t *testing.T) keys.KEK {
	t.Helper()
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	return kek
}

// create makes a key file with those keys.
func create(t *testing.T, kek keys.KEK, specs ...keys.Spec) (*keys.Keeper, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	keeper, err := keys.Create(path, kek, specs, keys.WithClock(morning))
	require.NoError(t, err)
	return keeper, path
}

// An imported key works the same before and after the file is opened again.
func TestConformance(t *testing.T) {
	t.Parallel()
	keystest.Run(t, keystest.Software(), func(t *testing.T, fixtures []keystest.Fixture) (keystest.Keeper, error) {
		kek := newKEK(t)
		keeper, path := create(t, kek)
		for _, f := range fixtures {
			if err := keeper.Import(f.Spec, f.Version, bytes.NewBufferString(hex.EncodeToString(f.Value))); err != nil {
				return nil, err
			}
		}
		reopened, err := keys.Open(path, kek)
		require.NoError(t, err)
		require.Equal(t, keeper.Keys(), reopened.Keys())
		return reopened, nil
	})
}

func TestCreateProvincialHierarchy(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	keeper, path := create(t, kek, keys.Provincial()...)
	list := keeper.Keys()
	require.Len(t, list, len(keys.Provincial())-2, "the maker's keys are imported")
	checkValues := map[string]string{}
	for _, info := range list {
		require.NotEqual(t, keys.Transport, info.Usage)
		require.Equal(t, 1, info.Version)
		require.True(t, info.Created.Equal(morning().Truncate(time.Second)))
		require.Len(t, info.CheckValue, 6)
		checkValues[info.CheckValue] = info.Name
	}
	require.Greater(t, len(checkValues), len(list)-3, "keys differ")

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	_, err = keys.Create(path, kek, nil)
	require.ErrorIs(t, err, keys.ErrExists)
	reopened, err := keys.Open(path, kek)
	require.NoError(t, err)
	require.Equal(t, list, reopened.Keys())
}

func TestProvincialNamesAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, spec := range keys.Provincial() {
		require.False(t, seen[spec.Name], spec.Name)
		seen[spec.Name] = true
	}
	for _, name := range []string{"IRK", "STK", "PUK", "UKSSSE", "RKSSSE", "MK", "UK1DF01", "UKBDF01", "RKDF01", "RK1DF03", "UK8DF03", "UK2DF04", "UK3DF07", "TRANSPORT", "CHECK", "DATA", "INDEX"} {
		require.True(t, seen[name], name)
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	keeper, path := create(t, kek, keys.Provincial()...)
	sealed, err := keeper.Seal(t.Context(), nil, []byte("before"))
	require.NoError(t, err)
	for want := 2; want <= 4; want++ {
		version, err := keeper.Rotate(keys.DataKey)
		require.NoError(t, err)
		require.Equal(t, want, version)
	}
	current, err := keeper.Current(keys.DataKey)
	require.NoError(t, err)
	require.Equal(t, 4, current)
	again, err := keeper.Seal(t.Context(), nil, []byte("after"))
	require.NoError(t, err)

	reopened, err := keys.Open(path, kek)
	require.NoError(t, err)
	for want, value := range map[string][]byte{"before": sealed, "after": again} {
		opened, err := reopened.Open(t.Context(), nil, value)
		require.NoError(t, err)
		require.Equal(t, want, string(opened))
	}

	_, err = keeper.Rotate("TRANSPORT")
	require.ErrorIs(t, err, keys.ErrNoKey)
	_, err = keeper.Current("NONE")
	require.ErrorIs(t, err, keys.ErrNoKey)
}

func TestRotateEndsAtTheLastVersion(t *testing.T) {
	t.Parallel()
	keeper, _ := create(t, newKEK(t))
	spec := keys.Spec{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.SM4, Depth: 2}
	require.NoError(t, keeper.Import(spec, 254, bytes.NewBufferString("00112233445566778899AABBCCDDEEFF")))
	_, err := keeper.Rotate("IRK")
	require.ErrorIs(t, err, keys.ErrExists)
	transport := keys.Spec{Name: "TRANSPORT", Usage: keys.Transport, Algorithm: keys.SM4, Depth: 1}
	require.NoError(t, keeper.Import(transport, 1, bytes.NewBufferString("00112233445566778899AABBCCDDEEFF")))
	_, err = keeper.Rotate("TRANSPORT")
	require.ErrorIs(t, err, keys.ErrWrongUsage)
}

func TestAdd(t *testing.T) {
	t.Parallel()
	spec := keys.Spec{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.SM4, Depth: 2}
	keeper, _ := create(t, newKEK(t), spec)
	before := keeper.Keys()
	require.NoError(t, keeper.Add(spec), "a key that is there stays")
	require.Equal(t, before, keeper.Keys())

	other := spec
	other.Usage = keys.Maintenance
	require.ErrorIs(t, keeper.Add(keys.Spec{Name: "NEW", Usage: keys.Master, Algorithm: keys.SM4}, other), keys.ErrExists)
	require.Equal(t, before, keeper.Keys(), "all or nothing")

	for name, wrong := range map[string]keys.Spec{
		"name":            {Name: "irk", Usage: keys.Master, Algorithm: keys.SM4},
		"no name":         {Usage: keys.Master, Algorithm: keys.SM4},
		"usage":           {Name: "A", Usage: "everything", Algorithm: keys.SM4},
		"depth":           {Name: "A", Usage: keys.Master, Algorithm: keys.SM4, Depth: 4},
		"maker's depth":   {Name: "A", Usage: keys.Transport, Algorithm: keys.SM4, Depth: 3},
		"negative depth":  {Name: "A", Usage: keys.Master, Algorithm: keys.SM4, Depth: -1},
		"data depth":      {Name: "A", Usage: keys.FieldEncryption, Algorithm: keys.SM4, Depth: 1},
		"exported data":   {Name: "A", Usage: keys.FieldEncryption, Algorithm: keys.SM4, Exportable: true},
		"exported index":  {Name: "A", Usage: keys.BlindIndex, Algorithm: keys.HMACSM3, Exportable: true},
		"exported KBPK":   {Name: "A", Usage: keys.KeyExchange, Algorithm: keys.AES256, Exportable: true},
		"needless factor": {Name: "A", Usage: keys.Master, Algorithm: keys.SM4, Depth: 2, Factor: "3633303130307378"},
		"maker's factor":  {Name: "A", Usage: keys.Transport, Algorithm: keys.SM4, Depth: 1, Factor: "3633303130307378"},
		"short factor":    {Name: "A", Usage: keys.Master, Algorithm: keys.SM4, Depth: 1, Factor: "36333031303073"},
		"factor's form":   {Name: "A", Usage: keys.Master, Algorithm: keys.SM4, Depth: 1, Factor: "36333031303073AA"},
	} {
		require.ErrorIs(t, keeper.Add(wrong), keys.ErrInput, name)
	}
	require.ErrorIs(t, keeper.Add(keys.Spec{Name: "A", Usage: keys.FieldEncryption, Algorithm: keys.TripleDES}), keys.ErrAlgorithm)
	require.ErrorIs(t, keeper.Add(keys.Spec{Name: "A", Usage: keys.BlindIndex, Algorithm: keys.SM4}), keys.ErrAlgorithm)
}

// Two processes that hold the same file cannot undo one another's change.
func TestChangedByAnother(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	first, path := create(t, kek, keys.Provincial()...)
	second, err := keys.Open(path, kek)
	require.NoError(t, err)
	_, err = first.Rotate("IRK")
	require.NoError(t, err)
	_, err = second.Rotate("STK")
	require.ErrorIs(t, err, keys.ErrChanged)
	version, err := second.Current("STK")
	require.NoError(t, err)
	require.Equal(t, 1, version, "a change that was not stored is not used")
	reopened, err := keys.Open(path, kek)
	require.NoError(t, err)
	require.Equal(t, first.Keys(), reopened.Keys())
}

func TestRotateWhileInUse(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	keeper, path := create(t, kek, keys.Provincial()...)
	var group sync.WaitGroup
	errs := make([]error, 6)
	for i := range 4 {
		group.Go(func() {
			for range 100 {
				sealed, err := keeper.Seal(t.Context(), nil, []byte("x"))
				if err == nil {
					_, err = keeper.Open(t.Context(), nil, sealed)
				}
				if err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	for i := range 2 {
		group.Go(func() {
			for range 5 {
				if _, err := keeper.Rotate(keys.DataKey); err != nil {
					errs[4+i] = err
					return
				}
				keeper.Keys()
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	reopened, err := keys.Open(path, kek)
	require.NoError(t, err)
	current, err := reopened.Current(keys.DataKey)
	require.NoError(t, err)
	require.Equal(t, 11, current)
}

// A disk that cannot be written leaves the old file, and the key unused.
func TestRotateCannotWrite(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	keeper, path := create(t, kek, keys.Provincial()...)
	require.NoError(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+".gone"))
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(path) + ".gone") })
	_, err := keeper.Rotate("IRK")
	require.ErrorIs(t, err, os.ErrNotExist)
	version, err := keeper.Current("IRK")
	require.NoError(t, err)
	require.Equal(t, 1, version)
}

// failingReader is a source of randomness that ends.
type failingReader struct{ left int }

// Read gives zeroes until none are left.
func (r *failingReader) Read(p []byte) (int, error) {
	if r.left < len(p) {
		return 0, os.ErrClosed
	}
	r.left -= len(p)
	clear(p)
	return len(p), nil
}

func TestNoRandomness(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	for _, left := range []int{0, 16, 32} { // salt, key, nonce
		_, err := keys.Create(filepath.Join(t.TempDir(), "keys.json"), kek,
			[]keys.Spec{{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.SM4}}, keys.WithRandom(&failingReader{left}))
		require.ErrorIs(t, err, os.ErrClosed)
	}
	_, path := create(t, kek, keys.Provincial()...)
	keeper, err := keys.Open(path, kek, keys.WithRandom(&failingReader{}))
	require.NoError(t, err)
	_, err = keeper.Seal(t.Context(), nil, []byte("x"))
	require.ErrorIs(t, err, os.ErrClosed)
	_, err = keeper.Rotate("IRK")
	require.ErrorIs(t, err, os.ErrClosed)
	_, err = keys.GenerateKEK(&failingReader{})
	require.ErrorIs(t, err, os.ErrClosed)
	_, _, err = kek.Split(&failingReader{32})
	require.ErrorIs(t, err, os.ErrClosed)
}
