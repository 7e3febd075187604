package terminal

import (
	"context"

	"onecard/apdu"
)

// Readers is what a station asks of the PC/SC stack.
type Readers interface {
	// Watch reports every change of readers and cards until ctx ends: each
	// card put in is one report, be it the same one again.
	Watch(ctx context.Context, report func(Change)) error
	// Connect opens the card in the reader for this program alone.
	Connect(ctx context.Context, reader string) (Chip, error)
}

// Chip is an open connection to the card in a reader.
type Chip interface {
	apdu.Transmitter
	ATR() []byte
	Close() error
}

// Change is one thing that happened at the readers.
type Change struct {
	// Service says why the PC/SC service cannot be used: ErrNoService,
	// ErrNoPermission; nil while it can.
	Service *Fault
	// Reader is the reader's name, empty for a change of the service.
	Reader string
	// Gone is set when the reader was unplugged.
	Gone bool
	// ATR is the answer to reset of the card in the reader, empty for none.
	ATR []byte
}
