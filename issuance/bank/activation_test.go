package bank_test

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/issuance/bank"
	"onecard/issuance/tell"
	"onecard/registry"

	sim "onecard/internal/sim/bank"
)

// handed is a card that is about to be activated, with an account where the
// bank has opened one.
type handed struct {
	*world
	carrier           *tell.Carrier
	application, card uuid.UUID
	person            uuid.UUID
}

func (w *world) handing(t *testing.T) handed {
	t.Helper()
	h := handed{world: w, carrier: &tell.Carrier{
		DB: w.db, Deliverers: map[string]tell.Deliverer{tell.Bank: w.Service}, Place: "630000", Logger: slog.New(slog.DiscardHandler),
	}}
	h.application, h.person = w.application(t, "扎西·多杰")
	return h
}

// status changes the card's status and has the bank told of it, as the workflow
// does.
func (h handed) status(t must, status, event string) {
	t.Helper()
	h.change(t, func(tx *registry.Tx) error {
		if err := tx.DB().Table("cards").Where("id = ?", h.card).Updates(tx.Change(map[string]any{"status": status}, "test")).Error; err != nil {
			return err
		}
		return tell.Write(tx, tell.Message{Peer: tell.Bank, Topic: registry.TopicCardStatus, Place: "632723", Subject: "card:" + h.card.String(),
			Body: issuance.StatusMessage{Status: status, Event: event, At: tx.Now()}})
	})
}

func (h handed) tells(t must) int {
	t.Helper()
	n, err := h.carrier.Turn(t.Context(), tell.Bank)
	require.NoError(t, err)
	return n
}

// stands is how the activation stands, which must be in words.
func (h handed) stands(t must, state string) bank.Activation {
	t.Helper()
	var status string
	require.NoError(t, h.db.Read(t.Context()).Table("cards").Where("id = ?", h.card).Pluck("status", &status).Error)
	a, err := bank.ActivationOf(t.Context(), h.db, issuance.Card{ID: h.card, PersonID: h.person, Status: status})
	require.NoError(t, err)
	require.Equal(t, state, a.State, "%+v", a)
	require.NotEmpty(t, a.Text().ZH)
	require.NotEmpty(t, a.Text().EN)
	return a
}

// TestActivation: the bank is asked when the card is activated, and what it
// says is shown; nothing is asked twice.
func TestActivation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		h := w.handing(t)
		h.open(t, "", h.application)
		h.settle(t)
		h.card = h.world.card(t, h.person, h.application, issuance.StatusSealed)
		require.Equal(t, "中国建设银行", h.stands(t, bank.ActivationReady).Name)
		h.status(t, issuance.StatusNormal, issuance.EventActivate)
		require.True(t, h.stands(t, bank.ActivationWaiting).Pending())
		require.Equal(t, 1, h.tells(t))
		require.False(t, h.stands(t, bank.ActivationDone).Pending())
		require.Equal(t, "active", w.bank.Accounts()[0].State)
		require.Zero(t, h.tells(t))
		require.Equal(t, 1, w.count(t, "bank_orders", "operation = 'account.status'"))
		require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error { return bank.AskActivation(tx, h.card) }), bank.ErrNothingToActivate)
		// Another change of the card asks for no activation.
		require.Equal(t, registry.OutcomeTaken, h.tell(t, w.bank.Accounts()[0].Number, "loss"))
		require.Equal(t, "书面挂失", h.stands(t, bank.ActivationHeld).Words)
	})
}

// TestActivationRefused: the bank's words are shown; the bank's own notice, or
// asking once more, ends it.
func TestActivationRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		h := w.handing(t)
		h.open(t, "", h.application)
		h.settle(t)
		number := w.bank.Accounts()[0].Number
		_, err := w.bank.Notice(number, "freeze") // its notice is still on its way
		require.NoError(t, err)
		h.card = h.world.card(t, h.person, h.application, issuance.StatusSealed)
		h.status(t, issuance.StatusNormal, issuance.EventActivate)
		h.tells(t)
		a := h.stands(t, bank.ActivationRefused)
		require.Equal(t, "2002 账户状态不允许", a.Code+" "+a.Words)
		require.True(t, a.Askable() && !a.Pending())

		w.change(t, func(tx *registry.Tx) error { return bank.AskActivation(tx, h.card) })
		require.True(t, h.stands(t, bank.ActivationWaiting).Pending())
		w.change(t, func(tx *registry.Tx) error { return bank.AskActivation(tx, h.card) }) // the one that is on its way stands
		require.Equal(t, 1, h.tells(t))
		h.stands(t, bank.ActivationRefused)
		require.Equal(t, 2, w.count(t, "bank_orders", "operation = 'account.status' AND state = 'refused'"))
		require.Equal(t, registry.OutcomeTaken, h.tell(t, number, "unloss"))
		h.stands(t, bank.ActivationDone)
	})
}

// TestActivationAway: while the bank is away nothing is lost, and a loss that is
// reported meanwhile is not held up when it is back.
func TestActivationAway(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		h := w.handing(t)
		h.open(t, "", h.application)
		h.settle(t)
		h.card = h.world.card(t, h.person, h.application, issuance.StatusSealed)
		w.bank.SetFaults(sim.Faults{Down: 100})
		h.status(t, issuance.StatusNormal, issuance.EventActivate)
		for range 14 { // until the pauses are as long as they get
			h.tells(t)
			require.True(t, h.stands(t, bank.ActivationAway).Pending())
			w.clock.Advance(30 * time.Minute)
		}
		h.status(t, issuance.StatusLost, "reportLoss")
		w.bank.SetFaults(sim.Faults{})
		for range 3 { // asked what became of it; again; taken
			_, err := w.Turn(t.Context(), code)
			require.NoError(t, err)
		}
		h.stands(t, bank.ActivationDone)
		require.Equal(t, "active", w.bank.Accounts()[0].State)
		require.Equal(t, 1, h.tells(t), "the message does not wait for its next attempt")
		require.Equal(t, 1, h.tells(t), "the loss follows at once")
		require.Equal(t, "written-loss", w.bank.Accounts()[0].State)
		h.stands(t, bank.ActivationHeld)
	})
}

// TestActivationStopped: a stopped line says why.
func TestActivationStopped(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		h := w.handing(t)
		h.open(t, "", h.application)
		h.settle(t)
		h.card = h.world.card(t, h.person, h.application, issuance.StatusSealed)
		w.change(t, func(tx *registry.Tx) error { return w.Stop(tx, "105", true, "银行升级") })
		h.status(t, issuance.StatusNormal, issuance.EventActivate)
		h.tells(t)
		require.Equal(t, "银行升级", h.stands(t, bank.ActivationAway).Words)
		w.change(t, func(tx *registry.Tx) error { return w.Stop(tx, "105", false, "") })
		h.settle(t)
		h.stands(t, bank.ActivationDone)
	})
}

// TestActivationOpening: a card that is handed over while its account is being
// opened has it activated when it is there; one without an account has none.
func TestActivationOpening(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.bank.SetFaults(sim.Faults{Down: 100})
		h := w.handing(t)
		h.open(t, "", h.application)
		h.card = h.world.card(t, h.person, h.application, issuance.StatusSealed)
		h.stands(t, bank.ActivationOpening)
		h.status(t, issuance.StatusNormal, issuance.EventActivate)
		require.Equal(t, 1, h.tells(t))
		require.True(t, h.stands(t, bank.ActivationOpening).Pending())
		w.bank.SetFaults(sim.Faults{})
		h.settle(t)
		require.Equal(t, 1, h.tells(t))
		h.stands(t, bank.ActivationDone)

		other := w.handing(t)
		other.card = w.card(t, other.person, other.application, issuance.StatusSealed)
		other.status(t, issuance.StatusNormal, issuance.EventActivate)
		require.Equal(t, 1, other.tells(t))
		other.stands(t, bank.ActivationNone)
		require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error { return bank.AskActivation(tx, other.card) }), bank.ErrNothingToActivate)

		// Its account came later, and nobody has asked for it yet.
		w.open(t, "", other.application)
		w.settle(t)
		other.stands(t, bank.ActivationUnasked)
		w.change(t, func(tx *registry.Tx) error { return bank.AskActivation(tx, other.card) })
		require.Equal(t, 1, other.tells(t))
		other.stands(t, bank.ActivationDone)
	})
}

// TestActivationBeforeDue: a card that was made and handed over faster than the
// platform looks for what is due gets its account, too, where a bank serves the
// place; one that was cancelled meanwhile gets none.
func TestActivationBeforeDue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.peer.Serves = []string{"632700"}
		w.Service = w.serve(t, bank.Config{Peers: []bank.Peer{w.peer}})
		h := w.handing(t)
		h.card = h.world.card(t, h.person, h.application, issuance.StatusSealed)
		h.status(t, issuance.StatusNormal, issuance.EventActivate)
		require.True(t, h.stands(t, bank.ActivationWaiting).Pending())
		require.Equal(t, 1, h.tells(t))
		require.True(t, h.stands(t, bank.ActivationOpening).Pending())
		h.settle(t)
		w.clock.Advance(time.Minute)
		h.tells(t)
		h.stands(t, bank.ActivationDone)
		n, err := w.Due(t.Context())
		require.NoError(t, err)
		require.Zero(t, n, "once")

		gone := w.handing(t)
		gone.card = w.card(t, gone.person, gone.application, issuance.StatusSealed)
		gone.status(t, issuance.StatusNormal, issuance.EventActivate)
		gone.status(t, issuance.StatusCancelled, issuance.EventCancel)
		require.Equal(t, 1, gone.tells(t))
		gone.stands(t, bank.ActivationNone)
		require.Equal(t, 1, w.count(t, "bank_orders", "operation = ?", bank.OpenAccount))
	})
}

// TestLostWhileOpening: an account that is opened for a card that was lost
// meanwhile is lost, too, and never active.
func TestLostWhileOpening(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.bank.SetFaults(sim.Faults{Down: 100})
		h := w.handing(t)
		h.open(t, "", h.application)
		h.card = h.world.card(t, h.person, h.application, issuance.StatusSealed)
		h.status(t, issuance.StatusNormal, issuance.EventActivate)
		h.tells(t)
		h.status(t, issuance.StatusLost, "reportLoss")
		w.bank.SetFaults(sim.Faults{})
		h.settle(t)
		for h.tells(t) > 0 {
			h.settle(t)
		}
		require.Equal(t, "written-loss", w.bank.Accounts()[0].State)
		require.EqualValues(t, 2, w.bank.Accounts()[0].Seq, "opened, lost, and nothing between")
		require.Equal(t, 1, w.count(t, "bank_accounts", "state = 'written-loss'"))
		require.Zero(t, w.count(t, "deliveries", "state = 'waiting' AND peer = 'bank'"))
	})
}

// TestActivationDocs: a bank's engineer and a clerk find every state explained.
func TestActivationDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/bank.md")
	require.NoError(t, err)
	for _, state := range bank.ActivationStates {
		require.Contains(t, string(text), "| `"+state+"` |")
	}
}
