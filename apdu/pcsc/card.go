package pcsc

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/ebfe/scard"

	"onecard/apdu"
)

// Card is an open connection to the card in a reader. It is an apdu.Batcher.
// Its methods may be called from one goroutine at a time.
type Card struct {
	context  *scard.Context
	card     *scard.Card
	atr      []byte
	calls    chan func()
	finished chan struct{} // closed when the worker has ended
	closed   bool
	failed   bool // a command got no answer
	// running is held while the worker runs a caller's work, but for the
	// library's calls within it; givenUp, under it, says that nobody waits.
	running sync.Mutex
	givenUp bool
	// command and answer are lent to the library, again for each command.
	command, answer []byte
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
	c := &Card{calls: make(chan func()), finished: make(chan struct{}), answer: make([]byte, maxResponse)}
	go c.work()
	err := c.do(ctx, func() error { return c.outside(func() error { return c.open(reader) }) })
	if err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// work runs the library's calls one after the other in one goroutine.
func (c *Card) work() {
	defer close(c.finished)
	defer c.release()
	for call := range c.calls {
		call()
	}
}

// do runs work in the worker and waits for it or for ctx. Work that is given up
// goes no further than the library's call that it is in, and ends the
// connection when that comes back.
func (c *Card) do(ctx context.Context, work func() error) error {
	if c.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		c.end()
		return err
	}
	result := make(chan error, 1)
	c.calls <- func() {
		c.running.Lock()
		defer c.running.Unlock()
		if !c.givenUp {
			result <- work()
		}
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		c.running.Lock() // work is in a call of the library, or at its end
		defer c.running.Unlock()
		c.givenUp = true
		c.end()
		return ctx.Err()
	}
}

// outside makes a call of the library, within work. Nothing comes after it once
// nobody waits for the work any more.
func (c *Card) outside(call func() error) error {
	c.running.Unlock()
	err := call()
	c.running.Lock()
	if c.givenUp {
		runtime.Goexit()
	}
	return err
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
		leave := scard.ResetCard
		if c.failed {
			// Perhaps it is another card by now, or the same one put in again,
			// which the service has not noticed: without power, the next
			// connection switches on what is there.
			leave = scard.UnpowerCard
		}
		_ = c.card.EndTransaction(leave)
		_ = c.card.Disconnect(leave)
	}
	if c.context != nil {
		_ = c.context.Release()
	}
}

// ATR returns the answer to reset (复位应答).
func (c *Card) ATR() []byte { return append([]byte(nil), c.atr...) }

const (
	minCommand  = 4 // the header of a command APDU
	minResponse = 2 // the status word
	maxResponse = apdu.MaxExtendedNe + minResponse
)

// appendTPDU appends a command as T=0 carries it (ISO/IEC 7816-3 clause 12.1.2):
// five bytes of header at least, and no Le after data; the chip says with 61xx
// what it has. Some readers do this themselves, some refuse anything else.
// Extended commands are left to the reader.
func appendTPDU(out, command []byte) []byte {
	c, err := apdu.ViewCommand(command)
	switch {
	case err != nil || len(c.Data) > apdu.MaxShortNc || c.Ne > apdu.MaxShortNe:
		return append(out, command...)
	case len(c.Data) == 0 && c.Ne == 0:
		return append(append(out, command...), 0)
	case len(c.Data) > 0:
		c.Ne = 0
	}
	short, err := c.AppendTo(out) // anew: it may have been coded as an extended one
	if err != nil {
		return append(out, command...)
	}
	return short
}

// The service looks whether a card is still there a few times a second.
const (
	presenceTries = 10
	presencePause = 50 * time.Millisecond
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
	var answer []byte
	err := c.do(ctx, func() (err error) {
		answer, err = c.transmit(command)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// Together implements apdu.Batcher: work runs in the goroutine of the card, so
// that its commands follow one another without a change of goroutine, which
// takes as long as a fifth of an exchange.
func (c *Card) Together(ctx context.Context, work func(apdu.Transmitter) error) error {
	return c.do(ctx, func() error {
		// A fresh slice of time: whoever has a processor for 10 ms is
		// interrupted by the runtime with a signal, also within the library.
		runtime.Gosched()
		return work(within{c})
	})
}

// within is the card for the work that runs in its goroutine.
type within struct{ card *Card }

// Transmit implements apdu.Transmitter.
func (w within) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return w.card.transmit(command)
}

// transmit sends a command, within work.
func (c *Card) transmit(command []byte) ([]byte, error) {
	if len(command) < minCommand {
		return nil, fmt.Errorf("transmit: command of %d bytes, at least %d are needed", len(command), minCommand)
	}
	switch c.card.ActiveProtocol() {
	case scard.ProtocolUndefined:
		return nil, fmt.Errorf("transmit: %w", ErrMute)
	case scard.ProtocolT0:
		c.command = appendTPDU(c.command[:0], command)
	default:
		c.command = append(c.command[:0], command...)
	}
	var n int
	err := c.outside(func() (err error) {
		n, err = c.card.TransmitInto(c.command, c.answer)
		if err == nil && n < minResponse {
			return c.silent()
		}
		return lost("transmit", err)
	})
	clear(c.command) // it may carry a PIN
	if err != nil {
		c.failed = true
		return nil, err
	}
	return slices.Clone(c.answer[:n]), nil
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
