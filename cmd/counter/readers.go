package main

import (
	"context"
	"errors"

	"onecard/apdu/pcsc"
	"onecard/terminal"
)

// readers is the machine's PC/SC service as a station sees it.
type readers struct{}

// Watch implements terminal.Readers.
func (readers) Watch(ctx context.Context, report func(terminal.Change)) error {
	return pcsc.Watch(ctx, func(e pcsc.Event) {
		report(terminal.Change{Daemon: e.Err == nil, Reader: e.Reader, Gone: e.Gone, ATR: e.ATR})
	})
}

// Connect implements terminal.Readers.
func (readers) Connect(ctx context.Context, reader string) (terminal.Chip, error) {
	card, err := pcsc.Connect(ctx, reader)
	if err != nil {
		return nil, fault(err)
	}
	return chip{card}, nil
}

// chip is a card whose errors are in the words of a terminal.
type chip struct{ *pcsc.Card }

// Transmit implements apdu.Transmitter.
func (c chip) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	answer, err := c.Card.Transmit(ctx, command)
	return answer, fault(err)
}

// faults puts the ways in which PC/SC fails into words with a remedy.
var faults = []struct {
	kind  error
	fault *terminal.Fault
}{
	{pcsc.ErrNoService, terminal.ErrNoService},
	{pcsc.ErrNoPermission, terminal.ErrNoPermission},
	{pcsc.ErrNoReader, terminal.ErrNoReader},
	{pcsc.ErrNoCard, terminal.ErrNoCard},
	{pcsc.ErrRemoved, terminal.ErrRemoved},
	{pcsc.ErrReset, terminal.ErrReset},
	{pcsc.ErrShared, terminal.ErrShared},
	{pcsc.ErrMute, terminal.ErrMute},
	{context.Canceled, terminal.ErrStopped},
	{pcsc.ErrClosed, terminal.ErrStopped},
}

func fault(err error) error {
	for _, line := range faults {
		if errors.Is(err, line.kind) {
			return line.fault.Because(err)
		}
	}
	return err
}
