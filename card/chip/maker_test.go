package chip

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
)

// loadAll loads the issuer's keys over the maker's, the master key last.
func (b *bench) loadAll() {
	b.t.Helper()
	last := b.challenge(16)
	load := func(name string) {
		next, sw := b.loadKey(name, last, issuerKey(name))
		require.Equal(b.t, apdu.OK, sw, name)
		last = next
	}
	master := b.chip.profile.Maker.Master
	for _, scope := range b.chip.profile.Scopes {
		for _, key := range scope.Keys {
			if key.Name != master {
				load(key.Name)
			}
		}
	}
	load(master)
}

// versions reads the chip's own list of keys: version by scope and identifier.
func (b *bench) versions() (life byte, keys map[[2]byte]byte) {
	b.t.Helper()
	objects, err := apdu.ParseTLV(b.ok(unhex(b.t, "80CA00E000")))
	require.NoError(b.t, err)
	list, ok := apdu.FindTLV(objects, 0xE0)
	require.True(b.t, ok)
	state, ok := apdu.FindTLV(list.Children, 0x9F70)
	require.True(b.t, ok)
	keys = map[[2]byte]byte{}
	for _, o := range list.Children {
		if o.Tag == 0xC0 {
			for pair := o.Value[1:]; len(pair) > 0; pair = pair[2:] {
				keys[[2]byte{o.Value[0], pair[0]}] = pair[1]
			}
		}
	}
	return state.Value[0], keys
}

// TestPersonalisation: a blank gets its keys and becomes a card; the list says
// at each point how far it is.
func TestPersonalisation(t *testing.T) {
	t.Parallel()
	b := blank(t)
	b.enter()
	life, keys := b.versions()
	require.Equal(t, byte(lifeBlank), life)
	require.Len(t, keys, len(b.chip.image.Keys))
	for key, version := range keys {
		require.Zero(t, version, "%X", key)
	}
	require.Equal(t, apdu.SW(0x6985), b.finish(), "not with the maker's master key")
	b.loadAll()
	require.Equal(t, apdu.OK, b.finish())
	life, keys = b.versions()
	require.Equal(t, byte(lifeOperational), life)
	for key, version := range keys {
		require.Equal(t, byte(1), version, "%X", key)
	}
	require.Equal(t, apdu.SW(0x6985), b.finish(), "a card is finished once")
	_, sw := b.loadKey("IRK", b.challenge(16), issuerKey("IRK"))
	require.Equal(t, apdu.SW(0x6985), sw)
	b.prove("RKSSSE")
}

// TestLoadKeyRefused: no block that is wrong in any part gets into a slot.
func TestLoadKeyRefused(t *testing.T) {
	t.Parallel()
	sound := func(change func(block []byte)) []byte {
		block := bytes.Join([][]byte{{0x13, 0x39, 1, 15}, issuerKey("RKSSSE"), {0x80}, make([]byte, 11)}, nil)
		change(block)
		return block
	}
	for name, test := range map[string]struct {
		id    byte
		block []byte
		want  apdu.SW
	}{
		"sound":            {0x0A, sound(func([]byte) {}), apdu.OK},
		"no such slot":     {0x7E, sound(func([]byte) {}), 0x6A88},
		"another length":   {0x0A, sound(func(b []byte) { b[0] = 0x12 }), 0x6A80},
		"another usage":    {0x0A, sound(func(b []byte) { b[1] = 0x34 }), 0x6A80},
		"version 0":        {0x0A, sound(func(b []byte) { b[2] = 0 }), 0x6A80},
		"no attempts":      {0x0A, sound(func(b []byte) { b[3] = 0 }), 0x6A80},
		"sixteen attempts": {0x0A, sound(func(b []byte) { b[3] = 16 }), 0x6A80},
		"no padding":       {0x0A, sound(func(b []byte) { b[20] = 0 }), 0x6A80},
		"more after it":    {0x0A, sound(func(b []byte) { b[31] = 1 }), 0x6A80},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := blank(t)
			b.enter()
			before := b.stored()
			_, sw := b.loadBlock(0, test.id, b.challenge(16), test.block)
			require.Equal(t, test.want.String(), sw.String())
			require.Equal(t, test.want == apdu.OK, before != b.stored())
		})
	}
}

// TestLoadKeyChain: the MAC of a run goes on from key to key; a wrong one, or
// anything in between, ends the run.
func TestLoadKeyChain(t *testing.T) {
	t.Parallel()
	b := blank(t)
	b.enter()
	_, sw := b.loadKey("IRK", make([]byte, 16), issuerKey("IRK"))
	require.Equal(t, apdu.SW(0x6984), sw, "without a challenge")
	b.challenge(8)
	_, sw = b.loadKey("IRK", make([]byte, 16), issuerKey("IRK"))
	require.Equal(t, apdu.SW(0x6984), sw, "with a short one")

	first, sw := b.loadKey("IRK", b.challenge(16), issuerKey("IRK"))
	require.Equal(t, apdu.OK, sw)
	second, sw := b.loadKey("STK", first, issuerKey("STK"))
	require.Equal(t, apdu.OK, sw)
	before := b.stored()
	_, sw = b.loadKey("BK", first, issuerKey("BK"))
	require.Equal(t, apdu.SW(0x6988), sw, "the MAC of another place in the run")
	_, sw = b.loadKey("BK", second, issuerKey("BK"))
	require.Equal(t, apdu.SW(0x6984), sw, "the run has ended")

	last, sw := b.loadKey("IRK", b.challenge(16), issuerKey("IRK"))
	require.Equal(t, apdu.OK, sw)
	b.enter()
	_, sw = b.loadKey("STK", last, issuerKey("STK"))
	require.Equal(t, apdu.SW(0x6984), sw, "another command ended it")
	require.Equal(t, before, b.stored())
}

// TestChallengeMaker: a maker who wants a challenge for each key gets no run.
func TestChallengeMaker(t *testing.T) {
	t.Parallel()
	b := blank(t)
	p := *b.chip.profile
	p.Maker.IV = "challenge"
	b.chip.profile = &p
	b.enter()
	last, sw := b.loadKey("IRK", b.challenge(16), issuerKey("IRK"))
	require.Equal(t, apdu.OK, sw)
	_, sw = b.loadKey("STK", last, issuerKey("STK"))
	require.Equal(t, apdu.SW(0x6984), sw)
	_, sw = b.loadKey("STK", b.challenge(16), issuerKey("STK"))
	require.Equal(t, apdu.OK, sw)
}

func TestFinishRefused(t *testing.T) {
	t.Parallel()
	b := blank(t)
	b.enter()
	b.loadAll()
	require.Equal(t, apdu.SW(0x6A86), b.sw("84F000010400000000"))
	b.challenge(16)
	require.Equal(t, apdu.SW(0x6700), b.sw("84F0000003000000"))
	require.Equal(t, apdu.SW(0x6984), b.sw("84F000000400000000"), "the challenge is used up")
	b.challenge(16)
	require.Equal(t, apdu.SW(0x6988), b.sw("84F000000400000000"))
	life, _ := b.versions()
	require.Equal(t, byte(lifeBlank), life)
	require.Equal(t, apdu.OK, b.finish())
}
