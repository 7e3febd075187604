package chip

import (
	"context"
	"errors"
)

// ErrPower says that the chip lost its power.
var ErrPower = errors.New("the chip lost its power")

// Socket is a chip in a reader: an apdu.Transmitter whose power can be cut.
type Socket struct {
	Chip *Chip
	// Cut takes the power away at the command with this number, from 1; 0
	// never does.
	Cut int
	// Before cuts before the chip has carried the command out; otherwise it is
	// carried out and its answer is lost.
	Before bool

	count int
}

// Transmit implements apdu.Transmitter.
func (s *Socket) Transmit(_ context.Context, command []byte) ([]byte, error) {
	if !s.Chip.on {
		return nil, ErrPower
	}
	s.count++
	if s.count == s.Cut && s.Before {
		s.Chip.PowerOff()
		return nil, ErrPower
	}
	answer := s.Chip.Transmit(command)
	if !s.Chip.on { // inside the command
		return nil, ErrPower
	}
	if s.count == s.Cut {
		s.Chip.PowerOff()
		return nil, ErrPower
	}
	return answer, nil
}

// Count returns how many commands the chip was sent.
func (s *Socket) Count() int { return s.count }
