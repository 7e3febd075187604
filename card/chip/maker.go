package chip

import (
	"bytes"
	"crypto/subtle"

	"onecard/apdu"
	"onecard/card/profile"
)

// getData lists life cycle and keys: the maker's way of telling how far a
// blank is (assumed; after GlobalPlatform's key information): for each
// directory its number, then identifier and version of each key.
func (c *Chip) getData(cmd apdu.Command) ([]byte, apdu.SW) {
	switch {
	case cmd.P1 != 0x00 || cmd.P2 != 0xE0:
		return nil, 0x6A88
	case len(cmd.Data) > 0:
		return nil, 0x6700
	}
	list := apdu.AppendTLV(nil, 0x9F70, []byte{c.image.LifeCycle})
	for _, scope := range c.profile.Scopes {
		keys := []byte{byte(scope.Index)}
		for _, key := range scope.Keys {
			keys = append(keys, key.ID, c.image.Keys[key.Name].Version)
		}
		list = apdu.AppendTLV(list, 0xC0, keys)
	}
	return apdu.AppendTLV(nil, 0xE0, list), apdu.OK
}

// slot finds a key slot by scope and identifier.
func (c *Chip) slot(scope, id byte) (profile.Key, bool) {
	for _, s := range c.profile.Scopes {
		for _, key := range s.Keys {
			if byte(s.Index) == scope && key.ID == id {
				return key, true
			}
		}
	}
	return profile.Key{}, false
}

func (c *Chip) master() *Slot { return c.image.Keys[c.profile.Maker.Master] }

// keyBlock is the length of an enciphered key block: length, attributes and key
// in whole blocks.
func (c *Chip) keyBlock() int {
	if c.suite().block == 8 {
		return 24
	}
	return 32
}

// loadKey puts a key into a slot, enciphered and authenticated by the master
// key.
func (c *Chip) loadKey(cmd apdu.Command) ([]byte, apdu.SW) {
	iv := c.chain
	c.chain = nil
	if c.profile.Maker.IV == "challenge" || iv == nil {
		iv = c.take(c.suite().block)
	}
	keyBlock := c.keyBlock()
	key, known := c.slot(cmd.P1, cmd.P2)
	switch {
	case len(cmd.Data) != keyBlock+4:
		return nil, 0x6700
	case c.image.LifeCycle != lifeBlank && c.image.LifeCycle != lifeOperational:
		return nil, 0x6985
	case !known:
		return nil, 0x6A88
	case iv == nil:
		return nil, 0x6984
	}
	enciphered := cmd.Data[:keyBlock]
	last, folded, err := c.suite().mac(c.master().Key, iv, append(header(cmd), enciphered...))
	if err != nil {
		return nil, 0x6F00
	}
	if subtle.ConstantTimeCompare(folded, cmd.Data[keyBlock:]) != 1 {
		return nil, 0x6988
	}
	block, err := c.suite().decrypt(c.master().Key, enciphered)
	if err != nil {
		return nil, 0x6F00
	}
	if !wellFormed(block, key) {
		return nil, 0x6A80
	}
	// In the field a key only ever gets newer.
	if c.image.LifeCycle == lifeOperational && block[2] <= c.image.Keys[key.Name].Version {
		return nil, 0x6985
	}
	c.image.Keys[key.Name] = &Slot{Key: bytes.Clone(block[4:20]), Version: block[2], Tries: block[3], Most: block[3]}
	if sw := c.save(); sw != apdu.OK {
		return nil, sw
	}
	c.chain = last
	return nil, apdu.OK
}

// wellFormed checks a key block: 13 || usage version tries || key (16) || 80
// 00... An authentication key without attempts, or with more than 63Cx can
// tell, would be lost at once.
func wellFormed(block []byte, key profile.Key) bool {
	length, usage, version, tries := block[0], block[1], block[2], block[3]
	if key.Purpose == "external" && (tries < 1 || tries > 15) {
		return false
	}
	return length == 0x13 && usage == key.Usage && version > 0 && bytes.Equal(block[20:], append([]byte{0x80}, make([]byte, len(block)-21)...))
}

// finish ends the personalisation: the blank becomes a card.
func (c *Chip) finish(cmd apdu.Command) ([]byte, apdu.SW) {
	challenge := c.take(c.suite().block)
	switch {
	case cmd.P1 != 0 || cmd.P2 != 0:
		return nil, 0x6A86
	case len(cmd.Data) != 4:
		return nil, 0x6700
	case challenge == nil:
		return nil, 0x6984
	case c.master().Version == 0 || c.image.LifeCycle != lifeBlank:
		return nil, 0x6985
	}
	_, folded, err := c.suite().mac(c.master().Key, challenge, header(cmd))
	if err != nil {
		return nil, 0x6F00
	}
	if subtle.ConstantTimeCompare(folded, cmd.Data) != 1 {
		return nil, 0x6988
	}
	c.image.LifeCycle = lifeOperational
	return nil, c.save()
}
