package apdu

import "context"

// Transmitter sends the bytes of one command APDU to a chip and returns the
// bytes of its response APDU, status word included. It is the seam of the
// house: a PC/SC connection, a transcript being replayed, a recorder and a
// fault injector all have this one method.
//
// The command is not kept and not changed; the answer is the caller's.
//
// An error means that no answer was received: whether the chip carried the
// command out is then unknown.
type Transmitter interface {
	Transmit(ctx context.Context, command []byte) ([]byte, error)
}

// Batcher is a Transmitter for which commands that follow one another directly
// are cheaper together than one by one.
type Batcher interface {
	Transmitter
	// Together runs work with a Transmitter to the same chip that is good for
	// as long as work runs, and returns work's error. When ctx ends in the
	// middle of a command, Together returns and work goes no further: what it
	// was to do after that command is not done, but for its deferred calls.
	Together(ctx context.Context, work func(Transmitter) error) error
}

// together runs work over t, all at once where t can.
func together(ctx context.Context, t Transmitter, work func(Transmitter) error) error {
	if b, ok := t.(Batcher); ok {
		return b.Together(ctx, work)
	}
	return work(t)
}
