package terminal_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/terminal"
)

// TestOrders: a counter runs what the province signed for this chip, this step
// and this minute, and nothing else, whatever stands between them.
func TestOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	desk := w.at(counter, "counter", clerk)
	a, chip := desk.numbered(residents[0]), blank(t)
	var most atomic.Int64 // commands in one connection
	desk.bench.hook(func(command int) { most.Store(max(most.Load(), int64(command))) })
	desk.bench.insert(chip)
	desk.shows(terminal.CardBlank)
	opening := most.Load()

	refused := func(name string, want error, alter func(turn *client.Turn)) {
		w.gate.change(alter)
		defer w.gate.change(nil)
		most.Store(0)
		_, err := desk.perform(a)
		require.ErrorIs(t, err, want, name)
		require.NotEmpty(t, terminal.Explain(err).RemedyZH)
	}
	for name, alter := range map[string]func(turn *client.Turn){
		"no order":          func(turn *client.Turn) { turn.Order = nil },
		"an altered order":  func(turn *client.Turn) { *turn.Order = strings.Replace(*turn.Order, ".e", ".f", 1) },
		"another session's": func(turn *client.Turn) { turn.Session[0] ^= 1 },
		"a later step's":    func(turn *client.Turn) { turn.Seq++ },
	} {
		refused(name, terminal.ErrOrder, alter)
		require.Equal(t, opening, most.Load(), "%s: the chip got the opening and no more", name)
	}
	var first *string
	refused("the first again", terminal.ErrOrder, func(turn *client.Turn) {
		if first == nil {
			first = turn.Order
		}
		turn.Order = first
	})
	// All that came in an earlier session with the same chip, while it has time.
	var earlier *client.Turn
	for range 2 {
		refused("an earlier session's", terminal.ErrOrder, func(turn *client.Turn) {
			if earlier == nil {
				kept := *turn
				earlier, turn.Order = &kept, nil
				return
			}
			*turn = *earlier
		})
		require.Equal(t, opening, most.Load(), "the chip got the opening and no more")
	}
	slow := w.orders()
	slow.Now = func() time.Time { return time.Now().Add(time.Hour) }
	late := &post{w, desk.platform, nil, nil}
	late.station, late.bench = newStation(t, "counter", slow)
	late.bench.insert(chip)
	late.shows(terminal.CardUnfinished)
	_, err := late.perform(a)
	require.ErrorIs(t, err, terminal.ErrOrderLate)
	late.bench.remove()

	desk.bench.insert(chip)
	desk.make(a)
}
