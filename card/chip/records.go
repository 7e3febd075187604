package chip

import (
	"bytes"

	"onecard/apdu"
	"onecard/card/profile"
)

// path is where the image keeps a file of the current DF.
func (c *Chip) path(file *profile.File) string { return c.scope.Name + "/" + file.Name() }

// allowed evaluates an access rule with what has been proven. The PIN counts
// in every DF.
func (c *Chip) allowed(rule string) bool {
	if c.personalising() {
		return rule != profile.Never
	}
	return profile.Allows(rule, func(term string) bool {
		if term == profile.PINKey {
			return c.pin
		}
		return c.rights[term]
	})
}

// addressed finds the file that a record command means and makes it current.
func (c *Chip) addressed(p2 byte) (*profile.File, apdu.SW) {
	if !c.environment() {
		return nil, 0x6985
	}
	if sfi := p2 >> 3; sfi != 0 {
		for i := range c.scope.Files {
			if c.scope.Files[i].SFI() == sfi {
				c.file = &c.scope.Files[i]
				return c.file, apdu.OK
			}
		}
		return nil, 0x6A82
	}
	if c.file == nil {
		return nil, 0x6985
	}
	return c.file, apdu.OK
}

// The low bits of P2: by number, by identifier, append.
const (
	byIdentifier = 0x00
	byNumber     = 0x04
	appendRecord = 0x03
)

// element finds an element of a variable file by number or by tag.
func element(file *profile.File, p1, p2 byte) (*profile.Element, apdu.SW) {
	for i := range file.Elements {
		e := &file.Elements[i]
		if p2&7 == byNumber && e.Record == int(p1) || p2&7 == byIdentifier && e.Tag == p1 {
			return e, apdu.OK
		}
	}
	if p2&7 != byNumber && p2&7 != byIdentifier {
		return nil, 0x6A86
	}
	return nil, 0x6A83
}

func (c *Chip) readRecord(cmd apdu.Command) ([]byte, apdu.SW) {
	if c.bank {
		return c.readBank(cmd)
	}
	file, sw := c.addressed(cmd.P2)
	if sw != apdu.OK {
		return nil, sw
	}
	switch file.Kind {
	case profile.Transparent:
		return nil, 0x6981
	case profile.Cyclic:
		return c.readCyclic(file, cmd)
	}
	e, sw := element(file, cmd.P1, cmd.P2)
	if sw != apdu.OK {
		return nil, sw
	}
	if !c.allowed(file.ReadRule(e)) {
		return nil, 0x6982
	}
	value := c.image.Records[c.path(file)][e.Record-1]
	return append([]byte{e.Tag, byte(e.Length)}, value...), apdu.OK
}

func (c *Chip) readCyclic(file *profile.File, cmd apdu.Command) ([]byte, apdu.SW) {
	records := c.image.Records[c.path(file)]
	switch {
	case cmd.P2&7 != byNumber:
		return nil, 0x6A86
	case !c.allowed(file.Read):
		return nil, 0x6982
	case cmd.P1 == 0 || int(cmd.P1) > len(records):
		return nil, 0x6A83
	}
	return bytes.Clone(records[cmd.P1-1]), apdu.OK
}

func (c *Chip) updateRecord(cmd apdu.Command) ([]byte, apdu.SW) {
	file, sw := c.addressed(cmd.P2)
	if sw != apdu.OK {
		return nil, sw
	}
	switch {
	case file.Kind == profile.Transparent:
		return nil, 0x6981
	case !c.allowed(file.Write):
		return nil, 0x6982
	case file.Kind == profile.Cyclic:
		return nil, c.appendCyclic(file, cmd)
	}
	e, sw := element(file, cmd.P1, cmd.P2)
	switch {
	case sw != apdu.OK:
		return nil, sw
	case len(cmd.Data) != 2+e.Length:
		return nil, 0x6700
	case cmd.Data[0] != e.Tag || int(cmd.Data[1]) != e.Length:
		return nil, 0x6A80
	}
	c.image.Records[c.path(file)][e.Record-1] = bytes.Clone(cmd.Data[2:])
	return nil, c.save()
}

func (c *Chip) appendCyclic(file *profile.File, cmd apdu.Command) apdu.SW {
	switch {
	case cmd.P1 != 0 || cmd.P2&7 != appendRecord:
		return 0x6A86
	case len(cmd.Data) != file.Size:
		return 0x6700
	}
	path := c.path(file)
	records := append([]Hex{bytes.Clone(cmd.Data)}, c.image.Records[path]...)
	c.image.Records[path] = records[:min(len(records), file.Records)]
	return c.save()
}

// binary finds the transparent file that a binary command means, and where.
func (c *Chip) binary(cmd apdu.Command) (file *profile.File, offset int, sw apdu.SW) {
	p2 := byte(0)
	offset = int(cmd.P1)<<8 | int(cmd.P2)
	if cmd.P1&0x80 != 0 {
		p2, offset = cmd.P1<<3, int(cmd.P2)
	}
	file, sw = c.addressed(p2)
	switch {
	case sw != apdu.OK:
		return nil, 0, sw
	case file.Kind != profile.Transparent:
		return nil, 0, 0x6981
	case offset >= file.Size:
		return nil, 0, 0x6B00
	}
	return file, offset, apdu.OK
}

func (c *Chip) readBinary(cmd apdu.Command) ([]byte, apdu.SW) {
	file, offset, sw := c.binary(cmd)
	switch {
	case sw != apdu.OK:
		return nil, sw
	case !c.allowed(file.Read):
		return nil, 0x6982
	case cmd.Ne == 0:
		return nil, 0x6700
	}
	end := min(offset+cmd.Ne, file.Size)
	return bytes.Clone(c.image.Binary[c.path(file)][offset:end]), apdu.OK
}

func (c *Chip) updateBinary(cmd apdu.Command) ([]byte, apdu.SW) {
	file, offset, sw := c.binary(cmd)
	switch {
	case sw != apdu.OK:
		return nil, sw
	case !c.allowed(file.Write):
		return nil, 0x6982
	case offset+len(cmd.Data) > file.Size || len(cmd.Data) == 0:
		return nil, 0x6700
	}
	copy(c.image.Binary[c.path(file)][offset:], cmd.Data)
	return nil, c.save()
}
