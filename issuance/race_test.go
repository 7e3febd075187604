package issuance_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/card/chip"
	"onecard/issuance"
	"onecard/issuance/session"
	"onecard/registry"
)

// rivals is how many counters try the same at once.
const rivals = 4

// race lets all rivals begin at once and returns what each one met.
func race(work func(i int) error) [rivals]error {
	var met [rivals]error
	var ready, done sync.WaitGroup
	ready.Add(rivals)
	for i := range rivals {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			met[i] = work(i)
		})
	}
	done.Wait()
	return met
}

// oneWins requires that exactly one succeeded and that the others met one of
// the refusals.
func oneWins(t *testing.T, met [rivals]error, refusals ...error) {
	t.Helper()
	winners := 0
	for _, err := range met {
		if err == nil {
			winners++
			continue
		}
		known := false
		for _, refusal := range refusals {
			known = known || errors.Is(err, refusal)
		}
		require.True(t, known, "%v", err)
	}
	require.Equal(t, 1, winners, "%v", met)
}

// counters are operators who each may do everything.
func (w world) counters(i int) counter {
	return w.at("W-1"+string(rune('0'+i)), "rival"+string(rune('a'+i)), registry.RoleClerk, registry.RoleReviewer, registry.RoleIssuer, registry.RoleSupervisor)
}

// TestRaceByHand: of several counters that do the same at once exactly one
// does it.
func TestRaceByHand(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		for range 3 {
			person := w.person(t, "马秀兰", "1990-01-01").ID
			oneWins(t, race(func(i int) error {
				_, err := w.counters(i).apply(t, person)
				return err
			}), issuance.ErrRunning)
			all, err := w.Applications(t.Context(), issuance.Filter{PersonID: person})
			require.NoError(t, err)
			require.Len(t, all, 1)
			oneWins(t, race(func(i int) error {
				// Reviewers of another county office: none of them entered it.
				c := w.counters(i)
				c.actor.Operator += ".review"
				event := []string{issuance.EventApprove, "return"}[i%2]
				_, err := c.fire(t, all[0].ID, event, "照片不清")
				return err
			}), issuance.ErrNotAllowed)
		}
		numbers := w.count(t, "applications", "card_number IS NOT NULL")
		require.Equal(t, numbers, w.count(t, "applications", "state = 'numbered'"))
	})
}

// TestRaceOfChips: several counters begin to make one application's card, each
// on its own blank. One chip is taken; the card of record is on it.
func TestRaceOfChips(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		a := w.numbered(t)
		var sockets [rivals]*chip.Socket
		for i := range rivals {
			sockets[i] = blank(t, makerKey)
		}
		results := make([]issuance.Result, rivals)
		oneWins(t, race(func(i int) (err error) {
			results[i], _, err = w.counters(i).work(t, sockets[i], issuance.EventPersonalise, a.ID, "")
			return err
		}), issuance.ErrOtherChip, issuance.ErrNotAllowed)
		require.Equal(t, 1, w.count(t, "cards", "1 = 1"))
		require.Equal(t, 1, w.count(t, "personalisations", "1 = 1"))
		for i, r := range results {
			image, err := sockets[i].Chip.Image()
			require.NoError(t, err)
			require.Equal(t, r.CardNumber != "", image.LifeCycle == 3, "only the winner's chip was touched")
		}
	})
}

// TestRaceOfBlank: one blank is offered for several applications at once.
func TestRaceOfBlank(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		opening := w.counters(0).opening(t, blank(t, makerKey), issuance.EventPersonalise, w.numbered(t).ID)
		var offers [rivals]issuance.OpenSession
		for i := range rivals {
			id := w.numbered(t).ID
			offers[i] = opening
			offers[i].ApplicationID = &id
		}
		oneWins(t, race(func(i int) error {
			_, err := w.OpenSession(t.Context(), w.counters(i).actor, offers[i])
			return err
		}), issuance.ErrChipUsed)
		require.Equal(t, 1, w.count(t, "applications", "state = 'personalising'"))
		require.Equal(t, 1, w.count(t, "chip_sessions", "1 = 1"))
	})
}

// TestRaceOfSteps: the same answers come several times at once. All get the
// same turn, and what follows happens once.
func TestRaceOfSteps(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		socket, who := blank(t, makerKey), w.issuer()
		turn, err := who.open(t, socket, issuance.EventPersonalise, w.numbered(t).ID)
		require.NoError(t, err)
		for turn.Script != nil {
			answers := answer(t, socket, turn)
			var turns [rivals]session.Turn
			met := race(func(i int) (err error) {
				turns[i], err = w.Step(t.Context(), who.actor, turn.Session, turn.Seq, answers, "")
				return err
			})
			for i := range rivals {
				require.NoError(t, met[i])
				require.Equal(t, throughJSON(t, turns[0]), throughJSON(t, turns[i]))
			}
			turn = turns[0]
		}
		require.Equal(t, 1, w.count(t, "cards", "1 = 1"))
		require.Equal(t, turn.Seq, w.count(t, "audit_entries", "action = 'chip.personalise.step'"))
	})
}

// TestRaceOfSpoil: a supervisor spoils the chip while its last step comes in.
// Either the card is made or the chip is spoiled, never both.
func TestRaceOfSpoil(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		for range 3 {
			a, socket := w.numbered(t), blank(t, makerKey)
			turn, err := w.issuer().open(t, socket, issuance.EventPersonalise, a.ID)
			require.NoError(t, err)
			var answers = answer(t, socket, turn)
			for turn.Done < turn.Total {
				turn, err = w.Step(t.Context(), w.issuer().actor, turn.Session, turn.Seq, answers, "")
				require.NoError(t, err)
				answers = answer(t, socket, turn)
			}
			oneWins(t, race(func(i int) error {
				if i%2 == 0 {
					_, err := w.counters(i).fire(t, a.ID, issuance.EventSpoil, "芯片损坏")
					return err
				}
				last, err := w.Step(t.Context(), w.issuer().actor, turn.Session, turn.Seq, answers, "")
				switch {
				case err == nil && last.Script != nil:
					return errors.New("the step was not the last one")
				case err == nil && i > 1:
					return issuance.ErrNotAllowed // the same step again: it counts once
				}
				return err
			}), issuance.ErrNotAllowed, session.ErrEnded)
			a, err = w.Application(t.Context(), a.ID)
			require.NoError(t, err)
			require.Equal(t, a.State == issuance.StateMade, w.count(t, "cards", "person_id = ?", a.PersonID) == 1)
			require.Equal(t, a.State == issuance.StateNumbered, w.count(t, "personalisations", "application_id = ? AND state = 'spoiled'", a.ID) == 1)
		}
	})
}

// TestRaceOfLoss: a loss is reported while the card is locked. The status log
// is a chain: each change leads from where the one before it led.
func TestRaceOfLoss(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.activated(t)
		turn, err := w.supervisor().open(t, socket, issuance.EventLock, c.ID)
		require.NoError(t, err)
		answers := answer(t, socket, turn)
		oneWins(t, race(func(i int) error {
			if i == 0 {
				_, err := w.Step(t.Context(), w.supervisor().actor, turn.Session, turn.Seq, answers, "")
				return err
			}
			if _, err := w.counters(i).fireCard(t, c.ID, "reportLoss", ""); err != nil || i > 1 {
				return errors.Join(issuance.ErrNotAllowed, err)
			}
			return nil
		}), issuance.ErrNotAllowed)
		require.Equal(t, 2, w.count(t, "card_status_log", "card_id = ?", c.ID), "activated, and one of the two")
	})
}
