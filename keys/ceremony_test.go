package keys_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// passphrase is a custodian's.
func passphrase(number int) []byte { return fmt.Appendf(nil, "口令 of custodian %d", number) }

// begin begins a ceremony for a key-exchange key.
func begin(t *testing.T, spec keys.Spec, custodians int) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "ceremony")
	_, err := keys.BeginCeremony(dir, spec, 1, custodians, rand.Reader, morning)
	require.NoError(t, err)
	return dir
}

// resume is another session.
func resume(t *testing.T, dir string) *keys.Ceremony {
	t.Helper()
	c, err := keys.ResumeCeremony(dir, rand.Reader, morning)
	require.NoError(t, err)
	return keys.Hasten(c)
}

// component is one that came on paper.
func component(t *testing.T, spec keys.Spec, text string) keys.Component {
	t.Helper()
	c, err := keys.ParseComponent(spec, []byte(text))
	require.NoError(t, err)
	return c
}

// The components of testRoot, for two and for three custodians.
var paper = map[int][]string{
	2: {"F0112233445566778899AABBCCDDEEF0", "F000 0000 0000 0000 0000 0000 0000 000F"},
	3: {"F0112233445566778899AABBCCDDEEF0", "0F00000000000000000000000000000F", "ff000000000000000000000000000000"},
}

// enter has each custodian enter a component in a session of their own.
func enter(t *testing.T, dir string, spec keys.Spec, texts []string) {
	t.Helper()
	for i, text := range texts {
		require.NoError(t, resume(t, dir).Enter(fmt.Sprintf("staff-%d", i+1), component(t, spec, text), false, passphrase(i+1)))
	}
}

// open opens every component.
func open(t *testing.T, c *keys.Ceremony) []keys.Component {
	t.Helper()
	var components []keys.Component
	for _, e := range c.Record().Components {
		opened, err := c.Open(e.Number, passphrase(e.Number))
		require.NoError(t, err)
		components = append(components, opened)
	}
	return components
}

func TestCeremony(t *testing.T) {
	t.Parallel()
	for custodians, texts := range paper {
		for _, spec := range []keys.Spec{transport(), {Name: "IRK_3DES", Usage: keys.Authentication, Algorithm: keys.TripleDES, Depth: 2, Exportable: true}} {
			t.Run(fmt.Sprint(custodians, spec.Name), func(t *testing.T) {
				t.Parallel()
				keeper, _ := create(t, newKEK(t))
				dir := begin(t, spec, custodians)
				enter(t, dir, spec, texts)
				c := resume(t, dir)
				key, err := c.Combine(open(t, c)...)
				require.NoError(t, err)
				require.NoError(t, keeper.Accept(c, key))

				reference := delivered(t, spec, testRoot)
				require.Equal(t, reference.Keys(), keeper.Keys())
				record := resume(t, dir).Record()
				require.Equal(t, keeper.Keys()[0].CheckValue, record.CheckValue)
				require.Equal(t, keys.CheckValueECB, record.Method)
				require.Equal(t, "staff-1", record.Components[0].Custodian)
				left, err := filepath.Glob(filepath.Join(dir, "*"))
				require.NoError(t, err)
				require.Equal(t, []string{filepath.Join(dir, "record.json")}, left)
				require.ErrorIs(t, keeper.Accept(c, key), keys.ErrCeremony, "once only")
				require.ErrorIs(t, c.Enter("staff-9", component(t, spec, texts[0]), false, passphrase(9)), keys.ErrCeremony)
			})
		}
	}
}

// No file of a ceremony holds a component or the key in the clear, and only
// this user can read any.
func TestCeremonyFilesAreSealed(t *testing.T) {
	t.Parallel()
	spec := transport()
	dir := begin(t, spec, 2)
	enter(t, dir, spec, paper[2])
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, text := range append(paper[2], testRoot) {
			text = strings.ReplaceAll(text, " ", "")
			raw := component(t, spec, text).Reveal()
			require.NotContains(t, strings.ToUpper(string(content)), text)
			require.NotContains(t, string(content), string(raw))
		}
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	require.NoError(t, os.Chmod(files[0], 0o644))
	_, err = resume(t, dir).Open(1, passphrase(1))
	require.ErrorIs(t, err, keys.ErrPermissions)
}

func TestCeremonyRefuses(t *testing.T) {
	t.Parallel()
	spec := transport()
	dir := begin(t, spec, 2)
	c := resume(t, dir)
	first := component(t, spec, paper[2][0])
	for name, custodian := range map[string]string{"empty": "", "a name": "张三", "long": strings.Repeat("x", 33)} {
		require.ErrorIs(t, c.Enter(custodian, first, false, passphrase(1)), keys.ErrInput, name)
	}
	require.ErrorIs(t, c.Enter("staff-1", first, false, []byte("eleven char")), keys.ErrInput, "short passphrase")
	require.ErrorIs(t, c.Enter("staff-1", keys.Component{}, false, passphrase(1)), keys.ErrInput)
	require.ErrorIs(t, c.Enter("staff-1", component(t, exchange(keys.AES128), paper[2][0]), false, passphrase(1)), keys.ErrInput, "for another key")
	require.NoError(t, c.Enter("staff-1", first, false, passphrase(1)))
	require.ErrorIs(t, c.Enter("staff-1", component(t, spec, paper[2][1]), false, passphrase(2)), keys.ErrInput, "both components in one hand")
	_, err := c.Combine(first)
	require.ErrorIs(t, err, keys.ErrCeremony, "too early")
	require.NoError(t, c.Enter("staff-2", component(t, spec, paper[2][1]), false, passphrase(2)))
	require.ErrorIs(t, c.Enter("staff-3", first, false, passphrase(3)), keys.ErrCeremony)

	c = resume(t, dir)
	_, err = c.Open(1, passphrase(2))
	require.ErrorIs(t, err, keys.ErrPassphrase, "another custodian's passphrase")
	for _, number := range []int{0, 3} {
		_, err = c.Open(number, passphrase(1))
		require.ErrorIs(t, err, keys.ErrCeremony)
	}
	_, err = c.Combine(first, first)
	require.ErrorIs(t, err, keys.ErrInput, "equal components")
	_, err = c.Combine(first, keys.Component{})
	require.ErrorIs(t, err, keys.ErrInput)

	for _, wrong := range []struct {
		spec                keys.Spec
		version, custodians int
		want                error
	}{
		{keys.Spec{Name: "x"}, 1, 2, keys.ErrInput},
		{spec, 0, 2, keys.ErrInput},
		{spec, 255, 2, keys.ErrInput},
		{spec, 1, 1, keys.ErrInput},
		{spec, 1, 4, keys.ErrInput},
		{keys.Spec{Name: keys.DataKey, Usage: keys.FieldEncryption, Algorithm: keys.SM4}, 1, 2, keys.ErrWrongUsage},
		{spec, 1, 2, os.ErrExist},
	} {
		_, err := keys.BeginCeremony(dir, wrong.spec, wrong.version, wrong.custodians, rand.Reader, morning)
		require.ErrorIs(t, err, wrong.want)
	}
}

func TestCeremonyRefusesWeakKeys(t *testing.T) {
	t.Parallel()
	des := keys.Spec{Name: "IRK_3DES", Usage: keys.Authentication, Algorithm: keys.TripleDES, Depth: 2}
	for name, c := range map[string]struct {
		spec  keys.Spec
		texts []string
	}{
		"zero":             {transport(), []string{"01" + strings.Repeat("00", 15), "02" + strings.Repeat("00", 15), "03" + strings.Repeat("00", 15)}},
		"single DES":       {des, []string{"0102030405060708" + "1112131415161718", "F1F2F3F4F5F6F7F8" + "E1E2E3E4E5E6E7E8"}},
		"all but parities": {des, []string{"0102030405060708" + "0102030405060708", "F1F2F3F4F5F6F7F8" + "F0F3F2F5F4F7F6F9"}},
	} {
		ceremony := resume(t, begin(t, c.spec, len(c.texts)))
		var components []keys.Component
		for _, text := range c.texts {
			components = append(components, component(t, c.spec, text))
		}
		_, err := ceremony.Combine(components...)
		require.ErrorIs(t, err, keys.ErrInput, name)
	}
}

// Every byte of a sealed component counts, and whatever the record says of it
// and of the key.
func TestCeremonyTampering(t *testing.T) {
	t.Parallel()
	spec := transport()
	dir := begin(t, spec, 2)
	enter(t, dir, spec, paper[2])
	file := filepath.Join(dir, "component-1.sealed")
	sealed, err := os.ReadFile(file)
	require.NoError(t, err)
	for i := 0; i < len(sealed); i += 5 {
		altered := append([]byte(nil), sealed...)
		altered[i] ^= 1
		require.NoError(t, os.WriteFile(file, altered, 0o600))
		_, err := resume(t, dir).Open(1, passphrase(1))
		require.ErrorIs(t, err, keys.ErrPassphrase, "byte %d", i)
	}
	for _, size := range []int{0, 15, 20, len(sealed) - 1} {
		require.NoError(t, os.WriteFile(file, sealed[:size], 0o600))
		_, err := resume(t, dir).Open(1, passphrase(1))
		require.ErrorIs(t, err, keys.ErrPassphrase, "%d bytes", size)
	}
	require.NoError(t, os.WriteFile(file, sealed, 0o600))

	path := filepath.Join(dir, "record.json")
	record, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, change := range [][2]string{
		{`"name": "TRANSPORT"`, `"name": "TRANSPORU"`},
		{`"depth": 1`, `"depth": 1,` + "\n" + `    "exportable": true`},
		{`"version": 1`, `"version": 2`},
		{`"custodian": "staff-1"`, `"custodian": "staff-7"`},
		{`"generated": false`, `"generated": true`},
		{`"custodians": 2`, `"custodians": 3`},
	} {
		altered := strings.Replace(string(record), change[0], change[1], 1)
		require.NotEqual(t, string(record), altered, change[0])
		require.NoError(t, os.WriteFile(path, []byte(altered), 0o600))
		_, err := resume(t, dir).Open(1, passphrase(1))
		require.ErrorIs(t, err, keys.ErrPassphrase, change[1])
	}
	for _, altered := range []string{"", "{}", string(record) + " ", strings.Replace(string(record), "ceremony/1", "ceremony/2", 1),
		strings.Replace(string(record), `"number": 2`, `"number": 3`, 1), strings.Replace(string(record), `"custodians": 2`, `"custodians": 1`, 1)} {
		require.NoError(t, os.WriteFile(path, []byte(altered), 0o600))
		_, err := keys.ResumeCeremony(dir, rand.Reader, morning)
		require.True(t, errors.Is(err, keys.ErrTampered) || errors.Is(err, keys.ErrFormat), "%q: %v", altered, err)
	}
}

// A ceremony that broke off at any moment goes on.
func TestCeremonyResumes(t *testing.T) {
	t.Parallel()
	spec := transport()
	dir := begin(t, spec, 2)
	// Power failed after the component's file and before the record.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "component-1.sealed"), []byte("left over"), 0o600))
	enter(t, dir, spec, paper[2])

	keeper, _ := create(t, newKEK(t))
	c := resume(t, dir)
	key, err := c.Combine(open(t, c)...)
	require.NoError(t, err)
	// And again after the key was stored and before the record.
	require.NoError(t, keeper.Import(spec, 1, strings.NewReader(testRoot)))
	require.NoError(t, keeper.Accept(c, key))
	require.False(t, resume(t, dir).Record().Finished.IsZero())

	other := delivered(t, spec, sm4City)
	dir = begin(t, spec, 2)
	enter(t, dir, spec, paper[2])
	c = resume(t, dir)
	key, err = c.Combine(open(t, c)...)
	require.NoError(t, err)
	require.ErrorIs(t, other.Accept(c, key), keys.ErrExists, "another key of that version is there")
	require.True(t, resume(t, dir).Record().Finished.IsZero())
}

func TestComponent(t *testing.T) {
	t.Parallel()
	spec := exchange(keys.AES256)
	made, err := keys.GenerateComponent(spec, rand.Reader)
	require.NoError(t, err)
	shown := made.Reveal()
	require.Len(t, shown, 64+15)
	again, err := keys.ParseComponent(spec, shown)
	require.NoError(t, err)
	require.True(t, made.Equal(again))
	kcv, method, err := made.CheckValue()
	require.NoError(t, err)
	require.Len(t, kcv, 10)
	require.Equal(t, keys.CheckValueAES, method)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %x", made, made, made, made), string(shown[:9]))

	file := filepath.Join(t.TempDir(), "component.txt")
	require.NoError(t, made.WriteFile(file))
	require.ErrorIs(t, made.WriteFile(file), keys.ErrExists)
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(shown)+"\n"+strings.ToUpper(kcv)+"\n", string(written))

	for _, text := range []string{"", "00", strings.Repeat("00", 31), strings.Repeat("00", 33), strings.Repeat("0G", 32)} {
		_, err := keys.ParseComponent(spec, []byte(text))
		require.ErrorIs(t, err, keys.ErrFormat)
	}
	_, err = keys.GenerateComponent(spec, strings.NewReader("short"))
	require.ErrorContains(t, err, "random")
	made.Clear()
	require.Equal(t, strings.Repeat("0", 64), strings.ReplaceAll(string(made.Reveal()), " ", ""))
}
