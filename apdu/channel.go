package apdu

import (
	"context"
	"fmt"
)

// Channel sends commands over a Transmitter and hides how a chip hands its
// answers out. It serves one goroutine at a time.
type Channel struct {
	transmitter Transmitter
	// Extended allows extended APDUs; without it a long command is chained
	// (ISO/IEC 7816-4 clause 5.1.1) and at most 256 bytes are asked for.
	Extended bool

	command []byte // encoded, used again for each command
}

// NewChannel returns a channel of short APDUs over t.
func NewChannel(t Transmitter) *Channel { return &Channel{transmitter: t} }

// Together runs work with a channel to the same chip, whose commands follow one
// another directly: see Batcher. Where the channel's Transmitter is none, work
// simply runs.
func (ch *Channel) Together(ctx context.Context, work func(*Channel) error) error {
	return together(ctx, ch.transmitter, func(t Transmitter) error {
		return work(&Channel{transmitter: t, Extended: ch.Extended})
	})
}

// The instruction and class bits of ISO/IEC 7816-4 that a channel uses itself.
const (
	insGetResponse = 0xC0
	claChained     = 0x10
	claChannel     = 0x03
)

// maxParts bounds how often one answer may say that more is waiting: with 256
// bytes in each, several times the longest thing that a card hands out.
const maxParts = 32

// Send sends a command and returns the whole answer. A chip that answers 61xx
// is asked for the rest, one that answers 6Cxx is asked again with that
// length. An error means that no answer came, or one without an end; a refusal
// is in the status word.
func (ch *Channel) Send(ctx context.Context, c Command) (Response, error) {
	if !ch.Extended {
		for len(c.Data) > MaxShortNc {
			part := c
			part.CLA |= claChained
			part.Data, part.Ne = c.Data[:MaxShortNc], 0
			r, err := ch.exchange(ctx, part)
			if err != nil || r.SW != OK {
				return r, err
			}
			c.Data = c.Data[MaxShortNc:]
		}
		c.Ne = min(c.Ne, MaxShortNe)
	}
	r, err := ch.ask(ctx, c)
	if err != nil {
		return Response{}, err
	}
	return ch.rest(ctx, c, r)
}

// ask sends a command, and once more where the length of the answer that it
// wants was wrong: the chip did nothing yet (ISO/IEC 7816-3 clause 10.3.2). A
// command that wants none is not sent again, whatever the chip says: it may be
// one that the chip counts.
func (ch *Channel) ask(ctx context.Context, c Command) (Response, error) {
	r, err := ch.exchange(ctx, c)
	if err == nil && r.SW>>8 == 0x6C && c.Ne > 0 {
		c.Ne = expected(int(r.SW&0xFF), MaxShortNe)
		r, err = ch.exchange(ctx, c)
	}
	return r, err
}

// rest fetches what a chip still has for us.
func (ch *Channel) rest(ctx context.Context, c Command, r Response) (Response, error) {
	data := r.Data
	for part := 0; r.SW>>8 == 0x61; part++ {
		if part == maxParts {
			return Response{}, fmt.Errorf("command %s: %w: the answer does not end", c.Header(), ErrMalformed)
		}
		var err error
		r, err = ch.ask(ctx, Command{CLA: c.CLA & claChannel, INS: insGetResponse, Ne: expected(int(r.SW&0xFF), MaxShortNe)})
		if err != nil {
			return Response{}, err
		}
		if r.SW>>8 == 0x61 && len(r.Data) == 0 {
			return Response{}, fmt.Errorf("command %s: %w: more is announced and nothing comes", c.Header(), ErrMalformed)
		}
		data = append(data, r.Data...)
	}
	r.Data = data
	return r, nil
}

func (ch *Channel) exchange(ctx context.Context, c Command) (Response, error) {
	command, err := c.AppendTo(ch.command[:0])
	if err != nil {
		return Response{}, err
	}
	ch.command = command
	if err := ctx.Err(); err != nil {
		return Response{}, fmt.Errorf("command %s: %w", c.Header(), err)
	}
	answer, err := ch.transmitter.Transmit(ctx, command)
	clear(command) // it may carry a PIN
	if err != nil {
		return Response{}, fmt.Errorf("command %s: %w", c.Header(), err)
	}
	if most := ch.longest(); len(answer) > most+2 {
		return Response{}, fmt.Errorf("command %s: %w: an answer of %d bytes, at most %d", c.Header(), ErrMalformed, len(answer)-2, most)
	}
	r, err := ViewResponse(answer)
	if err != nil {
		return Response{}, fmt.Errorf("command %s: %w", c.Header(), err)
	}
	return r, nil
}

// longest is how many bytes one answer may have.
func (ch *Channel) longest() int {
	if ch.Extended {
		return MaxExtendedNe
	}
	return MaxShortNe
}
