package pcsc

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ebfe/scard"
)

// Event is one change at the readers.
type Event struct {
	// Err is set while the service is away: ErrNoService or ErrNoPermission.
	// All readers are gone then. It is nil for every other event.
	Err error
	// Reader is the reader's name; empty says that the service is there.
	Reader string
	// Gone says that the reader was unplugged.
	Gone bool
	// ATR is the answer to reset of the card in the reader; empty for none.
	ATR []byte
}

// The times of a watch: how long one wait lasts at most, and how long the
// service is left alone after it failed.
const (
	waitLimit  = time.Second
	retryPause = 500 * time.Millisecond
	// maxReaders is what the service takes in one wait beside the
	// notification of readers (16 in pcsc-lite).
	maxReaders = 15
)

// notification is the name under which the service reports that readers were
// plugged in or out.
const notification = `\\?PnP?\Notification`

// Watch reports every change until ctx ends and returns ctx's error. The state
// at the beginning is reported as changes too. A program has one watch: the
// library keeps the names of readers per process.
func Watch(ctx context.Context, report func(Event)) error {
	away := false
	for ctx.Err() == nil {
		err := watchService(ctx, report, &away)
		if ctx.Err() != nil {
			break
		}
		if !away {
			away = true
			report(Event{Err: err})
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
	return ctx.Err()
}

// watchService watches until the service fails or ctx ends.
func watchService(ctx context.Context, report func(Event), away *bool) error {
	service, err := establish()
	if err != nil {
		return err
	}
	defer func() { _ = service.Release() }()
	stop := context.AfterFunc(ctx, func() { _ = service.Cancel() })
	defer stop()
	*away = false
	report(Event{})
	w := &watch{service: service, report: report}
	for ctx.Err() == nil {
		if err := w.round(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// watch is what is known of the readers while the service is there.
type watch struct {
	service *scard.Context
	report  func(Event)
	states  []scard.ReaderState // the notification first
}

// round takes up new readers, waits for a change and reports it.
func (w *watch) round() error {
	names, err := w.service.ListReaders()
	if err != nil && !errors.Is(err, scard.ErrNoReadersAvailable) {
		return lost("list readers", err)
	}
	w.take(names[:min(len(names), maxReaders)])
	err = w.service.GetStatusChange(w.states, waitLimit)
	switch {
	case errors.Is(err, scard.ErrTimeout), errors.Is(err, scard.ErrCancelled):
		return nil
	case errors.Is(err, scard.ErrUnknownReader):
		return nil // unplugged since it was listed
	case err != nil:
		return lost("watch readers", err)
	}
	for i := range w.states[1:] {
		w.changed(&w.states[1+i])
	}
	w.states[0].CurrentState = w.states[0].EventState
	return nil
}

// take brings the list of readers up to date.
func (w *watch) take(names []string) {
	if w.states == nil {
		w.states = []scard.ReaderState{{Reader: notification}}
	}
	kept := w.states[:1]
	for _, state := range w.states[1:] {
		if slices.Contains(names, state.Reader) {
			kept = append(kept, state)
		} else {
			w.report(Event{Reader: state.Reader, Gone: true})
		}
	}
	w.states = kept
	for _, name := range names {
		if !slices.ContainsFunc(w.states, func(s scard.ReaderState) bool { return s.Reader == name }) {
			w.states = append(w.states, scard.ReaderState{Reader: name, CurrentState: scard.StateUnaware})
		}
	}
}

// eventCount is the part of a reader's state in which the service counts the
// cards put in and taken out.
const eventCount = 0xFFFF0000

// changed reports a reader whose card came or went, be it the same card again.
// That a program connected to the card is no change.
func (w *watch) changed(state *scard.ReaderState) {
	if state.EventState&scard.StateChanged == 0 {
		return
	}
	const card = eventCount | scard.StatePresent | scard.StateMute
	old := state.CurrentState
	state.CurrentState = state.EventState &^ scard.StateChanged
	if old != scard.StateUnaware && (old^state.CurrentState)&card == 0 {
		return
	}
	event := Event{Reader: state.Reader}
	// The library leaves the old ATR in place after a removal.
	if state.EventState&scard.StatePresent != 0 && state.EventState&scard.StateMute == 0 {
		event.ATR = slices.Clone(state.Atr)
	}
	w.report(event)
}
