package chip

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"io"
	"slices"

	"onecard/apdu"
	"onecard/card/profile"
)

// Platform is what a GlobalPlatform blank keeps of its maker: the protocol and
// the static keys of the channel through which the application is personalised
// as a security domain (安全域).
type Platform struct {
	Protocol   string `json:"protocol"`
	Option     byte   `json:"option"` // the parameter i
	KeyVersion byte   `json:"keyVersion"`
	KeyType    byte   `json:"keyType"` // of the application's keys
	Data       Hex    `json:"data"`    // key diversification data
	ENC        Hex    `json:"enc"`
	MAC        Hex    `json:"mac"`
	DEK        Hex    `json:"dek"`
	Sequence   uint32 `json:"sequence"`
}

// issuerDomain is the name of the issuer security domain.
var issuerDomain = []byte{0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00}

// The commands of GlobalPlatform.
const (
	insInitializeUpdate     = 0x50
	insExternalAuthenticate = 0x82
	insSelect               = 0xA4
	insGetData              = 0xCA
	insPutKey               = 0xD8
	insStoreData            = 0xE2
	insSetStatus            = 0xF0
)

// domain says whether the chip is a blank that speaks GlobalPlatform, or still
// in the session in which it became a card.
func (c *Chip) domain() bool {
	return c.image.Platform != nil && (c.image.LifeCycle == lifeBlank || c.session != nil)
}

// platform carries a command out by the rules of secure channels (Amendment D
// clause 5.6): in an open session every command is protected, and a security
// error aborts it; an aborted one refuses until it is opened anew or another
// application is selected.
func (c *Chip) platform(cmd apdu.Command) ([]byte, apdu.SW) {
	switch {
	case cmd.INS == insGetResponse:
		return c.getResponse(cmd)
	case cmd.INS == insInitializeUpdate && cmd.CLA == 0x80:
		data, sw := c.initializeUpdate(cmd)
		return c.deliver(cmd, data, sw)
	case cmd.INS == insSelect && cmd.CLA == 0 && cmd.P1 == 0x04:
		c.session = nil
		if bytes.Equal(cmd.Data, issuerDomain) {
			c.enter(nil)
			return c.deliver(cmd, apdu.AppendTLV(nil, 0x6F, apdu.AppendTLV(nil, 0x84, issuerDomain)), apdu.OK)
		}
		return c.unprotected(cmd)
	case c.session == nil:
		return c.unprotected(cmd)
	case c.session.aborted:
		return nil, 0x6982
	case !c.session.open:
		if cmd.INS == insExternalAuthenticate && cmd.CLA == 0x84 {
			return nil, c.openSession(cmd)
		}
		c.session = nil
		return c.unprotected(cmd)
	}
	plain, err := c.session.unprotect(cmd)
	if err != nil {
		c.session.aborted = true
		return nil, 0x6982
	}
	data, sw := c.inSession(plain)
	if data, err = c.session.protect(data, sw); err != nil {
		return nil, 0x6F00
	}
	return c.deliver(cmd, data, sw)
}

// unprotected carries out what a blank does without a session: the commands of
// every card but those of the other makers' blanks.
func (c *Chip) unprotected(cmd apdu.Command) ([]byte, apdu.SW) {
	if cmd.INS == insGetData && cmd.P1 != 0 || cmd.P2 == 0x66 && cmd.INS == insGetData {
		data, sw := c.cardData(cmd)
		return c.deliver(cmd, data, sw)
	}
	known, ok := commands[cmd.INS]
	switch {
	case !ok, cmd.INS == insLoadKey, cmd.INS == insSetStatus:
		return nil, 0x6D00
	case !slices.Contains(known.classes, cmd.CLA):
		return nil, 0x6E00
	}
	data, sw := known.run(c, cmd)
	return c.deliver(cmd, data, sw)
}

// cardData answers the objects 66 (card data) and 9F7F (CPLC), as far as they
// tell the make.
func (c *Chip) cardData(cmd apdu.Command) ([]byte, apdu.SW) {
	switch {
	case len(cmd.Data) > 0:
		return nil, 0x6700
	case cmd.P1 == 0 && cmd.P2 == 0x66:
		oid := []byte{0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x04, c.scp(), c.image.Platform.Option}
		return apdu.AppendTLV(nil, 0x66, apdu.AppendTLV(nil, 0x73, apdu.AppendTLV(nil, 0x64, apdu.AppendTLV(nil, 0x06, oid)))), apdu.OK
	case cmd.P1 == 0x9F && cmd.P2 == 0x7F:
		cplc := make([]byte, 42)
		copy(cplc, c.image.ATR[5:9])
		copy(cplc[12:], c.image.ATR[13:]) // serial number
		return apdu.AppendTLV(nil, 0x9F7F, cplc), apdu.OK
	}
	return nil, 0x6A88
}

// scp is the protocol's number.
func (c *Chip) scp() byte {
	if c.image.Platform.Protocol == profile.SCP02 {
		return 2
	}
	return 3
}

// initializeUpdate begins a session.
func (c *Chip) initializeUpdate(cmd apdu.Command) ([]byte, apdu.SW) {
	c.session = nil
	p := c.image.Platform
	size := 8
	if c.scp() == 3 && p.Option&0x01 != 0 {
		size = 16
	}
	switch {
	case c.image.LifeCycle != lifeBlank:
		return nil, 0x6985
	case cmd.P1 != 0 && cmd.P1 != p.KeyVersion:
		return nil, 0x6A88
	case cmd.P2 != 0:
		return nil, 0x6A86
	case len(cmd.Data) != size:
		return nil, 0x6700
	case p.Sequence == 0xFFFF:
		return nil, 0x6985
	}
	name := issuerDomain
	if c.environment() {
		name = c.profile.Environment
	}
	p.Sequence++
	if sw := c.save(); sw != apdu.OK {
		return nil, sw
	}
	p = c.image.Platform
	var random [16]byte
	if _, err := io.ReadFull(c.rand, random[:]); err != nil {
		return nil, 0x6F00
	}
	head := append(bytes.Clone(p.Data), p.KeyVersion, c.scp())
	sequence := binary.BigEndian.AppendUint32(nil, p.Sequence)
	var answer []byte
	var err error
	if c.scp() == 2 {
		c.session, answer, err = newSession02(p, cmd.Data, sequence[2:], random[:6])
	} else {
		challenge := random[:size]
		if p.Option&0x10 != 0 {
			challenge, err = derive03(p.ENC, 0x02, append(bytes.Clone(sequence[1:]), name...), 8*size)
		}
		if err == nil {
			c.session, answer, err = newSession03(p, cmd.Data, challenge)
			head = append(head, p.Option)
		}
		if p.Option&0x10 != 0 {
			answer = append(answer, sequence[1:]...)
		}
	}
	if err != nil {
		return nil, 0x6F00
	}
	return append(head, answer...), apdu.OK
}

// openSession judges the other side's cryptogram (EXTERNAL AUTHENTICATE). A
// wrong one ends the session.
func (c *Chip) openSession(cmd apdu.Command) apdu.SW {
	s := c.session
	plain, err := s.unprotect(cmd)
	if err != nil || subtle.ConstantTimeCompare(plain.Data, s.host) != 1 {
		c.session = nil
		return 0x6300
	}
	level := cmd.P1
	if cmd.P2 != 0 || level&0x01 == 0 || level&^s.levels != 0 || level&0x30 == 0x20 {
		c.session = nil
		return 0x6A86
	}
	s.open, s.level, s.counter = true, level, 0
	return apdu.OK
}

// inSession carries an opened command out.
func (c *Chip) inSession(cmd apdu.Command) ([]byte, apdu.SW) {
	switch {
	case cmd.CLA == 0x80 && c.environment() && c.image.LifeCycle == lifeBlank:
		switch cmd.INS {
		case insPutKey:
			return c.putKey(cmd)
		case insStoreData:
			return nil, c.storeData(cmd)
		case insSetStatus:
			return nil, c.setStatus(cmd)
		}
	case cmd.CLA == 0x80 && slices.Contains([]byte{insPutKey, insStoreData, insSetStatus}, cmd.INS):
		return nil, 0x6985
	}
	known, ok := commands[cmd.INS]
	switch {
	case !ok, cmd.INS == insLoadKey, cmd.INS == insSetStatus:
		return nil, 0x6D00
	case !slices.Contains(known.classes, cmd.CLA):
		return nil, 0x6E00
	}
	return known.run(c, cmd)
}

// personalising says whether an open session stands for all rights: the blank
// is not a card yet.
func (c *Chip) personalising() bool {
	return c.session != nil && c.session.open && !c.session.aborted && c.image.LifeCycle == lifeBlank
}
