package pcsc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ebfe/scard"

	"onecard/apdu"
)

// Card is an open connection to the card in a reader. It is an
// apdu.Transmitter. Its methods may be called from one goroutine at a time.
type Card struct {
	context  *scard.Context
	card     *scard.Card
	atr      []byte
	calls    chan func()
	finished chan struct{} // closed when the worker has ended
	closed   bool
}

// connectTries bounds how often a card that another program reset in between
// is connected again.
const connectTries = 3

// Connect opens the card in a reader for this program alone. It waits while
// another program holds the card, until ctx ends.
func Connect(ctx context.Context, reader string) (*Card, error) {
	if reader == "" {
		return nil, fmt.Errorf("connect: %w", ErrNoReader)
	}
	c := &Card{calls: make(chan func()), finished: make(chan struct{})}
	go c.work()
	err := c.do(ctx, func() error { return c.open(reader) })
	if err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// work runs the library's calls one after the other in one goroutine.
func (c *Card) work() {
	defer close(c.finished)
	for call := range c.calls {
		call()
	}
	c.release()
}

// do runs a call in the worker and waits for it or for ctx. A call that is
// given up ends the connection when it comes back.
func (c *Card) do(ctx context.Context, call func() error) error {
	if c.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		c.end()
		return err
	}
	result := make(chan error, 1)
	c.calls <- func() { result <- call() }
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		c.end()
		return ctx.Err()
	}
}

// end lets the worker release the connection after the call under way.
func (c *Card) end() {
	if !c.closed {
		c.closed = true
		close(c.calls)
	}
}

func (c *Card) open(reader string) (err error) {
	if c.context, err = establish(); err != nil {
		return err
	}
	if c.card, err = c.context.Connect(reader, scard.ShareShared, scard.ProtocolAny); err != nil {
		return translate("connect", err)
	}
	for try := 1; ; try++ {
		err = c.card.BeginTransaction()
		if !errors.Is(err, scard.ErrResetCard) || try == connectTries {
			break
		}
		// Another program closed the card with a reset while this one waited.
		if err = c.card.Reconnect(scard.ShareShared, scard.ProtocolAny, scard.LeaveCard); err != nil {
			return translate("connect", err)
		}
	}
	if err != nil {
		return translate("connect", err)
	}
	status, err := c.card.Status()
	if err != nil {
		return lost("read the answer to reset", err)
	}
	c.atr = status.Atr
	return nil
}

func (c *Card) release() {
	// What was taken out or switched off cannot be released in order; there
	// is nobody left to tell.
	if c.card != nil {
		_ = c.card.EndTransaction(scard.ResetCard)
		_ = c.card.Disconnect(scard.ResetCard)
	}
	if c.context != nil {
		_ = c.context.Release()
	}
}

// ATR returns the answer to reset (复位应答).
func (c *Card) ATR() []byte { return append([]byte(nil), c.atr...) }

const (
	minCommand  = 4 // the header of a command APDU; the library fails on less
	minResponse = 2 // the status word
)

// tpdu returns a short command as T=0 carries it (ISO/IEC 7816-3 clause 12.1.2):
// five bytes of header at least, and no Le after data; the chip says with 61xx
// what it has. Some readers do this themselves, some refuse anything else.
// Extended commands are left to the reader.
func tpdu(command []byte) []byte {
	c, err := apdu.ParseCommand(command)
	switch {
	case err != nil || len(c.Data) > apdu.MaxShortNc || c.Ne > apdu.MaxShortNe:
		return command
	case len(c.Data) == 0 && c.Ne == 0:
		return append(slices.Clip(command), 0)
	case len(c.Data) > 0:
		c.Ne = 0
	}
	short, err := c.Bytes() // anew: it may have been coded as an extended one
	if err != nil {
		return command
	}
	return short
}

// The service looks whether a card is still there a few times a second.
const (
	presenceTries = 10
	presencePause = 100 * time.Millisecond
)

// silent says why a reader gave no answer but no error either: some notice a
// card that leaves the field in the middle of a command only afterwards.
func (c *Card) silent() error {
	for range presenceTries {
		if _, err := c.card.Status(); err != nil {
			return lost("transmit", err)
		}
		time.Sleep(presencePause)
	}
	return fmt.Errorf("transmit: %w", ErrMute)
}

// Transmit sends a command APDU and returns the response APDU. After an error
// it is not known whether the chip carried the command out. When ctx ends the
// connection is given up.
func (c *Card) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if len(command) < minCommand {
		return nil, fmt.Errorf("transmit: command of %d bytes, at least %d are needed", len(command), minCommand)
	}
	var answer []byte
	command = slices.Clone(command) // one that is given up is still read
	err := c.do(ctx, func() error {
		switch c.card.ActiveProtocol() {
		case scard.ProtocolUndefined:
			return fmt.Errorf("transmit: %w", ErrMute)
		case scard.ProtocolT0:
			command = tpdu(command)
		}
		var err error
		answer, err = c.card.Transmit(command)
		if err == nil && len(answer) < minResponse {
			return c.silent()
		}
		return lost("transmit", err)
	})
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), answer...), nil // the library's buffer is 64 KB
}

// Close resets the chip and releases the reader. It may be called again.
func (c *Card) Close() error {
	if c.closed {
		return nil
	}
	c.end()
	<-c.finished
	return nil
}
