package chip

import (
	"bytes"
	"crypto/subtle"
	"slices"

	"onecard/apdu"
	"onecard/card/profile"
)

// key finds a key slot by its identifier: with bit 8 in the current DF,
// without it in the environment.
func (c *Chip) key(id byte, purpose string) (profile.Key, *Slot, bool) {
	scope := &c.profile.Scopes[0]
	if id&0x80 != 0 {
		scope = c.scope
	}
	for _, key := range scope.Keys {
		if key.ID == id && key.Purpose == purpose {
			return key, c.image.Keys[key.Name], true
		}
	}
	return profile.Key{}, nil, false
}

// suite is the cryptography of the chip.
func (c *Chip) suite() suite { return suiteOf(c.profile) }

// authentication says whether data are those of an authentication: two values
// of eight bytes and what the profile has behind them.
func (c *Chip) authentication(data []byte) bool {
	return len(data) >= 16 && bytes.Equal(data[16:], c.profile.Choices.KeyVersion)
}

func (c *Chip) internalAuthenticate(cmd apdu.Command) ([]byte, apdu.SW) {
	if !c.environment() {
		return nil, 0x6985
	}
	switch {
	case cmd.P1 != 0:
		return nil, 0x6A86
	case !c.authentication(cmd.Data):
		return nil, 0x6700
	}
	_, slot, ok := c.key(cmd.P2, "internal")
	if !ok {
		return nil, 0x6A88
	}
	auth, err := c.suite().cryptogram(slot.Key, cmd.Data[:8], cmd.Data[8:16])
	if err != nil {
		return nil, 0x6F00
	}
	return auth, apdu.OK
}

func (c *Chip) externalAuthenticate(cmd apdu.Command) ([]byte, apdu.SW) {
	if !c.environment() {
		return nil, 0x6985
	}
	switch {
	case cmd.P1 != 0:
		return nil, 0x6A86
	case !c.authentication(cmd.Data):
		return nil, 0x6700
	}
	key, slot, ok := c.key(cmd.P2, "external")
	if !ok {
		return nil, 0x6A88
	}
	if slot.Tries == 0 {
		return nil, 0x6983
	}
	challenge := c.take(8)
	if challenge == nil {
		return nil, 0x6984
	}
	// The attempt is counted before it is judged: taking the power away in
	// between gains nothing.
	slot.Tries--
	if sw := c.save(); sw != apdu.OK {
		return nil, sw
	}
	slot = c.image.Keys[key.Name]
	expected, err := c.suite().cryptogram(slot.Key, challenge, cmd.Data[8:16])
	if err != nil {
		return nil, 0x6F00
	}
	if subtle.ConstantTimeCompare(expected, cmd.Data[:8]) != 1 {
		delete(c.rights, key.Name)
		return nil, 0x63C0 | apdu.SW(slot.Tries)
	}
	slot.Tries = slot.Most
	if sw := c.save(); sw != apdu.OK {
		return nil, sw
	}
	c.rights[key.Name] = true
	return nil, apdu.OK
}

func (c *Chip) verifyPIN(cmd apdu.Command) ([]byte, apdu.SW) {
	switch {
	case !c.environment():
		return nil, 0x6985
	case cmd.P1 != 0 || cmd.P2 != 0:
		return nil, 0x6A86
	case len(cmd.Data) == 0: // with T=0 it comes with a length of 00
		return nil, c.attempts()
	case len(cmd.Data)*2 != c.profile.PIN.Digits:
		return nil, 0x6700
	}
	return nil, c.comparePIN(cmd.Data)
}

// attempts says how many are left without using one up: VERIFY without data
// (ISO/IEC 7816-4 clause 11.5.6).
func (c *Chip) attempts() apdu.SW {
	switch {
	case len(c.image.PIN) == 0:
		return 0x6984
	case c.image.PINTries == 0:
		return 0x6983
	}
	return 0x63C0 | apdu.SW(c.image.PINTries)
}

// comparePIN counts the attempt, then compares.
func (c *Chip) comparePIN(pin []byte) apdu.SW {
	switch {
	case len(c.image.PIN) == 0:
		return 0x6984
	case c.image.PINTries == 0:
		return 0x6983
	}
	c.pin = false
	c.image.PINTries--
	if sw := c.save(); sw != apdu.OK {
		return sw
	}
	if subtle.ConstantTimeCompare(c.image.PIN, pin) != 1 {
		return 0x63C0 | apdu.SW(c.image.PINTries)
	}
	c.image.PINTries = c.profile.PIN.Tries
	if sw := c.save(); sw != apdu.OK {
		return sw
	}
	c.pin = true
	return apdu.OK
}

// decimal says whether every half byte is a digit.
func decimal(bcd []byte) bool {
	return !slices.ContainsFunc(bcd, func(b byte) bool { return b>>4 > 9 || b&0x0F > 9 })
}

func (c *Chip) changePIN(cmd apdu.Command) ([]byte, apdu.SW) {
	old, fresh, found := bytes.Cut(cmd.Data, []byte{0xFF})
	size := c.profile.PIN.Digits / 2
	switch {
	case !c.environment():
		return nil, 0x6985
	case cmd.P1 != 1 || cmd.P2 != 0:
		return nil, 0x6A86
	case !found || len(old) != size || len(fresh) != size:
		return nil, 0x6700
	case !decimal(fresh):
		return nil, 0x6A80
	}
	if sw := c.comparePIN(old); sw != apdu.OK {
		return nil, sw
	}
	c.image.PIN = bytes.Clone(fresh)
	return nil, c.save()
}

// header returns the five bytes that a MAC begins with.
func header(cmd apdu.Command) []byte {
	return []byte{cmd.CLA, cmd.INS, cmd.P1, cmd.P2, byte(len(cmd.Data))}
}

// maintained checks the MAC of a command secured by the application
// maintenance key and returns the process key and the data before the MAC.
func (c *Chip) maintained(cmd apdu.Command, size int) (pk, data []byte, sw apdu.SW) {
	key, known := c.image.Keys["STK"]
	switch {
	case !c.environment():
		return nil, nil, 0x6985
	case len(cmd.Data) != size+4:
		return nil, nil, 0x6700
	case !known:
		return nil, nil, 0x6A88
	}
	challenge := c.take(8)
	if challenge == nil {
		return nil, nil, 0x6984
	}
	pk, err := c.suite().processKey(key.Key, challenge)
	if err != nil {
		return nil, nil, 0x6F00
	}
	data = cmd.Data[:size]
	_, folded, err := c.suite().mac(pk, make([]byte, c.suite().block), append(header(cmd), data...))
	if err != nil {
		return nil, nil, 0x6F00
	}
	if subtle.ConstantTimeCompare(folded, cmd.Data[size:]) != 1 {
		return nil, nil, 0x6988
	}
	return pk, data, apdu.OK
}

// reloadPIN sets a new number (P2 = 01) or gives the attempts back (P2 = 00).
func (c *Chip) reloadPIN(cmd apdu.Command) ([]byte, apdu.SW) {
	switch {
	case cmd.P1 != 0 || cmd.P2 > 1:
		return nil, 0x6A86
	case !c.rights["PUK"]:
		return nil, 0x6982
	}
	pk, data, sw := c.maintained(cmd, c.suite().block*int(cmd.P2))
	if sw != apdu.OK {
		return nil, sw
	}
	if cmd.P2 == 1 {
		pin, ok := c.pinOf(pk, data)
		if !ok {
			return nil, 0x6A80
		}
		c.image.PIN = pin
	} else if len(c.image.PIN) == 0 {
		return nil, 0x6984
	}
	c.image.PINTries = c.profile.PIN.Tries
	return nil, c.save()
}

// pinOf takes the number out of its enciphered block: length || number || 80
// 00...
func (c *Chip) pinOf(pk, enciphered []byte) ([]byte, bool) {
	block, err := c.suite().decrypt(pk, enciphered)
	if err != nil {
		return nil, false
	}
	size := c.profile.PIN.Digits / 2
	if size+2 > len(block) {
		return nil, false
	}
	pin, padding := block[1:1+size], block[1+size:]
	sound := int(block[0]) == size && decimal(pin) && padding[0] == 0x80 && bytes.Count(padding[1:], []byte{0}) == len(padding)-1
	return bytes.Clone(pin), sound
}

// blockApplication blocks the application, for ever with P2 = 01.
func (c *Chip) blockApplication(cmd apdu.Command) ([]byte, apdu.SW) {
	if cmd.P1 != 0 || cmd.P2 > 1 {
		return nil, 0x6A86
	}
	if _, _, sw := c.maintained(cmd, 0); sw != apdu.OK {
		return nil, sw
	}
	c.image.ApplicationBlocked, c.image.Permanently = true, cmd.P2 == 1
	return nil, c.save()
}

func (c *Chip) unblockApplication(cmd apdu.Command) ([]byte, apdu.SW) {
	switch {
	case cmd.P1 != 0 || cmd.P2 != 0:
		return nil, 0x6A86
	case c.image.Permanently:
		return nil, 0x9303
	}
	if _, _, sw := c.maintained(cmd, 0); sw != apdu.OK {
		return nil, sw
	}
	c.image.ApplicationBlocked = false
	return nil, c.save()
}

func (c *Chip) blockCard(cmd apdu.Command) ([]byte, apdu.SW) {
	if cmd.P1 != 0 || cmd.P2 != 0 {
		return nil, 0x6A86
	}
	if _, _, sw := c.maintained(cmd, 0); sw != apdu.OK {
		return nil, sw
	}
	c.image.CardBlocked, c.image.LifeCycle = true, lifeTerminated
	return nil, c.save()
}
