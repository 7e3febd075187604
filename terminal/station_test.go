package terminal_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/card"
	"onecard/card/chip"
	"onecard/card/order"
	"onecard/terminal"
)

// TestCards: the station says of each card what it is, without asking anybody,
// and of one that is of no use what is to be done.
func TestCards(t *testing.T) {
	t.Parallel()
	altered := func(t *testing.T, alter func(image *chip.Image)) *plastic {
		image := blank(t).image()
		alter(image)
		return carrying(t, image)
	}
	for name, test := range map[string]struct {
		card    func(t *testing.T) *plastic
		kind    string
		version string
		says    string
	}{
		"blank":       {blank, terminal.CardBlank, "3.00", ""},
		"bank card":   {func(t *testing.T) *plastic { return carrying(t, chip.BankCard()) }, terminal.CardForeign, "", "不是社会保障卡"},
		"unknown ATR": {func(t *testing.T) *plastic { return carrying(t, chip.OtherCard()) }, terminal.CardForeign, "", "不认识的卡"},
		"blocked application": {func(t *testing.T) *plastic {
			return altered(t, func(image *chip.Image) { image.ApplicationBlocked = true })
		}, terminal.CardBlocked, "", "应用已锁定"},
		"blocked card": {func(t *testing.T) *plastic {
			return altered(t, func(image *chip.Image) { image.CardBlocked = true })
		}, terminal.CardBlocked, "", "卡已锁定"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			station, bench := newStation(t, "counter", order.Reader{})
			require.Equal(t, terminal.CardNone, station.State().Card.Kind)
			bench.insert(test.card(t))
			state := shows(t, station, test.kind)
			if test.version != "" {
				require.Equal(t, test.version, state.Card.Version)
			}
			if test.says == "" {
				require.Nil(t, state.Card.Problem)
			} else {
				require.Contains(t, state.Card.Problem.ZH, test.says)
				require.NotEmpty(t, state.Card.Problem.EN)
				require.NotEmpty(t, state.Card.Problem.RemedyZH)
				require.NotEmpty(t, state.Card.Problem.RemedyEN)
			}
			bench.remove()
			shows(t, station, terminal.CardNone)
		})
	}
}

// TestMute: a card that cannot be connected to is shown as such, with the
// reason, and is looked at again when it is put in again.
func TestMute(t *testing.T) {
	t.Parallel()
	for _, fault := range []*terminal.Fault{terminal.ErrMute, terminal.ErrShared, terminal.ErrReset} {
		t.Run(fault.Code, func(t *testing.T) {
			t.Parallel()
			station, bench := newStation(t, "counter", order.Reader{})
			bench.fail(fault.Because(errors.New("of the reader")))
			card := blank(t)
			bench.insert(card)
			require.Equal(t, fault.Code, shows(t, station, terminal.CardMute).Card.Problem.Code)
			require.ErrorIs(t, station.ChangePIN(t.Context(), pin, pin), fault)
			bench.fail(nil)
			bench.insert(card)
			shows(t, station, terminal.CardBlank)
		})
	}
}

// TestService: without service, reader or card the work is refused by what is
// missing.
func TestService(t *testing.T) {
	t.Parallel()
	station, bench := newStation(t, "counter", order.Reader{})
	work := func() error { return station.ChangePIN(t.Context(), pin, pin) }
	require.ErrorIs(t, work(), terminal.ErrNoCard)
	bench.report(terminal.Change{Service: terminal.ErrNoPermission})
	require.ErrorIs(t, work(), terminal.ErrNoPermission)
	require.Equal(t, terminal.ErrNoPermission, station.State().Service)
	bench.report(terminal.Change{})
	require.ErrorIs(t, work(), terminal.ErrNoReader)
	bench.report(terminal.Change{Reader: readerName})
	require.ErrorIs(t, work(), terminal.ErrNoCard)
	bench.insert(blank(t))
	shows(t, station, terminal.CardBlank)
	bench.report(terminal.Change{Reader: readerName, Gone: true})
	require.Equal(t, terminal.CardNone, station.State().Card.Kind)
	require.ErrorIs(t, work(), terminal.ErrNoReader)
}

// TestRemovedWhileIdentifying takes the card out before each command of the
// identification: it is shown as gone, never as mute, and known when it is back.
func TestRemovedWhileIdentifying(t *testing.T) {
	t.Parallel()
	station, bench := newStation(t, "counter", order.Reader{})
	card := blank(t)
	commands := bench.insert(card)
	shows(t, station, terminal.CardBlank)
	for at := range commands.Count() {
		bench.remove()
		shows(t, station, terminal.CardNone)
		var once sync.Once
		removed := make(chan struct{})
		bench.hook(func(command int) {
			if command == at+1 {
				once.Do(func() {
					bench.remove()
					close(removed)
				})
			}
		})
		bench.insert(card)
		<-removed
		shows(t, station, terminal.CardNone)
		bench.hook(nil)
		bench.insert(card)
		shows(t, station, terminal.CardBlank)
	}
}

// TestOneAtATime lets many ask for the chip while it is put in again and
// again: one connection is open at a time.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	station, bench := newStation(t, "counter", order.Reader{})
	plastic := blank(t)
	bench.insert(plastic)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			// A blank has no number to be changed: the chip says so.
			require.Error(t, station.ChangePIN(t.Context(), pin, pin))
		})
	}
	for range 5 {
		bench.insert(plastic)
	}
	group.Wait()
	shows(t, station, terminal.CardBlank)
	bench.mu.Lock()
	defer bench.mu.Unlock()
	require.Equal(t, 1, bench.most)
}

// held puts a card in whose first command waits until it is let go.
func held(t *testing.T, bench *bench) (reached <-chan struct{}, release func()) {
	t.Helper()
	begun, gate := make(chan struct{}), make(chan struct{})
	var first, once sync.Once
	bench.hook(func(int) {
		first.Do(func() { close(begun) })
		<-gate
	})
	release = func() { once.Do(func() { close(gate) }) }
	t.Cleanup(release)
	return begun, release
}

// TestBusy: work that would wait long for other work is told so, and a card
// that could not be looked at meanwhile is looked at afterwards.
func TestBusy(t *testing.T) {
	t.Parallel()
	station, bench := newStation(t, "counter", order.Reader{})
	plastic := blank(t)
	bench.insert(plastic)
	shows(t, station, terminal.CardBlank)
	reached, release := held(t, bench)
	ended := make(chan error)
	go func() { ended <- station.ChangePIN(t.Context(), pin, pin) }()
	<-reached
	bench.tell() // the service reports the card again
	require.ErrorIs(t, station.ChangePIN(t.Context(), pin, pin), terminal.ErrBusy)
	hasty, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, station.ChangePIN(hasty, pin, pin), terminal.ErrStopped)
	require.Equal(t, terminal.CardReading, station.State().Card.Kind)
	time.Sleep(100 * time.Millisecond) // the look, too, has waited long enough
	release()
	require.Error(t, <-ended)
	shows(t, station, terminal.CardBlank)
}

// TestStop: who stops work is told that it was stopped and nothing else, and
// stopping an identification does not make a card mute.
func TestStop(t *testing.T) {
	t.Parallel()
	station, bench := newStation(t, "counter", order.Reader{})
	station.Stop()
	reached, release := held(t, bench)
	bench.insert(blank(t))
	<-reached
	station.Stop()
	release()
	shows(t, station, terminal.CardBlank)

	reached, release = held(t, bench)
	ended := make(chan error)
	go func() { ended <- station.ChangePIN(t.Context(), pin, pin) }()
	<-reached
	station.Stop()
	release()
	err := <-ended
	require.ErrorIs(t, err, terminal.ErrStopped)
	require.Equal(t, "stopped", terminal.Explain(err).Code)
	require.NotErrorIs(t, station.ChangePIN(t.Context(), pin, pin), terminal.ErrStopped, "the next work is not stopped")
}

// TestPINForm: a number that is none costs no attempt.
func TestPINForm(t *testing.T) {
	t.Parallel()
	station, bench := newStation(t, "counter", order.Reader{})
	bench.insert(blank(t))
	for _, wrong := range []string{"", "31415", "3141592", "31415a", "３１４１５９"} {
		require.ErrorIs(t, station.ChangePIN(t.Context(), wrong, pin), card.ErrPINFormat)
		require.ErrorIs(t, station.ChangePIN(t.Context(), pin, wrong), card.ErrPINFormat)
	}
}

// TestSubscribe: a slow page sees the latest state, and the end.
func TestSubscribe(t *testing.T) {
	t.Parallel()
	station, bench := newStation(t, "pharmacy", order.Reader{})
	ctx, cancel := context.WithCancel(t.Context())
	changes := station.Subscribe(ctx)
	require.Equal(t, "pharmacy", (<-changes).Kind)
	for range 3 {
		bench.insert(blank(t))
		shows(t, station, terminal.CardBlank)
		station.SetPlatform(true)
	}
	latest := <-changes
	require.Equal(t, terminal.CardBlank, latest.Card.Kind)
	require.True(t, latest.Platform)
	cancel()
	require.Eventually(t, func() bool {
		select {
		case _, open := <-changes:
			return !open
		default:
			return false
		}
	}, wait, tick)
	station.SetPlatform(false)
}
