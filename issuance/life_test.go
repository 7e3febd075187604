package issuance_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/registry"
)

const longName = "阿旺洛桑图登嘉措·索南旺杰·多杰才让尼玛"

// TestLife leads one card from the application to its cancellation.
func TestLife(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		person := w.person(t, longName, "1981-05-01")
		a, err := w.clerk().apply(t, person.ID)
		require.NoError(t, err)
		require.Equal(t, issuance.StateApplied, a.State)
		require.Empty(t, a.CardNumber)
		a, err = w.reviewer().fire(t, a.ID, issuance.EventApprove, "")
		require.NoError(t, err)
		require.Equal(t, issuance.StateNumbered, a.State)
		require.Equal(t, "lihong", a.ReviewedBy)
		_, err = gb.ParseCardNumber(a.CardNumber)
		require.NoError(t, err)

		socket := blank(t, makerKey)
		r, turn, err := w.issuer().work(t, socket, issuance.EventPersonalise, a.ID, "")
		require.NoError(t, err)
		require.True(t, r.Genuine)
		require.Equal(t, card.PersonaliseScripts-1, turn.Seq, "one script is the opening")
		require.Equal(t, longName, values(r.Fields)["name"]+values(r.Fields)["nameExtension"])
		c, err := w.Card(t.Context(), r.CardID)
		require.NoError(t, err)
		require.Equal(t, issuance.StatusSealed, c.Status)
		require.Equal(t, a.CardNumber, c.Number)
		require.Equal(t, "2026-03-02/2036-03-02", c.IssuedOn.String()+"/"+c.ExpiresOn.String())

		r, _, err = w.clerk().work(t, socket, issuance.EventActivate, c.ID, pin)
		require.NoError(t, err)
		require.Equal(t, issuance.StatusNormal, r.Status)
		require.NoError(t, card.VerifyPIN(t.Context(), apdu.NewChannel(socket), province.profile, pin))
		a, err = w.Application(t.Context(), a.ID)
		require.NoError(t, err)
		require.Equal(t, issuance.StateHanded, a.State)
		require.Equal(t, &c.ID, a.CardID)

		r, _, err = w.clerk().work(t, socket, "read", uuid.Nil, "")
		require.NoError(t, err)
		require.Equal(t, a.CardNumber, values(r.Fields)["cardNumber"])
		require.Equal(t, person.IDNumber.String(), values(r.Fields)["idNumber"])
		for _, status := range []string{issuance.EventLock, issuance.EventUnlock} {
			_, _, err = w.supervisor().work(t, socket, status, c.ID, "")
			require.NoError(t, err)
		}
		endOfLife(t, w, c)
	})
}

// endOfLife loses a card, finds it again and cancels it.
func endOfLife(t *testing.T, w world, c issuance.Card) {
	t.Helper()
	for _, step := range []struct {
		who           counter
		event, reason string
		status        string
	}{
		{w.clerk(), "reportTemporaryLoss", "", "4"},
		{w.clerk(), "reportLoss", "", "2"},
		{w.clerk(), "reportLoss", "", "2"},
		{w.clerk(), "cancelLoss", "找到了", issuance.StatusNormal},
		{w.supervisor(), "cancel", "换发", issuance.StatusCancelled},
		{w.supervisor(), "cancel", "换发", issuance.StatusCancelled},
	} {
		changed, err := step.who.fireCard(t, c.ID, step.event, step.reason)
		require.NoError(t, err, step.event)
		require.Equal(t, step.status, changed.Status)
	}
	// Seven changes: activate, lock, unlock and four by hand; twice is once.
	require.Equal(t, 7, w.count(t, "card_status_log", "card_id = ?", c.ID))
	list, err := w.InvalidCards(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, []issuance.InvalidCard{{Seq: list.Latest, ChipID: c.ChipID, CardNumber: c.Number, Status: issuance.StatusCancelled, Grade: "retain", At: w.db.Now()}}, list.Entries)
	all, err := w.CardsOf(t.Context(), c.PersonID)
	require.NoError(t, err)
	require.Len(t, all, 1)
	byNumber, err := w.CardByNumber(t.Context(), c.Number)
	require.NoError(t, err)
	require.Equal(t, all[0], byNumber)
	can, err := w.CanApply(t.Context(), c.PersonID)
	require.NoError(t, err)
	require.Equal(t, []string{issuance.KindFirst, issuance.KindTemporary}, can, "whose card is cancelled may apply again")
	require.NoError(t, w.db.VerifyAudit(t.Context()))
}

// TestInvalidCards: a terminal that has the list up to a change is told what is
// valid again; the full list leaves it out.
func TestInvalidCards(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		list := func(since int64) (statuses []string, latest int64) {
			page, err := w.InvalidCards(t.Context(), since)
			require.NoError(t, err)
			for _, entry := range page.Entries {
				statuses = append(statuses, entry.CardNumber+" "+entry.Status)
			}
			return statuses, page.Latest
		}
		first, _ := w.activated(t)
		second, _ := w.activated(t)
		fire := func(c issuance.Card, event string) {
			_, err := w.clerk().fireCard(t, c.ID, event, "原因")
			require.NoError(t, err)
		}
		none, _ := list(0)
		require.Empty(t, none, "who is not lost is not listed")
		fire(first, "reportLoss")
		fire(second, "reportTemporaryLoss")
		all, latest := list(0)
		require.Equal(t, []string{first.Number + " 2", second.Number + " 4"}, all)
		fire(first, "cancelLoss")
		all, _ = list(0)
		require.Equal(t, []string{second.Number + " 4"}, all)
		changes, now := list(latest)
		require.Equal(t, []string{first.Number + " 1"}, changes)
		changes, still := list(now)
		require.Empty(t, changes)
		require.Equal(t, now, still)
	})
}

// TestProof: a reading proves the card at its workstation for a while.
func TestProof(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.activated(t)
		begun, err := w.clerk().open(t, socket, "read", uuid.Nil)
		require.NoError(t, err)
		_, err = w.Proof(t.Context(), begun.Session)
		require.ErrorIs(t, err, issuance.ErrNoProof, "not finished")
		_, err = w.clerk().carry(t, socket, begun, "")
		require.NoError(t, err)
		proof, err := w.Proof(t.Context(), begun.Session)
		require.NoError(t, err)
		require.Equal(t, issuance.Proof{CardID: c.ID, PersonID: c.PersonID, CardNumber: c.Number, Workstation: "W-1", At: w.db.Now(), Genuine: true}, proof)

		_, locked, err := w.supervisor().work(t, socket, issuance.EventLock, c.ID, "")
		require.NoError(t, err)
		for what, id := range map[string]uuid.UUID{"no reading": locked.Session, "unknown": uuid.New()} {
			_, err = w.Proof(t.Context(), id)
			require.ErrorIs(t, err, issuance.ErrNoProof, what)
		}
		w.clock.Advance(15 * time.Minute)
		_, err = w.Proof(t.Context(), begun.Session)
		require.NoError(t, err)
		w.clock.Advance(time.Microsecond)
		_, err = w.Proof(t.Context(), begun.Session)
		require.ErrorIs(t, err, issuance.ErrNoProof)
	})
}

// TestCutOffLock: a lock or an unlock that was cut off after the chip had
// carried it out is made good by the next one.
func TestCutOffLock(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.activated(t)
		for _, step := range []struct{ event, status string }{
			{issuance.EventLock, issuance.StatusLocked}, {issuance.EventUnlock, issuance.StatusNormal},
		} {
			turn, err := w.supervisor().open(t, socket, step.event, c.ID)
			require.NoError(t, err)
			answer(t, socket, turn) // and the answers are lost
			before, err := w.Card(t.Context(), c.ID)
			require.NoError(t, err)
			require.NotEqual(t, step.status, before.Status)
			r, _, err := w.supervisor().work(t, socket, step.event, c.ID, "")
			require.NoError(t, err)
			require.Equal(t, step.status, r.Status)
			require.Equal(t, step.event, r.Operation)
		}
		_, _, err := w.clerk().work(t, socket, "read", uuid.Nil, "")
		require.NoError(t, err)
	})
}

// TestLists pages applications and shows what may be done with each.
func TestLists(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		var all []issuance.Application
		for range 3 {
			a, err := w.clerk().apply(t, w.person(t, "马秀兰", "1990-01-01").ID)
			require.NoError(t, err)
			all = append(all, a)
		}
		done, err := w.reviewer().fire(t, all[1].ID, "return", "照片不清")
		require.NoError(t, err)
		require.Equal(t, "照片不清", done.Reason)
		all[1] = done
		for name, test := range map[string]struct {
			filter issuance.Filter
			want   []issuance.Application
		}{
			"all":            {issuance.Filter{}, all},
			"state":          {issuance.Filter{State: issuance.StateApplied}, []issuance.Application{all[0], all[2]}},
			"prefecture":     {issuance.Filter{Place: "632700"}, all},
			"another county": {issuance.Filter{Place: "632724"}, []issuance.Application{}},
			"person":         {issuance.Filter{PersonID: all[2].PersonID}, all[2:]},
			"first page":     {issuance.Filter{Limit: 2}, all[:2]},
			"second page":    {issuance.Filter{Limit: 2, After: all[1].ID}, all[2:]},
		} {
			got, err := w.Applications(t.Context(), test.filter)
			require.NoError(t, err, name)
			require.Equal(t, test.want, got, name)
		}
		events := func(login string, roles ...string) (names []string) {
			for _, rule := range w.ApplicationEvents(all[0], login, roles) {
				names = append(names, rule.Event)
			}
			return names
		}
		require.Equal(t, []string{"approve", "return"}, events("lihong", registry.RoleReviewer))
		require.Equal(t, []string{"withdraw"}, events("caiwang", registry.RoleClerk, registry.RoleReviewer))
		require.Empty(t, events("lihong", registry.RoleCashier))
		var ofCard []string
		for _, rule := range w.CardEvents(issuance.Card{Status: issuance.StatusNormal}, []string{registry.RoleSupervisor}) {
			ofCard = append(ofCard, rule.Event)
		}
		require.Equal(t, []string{"lock", "suspend", "cancel"}, ofCard, "by hand or with the chip")
	})
}
