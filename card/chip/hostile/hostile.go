// Package hostile is chips that do not do what a chip does (恶意或损坏的芯片): each
// adversary stands before a software chip and changes what it answers. They
// are for trials and tests, in a virtual reader too.
package hostile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"onecard/apdu"
)

// Card is what an adversary stands before: a chip in a reader.
type Card interface {
	Transmit(command []byte) []byte
	PowerOn() []byte
	PowerOff()
	ATR() []byte
}

// Adversary is a way not to be a chip.
type Adversary struct {
	Name string
	// False says that it does not hold the card's keys, or spoils every proof:
	// nothing may take it for genuine. Behind any other is a genuine chip, and
	// work that does not meet the lie may succeed.
	False bool

	answer func(c *Chip, cmd apdu.Command, raw []byte) []byte
}

// Chip is a card with an adversary before it.
type Chip struct {
	Card
	adversary Adversary

	powered int    // how often
	read    int    // how often the card identification was read
	kept    []byte // the first answer of its kind
}

// ErrUnknown says that there is no adversary of that name.
var ErrUnknown = errors.New("no such adversary")

// New puts the adversary of that name before a card.
func New(name string, card Card) (*Chip, error) {
	i := slices.IndexFunc(adversaries, func(a Adversary) bool { return a.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%q: %w", name, ErrUnknown)
	}
	return &Chip{Card: card, adversary: adversaries[i]}, nil
}

// All returns the adversaries that New knows.
func All() []Adversary { return slices.Clone(adversaries) }

// Relay passes the proof of genuineness on to another genuine card.
func Relay(card, other Card) *Chip {
	var asked byte
	return &Chip{Card: card, adversary: Adversary{"relay", true, func(c *Chip, cmd apdu.Command, raw []byte) []byte {
		if cmd.INS != insGetResponse {
			asked = cmd.INS
		}
		if asked == insProve {
			return other.Transmit(raw)
		}
		return c.pass(cmd, raw)
	}}}
}

// At answers the nth command, from 1, with a status word alone.
func At(n int, sw apdu.SW, card Card) *Chip {
	sent := 0
	return &Chip{Card: card, adversary: Adversary{"status", false, func(c *Chip, cmd apdu.Command, raw []byte) []byte {
		if sent++; sent == n {
			return apdu.Response{SW: sw}.Bytes()
		}
		return c.pass(cmd, raw)
	}}}
}

// PowerOn switches the card on.
func (c *Chip) PowerOn() []byte {
	c.powered++
	c.Card.PowerOn()
	return c.ATR()
}

// ATR returns the answer to reset.
func (c *Chip) ATR() []byte {
	atr := c.Card.ATR()
	if c.adversary.Name == changesATR && c.powered%2 == 0 {
		atr[len(atr)-1] ^= 1
	}
	return atr
}

// Transmit answers as the adversary does.
func (c *Chip) Transmit(raw []byte) []byte {
	cmd, err := apdu.ParseCommand(raw)
	if err != nil {
		return c.Card.Transmit(raw)
	}
	return c.adversary.answer(c, cmd, raw)
}

// pass passes a command on to the card behind.
func (c *Chip) pass(_ apdu.Command, raw []byte) []byte { return c.Card.Transmit(raw) }

// The commands that an adversary cares for.
const (
	insProve       = 0x88
	insGetResponse = 0xC0
	insChallenge   = 0x84
	insReadRecord  = 0xB2
	insGetData     = 0xCA
	insSelect      = 0xA4

	keyInformation = 0xE0
	tagKeys        = 0xC0
	changesATR     = "changes-atr"
	delay          = 20 * time.Millisecond
)

var done = []byte{0x90, 0x00}

// changing returns an adversary that changes the data of some answers that the
// card behind it gives.
func changing(which func(apdu.Command) bool, change func(c *Chip, data []byte) []byte) func(*Chip, apdu.Command, []byte) []byte {
	return func(c *Chip, cmd apdu.Command, raw []byte) []byte {
		answer := c.Card.Transmit(raw)
		if !which(cmd) || !bytes.HasSuffix(answer, done) {
			return answer
		}
		return append(change(c, bytes.Clone(answer[:len(answer)-2])), done...)
	}
}

// always returns an adversary that answers one thing to some commands.
func always(which func(apdu.Command) bool, answer []byte) func(*Chip, apdu.Command, []byte) []byte {
	return func(c *Chip, cmd apdu.Command, raw []byte) []byte {
		if which(cmd) {
			return answer
		}
		return c.pass(cmd, raw)
	}
}

// proving returns an adversary with another answer to INTERNAL AUTHENTICATE.
func proving(prove func(c *Chip, cmd apdu.Command) []byte) func(*Chip, apdu.Command, []byte) []byte {
	return func(c *Chip, cmd apdu.Command, raw []byte) []byte {
		if cmd.INS == insProve {
			return append(prove(c, cmd), done...)
		}
		return c.pass(cmd, raw)
	}
}

func anything(apdu.Command) bool { return true }

func ins(codes ...byte) func(apdu.Command) bool {
	return func(cmd apdu.Command) bool { return slices.Contains(codes, cmd.INS) }
}

func data(cmd apdu.Command) bool { return cmd.Ne > 0 && cmd.INS != insProve }

// record says whether the command reads a record of the issuer's file.
func record(number byte) func(apdu.Command) bool {
	return func(cmd apdu.Command) bool {
		return cmd.INS == insReadRecord && cmd.P1 == number && cmd.P2>>3 == 5
	}
}
