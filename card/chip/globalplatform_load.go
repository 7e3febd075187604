package chip

import (
	"bytes"
	"crypto/subtle"

	"onecard/apdu"
	"onecard/card/profile"
)

// numbered lists the application's keys in the order of their identifiers in
// PUT KEY, from 1.
func (c *Chip) numbered() []profile.Key {
	var keys []profile.Key
	for _, scope := range c.profile.Scopes {
		keys = append(keys, scope.Keys...)
	}
	return keys
}

// putKey puts keys into consecutive slots: all or none. P2 holds the first
// identifier, with bit 8 for more than one key; the data field begins with the
// version.
func (c *Chip) putKey(cmd apdu.Command) ([]byte, apdu.SW) {
	first, several := int(cmd.P2&0x7F), cmd.P2&0x80 != 0
	if cmd.P1 != 0 || first == 0 {
		return nil, 0x6A86
	}
	if len(cmd.Data) < 2 || cmd.Data[0] == 0 || cmd.Data[0] > 0x7F {
		return nil, 0x6A80
	}
	answer, slots := cmd.Data[:1], c.numbered()
	fresh := map[string]*Slot{}
	for rest := cmd.Data[1:]; len(rest) > 0; first++ {
		key, check, after, ok := c.keyField(rest)
		switch {
		case !ok, len(fresh) > 0 && !several:
			return nil, 0x6A80
		case first > len(slots):
			return nil, 0x6A88
		}
		slot := slots[first-1]
		fresh[slot.Name] = &Slot{Key: key, Version: cmd.Data[0], Tries: slot.Tries, Most: slot.Tries}
		answer, rest = append(bytes.Clone(answer), check...), after
	}
	for name, slot := range fresh {
		c.image.Keys[name] = slot
	}
	return answer, c.save()
}

// keyField takes a key data field apart: type, length, with AES the length of
// the key, the key enciphered under the DEK, and three bytes of check value.
func (c *Chip) keyField(field []byte) (key, check, rest []byte, ok bool) {
	size := 16
	if c.scp() == 3 {
		size++
	}
	if len(field) < 2+size+4 || field[0] != c.image.Platform.KeyType || int(field[1]) != size || field[2+size] != 3 {
		return nil, nil, nil, false
	}
	body, check, rest := field[2:2+size], field[3+size:6+size], field[6+size:]
	if c.scp() == 3 && body[0] != 16 {
		return nil, nil, nil, false
	}
	key, err := c.session.decryptKey(body[size-16:])
	if err != nil {
		return nil, nil, nil, false
	}
	own, err := c.suite().encrypt(key, make([]byte, c.suite().block))
	if err != nil || subtle.ConstantTimeCompare(own[:3], check) != 1 {
		return nil, nil, nil, false
	}
	return key, check, rest, true
}

// storeData writes records of the environment's files from data groupings
// (DGI): short file identifier, record number, length, record. A command writes
// all of its records or none; commands are numbered by P2.
func (c *Chip) storeData(cmd apdu.Command) apdu.SW {
	s := c.session
	if cmd.P1&0x7F != 0x08 || cmd.P2 != s.block {
		return 0x6A86
	}
	type change struct {
		path   string
		record int
		value  []byte
	}
	var changes []change
	for rest := cmd.Data; len(rest) > 0; {
		if len(rest) < 3 || len(rest) < 3+int(rest[2]) {
			return 0x6A80
		}
		sfi, record, value := rest[0], int(rest[1]), rest[3:3+int(rest[2])]
		rest = rest[3+int(rest[2]):]
		file, sw := c.addressed(sfi << 3)
		if sw != apdu.OK || file.Kind != profile.Variable || file.Write == profile.Never {
			return 0x6A88
		}
		e, sw := element(file, byte(record), byNumber)
		if sw != apdu.OK {
			return 0x6A88
		}
		if len(value) != 2+e.Length || value[0] != e.Tag || int(value[1]) != e.Length {
			return 0x6A80
		}
		changes = append(changes, change{c.path(file), e.Record - 1, bytes.Clone(value[2:])})
	}
	for _, one := range changes {
		c.image.Records[one.path][one.record] = one.value
	}
	s.block++
	return c.save()
}

// setStatus makes the blank a card: the application becomes PERSONALIZED. All
// keys must be the card's own.
func (c *Chip) setStatus(cmd apdu.Command) apdu.SW {
	switch {
	case cmd.P1 != 0x40 || cmd.P2 != 0x0F:
		return 0x6A86
	case !bytes.Equal(cmd.Data, c.profile.Environment):
		return 0x6A88
	}
	for _, slot := range c.image.Keys {
		if slot.Version == 0 {
			return 0x6985
		}
	}
	c.image.LifeCycle = lifeOperational
	return c.save()
}
