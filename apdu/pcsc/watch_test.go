package pcsc_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onecard/apdu/pcsc"
	"onecard/internal/rig"
)

// watch runs a watch and returns its events; end stops it.
func watch(t *testing.T) (next func() pcsc.Event, end func()) {
	t.Helper()
	events := make(chan pcsc.Event, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- pcsc.Watch(ctx, func(e pcsc.Event) { events <- e }) }()
	next = func() pcsc.Event {
		t.Helper()
		select {
		case e := <-events:
			return e
		case <-time.After(20 * time.Second):
			require.Fail(t, "no event came")
			return pcsc.Event{}
		}
	}
	return next, func() {
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	}
}

// begins reads the state at the beginning: service and both readers, empty.
func begins(t *testing.T, next func() pcsc.Event) {
	t.Helper()
	require.Equal(t, pcsc.Event{}, next())
	for range rig.Readers {
		e := next()
		require.Contains(t, rig.Readers, e.Reader)
		require.Empty(t, e.ATR)
	}
}

func TestWatch(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	next, end := watch(t)
	begins(t, next)
	file := blank(t, "0000E001")
	for range 2 { // the same card again is another event
		require.NoError(t, service.Insert(t.Context(), 1, file))
		e := next()
		require.Equal(t, rig.Readers[1], e.Reader)
		require.NotEmpty(t, e.ATR)
		card := connect(t, 1) // a program at the card is none
		require.NoError(t, card.Close())
		remove(t, 1)
		e = next()
		require.Equal(t, rig.Readers[1], e.Reader)
		require.Empty(t, e.ATR)
	}
	end()
}

// TestWatchSurvives: the service goes and comes back, and the watch tells both.
func TestWatchSurvives(t *testing.T) {
	next, end := watch(t)
	defer end()
	begins(t, next)
	require.NoError(t, service.KillDaemon())
	require.ErrorIs(t, next().Err, pcsc.ErrNoService)
	require.NoError(t, service.StartDaemon(t.Context()))
	e := next()
	require.NoError(t, e.Err)
	require.Empty(t, e.Reader)
	insert(t, 0)
	for len(e.ATR) == 0 {
		e = next()
	}
	require.Equal(t, rig.Readers[0], e.Reader)
}

// TestWatchIsIdle: waiting takes next to none of the processor. A watch that
// spins would take all of it; the bound is far from both.
func TestWatchIsIdle(t *testing.T) {
	next, end := watch(t)
	begins(t, next)
	used := func() time.Duration {
		var usage syscall.Rusage
		require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	before := used()
	time.Sleep(2 * time.Second)
	spent := used() - before
	t.Logf("%v of the processor in two seconds", spent)
	require.Less(t, spent, 500*time.Millisecond)
	end()
}
