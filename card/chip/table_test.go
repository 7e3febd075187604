package chip

import (
	"bytes"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card/profile"
)

// The laboratory's transport key and the issuer's keys of these tests: every
// slot gets its own, made of its name.
var makerKey = [16]byte([]byte("maker's test key"))

func issuerKey(name string) []byte {
	return []byte((name + "................")[:16])
}

var profilesOnce = sync.OnceValues(profile.Load)

// load returns the profiles, which all tests share.
func load(t testing.TB) (profiles []*profile.Profile, p *profile.Profile) {
	t.Helper()
	profiles, err := profilesOnce()
	require.NoError(t, err)
	p, err = profile.ByVersion(profiles, "3.00")
	require.NoError(t, err)
	return profiles, p
}

// bench is a chip on the table with what the test knows of it.
type bench struct {
	t     testing.TB
	chip  *Chip
	store Store
}

// random counts: every challenge differs, every run is the same.
type random struct{ n byte }

func (r *random) Read(p []byte) (int, error) {
	for i := range p {
		r.n++
		p[i] = r.n
	}
	return len(p), nil
}

func power(t testing.TB, store Store, profiles []*profile.Profile) *bench {
	t.Helper()
	c, err := New(profiles, store, &random{})
	require.NoError(t, err)
	c.PowerOn()
	return &bench{t, c, store}
}

func blank(t testing.TB) *bench {
	t.Helper()
	profiles, p := load(t)
	image, err := Blank(p, [4]byte{0, 0, 0, 7}, makerKey)
	require.NoError(t, err)
	store, err := NewMemory(image)
	require.NoError(t, err)
	return power(t, store, profiles)
}

// personal is a card whose keys are the issuer's and whose life cycle is
// operational, with the environment selected.
func personal(t testing.TB) *bench {
	t.Helper()
	b := blank(t)
	for name, slot := range b.chip.image.Keys {
		*slot = Slot{Key: issuerKey(name), Version: 1, Tries: slot.Most, Most: slot.Most}
	}
	b.chip.image.LifeCycle = lifeOperational
	require.Equal(t, apdu.OK, b.chip.save())
	b.enter()
	return b
}

// send transmits a command in hexadecimal, fetches what waits, and returns the
// answer.
func (b *bench) send(command []byte) ([]byte, apdu.SW) {
	b.t.Helper()
	r, err := apdu.ParseResponse(b.chip.Transmit(command))
	require.NoError(b.t, err)
	if r.SW>>8 == 0x61 {
		r, err = apdu.ParseResponse(b.chip.Transmit([]byte{0, 0xC0, 0, 0, byte(r.SW)}))
		require.NoError(b.t, err)
	}
	return r.Data, r.SW
}

// stored is the image as the store has it.
func (b *bench) stored() string {
	b.t.Helper()
	memory, ok := b.store.(*Memory)
	require.True(b.t, ok)
	return string(memory.image)
}

func (b *bench) sw(command string) apdu.SW {
	b.t.Helper()
	_, sw := b.send(unhex(b.t, command))
	return sw
}

func (b *bench) ok(command []byte) []byte {
	b.t.Helper()
	data, sw := b.send(command)
	require.Equal(b.t, apdu.OK, sw, "%X", command)
	return data
}

func (b *bench) enter() {
	b.t.Helper()
	b.ok(unhex(b.t, selectEnvironment))
}

const selectEnvironment = "00A404000F7378312E73682EC9E7BBE1B1A3D5CF"

func (b *bench) challenge(size byte) []byte {
	b.t.Helper()
	return b.ok([]byte{0, 0x84, 0, 0, size})
}

// external authenticates with a key of the chip's own, or a wrong one.
func (b *bench) external(id byte, key []byte) apdu.SW {
	b.t.Helper()
	r2 := []byte("r2r2r2r2")
	auth, err := b.chip.suite().cryptogram(key, b.challenge(8), r2)
	require.NoError(b.t, err)
	_, sw := b.send(bytes.Join([][]byte{{0, 0x82, 0, id, 16}, auth, r2}, nil))
	return sw
}

// prove gains the right of a key.
func (b *bench) prove(name string) {
	b.t.Helper()
	_, key, ok := b.chip.profile.Key(name)
	require.True(b.t, ok)
	require.Equal(b.t, apdu.OK, b.external(key.ID, issuerKey(name)))
}

// maintain sends a command secured by the application maintenance key.
func (b *bench) maintain(ins, p2 byte, plain []byte) apdu.SW {
	b.t.Helper()
	pk, err := b.chip.suite().processKey(b.chip.image.Keys["STK"].Key, b.challenge(8))
	require.NoError(b.t, err)
	enciphered, err := b.chip.suite().encrypt(pk, plain)
	require.NoError(b.t, err)
	command := append([]byte{0x84, ins, 0, p2, byte(len(enciphered) + 4)}, enciphered...)
	_, folded, err := b.chip.suite().mac(pk, make([]byte, 16), command)
	require.NoError(b.t, err)
	_, sw := b.send(append(command, folded...))
	return sw
}

// loadKey loads a key into a slot and returns the last block of the MAC.
func (b *bench) loadKey(name string, iv, key []byte) (last []byte, sw apdu.SW) {
	b.t.Helper()
	scope, slot, ok := b.chip.profile.Key(name)
	require.True(b.t, ok)
	block := bytes.Join([][]byte{{0x13, slot.Usage, 1, slot.Tries}, key, {0x80}, make([]byte, 11)}, nil)
	return b.loadBlock(byte(scope.Index), slot.ID, iv, block)
}

func (b *bench) loadBlock(scope, id byte, iv, block []byte) (last []byte, sw apdu.SW) {
	b.t.Helper()
	master := b.chip.master().Key
	enciphered, err := b.chip.suite().encrypt(master, block)
	require.NoError(b.t, err)
	command := append([]byte{0x84, 0xD4, scope, id, 0x24}, enciphered...)
	last, folded, err := b.chip.suite().mac(master, iv, command)
	require.NoError(b.t, err)
	_, sw = b.send(append(command, folded...))
	return last, sw
}

func (b *bench) finish() apdu.SW {
	b.t.Helper()
	command := []byte{0x84, 0xF0, 0, 0, 4}
	_, folded, err := b.chip.suite().mac(b.chip.master().Key, b.challenge(16), command)
	require.NoError(b.t, err)
	_, sw := b.send(append(command, folded...))
	return sw
}
