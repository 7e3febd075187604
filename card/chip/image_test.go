package chip

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card/profile"
)

// TestImageRefused: a memory that does not fit the card is refused at the
// start, not met by a command later.
func TestImageRefused(t *testing.T) {
	t.Parallel()
	profiles, p := load(t)
	for name, change := range map[string]func(i *Image){
		"no key":               func(i *Image) { delete(i.Keys, "IRK") },
		"empty key":            func(i *Image) { i.Keys["IRK"] = nil },
		"short key":            func(i *Image) { i.Keys["IRK"].Key = i.Keys["IRK"].Key[:15] },
		"no file":              func(i *Image) { delete(i.Records, "SSSE/EF05") },
		"an element less":      func(i *Image) { i.Records["SSSE/EF05"] = i.Records["SSSE/EF05"][1:] },
		"short element":        func(i *Image) { i.Records["SSSE/EF05"][0] = Hex{1} },
		"short bytes":          func(i *Image) { i.Binary["SSSE/EF07"] = Hex{1} },
		"a record too many":    func(i *Image) { i.Records["DF04/EF15"] = make([]Hex, 9) },
		"a record of no size":  func(i *Image) { i.Records["DF04/EF15"] = []Hex{{1, 2}} },
		"more attempts":        func(i *Image) { i.PINTries = 7 },
		"less than none":       func(i *Image) { i.PINTries = -1 },
		"number of two digits": func(i *Image) { i.PIN = Hex{0x12} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image, err := Blank(p, [4]byte{0, 0, 0, 7}, makerKey)
			require.NoError(t, err)
			change(image)
			store, err := NewMemory(image)
			require.NoError(t, err)
			_, err = New(profiles, store, nil)
			require.ErrorIs(t, err, ErrImage)
		})
	}
	store, err := NewMemory(&Image{Answers: map[string]Hex{"00": {0x90}}})
	require.NoError(t, err)
	_, err = New(profiles, store, nil)
	require.ErrorIs(t, err, ErrImage)
	store, err = NewMemory(&Image{Version: "9.99"})
	require.NoError(t, err)
	_, err = New(profiles, store, nil)
	require.ErrorContains(t, err, "9.99")
	_, err = New(profiles, &Memory{image: []byte("nothing of the kind")}, nil)
	require.ErrorIs(t, err, ErrImage)
}

func TestBlankRefused(t *testing.T) {
	t.Parallel()
	_, known := load(t)
	for name, change := range map[string]func(p *profile.Profile){
		"area":             func(p *profile.Profile) { p.Maker.Area = nil },
		"answer to reset":  func(p *profile.Profile) { p.ATRs = nil },
		"no issuer's file": func(p *profile.Profile) { p.Scopes = p.Scopes[1:] },
		"no element":       func(p *profile.Profile) { p.Version = "3.000" }, // longer than the element that holds it
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := *known
			change(&p)
			_, err := Blank(&p, [4]byte{}, makerKey)
			require.ErrorContains(t, err, "blank")
		})
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := File(filepath.Join(dir, "card"))
	_, err := file.Load()
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, file.Create(BankCard()))
	require.ErrorIs(t, file.Create(OtherCard()), fs.ErrExist)
	image, err := file.Load()
	require.NoError(t, err)
	require.Equal(t, BankCard(), image)

	before, err := os.Stat(string(file))
	require.NoError(t, err)
	require.NoError(t, file.Save(BankCard()))
	after, err := os.Stat(string(file))
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "what has not changed is not written")
	require.NoError(t, file.Save(OtherCard()))
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 1, "nothing is left beside the card")

	nowhere := File(filepath.Join(dir, "none", "card"))
	require.ErrorIs(t, nowhere.Save(BankCard()), fs.ErrNotExist)
	below := File(filepath.Join(string(file), "card")) // the card is no folder
	err = below.Create(BankCard())
	require.Error(t, err)
	require.NotErrorIs(t, err, fs.ErrExist)
	taken := filepath.Join(dir, "folder")
	require.NoError(t, os.MkdirAll(filepath.Join(taken, "full"), 0o700))
	require.Error(t, File(taken).Save(BankCard()))
	names, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 2, "a write that failed leaves nothing")
	require.NoError(t, os.WriteFile(string(file), []byte("{"), 0o600))
	_, err = file.Load()
	require.ErrorIs(t, err, ErrImage)
}

func TestHex(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(Hex{0xAB, 1})
	require.NoError(t, err)
	require.JSONEq(t, `"AB01"`, string(text))
	var back Hex
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, Hex{0xAB, 1}, back)
	require.Error(t, json.Unmarshal([]byte(`"A"`), &back))
}

type noRandom struct{}

func (noRandom) Read([]byte) (int, error) { return 0, errors.New("no noise") }

// TestNoRandom: without randomness there is no challenge, rather than a bad one.
func TestNoRandom(t *testing.T) {
	t.Parallel()
	b := personal(t)
	b.chip.rand = noRandom{}
	require.Equal(t, apdu.SW(0x6F00), b.sw("0084000008"))
	require.Equal(t, apdu.SW(0x6984), b.sw("0082000410"+zeroes))
}

// TestSocket cuts the power at a command, before and after it was carried out.
func TestSocket(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{true, false} {
		b := holder(t)
		socket := &Socket{Chip: b.chip, Cut: 2, Before: before}
		verify := unhex(t, "0020000003000000")
		answer, err := socket.Transmit(t.Context(), verify)
		require.NoError(t, err)
		require.Equal(t, unhex(t, "63C5"), answer)
		for range 2 {
			_, err = socket.Transmit(t.Context(), verify)
			require.ErrorIs(t, err, ErrPower)
		}
		require.Equal(t, 2, socket.Count())
		image, err := b.chip.Image()
		require.NoError(t, err)
		require.Equal(t, map[bool]int{true: 5, false: 4}[before], image.PINTries)
	}
}
