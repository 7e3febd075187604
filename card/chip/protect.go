package chip

import (
	"bytes"
	"crypto/subtle"

	"onecard/apdu"
	"onecard/card/profile"
)

// writeRecord takes the protection off a command that writes a record, where
// the profile asks for one: on a finished card no other is accepted.
func (c *Chip) writeRecord(cmd apdu.Command) ([]byte, apdu.SW) {
	protected := cmd.CLA&0x04 != 0
	asked := c.profile.Choices.Protection != profile.ProtectionNone && c.image.LifeCycle == lifeOperational
	switch {
	case !asked && protected:
		return nil, 0x6E00
	case asked && !protected:
		return nil, 0x6987
	case protected:
		data, sw := c.unprotect(cmd)
		if sw != apdu.OK {
			return nil, sw
		}
		cmd.Data = data
	}
	return c.updateRecord(cmd)
}

// unprotect checks the MAC under the process key of the latest challenge, and
// deciphers.
func (c *Chip) unprotect(cmd apdu.Command) ([]byte, apdu.SW) {
	key, known := c.image.Keys["STK"]
	challenge := c.take(8)
	size := len(cmd.Data) - 4
	switch {
	case !c.environment():
		return nil, 0x6985
	case size < 1:
		return nil, 0x6700
	case !known:
		return nil, 0x6A88
	case challenge == nil:
		return nil, 0x6984
	}
	s := c.suite()
	pk, err := s.processKey(key.Key, challenge)
	if err != nil {
		return nil, 0x6F00
	}
	data := cmd.Data[:size]
	_, short, err := s.mac(pk, make([]byte, s.block), append(header(cmd), data...))
	if err != nil {
		return nil, 0x6F00
	}
	if subtle.ConstantTimeCompare(short, cmd.Data[size:]) != 1 {
		return nil, 0x6988
	}
	if c.profile.Choices.Protection == profile.ProtectionMAC {
		return data, apdu.OK
	}
	plain, err := s.decrypt(pk, data)
	if err != nil || size%s.block != 0 || int(plain[0])+2 > size {
		return nil, 0x6A80
	}
	padding := plain[1+int(plain[0]):]
	if padding[0] != 0x80 || bytes.Count(padding[1:], []byte{0}) != len(padding)-1 {
		return nil, 0x6A80
	}
	return plain[1 : 1+int(plain[0])], apdu.OK
}
