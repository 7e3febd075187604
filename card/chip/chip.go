package chip

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"onecard/apdu"
	"onecard/card/profile"
)

// The life cycle.
const (
	lifeBlank       = 0x01
	lifeOperational = 0x03
	lifeTerminated  = 0x7F
)

// Chip is a chip with its power on or off. It serves one reader: its methods
// are called from one goroutine at a time.
type Chip struct {
	// Contactless says that the chip lies on a contactless reader (非接触式): its
	// answer to reset has another frame, and answers come whole.
	Contactless bool

	profile *profile.Profile // nil for a foreign chip
	store   Store
	rand    io.Reader
	image   *Image
	torn    bool // the power went inside a write
	ram
}

// ram is what a chip forgets without power.
type ram struct {
	on        bool
	scope     *profile.Scope // current DF; nil in the MF
	file      *profile.File  // current EF
	rights    map[string]bool
	pin       bool   // verified
	challenge []byte // latest, not used yet
	chain     []byte // last MAC block of a run of key loads
	waiting   []byte // for GET RESPONSE
	session   *channelSession
	bank      bool // the bank's application is selected
	movement  *movement
}

// clone copies what a chip holds with power.
func (r ram) clone() ram {
	r.rights = maps.Clone(r.rights)
	if r.movement != nil {
		r.movement = &movement{credit: r.movement.credit, values: maps.Clone(r.movement.values)}
	}
	if r.session != nil {
		session := *r.session
		r.session = &session
	}
	return r
}

// New puts a chip on a stored image, which names the profile it was made for.
// A nil random source is the system's. An image that does not fit its profile
// is ErrImage.
func New(profiles []*profile.Profile, store Store, random io.Reader) (*Chip, error) {
	image, err := store.Load()
	if err != nil {
		return nil, err
	}
	c := &Chip{store: store, rand: random, image: image}
	if c.rand == nil {
		c.rand = rand.Reader
	}
	if image.Version != "" {
		if c.profile, err = profile.Of(profiles, image.Version, image.Area); err != nil {
			return nil, fmt.Errorf("chip: %w", err)
		}
	}
	if err := image.check(c.profile); err != nil {
		return nil, err
	}
	return c, nil
}

// PowerOn switches the chip on and returns the answer to reset.
func (c *Chip) PowerOn() []byte {
	if c.torn {
		// What a power cut left half done is put right first. A chip whose
		// power goes again meanwhile stays mute.
		image, err := c.store.Load()
		if err != nil {
			c.ram = ram{}
			return nil
		}
		c.image, c.torn = image, false
	}
	c.ram = ram{on: true, rights: map[string]bool{}}
	return c.ATR()
}

// Reset is a warm reset: what was not saved is lost, the power stays on.
func (c *Chip) Reset() []byte { return c.PowerOn() }

// ATR returns the answer to reset without changing anything.
func (c *Chip) ATR() []byte {
	if c.Contactless && c.profile != nil {
		return contactless(c.image.ATR)
	}
	return bytes.Clone(c.image.ATR)
}

// contactless makes the answer that a reader gives for a contactless card of
// ISO/IEC 14443-4 (PC/SC part 3 clause 3.1.3.2.3.1): its historical bytes,
// here those of the contact side, and their check byte.
func contactless(atr []byte) []byte {
	historical := atr[4:]
	framed := append([]byte{0x3B, 0x80 | byte(len(historical)), 0x80, 0x01}, historical...)
	check := byte(0)
	for _, b := range framed[1:] {
		check ^= b
	}
	return append(framed, check)
}

// PowerOff takes the power away: what was not saved is lost.
func (c *Chip) PowerOff() { c.ram = ram{} }

// Image returns a copy of the memory, for tests.
func (c *Chip) Image() (*Image, error) { return c.store.Load() }

// command is one command of the chip: the class bytes it is accepted with and
// what it does.
type command struct {
	classes []byte
	run     func(c *Chip, cmd apdu.Command) ([]byte, apdu.SW)
}

// The classes: plain, of the maker, and secured by a MAC.
var (
	plain   = []byte{0x00}
	maker   = []byte{0x80}
	either  = []byte{0x00, 0x80}
	secured = []byte{0x84}
	writing = []byte{0x00, 0x04}
)

// The instructions that the flow of commands itself knows.
const (
	insLoadKey     = 0xD4
	insGetResponse = 0xC0
)

// commands are the chip's commands by instruction byte.
var commands = map[byte]command{
	0x16:           {secured, (*Chip).blockCard},
	0x18:           {secured, (*Chip).unblockApplication},
	0x1E:           {secured, (*Chip).blockApplication},
	0x20:           {plain, (*Chip).verifyPIN},
	0x24:           {secured, (*Chip).reloadPIN},
	0x50:           {maker, (*Chip).initialize},
	0x52:           {maker, (*Chip).move},
	0x54:           {maker, (*Chip).move},
	0x5A:           {maker, (*Chip).prove},
	0x5E:           {maker, (*Chip).changePIN},
	0x82:           {plain, (*Chip).externalAuthenticate},
	0x84:           {plain, (*Chip).getChallenge},
	0x88:           {plain, (*Chip).internalAuthenticate},
	0xA4:           {plain, (*Chip).selectFile},
	0xB0:           {plain, (*Chip).readBinary},
	0xB2:           {plain, (*Chip).readRecord},
	insGetResponse: {plain, (*Chip).getResponse},
	0xCA:           {either, (*Chip).getData},
	insLoadKey:     {secured, (*Chip).loadKey},
	0xD6:           {plain, (*Chip).updateBinary},
	0xDC:           {writing, (*Chip).writeRecord},
	0xF0:           {secured, (*Chip).finish},
}

// whileBlocked are the instructions of a chip whose application is blocked:
// unblock, challenge, select, response, data.
var whileBlocked = []byte{0x18, 0x84, 0xA4, insGetResponse, 0xCA}

// Transmit carries a raw command APDU out and returns the raw answer. Bytes
// that are no short APDU are answered 6700: T=0 has no others.
func (c *Chip) Transmit(command []byte) []byte {
	data, sw := c.process(command)
	return apdu.Response{Data: data, SW: sw}.Bytes()
}

func (c *Chip) process(raw []byte) ([]byte, apdu.SW) {
	if !c.on {
		return nil, 0x6F00
	}
	if c.profile == nil {
		return c.foreign(raw)
	}
	// A movement of the account ends with any other command.
	if len(raw) > 1 && raw[1] != 0x52 && raw[1] != 0x54 && raw[1] != insGetResponse {
		c.movement = nil
	}
	// A run of key loads ends with any other command and with any error, an
	// answer that waits with any command but the one that fetches it.
	chain, waiting := c.chain, c.waiting
	c.chain, c.waiting = nil, nil
	cmd, err := apdu.ParseCommand(raw)
	if err != nil || len(raw) > 5 && raw[4] == 0 { // the latter is extended
		return nil, 0x6700
	}
	if c.domain() {
		c.waiting = waiting
		if cmd.INS != insGetResponse {
			c.waiting = nil
		}
		return c.platform(cmd)
	}
	known, ok := commands[cmd.INS]
	switch {
	case !ok:
		return nil, 0x6D00
	case !slices.Contains(known.classes, cmd.CLA):
		return nil, 0x6E00
	case c.image.CardBlocked:
		return nil, 0x6A81
	case c.image.ApplicationBlocked && !c.bank && !slices.Contains(whileBlocked, cmd.INS):
		return nil, 0x6985
	}
	switch cmd.INS {
	case insLoadKey:
		c.chain = chain
	case insGetResponse:
		c.waiting = waiting
	}
	data, sw := known.run(c, cmd)
	return c.deliver(cmd, data, sw)
}

// deliver hands data out as T=0 does (ISO/IEC 7816-3 clause 12.2.1): after a
// command with data it waits for GET RESPONSE, as does what one answer cannot
// hold; a wrong Le is told.
func (c *Chip) deliver(cmd apdu.Command, data []byte, sw apdu.SW) ([]byte, apdu.SW) {
	if len(data) == 0 || c.Contactless {
		return data, sw
	}
	if len(cmd.Data) > 0 {
		c.waiting = data
		if sw == apdu.OK {
			sw = 0x6100 | length(data)
		}
		return nil, sw
	}
	if cmd.Ne != apdu.MaxShortNe && cmd.Ne != len(data) {
		return nil, 0x6C00 | length(data)
	}
	if len(data) > apdu.MaxShortNe {
		data, c.waiting = data[:apdu.MaxShortNe], data[apdu.MaxShortNe:]
		sw = 0x6100 | length(c.waiting)
	}
	return data, sw
}

// length is how a status word codes how much one answer may take of data: 00
// for all that it holds.
func length(data []byte) apdu.SW { return apdu.SW(min(len(data), apdu.MaxShortNe) & 0xFF) }

// getResponse hands out what waits. It goes on waiting after a wrong Le, and
// is gone once it was fetched.
func (c *Chip) getResponse(cmd apdu.Command) ([]byte, apdu.SW) {
	data := c.waiting
	if data == nil || len(cmd.Data) > 0 {
		c.waiting = nil
		return nil, 0x6985
	}
	if cmd.Ne == apdu.MaxShortNe || cmd.Ne == len(data) {
		c.waiting = nil
	}
	return data, apdu.OK
}

// foreign answers from the table; a command with or without Le is the same.
func (c *Chip) foreign(command []byte) ([]byte, apdu.SW) {
	for _, form := range [][]byte{command, bytes.TrimSuffix(command, []byte{0})} {
		if answer, known := c.image.Answers[fmt.Sprintf("%X", form)]; known {
			return answer[:len(answer)-2], apdu.SW(answer[len(answer)-2])<<8 | apdu.SW(answer[len(answer)-1])
		}
	}
	if len(command) > 1 && command[1] == 0xA4 {
		return nil, 0x6A82
	}
	return nil, 0x6D00
}

// save makes a change of the image last. Where it cannot be written the chip
// goes on with what it had.
func (c *Chip) save() apdu.SW {
	err := c.store.Save(c.image)
	if errors.Is(err, ErrPower) {
		c.torn = true
		c.PowerOff()
		return 0x6F00
	}
	if err != nil {
		if old, err := c.store.Load(); err == nil {
			c.image = old
		}
		return 0x6581
	}
	return apdu.OK
}

// environment says whether the social security environment is selected.
func (c *Chip) environment() bool { return c.scope != nil }

func (c *Chip) selectFile(cmd apdu.Command) ([]byte, apdu.SW) {
	switch {
	case cmd.P1 == 0x04 && cmd.P2 == 0:
		return c.selectName(cmd.Data)
	case cmd.P1 != 0 && cmd.P1 != 0x02 || cmd.P2 != 0:
		return nil, 0x6A86
	case len(cmd.Data) != 2:
		return nil, 0x6700
	case bytes.Equal(cmd.Data, []byte{0x3F, 0x00}):
		c.enter(nil)
		return nil, apdu.OK
	case !c.environment():
		return nil, 0x6A82
	}
	for i := range c.profile.Scopes {
		if bytes.Equal(c.profile.Scopes[i].FID, cmd.Data) {
			c.enter(&c.profile.Scopes[i])
			return nil, apdu.OK
		}
	}
	for i := range c.scope.Files {
		if bytes.Equal(c.scope.Files[i].FID, cmd.Data) {
			c.file = &c.scope.Files[i]
			return nil, apdu.OK
		}
	}
	return nil, 0x6A82
}

func (c *Chip) selectName(name []byte) ([]byte, apdu.SW) {
	if bytes.Equal(name, c.profile.Environment) {
		c.enter(&c.profile.Scopes[0])
		if c.image.ApplicationBlocked {
			return bytes.Clone(c.profile.FCI), 0x6283
		}
		return bytes.Clone(c.profile.FCI), apdu.OK
	}
	if c.hasBank(name) {
		c.enter(nil)
		c.bank = true
		return apdu.AppendTLV(nil, 0x6F, apdu.AppendTLV(nil, 0x84, name)), apdu.OK
	}
	for i := range c.profile.Scopes {
		if aid := c.profile.Scopes[i].AID; len(aid) > 0 && bytes.Equal(name, aid) {
			c.enter(&c.profile.Scopes[i])
			return apdu.AppendTLV(nil, 0x6F, apdu.AppendTLV(nil, 0x84, aid)), apdu.OK
		}
	}
	return nil, 0x6A82
}

// enter changes the current DF: rights gained in another are lost.
func (c *Chip) enter(scope *profile.Scope) {
	c.scope, c.file, c.bank = scope, nil, false
	c.rights = map[string]bool{}
}

func (c *Chip) getChallenge(cmd apdu.Command) ([]byte, apdu.SW) {
	switch {
	case cmd.P1 != 0 || cmd.P2 != 0:
		return nil, 0x6A86
	case len(cmd.Data) > 0 || cmd.Ne != 4 && cmd.Ne != 8 && cmd.Ne != 16:
		return nil, 0x6700
	}
	challenge := make([]byte, cmd.Ne)
	if _, err := io.ReadFull(c.rand, challenge); err != nil {
		return nil, 0x6F00
	}
	c.challenge = challenge
	return bytes.Clone(challenge), apdu.OK
}

// take uses the latest challenge up; nil when there is none of that size.
func (c *Chip) take(size int) []byte {
	challenge := c.challenge
	c.challenge = nil
	if len(challenge) != size {
		return nil
	}
	return challenge
}
