package chip

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card/profile"
)

// torn is a memory whose power goes after so many writes; what comes later is
// not written any more. It remembers what it held after each.
type torn struct {
	Store
	cut  int
	dead bool
	held []string
}

var errTorn = errors.New("power cut")

func (s *torn) Save(image *Image) error {
	if s.dead = len(s.held) == s.cut; s.dead {
		return errTorn
	}
	if err := s.Store.Save(image); err != nil {
		return err
	}
	if memory, ok := s.Store.(*Memory); ok {
		s.held = append(s.held, string(memory.image))
	} else {
		s.held = append(s.held, "")
	}
	return nil
}

// life is a card's life from the blank on: every kind of command that writes.
func (b *bench) life(alive func() bool) {
	b.t.Helper()
	last := []byte(nil)
	load := func(name string) func() {
		return func() {
			if last == nil {
				last = b.challenge(16)
			}
			last, _ = b.loadKey(name, last, issuerKey(name))
		}
	}
	steps := []func(){b.enter}
	for _, name := range []string{"IRK", "STK", "UKSSSE", "PUK", "RKSSSE", "UK2DF04", "MK"} {
		steps = append(steps, load(name))
	}
	wrong := make([]byte, 16)
	steps = append(steps,
		func() { b.external(0x04, wrong) },
		func() { b.external(0x04, issuerKey("UKSSSE")) },
		func() { b.sw("00DC052C 06 0504 20261123") },
		func() { b.sw("00D68710 03 010203") },
		func() { b.finish() },
		func() { b.external(0x06, issuerKey("PUK")) },
		func() { b.maintain(0x24, 1, pinBlock) },
		func() { b.verify("\x00\x00\x00") },
		func() { b.verify("\x65\x43\x21") },
		func() { b.sw("805E010007654321FF123456") },
		func() { b.maintain(0x24, 0, nil) },
		func() { b.sw("00A4000002DF04") },
		func() { b.external(0x86, issuerKey("UK2DF04")) },
		func() { b.sw("00DC00AB03010203") },
		b.enter,
		func() { b.maintain(0x1E, 0, nil) },
		func() { b.maintain(0x18, 0, nil) },
		func() { b.maintain(0x16, 0, nil) },
	)
	for _, step := range steps {
		if !alive() {
			return
		}
		step()
	}
}

// never is later than any write.
const never = 1000

// lived runs a life on a blank, which is the first write, until its power goes.
func lived(t *testing.T, inner Store, cut int) *torn {
	t.Helper()
	profiles, p := load(t)
	image, err := Blank(p, [4]byte{0, 0, 0, 7}, makerKey)
	require.NoError(t, err)
	store := &torn{Store: inner, cut: cut}
	require.NoError(t, store.Save(image))
	b := power(t, store, profiles)
	b.life(func() bool { return !store.dead })
	return store
}

// TestPowerCut cuts the power between any two writes of a card's life: the
// memory holds exactly what it held after the one before, and a chip starts on
// it.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	profiles, _ := load(t)
	whole := lived(t, &Memory{}, never).held
	require.Greater(t, len(whole), 25)
	for cut := 1; cut < len(whole); cut++ {
		store := lived(t, &Memory{}, cut)
		require.True(t, store.dead)
		comesBack(t, profiles, store.Store, whole[cut-1])
	}
}

// TestPowerCutOfFile does the same to a card in a file.
func TestPowerCutOfFile(t *testing.T) {
	t.Parallel()
	profiles, _ := load(t)
	whole := lived(t, &Memory{}, never).held
	for cut := 1; cut < len(whole); cut += 4 {
		file := File(filepath.Join(t.TempDir(), "card"))
		lived(t, file, cut)
		want := whole[cut-1]
		comesBack(t, profiles, file, want)
		// A write that was under way leaves a part of a file beside it.
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(string(file)), ".card-1"), []byte(want[:len(want)/2]), 0o600))
		comesBack(t, profiles, file, want)
	}
}

// comesBack puts a chip on what was left.
func comesBack(t *testing.T, profiles []*profile.Profile, store Store, want string) {
	t.Helper()
	image, err := store.Load()
	require.NoError(t, err)
	text, err := json.Marshal(image)
	require.NoError(t, err)
	require.Equal(t, want, string(text))
	b := power(t, store, profiles)
	_, sw := b.send(unhex(t, selectEnvironment))
	switch {
	case image.CardBlocked:
		require.Equal(t, apdu.SW(0x6A81), sw)
	case image.ApplicationBlocked:
		require.Equal(t, apdu.SW(0x6283), sw)
	default:
		require.Equal(t, apdu.OK, sw)
	}
}

// TestAttemptIsCountedFirst: taking the power away while a number is compared
// costs the attempt, whether the number was right or wrong.
func TestAttemptIsCountedFirst(t *testing.T) {
	t.Parallel()
	for name, attempt := range map[string]func(b *bench){
		"right number": func(b *bench) { b.verify(testPIN) },
		"wrong number": func(b *bench) { b.verify("\x00\x00\x00") },
		"right key":    func(b *bench) { b.external(0x0A, issuerKey("RKSSSE")) },
		"wrong key":    func(b *bench) { b.external(0x0A, make([]byte, 16)) },
	} {
		made := holder(t)
		store := &torn{Store: made.store, cut: 1}
		b := power(t, store, []*profile.Profile{made.chip.profile})
		b.enter()
		attempt(b)
		image, err := made.store.Load()
		require.NoError(t, err)
		lost := b.chip.profile.PIN.Tries - image.PINTries + 15 - int(image.Keys["RKSSSE"].Tries)
		require.Equal(t, 1, lost, name)
	}
}
