package chip

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card/profile"
)

// restarts are the ways in which a chip forgets what it need not keep.
var restarts = map[string]func(b *bench){
	"warm reset":    func(b *bench) { b.chip.Reset() },
	"power":         func(b *bench) { b.chip.PowerOff(); b.chip.PowerOn() },
	"another house": func(b *bench) { *b = *power(b.t, b.store, []*profile.Profile{b.chip.profile}) },
}

func restart(b *bench, how string) {
	restarts[how](b)
	b.enter()
}

// TestPINCounter: attempts are counted across every kind of restart, a right
// one gives them back, and a blocked number stays blocked.
func TestPINCounter(t *testing.T) {
	t.Parallel()
	for how := range restarts {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := holder(t)
			tries := b.chip.profile.PIN.Tries
			require.Equal(t, apdu.SW(0x63C0+tries-1), b.verify("\x00\x00\x00"))
			restart(b, how)
			require.Equal(t, apdu.SW(0x63C0+tries-2), b.sw("805E010007000000FF654321"), "a change is an attempt too")
			restart(b, how)
			require.Equal(t, apdu.OK, b.verify(testPIN))
			for left := tries - 1; left >= 0; left-- {
				require.Equal(t, apdu.SW(0x63C0+left), b.verify("\x00\x00\x00"))
				restart(b, how)
			}
			for _, pin := range []string{testPIN, "\x00\x00\x00"} {
				require.Equal(t, apdu.SW(0x6983), b.verify(pin))
			}
			require.Equal(t, apdu.SW(0x6983), b.sw("805E010007123456FF654321"))

			// The window gives the attempts back, with the number as it was.
			b.prove("PUK")
			require.Equal(t, apdu.OK, b.maintain(0x24, 0, nil))
			restart(b, how)
			require.Equal(t, apdu.OK, b.verify(testPIN))
			require.Equal(t, apdu.OK, b.sw("805E010007123456FF654321"))
			restart(b, how)
			require.Equal(t, apdu.OK, b.verify("\x65\x43\x21"))
		})
	}
}

// TestAttemptsAsked: how many attempts are left is told as often as it is asked,
// with T=0 and without; nothing is used up by it.
func TestAttemptsAsked(t *testing.T) {
	t.Parallel()
	require.Equal(t, apdu.SW(0x6984), personal(t).sw("00200000"), "no number is set")
	b := holder(t)
	for left := b.chip.profile.PIN.Tries - 1; left > 0; left-- {
		require.Equal(t, apdu.SW(0x63C0+left), b.verify("\x00\x00\x00"))
		for _, ask := range []string{"00200000", "0020000000"} {
			require.Equal(t, apdu.SW(0x63C0+left), b.sw(ask))
		}
	}
	b.verify("\x00\x00\x00")
	require.Equal(t, apdu.SW(0x6983), b.sw("00200000"))
}

// TestKeyCounter: the same for a key, of the environment and of a DF.
func TestKeyCounter(t *testing.T) {
	t.Parallel()
	for how := range restarts {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := personal(t)
			wrong := make([]byte, 16)
			const id, tries = 0x0A, 15 // RKSSSE
			require.Equal(t, apdu.SW(0x63C0+tries-1), b.external(id, wrong))
			restart(b, how)
			require.Equal(t, apdu.SW(0x63C0+tries-2), b.external(id, wrong))
			restart(b, how)
			b.prove("RKSSSE")
			require.Equal(t, apdu.SW(0x63C0+tries-1), b.external(id, wrong), "a right one gives them back")
			require.Equal(t, apdu.SW(0x6982), b.sw("00B2013400"), "and a wrong one takes the right away")
			for left := tries - 2; left >= 0; left-- {
				restart(b, how)
				require.Equal(t, apdu.SW(0x63C0+left), b.external(id, wrong))
			}
			restart(b, how)
			require.Equal(t, apdu.SW(0x6983), b.external(id, issuerKey("RKSSSE")))
			b.prove("UKSSSE") // the others are as they were
		})
	}
}

// TestWrongMAC: a command whose MAC is wrong changes nothing, costs its
// challenge, and goes through when it is made anew.
func TestWrongMAC(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		header string
		data   int
		right  func(b *bench) apdu.SW
	}{
		"reload":            {"84240001", 16, func(b *bench) apdu.SW { return b.maintain(0x24, 1, pinBlock) }},
		"give back":         {"84240000", 0, func(b *bench) apdu.SW { return b.maintain(0x24, 0, nil) }},
		"block":             {"841E0000", 0, func(b *bench) apdu.SW { return b.maintain(0x1E, 0, nil) }},
		"block for ever":    {"841E0001", 0, func(b *bench) apdu.SW { return b.maintain(0x1E, 1, nil) }},
		"unblock":           {"84180000", 0, func(b *bench) apdu.SW { return b.maintain(0x18, 0, nil) }},
		"block of the card": {"84160000", 0, func(b *bench) apdu.SW { return b.maintain(0x16, 0, nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := holder(t)
			b.prove("PUK")
			before := b.stored()
			b.challenge(8)
			command := append(unhex(t, test.header), byte(test.data+4))
			command = append(command, make([]byte, test.data+4)...)
			_, sw := b.send(command)
			require.Equal(t, apdu.SW(0x6988), sw)
			_, sw = b.send(command)
			require.Equal(t, apdu.SW(0x6984), sw, "the challenge is used up")
			b.challenge(16)
			_, sw = b.send(command)
			require.Equal(t, apdu.SW(0x6984), sw, "one of another size is none")
			require.Equal(t, before, b.stored())
			require.Equal(t, apdu.OK, test.right(b))
		})
	}
}

var pinBlock = []byte{3, 0x65, 0x43, 0x21, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// TestReload: a number is set with both the right and the MAC, and only a
// number is.
func TestReload(t *testing.T) {
	t.Parallel()
	b := personal(t)
	b.prove("PUK")
	require.Equal(t, apdu.SW(0x6984), b.maintain(0x24, 0, nil), "no attempts to give back before a number is set")
	for name, block := range map[string][]byte{
		"another length": {4, 0x65, 0x43, 0x21, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"no digits":      {3, 0x65, 0x43, 0x2A, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"no padding":     {3, 0x65, 0x43, 0x21, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"more after it":  {3, 0x65, 0x43, 0x21, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
	} {
		require.Equal(t, apdu.SW(0x6A80), b.maintain(0x24, 1, block), name)
	}
	require.Equal(t, apdu.OK, b.maintain(0x24, 1, pinBlock))
	require.Equal(t, apdu.OK, b.verify("\x65\x43\x21"))
}

// TestBlocks: what a blocked application still answers, what undoes it, and
// what nothing undoes.
func TestBlocks(t *testing.T) {
	t.Parallel()
	b := holder(t)
	require.Equal(t, apdu.OK, b.maintain(0x1E, 0, nil))
	for how := range restarts {
		restarts[how](b)
		fci, sw := b.send(unhex(t, selectEnvironment))
		require.Equal(t, apdu.SW(0x6283), sw)
		require.Empty(t, fci)
		require.Equal(t, apdu.SW(0x6985), b.sw("00B2012C00"))
		require.Equal(t, apdu.SW(0x6985), b.verify(testPIN))
		require.Equal(t, apdu.OK, b.sw("80CA00E000"))
	}
	require.Equal(t, apdu.OK, b.maintain(0x18, 0, nil))
	require.Equal(t, apdu.OK, b.verify(testPIN))

	require.Equal(t, apdu.OK, b.maintain(0x1E, 1, nil))
	require.Equal(t, apdu.SW(0x9303), b.maintain(0x18, 0, nil))

	b = holder(t)
	require.Equal(t, apdu.OK, b.maintain(0x16, 0, nil))
	for how := range restarts {
		restarts[how](b)
		for _, command := range []string{selectEnvironment, "0084000008", "80CA00E000"} {
			require.Equal(t, apdu.SW(0x6A81), b.sw(command))
		}
	}
}

// broken is a memory that cannot be written.
type broken struct {
	Store
	off bool
}

func (s *broken) Save(image *Image) error {
	if s.off {
		return errors.New("worn out")
	}
	return s.Store.Save(image)
}

// TestMemoryFails: a change that cannot be kept is refused, and the chip goes
// on with what it has.
func TestMemoryFails(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(b *bench) apdu.SW{
		"attempt":      func(b *bench) apdu.SW { return b.verify("\x00\x00\x00") },
		"right number": func(b *bench) apdu.SW { return b.verify(testPIN) },
		"right key":    func(b *bench) apdu.SW { return b.external(0x0A, issuerKey("RKSSSE")) },
		"element":      func(b *bench) apdu.SW { return b.sw("00DC052C 06 0504 20261123") },
		"bytes":        func(b *bench) apdu.SW { return b.sw("00D68710 03 010203") },
		"block":        func(b *bench) apdu.SW { return b.maintain(0x1E, 0, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := holder(t)
			store := &broken{Store: made.store}
			b := power(t, store, []*profile.Profile{made.chip.profile})
			b.enter()
			b.prove("UKSSSE")
			before := made.stored()
			store.off = true
			require.Equal(t, apdu.SW(0x6581), change(b))
			require.Equal(t, before, made.stored())
			require.Equal(t, apdu.SW(0x6982), b.sw("00B2013400"), "nothing was gained")
			store.off = false
			require.Equal(t, apdu.OK, b.verify(testPIN), "no attempt was lost")
			require.NotEqual(t, apdu.SW(0x6581), change(b))
		})
	}
}
