package apdu

import "context"

// Transmitter sends the bytes of one command APDU to a chip and returns the
// bytes of its response APDU, status word included. It is the seam of the
// house: a PC/SC connection, a transcript being replayed, a recorder and a
// fault injector all have this one method.
//
// An error means that no answer was received: whether the chip carried the
// command out is then unknown.
type Transmitter interface {
	Transmit(ctx context.Context, command []byte) ([]byte, error)
}
