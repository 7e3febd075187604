package chip

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card/profile"
)

var moduleKeyValue = bytes.Repeat([]byte{0xA7, 0x3C}, 8)

func moduleImage() *ModuleImage {
	return &ModuleImage{Kind: moduleKind, ATR: Hex{0x3B, 0x60, 0x00}, Algorithm: profile.SM4, Serial: make(Hex, 10), Terminal: Hex{0x63, 1, 2, 0, 0, 1},
		Keys: []ModuleKey{{ID: 0x08, Usage: 0x27, Key: moduleKeyValue}}}
}

// TestModuleCommands: each wrong command has its status word, and the process
// key serves one computation.
func TestModuleCommands(t *testing.T) {
	t.Parallel()
	m, err := NewModule(moduleImage())
	require.NoError(t, err)
	m.PowerOn()
	const init = "BFDE270818" + "0102030405060708" + "1111111111111111" + "0000000000000000"
	const compute = "80FA000010" + "22222222222222220000000000000000"
	for _, step := range []struct{ command, sw string }{
		{init, "6985"}, // outside the application
		{"00A40000023F00", "9000"}, {"00B095000A", ""}, {"00B0960006", ""}, {"00A4000002DF02", "6A82"}, {"00A4000002DF01", "9000"},
		{compute, "6985"},
		{"BFDE270918" + init[10:], "6A88"}, {"BFDE470818" + init[10:], "6A88"}, {"BFDE270808" + init[10:26], "6700"},
		{init, "9000"}, {"80FA050010" + compute[10:], "6A86"}, {compute, "6985"},
		{init, "9000"}, {"80FA000008" + compute[10:26], "6700"}, {compute, "6985"},
		{init, "9000"}, {compute, "6110"}, {"00C0000010", ""}, {"00C0000010", "6985"}, {compute, "6985"},
		{"0084000008", "6D00"}, {"00B0", "6700"},
	} {
		answer := m.Transmit(unhex(t, step.command))
		if step.sw != "" {
			require.Equal(t, unhex(t, step.sw), answer, step.command)
			continue
		}
		require.Equal(t, []byte{0x90, 0x00}, answer[len(answer)-2:], step.command)
		require.NotContains(t, string(answer), string(moduleKeyValue[:4]))
	}
	m.PowerOff()
	require.Nil(t, m.Transmit(unhex(t, compute)))
}

func TestModuleImages(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*ModuleImage){
		"kind":     func(i *ModuleImage) { i.Kind = "card" },
		"no ATR":   func(i *ModuleImage) { i.ATR = nil },
		"serial":   func(i *ModuleImage) { i.Serial = i.Serial[1:] },
		"terminal": func(i *ModuleImage) { i.Terminal = append(i.Terminal, 0) },
		"key":      func(i *ModuleImage) { i.Keys[0].Key = i.Keys[0].Key[:8] },
		"levels":   func(i *ModuleImage) { i.Keys[0].Usage = 0x87 },
	} {
		image := moduleImage()
		spoil(image)
		_, err := NewModule(image)
		require.ErrorIs(t, err, ErrImage, name)
	}
	path := filepath.Join(t.TempDir(), "module")
	require.NoError(t, CreateModule(path, moduleImage()))
	require.ErrorIs(t, CreateModule(path, moduleImage()), os.ErrExist)
	m, err := OpenModule(path)
	require.NoError(t, err)
	require.Equal(t, []byte{0x3B, 0x60, 0x00}, m.ATR())
	card := filepath.Join(t.TempDir(), "card")
	require.NoError(t, File(card).Create(BankCard()))
	m, err = OpenModule(card)
	require.NoError(t, err)
	require.Nil(t, m)
}

func FuzzModule(f *testing.F) {
	f.Add(unhex(f, "BFDE27081801020304050607081111111111111111"))
	f.Add([]byte{0x80, 0xFA, 0, 0, 0})
	f.Add([]byte{0, 0xA4, 0, 0, 2, 0xDF, 1})
	f.Fuzz(func(t *testing.T, command []byte) {
		m, err := NewModule(moduleImage())
		require.NoError(t, err)
		m.PowerOn()
		m.Transmit([]byte{0, 0xA4, 0, 0, 2, 0xDF, 1})
		r, err := apdu.ParseResponse(m.Transmit(command))
		require.NoError(t, err)
		require.NotContains(t, string(r.Data), string(moduleKeyValue[:4]))
	})
}
