package tell_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance/tell"
	"onecard/registry"
	"onecard/registry/registrytest"
)

var actor = registry.Actor{Operator: "caiwang", Workstation: "W-1", Place: "632723"}

// peer is a peer that notes what it got, and behaves as it is told.
type peer struct {
	mu     sync.Mutex
	got    []tell.Delivery
	behave func(d tell.Delivery) (tell.Answer, error)
}

func (p *peer) Deliver(_ context.Context, d tell.Delivery) (tell.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, d)
	return p.behave(d)
}

func takes(tell.Delivery) (tell.Answer, error) {
	return tell.Answer{Code: "00", Acknowledged: true}, nil
}

// world is a carrier to a bank.
type world struct {
	*tell.Carrier
	bank  *peer
	clock *registrytest.Clock
}

func each(t *testing.T, test func(t *testing.T, w world)) {
	t.Helper()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		bank := &peer{behave: takes}
		test(t, world{&tell.Carrier{
			DB: db, Deliverers: map[string]tell.Deliverer{tell.Bank: bank}, Place: "630000", Logger: slog.New(slog.DiscardHandler),
		}, bank, clock})
	})
}

// write stores messages about subjects.
func (w world) write(t *testing.T, subjects ...string) {
	t.Helper()
	for _, subject := range subjects {
		require.NoError(t, w.DB.InTx(t.Context(), actor, func(tx *registry.Tx) error {
			err := tell.Write(tx,
				tell.Message{Peer: tell.Bank, Topic: "card.status", Place: "632723", Subject: subject, Body: map[string]string{"status": "2"}},
				tell.Message{Peer: tell.Ministry, Topic: "card.status", Place: "632723", Subject: subject})
			return errors.Join(err, tx.Audit("test.told", subject, nil))
		}))
	}
}

func (w world) turn(t *testing.T, tried int) {
	t.Helper()
	n, err := w.Turn(t.Context(), tell.Bank)
	require.NoError(t, err)
	require.Equal(t, tried, n)
}

// told returns what is known of a subject at the bank, oldest first.
func (w world) told(t *testing.T, subject string) (states []string) {
	t.Helper()
	all, err := tell.Of(w.DB.Read(t.Context()), subject, 100)
	require.NoError(t, err)
	for _, d := range all {
		if d.Peer == tell.Bank {
			states = append([]string{d.State}, states...)
		}
	}
	return states
}

// TestOrder: what is about one card goes in its order, one at a time; another
// card's does not wait for it, and nobody waits for a peer that is not there.
func TestOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		w.write(t, "card:1", "card:1", "card:2")
		down := true
		w.bank.behave = func(d tell.Delivery) (tell.Answer, error) {
			if down && d.Subject == "card:1" {
				return tell.Answer{}, errors.New("no line")
			}
			return takes(d)
		}
		w.turn(t, 2)
		require.Equal(t, []string{tell.Waiting, tell.Waiting}, w.told(t, "card:1"))
		require.Equal(t, []string{tell.Acknowledged}, w.told(t, "card:2"))
		w.turn(t, 0) // it pauses first
		down = false
		w.clock.Advance(2 * time.Second)
		w.turn(t, 1)
		require.Equal(t, []string{tell.Acknowledged, tell.Waiting}, w.told(t, "card:1"))
		w.turn(t, 1)
		require.Equal(t, []string{tell.Acknowledged, tell.Acknowledged}, w.told(t, "card:1"))
		sent := map[uuid.UUID]int{}
		for _, d := range w.bank.got {
			sent[d.ID]++
		}
		require.Len(t, sent, 3, "the same message again")
		var waiting int64
		require.NoError(t, w.DB.Read(t.Context()).Model(&tell.Delivery{}).Where("peer = ? AND state = ?", tell.Ministry, tell.Waiting).Count(&waiting).Error)
		require.EqualValues(t, 3, waiting)
		require.NoError(t, w.DB.VerifyAudit(t.Context()))
	})
}

// TestRefused: what a peer refuses for good is not sent again and stands in
// nobody's way.
func TestRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		w.write(t, "card:1", "card:1")
		w.bank.behave = func(d tell.Delivery) (tell.Answer, error) {
			if len(w.bank.got) == 1 {
				return tell.Answer{Code: "14", Text: "无此账户"}, nil
			}
			return takes(d)
		}
		w.turn(t, 1)
		w.turn(t, 1)
		require.Equal(t, []string{tell.Refused, tell.Acknowledged}, w.told(t, "card:1"))
	})
}

// TestPauses: attempts go apart, and never end.
func TestPauses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		w.write(t, "card:1")
		w.bank.behave = func(tell.Delivery) (tell.Answer, error) { return tell.Answer{}, errors.New("no line") }
		for _, pause := range []time.Duration{0, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
			if pause > 0 {
				w.clock.Advance(pause - time.Millisecond)
				w.turn(t, 0)
				w.clock.Advance(time.Millisecond)
			}
			w.turn(t, 1)
		}
		for range 30 {
			w.clock.Advance(30 * time.Minute)
			w.turn(t, 1)
		}
		w.bank.behave = takes
		w.clock.Advance(30 * time.Minute)
		w.turn(t, 1)
		require.Equal(t, []string{tell.Acknowledged}, w.told(t, "card:1"))
		require.Equal(t, 35, w.bank.got[34].Attempts)
	})
}

// TestCrash: a message that was handed over by a program which then ended is
// handed over again, as the same one; the answer that was lost changes nothing.
func TestCrash(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		clock, bank := registrytest.NewClock(), &peer{}
		start := func() world {
			db := registrytest.Open(t, registrytest.Config(dsn, clock))
			return world{&tell.Carrier{
				DB: db, Deliverers: map[string]tell.Deliverer{tell.Bank: bank}, Place: "630000", Logger: slog.New(slog.DiscardHandler),
			}, bank, clock}
		}
		w := start()
		w.write(t, "card:1")
		bank.behave = func(d tell.Delivery) (tell.Answer, error) {
			require.NoError(t, w.DB.Close()) // the program ends before it writes the answer down
			return takes(d)
		}
		_, err := w.Turn(t.Context(), tell.Bank)
		require.Error(t, err)
		bank.behave = takes
		again := start()
		again.turn(t, 0) // it may still be on its way
		clock.Advance(time.Minute)
		again.turn(t, 1)
		require.Equal(t, bank.got[0].ID, bank.got[1].ID)
		require.Equal(t, []string{tell.Acknowledged}, again.told(t, "card:1"))
	})
}

// TestSides: several carriers at once hand each message over to the bank once
// as long as none of them ends in the middle.
func TestSides(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		var subjects []string
		for i := range 40 {
			subjects = append(subjects, fmt.Sprintf("card:%d", i))
		}
		w.write(t, subjects...)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for range 20 {
					if _, err := w.Turn(t.Context(), tell.Bank); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		seen := map[uuid.UUID]int{}
		for _, d := range w.bank.got {
			seen[d.ID]++
		}
		require.Len(t, seen, len(subjects))
		for id, times := range seen {
			require.Equal(t, 1, times, id)
		}
	})
}
