package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"onecard/apdu"
	"onecard/apdu/pcsc"
	"onecard/card/profile"
	"onecard/card/trace"
	"onecard/terminal"
)

// readers is the machine's PC/SC service as a station sees it.
type readers struct {
	transcript io.Writer // nil for none
	mask       apdu.Mask // of the transcript
}

// openTranscript opens the file of exchanges (报文记录); an empty path is none.
func openTranscript(path string) (io.Writer, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("报文记录文件不可写（transcript） the transcript cannot be written: %w", err)
	}
	return file, nil
}

// public says of which commands the data may stand in a transcript: SELECT and
// GET CHALLENGE name no person and carry no secret, and the record with which a
// card says its specification version is the same on all cards.
func public(profiles []*profile.Profile) apdu.Mask {
	versions := map[string]bool{}
	for _, p := range profiles {
		if record, ok := trace.VersionRecord(p); ok {
			versions[string(record)] = true
		}
	}
	return func(c apdu.Command, r apdu.Response) (maskCommand, maskResponse bool) {
		const selectFile, getChallenge, readRecord = 0xA4, 0x84, 0xB2
		hide := c.INS != selectFile && c.INS != getChallenge
		return hide, hide && (c.INS != readRecord || !versions[string(r.Data)])
	}
}

// serialBytes is the number of bytes at the end of an answer to reset that are
// the chip's serial number (卡片序列号); they stay out of a transcript.
const serialBytes = 4

// Watch implements terminal.Readers.
func (readers) Watch(ctx context.Context, report func(terminal.Change)) error {
	return pcsc.Watch(ctx, func(e pcsc.Event) {
		change := terminal.Change{Reader: e.Reader, Gone: e.Gone, ATR: e.ATR}
		if e.Err != nil {
			change.Service = terminal.Explain(fault(e.Err))
		}
		report(change)
	})
}

// Connect implements terminal.Readers.
func (r readers) Connect(ctx context.Context, reader string) (terminal.Chip, error) {
	card, err := pcsc.Connect(ctx, reader)
	if err != nil {
		return nil, fault(err)
	}
	if r.transcript == nil {
		return chip{card, card}, nil
	}
	recorder := apdu.NewRecorder(card, r.transcript, r.mask)
	recorder.Now = time.Now
	recorder.Begin(card.ATR(), serialBytes, time.Now(), reader)
	return chip{card, recorder}, nil
}

// chip is a card whose errors are in the words of a terminal.
type chip struct {
	*pcsc.Card
	through apdu.Batcher // the card, or a recorder before it
}

// Transmit implements apdu.Transmitter.
func (c chip) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	answer, err := c.through.Transmit(ctx, command)
	return answer, fault(err)
}

// Together implements apdu.Batcher.
func (c chip) Together(ctx context.Context, work func(apdu.Transmitter) error) error {
	return fault(c.through.Together(ctx, work))
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
