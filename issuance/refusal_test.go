package issuance_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/card"
	"onecard/card/profile"
	"onecard/issuance"
	"onecard/registry"
)

// explains requires that a refusal has words for people in both languages.
func explains(t *testing.T, err error) {
	t.Helper()
	var refusal interface {
		Explain() (text, remedy profile.Text)
	}
	require.ErrorAs(t, err, &refusal)
	text, _ := refusal.Explain()
	require.NotEmpty(t, text.ZH)
	require.NotEmpty(t, text.EN)
}

// TestApplyRefused: who may not apply is told why, and nothing is entered.
func TestApplyRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, _ := w.card(t)
		running, err := w.clerk().apply(t, w.person(t, "马秀兰", "1990-01-01").ID)
		require.NoError(t, err)
		dead := w.person(t, "韩世英", "1931-01-01").ID
		w.dies(t, dead)
		before := w.count(t, "applications", "1 = 1")
		for name, test := range map[string]struct {
			person uuid.UUID
			err    error
		}{
			"has a card":   {c.PersonID, issuance.ErrHasCard},
			"under way":    {running.PersonID, issuance.ErrRunning},
			"dead":         {dead, issuance.ErrDead},
			"not yet born": {w.person(t, "李娜", "2026-03-03").ID, issuance.ErrTooYoung},
		} {
			_, err := w.clerk().apply(t, test.person)
			require.ErrorIs(t, err, test.err, name)
			explains(t, err)
			can, err := w.CanApply(t.Context(), test.person)
			require.NoError(t, err, name)
			require.NotContains(t, can, issuance.KindFirst, name)
		}
		require.Equal(t, before, w.count(t, "applications", "1 = 1"))
		_, err = w.clerk().apply(t, w.person(t, "李娜", "2026-03-02").ID)
		require.NoError(t, err, "born today")
		_, err = w.clerk().apply(t, uuid.New())
		require.ErrorIs(t, err, registry.ErrNotFound)
		_, err = w.CanApply(t.Context(), uuid.New())
		require.ErrorIs(t, err, registry.ErrNotFound)
		require.ErrorIs(t, w.db.InTx(t.Context(), w.clerk().actor, func(tx *registry.Tx) error {
			_, err := w.Apply(tx, issuance.Request{Person: dead, Kind: "second"})
			return err
		}), registry.ErrInvalid)
	})
}

// TestNames: what the chip cannot hold is refused at the counter, by character.
func TestNames(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		for name, test := range map[string]struct {
			name string
			rune rune
			fits bool
		}{
			"fifty bytes":    {strings.Repeat("扎", 25), 0, true},
			"too long":       {strings.Repeat("扎", 26), 0, false},
			"outside GBK":    {"王𠮷", '𠮷', false},
			"Tibetan script": {"བཀྲ་ཤིས", 'བ', false},
		} {
			_, err := w.clerk().apply(t, w.person(t, test.name, "1990-01-01").ID)
			if test.fits {
				require.NoError(t, err, name)
				continue
			}
			var encode *card.EncodeError
			require.ErrorAs(t, err, &encode, name)
			require.Equal(t, test.rune, encode.Rune, name)
			explains(t, err)
		}
		require.Equal(t, 1, w.count(t, "applications", "1 = 1"))
	})
}

// TestFireRefused: what the table does not let somebody do by hand is refused.
func TestFireRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		a, err := w.at("W-1", "caiwang", registry.RoleClerk, registry.RoleReviewer).apply(t, w.person(t, "马秀兰", "1990-01-01").ID)
		require.NoError(t, err)
		c, _ := w.card(t)
		made, err := w.Applications(t.Context(), issuance.Filter{State: issuance.StateMade})
		require.NoError(t, err)
		own := w.at("W-9", "caiwang", registry.RoleReviewer)
		for name, test := range map[string]struct {
			who           counter
			id            uuid.UUID
			event, reason string
			err           error
		}{
			"own review":        {own, a.ID, issuance.EventApprove, "", issuance.ErrSamePerson},
			"own return":        {own, a.ID, "return", "x", issuance.ErrSamePerson},
			"no right":          {w.clerk(), a.ID, issuance.EventApprove, "", issuance.ErrNoRight},
			"no reason":         {w.reviewer(), a.ID, "return", "", issuance.ErrNeedsReason},
			"not in this state": {w.issuer(), a.ID, issuance.EventPersonalise, "", issuance.ErrNotAllowed},
			"unknown event":     {w.clerk(), a.ID, "explode", "", issuance.ErrNotAllowed},
			"by the chip only":  {w.clerk(), made[0].ID, issuance.EventActivate, "", issuance.ErrNotAllowed},
			"with the card":     {w.supervisor(), made[0].ID, "cancel", "x", issuance.ErrNotAllowed},
			"unknown":           {w.reviewer(), uuid.New(), issuance.EventApprove, "", registry.ErrNotFound},
		} {
			_, err := test.who.fire(t, test.id, test.event, test.reason)
			require.ErrorIs(t, err, test.err, name)
		}
		w.dies(t, a.PersonID)
		_, err = w.reviewer().fire(t, a.ID, issuance.EventApprove, "")
		require.ErrorIs(t, err, issuance.ErrDead)
		after, err := w.Application(t.Context(), a.ID)
		require.NoError(t, err)
		require.Equal(t, a, after)
		for event, expected := range map[string]error{issuance.EventActivate: issuance.ErrNeedsChip, "reportLoss": issuance.ErrNotAllowed, "cancel": issuance.ErrNoRight} {
			_, err := w.clerk().fireCard(t, c.ID, event, "x")
			require.ErrorIs(t, err, expected, event)
		}
		_, err = w.supervisor().fireCard(t, c.ID, "cancel", "")
		require.ErrorIs(t, err, issuance.ErrNeedsReason)
		require.Zero(t, w.count(t, "card_status_log", "1 = 1"))
	})
}

// TestCancelledBeforeHandedOver: the application ends with its card.
func TestCancelledBeforeHandedOver(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, _ := w.card(t)
		_, err := w.supervisor().fireCard(t, c.ID, "cancel", "无人领取")
		require.NoError(t, err)
		all, err := w.Applications(t.Context(), issuance.Filter{PersonID: c.PersonID})
		require.NoError(t, err)
		require.Equal(t, "cancelled 无人领取", all[0].State+" "+all[0].Reason)
	})
}

// TestErrors: refusals are told apart by their code.
func TestErrors(t *testing.T) {
	t.Parallel()
	require.NotErrorIs(t, issuance.ErrHasCard, issuance.ErrRunning)
	require.ErrorIs(t, &issuance.Error{Code: "has-card"}, issuance.ErrHasCard)
	require.NotErrorIs(t, issuance.ErrHasCard, errors.New("has-card"))
	_, err := issuance.New(issuance.Config{})
	require.Error(t, err)
}
