package apdu

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Command is one ISO/IEC 7816-4 command APDU (命令).
//
// Ne is the true number of bytes expected in the answer (0 for none, at most
// 65536), never its coded form Le: 256 is coded 00 in a short APDU, 65536 is
// coded 00 00 in an extended one. The zero Data with zero Ne is case 1.
type Command struct {
	CLA, INS, P1, P2 byte
	Data             []byte
	Ne               int
}

// The limits of ISO/IEC 7816-4 clause 5.1: data and expected bytes of a short
// and of an extended APDU.
const (
	MaxShortNc    = 255
	MaxShortNe    = 256
	MaxExtendedNc = 65535
	MaxExtendedNe = 65536
)

// ErrMalformed says that bytes are not an APDU or not a TLV.
var ErrMalformed = errors.New("malformed")

// Bytes encodes the command: short where data and Ne allow it, extended
// otherwise.
func (c Command) Bytes() ([]byte, error) {
	return c.AppendTo(make([]byte, 0, 4+3+len(c.Data)+2))
}

// AppendTo is Bytes, appended to out.
func (c Command) AppendTo(out []byte) ([]byte, error) {
	if len(c.Data) > MaxExtendedNc || c.Ne < 0 || c.Ne > MaxExtendedNe {
		return nil, fmt.Errorf("command %s: %w: data up to %d bytes, expected bytes 0 to %d", c.Header(), ErrMalformed, MaxExtendedNc, MaxExtendedNe)
	}
	out = append(out, c.CLA, c.INS, c.P1, c.P2)
	if len(c.Data) <= MaxShortNc && c.Ne <= MaxShortNe {
		if len(c.Data) > 0 {
			out = append(append(out, byte(len(c.Data))), c.Data...)
		}
		if c.Ne > 0 {
			out = append(out, byte(c.Ne)) // 256 is coded 00
		}
		return out, nil
	}
	out = append(out, 0)
	if len(c.Data) > 0 {
		out = append(append(out, byte(len(c.Data)>>8), byte(len(c.Data))), c.Data...)
	}
	if c.Ne > 0 {
		out = append(out, byte(c.Ne>>8), byte(c.Ne)) // 65536 is coded 00 00
	}
	return out, nil
}

// ParseCommand decodes a command APDU of any of the four cases, short or
// extended (ISO/IEC 7816-4 clause 5.1). The data are a copy.
func ParseCommand(b []byte) (Command, error) {
	c, err := ViewCommand(b)
	c.Data = append([]byte(nil), c.Data...)
	return c, err
}

// ViewCommand is ParseCommand without the copy: the data are a part of b.
func ViewCommand(b []byte) (Command, error) {
	if len(b) < 4 {
		return Command{}, fmt.Errorf("command of %d bytes: %w: at least 4 bytes", len(b), ErrMalformed)
	}
	c := Command{CLA: b[0], INS: b[1], P1: b[2], P2: b[3]}
	body := b[4:]
	switch {
	case len(body) == 0:
		return c, nil
	case len(body) == 1:
		c.Ne = expected(int(body[0]), MaxShortNe)
		return c, nil
	case body[0] != 0:
		return c.parseBody(body[1:], int(body[0]), 1, MaxShortNe)
	case len(body) == 2:
		return Command{}, fmt.Errorf("command %s: %w: cut within its length", c.Header(), ErrMalformed)
	case len(body) == 3:
		c.Ne = expected(int(body[1])<<8|int(body[2]), MaxExtendedNe)
		return c, nil
	}
	return c.parseBody(body[3:], int(body[1])<<8|int(body[2]), 2, MaxExtendedNe)
}

// parseBody takes nc bytes of data and, if it is there, Le of leSize bytes.
func (c Command) parseBody(rest []byte, nc, leSize, most int) (Command, error) {
	if nc == 0 || len(rest) != nc && len(rest) != nc+leSize {
		return Command{}, fmt.Errorf("command %s: %w: Lc says %d bytes and %d follow", c.Header(), ErrMalformed, nc, len(rest))
	}
	c.Data = rest[:nc:nc]
	if le := rest[nc:]; len(le) > 0 {
		value := 0
		for _, b := range le {
			value = value<<8 | int(b)
		}
		c.Ne = expected(value, most)
	}
	return c, nil
}

// expected turns a coded Le into the number that it stands for.
func expected(le, most int) int {
	if le == 0 {
		return most
	}
	return le
}

// Header returns CLA INS P1 P2 in hexadecimal, which names a command in errors
// and transcripts without its data.
func (c Command) Header() string {
	return strings.ToUpper(hex.EncodeToString([]byte{c.CLA, c.INS, c.P1, c.P2}))
}
