package issuance_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/card/chip"
	"onecard/issuance"
	"onecard/registry"
)

// make makes the card of an application at the counter.
func (w world) make(t must, a issuance.Application) (issuance.Card, *chip.Socket) {
	t.Helper()
	a, err := w.reviewer().fire(t, a.ID, issuance.EventApprove, "")
	require.NoError(t, err)
	socket := blank(t, makerKey)
	r, _, err := w.issuer().work(t, socket, issuance.EventPersonalise, a.ID, "")
	require.NoError(t, err)
	c, err := w.Card(t.Context(), r.CardID)
	require.NoError(t, err)
	return c, socket
}

// status returns a card's status now.
func (w world) status(t must, id uuid.UUID) string {
	t.Helper()
	c, err := w.Card(t.Context(), id)
	require.NoError(t, err)
	return c.Status
}

// TestReplacement: a lost card is replaced; the old one is switched off by the
// activation of the new one, not before, and cannot come back meanwhile.
func TestReplacement(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		old, _ := w.activated(t)
		ask := issuance.Request{Person: old.PersonID, Kind: issuance.KindReplacement, Ground: "lost"}
		_, err := w.clerk().request(t, ask)
		require.ErrorIs(t, err, issuance.ErrNoCard, "not reported lost")
		_, err = w.clerk().fireCard(t, old.ID, "reportLoss", "")
		require.NoError(t, err)
		_, err = w.clerk().request(t, issuance.Request{Person: old.PersonID, Kind: issuance.KindReplacement, Ground: "whim"})
		require.ErrorIs(t, err, registry.ErrInvalid)
		a, err := w.clerk().request(t, ask)
		require.NoError(t, err)
		require.Equal(t, &old.ID, a.PreviousID)
		_, err = w.clerk().fireCard(t, old.ID, "cancelLoss", "找到了")
		require.ErrorIs(t, err, issuance.ErrReplacing)
		fresh, socket := w.make(t, a)
		require.Equal(t, issuance.StatusLost, w.status(t, old.ID), "until the new one is activated")
		_, _, err = w.clerk().work(t, socket, issuance.EventActivate, fresh.ID, pin)
		require.NoError(t, err)
		require.Equal(t, issuance.StatusCancelled, w.status(t, old.ID))
		require.Equal(t, issuance.StatusNormal, w.status(t, fresh.ID))
		done, err := w.Application(t.Context(), a.ID)
		require.NoError(t, err)
		require.Equal(t, []string{"caiwang", "lihong", "maxiu", "caiwang"}, []string{done.EnteredBy, done.ReviewedBy, done.MadeBy, done.HandedBy})
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// TestExchange: a card in use is exchanged; it works until the new one does.
func TestExchange(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		old, oldSocket := w.activated(t)
		_, err := w.clerk().request(t, issuance.Request{Person: old.PersonID, Kind: issuance.KindExchange, Ground: "expiring"})
		require.ErrorIs(t, err, issuance.ErrNotYet)
		a, err := w.clerk().request(t, issuance.Request{Person: old.PersonID, Kind: issuance.KindExchange, Ground: "damaged"})
		require.NoError(t, err)
		fresh, socket := w.make(t, a)
		_, _, err = w.clerk().work(t, oldSocket, "read", uuid.Nil, "")
		require.NoError(t, err)
		require.Equal(t, issuance.StatusNormal, w.status(t, old.ID))
		_, err = w.clerk().request(t, issuance.Request{Person: old.PersonID, Kind: issuance.KindExchange})
		require.ErrorIs(t, err, issuance.ErrHasCard, "one waits to be handed over")
		_, _, err = w.clerk().work(t, socket, issuance.EventActivate, fresh.ID, pin)
		require.NoError(t, err)
		require.Equal(t, issuance.StatusCancelled, w.status(t, old.ID))
		told, err := w.Told(t.Context(), old.ID)
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(told, func(x issuance.Told) bool { return x.Peer == issuance.TellBank && x.Event == issuance.EventSupersede }))
	})
}

// TestTemporaryCard: who waits for a card gets one for a time; it replaces
// nothing, ends by itself, and is switched off by the permanent one.
func TestTemporaryCard(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		lost, _ := w.activated(t)
		ask := issuance.Request{Person: lost.PersonID, Kind: issuance.KindTemporary}
		_, err := w.clerk().request(t, ask)
		require.ErrorIs(t, err, issuance.ErrHasCard)
		_, err = w.clerk().fireCard(t, lost.ID, "reportLoss", "")
		require.NoError(t, err)
		a, err := w.clerk().request(t, ask)
		require.NoError(t, err)
		temporary, socket := w.make(t, a)
		require.Equal(t, issuance.CardTemporary, temporary.Kind)
		require.Equal(t, "2026-05-01", temporary.ExpiresOn.String())
		_, _, err = w.clerk().work(t, socket, issuance.EventActivate, temporary.ID, pin)
		require.NoError(t, err)
		require.Equal(t, issuance.StatusLost, w.status(t, lost.ID))
		_, err = w.clerk().fireCard(t, lost.ID, "cancelLoss", "找到了")
		require.ErrorIs(t, err, issuance.ErrHasCard, "one card works at a time")
		w.clock.Advance(60 * 24 * time.Hour)
		_, err = w.Clock(t.Context(), "630000")
		require.NoError(t, err)
		require.Equal(t, issuance.StatusCancelled, w.status(t, temporary.ID))
		_, err = w.clerk().fireCard(t, lost.ID, "cancelLoss", "找到了")
		require.NoError(t, err)
	})
}

// TestLossEnds: a temporary loss report ends by itself, once, after the holder
// was told; a formal one stays.
func TestLossEnds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, _ := w.activated(t)
		formal, _ := w.activated(t)
		_, err := w.clerk().fireCard(t, c.ID, "reportTemporaryLoss", "")
		require.NoError(t, err)
		_, err = w.clerk().fireCard(t, formal.ID, "reportLoss", "")
		require.NoError(t, err)
		lost, err := w.Card(t.Context(), c.ID)
		require.NoError(t, err)
		require.Equal(t, w.db.Now().AddDate(0, 0, 7), lost.LossEnds.UTC())
		notices := func() int {
			return w.count(t, "deliveries", "subject = ? AND topic = ?", "person:"+c.PersonID.String(), issuance.TopicNotice)
		}
		before := notices()
		for _, step := range []struct {
			after    time.Duration
			happened int
			status   string
			notices  int
		}{
			{5*24*time.Hour - time.Second, 0, issuance.StatusTempLost, 0},
			{time.Second, 1, issuance.StatusTempLost, 1},
			{time.Hour, 0, issuance.StatusTempLost, 1},
			{47 * time.Hour, 1, issuance.StatusNormal, 2},
			{1000 * 24 * time.Hour, 0, issuance.StatusNormal, 2},
		} {
			w.clock.Advance(step.after)
			happened, err := w.Clock(t.Context(), "630000")
			require.NoError(t, err)
			require.Equal(t, step.happened, happened)
			require.Equal(t, step.status, w.status(t, c.ID))
			require.Equal(t, before+step.notices, notices())
		}
		require.Equal(t, issuance.StatusLost, w.status(t, formal.ID))
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// TestDeath: a death that is recorded stops the card; that it ends takes
// another person than who recorded it.
func TestDeath(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, _ := w.activated(t)
		cancel := issuance.Asked{Event: issuance.EventCancel, Code: "death"}
		_, err := w.supervisor().ask(t, c.ID, cancel)
		require.ErrorIs(t, err, issuance.ErrSecondSource, "who lives")
		require.NoError(t, w.db.InTx(t.Context(), w.supervisor().actor, func(tx *registry.Tx) error {
			_, err := tx.CorrectPerson(c.PersonID, 0, "民政通报", func(told *registry.NewPerson) { told.Life = registry.LifeDead })
			return err
		}))
		require.Equal(t, issuance.StatusLocked, w.status(t, c.ID))
		_, err = w.supervisor().ask(t, c.ID, cancel)
		require.ErrorIs(t, err, issuance.ErrSecondSource, "the same person")
		_, err = w.supervisor().ask(t, c.ID, issuance.Asked{Event: "lift", Code: "mistaken"})
		require.ErrorIs(t, err, issuance.ErrDead)
		_, err = w.at("W-5", "sunwei", registry.RoleSupervisor).ask(t, c.ID, cancel)
		require.NoError(t, err)
		require.Equal(t, 1, w.count(t, "card_status_log", "card_id = ? AND reason_code = 'death'", c.ID))
	})
}

// TestSuspend: one officer suspends a card, another one lifts it.
func TestSuspend(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, _ := w.activated(t)
		other := w.at("W-5", "sunwei", registry.RoleSupervisor)
		_, err := w.supervisor().ask(t, c.ID, issuance.Asked{Event: issuance.EventSuspend, Code: "fraud"})
		require.NoError(t, err)
		_, err = w.clerk().request(t, issuance.Request{Person: c.PersonID, Kind: issuance.KindReplacement})
		require.ErrorIs(t, err, issuance.ErrCardLocked)
		_, err = w.supervisor().ask(t, c.ID, issuance.Asked{Event: "lift", Code: "order-lifted"})
		require.ErrorIs(t, err, issuance.ErrSameOfficer)
		_, err = other.ask(t, c.ID, issuance.Asked{Event: "lift", Code: "order-lifted"})
		require.NoError(t, err)
		require.Equal(t, issuance.StatusNormal, w.status(t, c.ID))
	})
}

// TestReviewAgain: what was corrected after the review is reviewed again, by
// another person, before a card is made of it.
func TestReviewAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		a := w.numbered(t)
		rename := func(name string) {
			require.NoError(t, w.db.InTx(t.Context(), w.clerk().actor, func(tx *registry.Tx) error {
				_, err := tx.CorrectPerson(a.PersonID, 0, "更正", func(told *registry.NewPerson) { told.Name = name })
				return err
			}))
		}
		rename("才让·多杰")
		_, err := w.issuer().open(t, blank(t, makerKey), issuance.EventPersonalise, a.ID)
		require.ErrorIs(t, err, issuance.ErrReviewAgain)
		again, err := w.clerk().fire(t, a.ID, issuance.EventReopen, "姓名更正")
		require.NoError(t, err)
		_, err = w.at("W-1", "caiwang", registry.RoleReviewer).fire(t, a.ID, issuance.EventApprove, "")
		require.ErrorIs(t, err, issuance.ErrSamePerson)
		c, _ := w.make(t, again)
		require.Equal(t, a.CardNumber, c.Number, "the number stays")
	})
}

// TestDraft: a draft is nobody's work until it is submitted.
func TestDraft(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		person := w.person(t, "马秀兰", "1990-01-01").ID
		draft, err := w.clerk().request(t, issuance.Request{Person: person, Kind: issuance.KindFirst, Draft: true, Applicant: "guardian"})
		require.NoError(t, err)
		require.Nil(t, draft.Due)
		other, err := w.clerk().apply(t, person)
		require.NoError(t, err)
		_, err = w.clerk().fire(t, draft.ID, issuance.EventSubmit, "")
		require.ErrorIs(t, err, issuance.ErrRunning)
		_, err = w.reviewer().fire(t, other.ID, "return", "照片不清")
		require.NoError(t, err)
		submitted, err := w.clerk().fire(t, draft.ID, issuance.EventSubmit, "")
		require.NoError(t, err)
		require.Equal(t, w.db.Now().Add(72*time.Hour), submitted.Due.UTC())
		_, err = w.clerk().fire(t, other.ID, issuance.EventResubmit, "")
		require.ErrorIs(t, err, issuance.ErrRunning)
	})
}

// TestMoves: what the table does not have, the database refuses, whoever writes.
func TestMoves(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, _ := w.card(t)
		for _, statement := range []string{
			"UPDATE cards SET version = version + 1, status = '2' WHERE id = ?",
			"UPDATE applications SET state = 'applied' WHERE card_id = ?",
		} {
			err := w.db.InTx(t.Context(), w.clerk().actor, func(tx *registry.Tx) error {
				if err := tx.DB().Exec(statement, c.ID).Error; err != nil {
					return err
				}
				return tx.Audit("test.forced", "test", nil)
			})
			require.ErrorIs(t, err, registry.ErrConflict, statement)
		}
	})
}
