package bank_test

import (
	"log/slog"
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

// TestLifeOfAnAccount: opened once, activated by the bank, lost and found with
// the card, the person's new name told, closed; what is late or false is not
// taken.
func TestLifeOfAnAccount(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		id, person := w.application(t, "扎西·多杰")
		w.open(t, "", id)
		w.open(t, "", id) // again is the same
		w.settle(t)
		accounts := w.bank.Accounts()
		require.Len(t, accounts, 1)
		require.Equal(t, "扎西·多杰", accounts[0].Name)
		require.Equal(t, 1, w.count(t, "bank_accounts", "person_id = ? AND state = 'preopened' AND bank = ?", person, code))
		number := accounts[0].Number

		old, err := w.bank.Notice(number, "activate")
		require.NoError(t, err)
		require.Equal(t, registry.OutcomeTaken, w.tell(t, number, "loss"))
		require.Equal(t, registry.OutcomeTaken, w.take(t, uuid.New(), "bank.95533", old), "late: taken, and changes nothing")
		require.Equal(t, 1, w.count(t, "bank_accounts", "state = 'written-loss' AND bank_seq = 3"))
		require.Contains(t, w.take(t, uuid.New(), "bank.95588", old), "银行")
		require.Contains(t, w.take(t, uuid.New(), "bank.95533", old[:len(old)-4]+"AAAA"), "签名")
		require.Equal(t, registry.OutcomeTaken, w.tell(t, number, "unloss"))

		card := w.card(t, person, id, "2")
		lost := tell.Delivery{ID: uuid.New(), Topic: registry.TopicCardStatus, Place: "632723", Subject: "card:" + card.String()}
		for range 2 {
			answer, err := w.Deliver(t.Context(), lost)
			require.NoError(t, err)
			require.True(t, answer.Acknowledged)
		}
		require.Equal(t, 1, w.count(t, "bank_orders", "operation = 'account.status'"))
		require.Equal(t, "written-loss", w.bank.Accounts()[0].State)
		require.Equal(t, 1, w.count(t, "bank_accounts", "state = 'written-loss'"))

		w.change(t, func(tx *registry.Tx) error {
			_, err := tx.CorrectPerson(person, 0, "更名 renamed", func(told *registry.NewPerson) { told.Name = "扎西·才让" })
			return err
		})
		answer, err := w.Deliver(t.Context(), tell.Delivery{ID: uuid.New(), Topic: issuance.TopicPersonChanged, Place: "632723", Subject: "person:" + person.String()})
		require.NoError(t, err)
		require.True(t, answer.Acknowledged)
		require.Equal(t, "扎西·才让", w.bank.Accounts()[0].Name)

		require.Equal(t, registry.OutcomeTaken, w.tell(t, number, "close"))
		answer, err = w.Deliver(t.Context(), tell.Delivery{ID: uuid.New(), Topic: registry.TopicCardStatus, Place: "632723", Subject: "card:" + card.String()})
		require.NoError(t, err)
		require.Equal(t, "none", answer.Code)
	})
}

// card makes a card of an application by hand: how cards are made is not the
// bank's business.
func (w *world) card(t must, person, application uuid.UUID, status string) (id uuid.UUID) {
	t.Helper()
	w.change(t, func(tx *registry.Tx) (err error) {
		if id, err = tx.NewID(); err != nil {
			return err
		}
		text := id.String()
		err = tx.DB().Table("cards").Create(map[string]any{"id": id, "number": text[27:], "chip_id": text[:32], "chip_serial": text[28:], "atr": text, "person_id": person,
			"spec_version": "3.00", "key_version": 1, "status": status, "issued_on": "2026-03-01", "expires_on": "2036-03-01", "created_at": tx.Now(), "changed_at": tx.Now()}).Error
		if err != nil {
			return err
		}
		return tx.DB().Table("applications").Where("id = ?", application).Updates(map[string]any{"card_id": id, "state": "handed"}).Error
	})
	return id
}

// TestFaults: whatever goes wrong with the bank, each account is opened once
// and each fee charged once, or neither.
func TestFaults(t *testing.T) {
	t.Parallel()
	slow := 30 * time.Millisecond
	for name, faults := range map[string]sim.Faults{
		"none": {}, "slow": {Slow: 100, Delay: slow}, "down": {Down: 60}, "hang": {Hang: 50}, "late": {LateSuccess: 50, Delay: 200 * time.Millisecond},
		"garbage": {Garbage: 60}, "amounts": {WrongAmounts: 60}, "all": {Slow: 10, Down: 20, Hang: 10, LateSuccess: 15, Garbage: 20, WrongAmounts: 30, Delay: slow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, w *world) {
				if faults.Hang+faults.LateSuccess > 0 {
					w.hasty(t)
				}
				w.bank.SetFaults(faults)
				applications := make([]uuid.UUID, 4)
				for i := range applications {
					applications[i], _ = w.application(t, "索南·卓玛")
				}
				w.open(t, "", applications...)
				for _, id := range applications {
					w.charge(t, id, bank.ItemReplacement)
				}
				w.settle(t)
				w.bank.SetFaults(sim.Faults{})
				w.bank.Wait()
				w.agrees(t)
				for _, id := range applications { // what failed is done anew
					w.open(t, "", id)
					w.charge(t, id, bank.ItemReplacement)
				}
				w.settle(t)
				w.agrees(t)
				require.Equal(t, len(applications), w.count(t, "bank_accounts", "state = 'preopened'"))
				require.Equal(t, len(applications), w.count(t, "bank_fees", "state = 'paid'"))
			})
		})
	}
}

func (w *world) charge(t must, application uuid.UUID, item string) (fee bank.Fee) {
	t.Helper()
	w.change(t, func(tx *registry.Tx) (err error) {
		fee, err = w.Charge(tx, code, application, item)
		return err
	})
	return fee
}

// agrees holds what the province has against what the bank has.
func (w *world) agrees(t must) {
	t.Helper()
	open := 0
	for _, a := range w.bank.Accounts() {
		if a.State != "closed" {
			open++
		}
	}
	require.Equal(t, w.count(t, "bank_accounts", "state <> 'closed'"), open, "accounts")
	require.Equal(t, w.count(t, "bank_orders", "operation = 'account.open' AND state = 'done'"), open, "orders of accounts")
	var ours, theirs int64
	require.NoError(t, w.db.Read(t.Context()).Table("bank_fees").Where("state = 'paid' AND carried_from IS NULL").Select("COALESCE(SUM(amount_fen), 0)").Scan(&ours).Error)
	for _, b := range w.bank.Bookings() {
		if b.Operation == "fee.charge" {
			theirs += b.AmountFen
		} else {
			theirs -= b.AmountFen
		}
	}
	require.Equal(t, ours, theirs, "money")
}

// TestStopped: nothing goes to a bank whose line is stopped, and the orders
// wait; who reverses one that never left needs no bank.
func TestStopped(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.change(t, func(tx *registry.Tx) error { return w.Stop(tx, "105", true, "银行升级") })
		require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error { return w.Stop(tx, "105", true, "") }), registry.ErrInvalid)
		require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error { return w.Stop(tx, "999", true, "x") }), bank.ErrBank)
		id, _ := w.application(t, "卓玛")
		w.open(t, "", id)
		n, err := w.Turn(t.Context(), code)
		require.NoError(t, err)
		require.Zero(t, n)
		line, err := w.Line(t.Context(), code)
		require.NoError(t, err)
		require.EqualValues(t, 1, line.Open)
		orders, err := w.Orders(t.Context(), bank.Filter{Open: true, Limit: 5})
		require.NoError(t, err)
		require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error { return w.Reverse(tx, orders[0].ID, "") }), registry.ErrInvalid)
		w.change(t, func(tx *registry.Tx) error { return w.Reverse(tx, orders[0].ID, "撤回") })
		require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error { return w.Reverse(tx, orders[0].ID, "撤回") }), bank.ErrEnded)
		w.open(t, "", id)
		w.change(t, func(tx *registry.Tx) error { return w.Stop(tx, "105", false, "") })
		w.settle(t)
		require.Len(t, w.bank.Accounts(), 1)
		w.agrees(t)
		ended, _ := w.application(t, "卓玛")
		w.ended(t, ended, "withdrawn")
		require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error {
			_, err := w.OpenAccounts(tx, code, "", ended)
			return err
		}), bank.ErrNumbered)
	})
}

// TestLeftAlone: a bank that is silent is left alone after a few messages; a
// silence between answers holds nobody up.
func TestLeftAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for range 10 {
			id, _ := w.application(t, "卓玛")
			w.open(t, "", id)
		}
		w.bank.SetFaults(sim.Faults{Down: 100})
		_, err := w.Turn(t.Context(), code)
		require.ErrorIs(t, err, bank.ErrNoAnswer)
		require.LessOrEqual(t, w.count(t, "bank_orders", "attempts > 0"), 6, "three, and those on their way with them")
		w.bank.SetFaults(sim.Faults{Down: 20})
		ended := 0
		for range 20 { // three in a row are rare
			if _, err := w.Turn(t.Context(), code); err == nil {
				ended++
			}
			w.clock.Advance(10 * time.Second)
		}
		require.Greater(t, ended, 10)
		w.bank.SetFaults(sim.Faults{})
		w.settle(t)
		w.agrees(t)
	})
}

// TestRefusedForGood: what a bank refuses is told as such, and the account
// stays as it was; a card that has no account needs no bank.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		id, person := w.application(t, "卓玛")
		w.open(t, "", id)
		w.settle(t)
		card := w.card(t, person, id, "2")
		w.bank.Plant(func(known map[string]*sim.Account, _ map[string]*sim.Booking) {
			for _, a := range known {
				a.State = "closed" // at the bank's counter, and its notice is on the way
			}
		})
		lost := tell.Delivery{ID: uuid.New(), Topic: registry.TopicCardStatus, Place: "632723", Subject: "card:" + card.String()}
		w.bank.SetFaults(sim.Faults{Down: 100})
		_, err := w.Deliver(t.Context(), lost)
		require.ErrorIs(t, err, bank.ErrUnderWay)
		w.bank.SetFaults(sim.Faults{})
		w.settle(t)
		answer, err := w.Deliver(t.Context(), lost)
		require.NoError(t, err)
		require.Equal(t, tell.Answer{Code: "2002", Text: "账户状态不允许"}, answer)
		require.Equal(t, 1, w.count(t, "bank_accounts", "state = 'preopened'"))
		_, other := w.application(t, "才让")
		lost.ID, lost.Subject = uuid.New(), "card:"+w.card(t, other, uuid.New(), "2").String()
		answer, err = w.Deliver(t.Context(), lost)
		require.NoError(t, err)
		require.True(t, answer.Acknowledged)
		lost.Subject = "card:x"
		answer, err = w.Deliver(t.Context(), lost)
		require.NoError(t, err)
		require.False(t, answer.Acknowledged)
	})
}

// TestCarried: what the platform tells of a card reaches the bank through the
// carrier of notices, also when the bank is down at first.
func TestCarried(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		id, person := w.application(t, "卓玛")
		w.open(t, "", id)
		w.settle(t)
		card := w.card(t, person, id, "4")
		w.change(t, func(tx *registry.Tx) error {
			return tell.Write(tx, tell.Message{Peer: tell.Bank, Topic: registry.TopicCardStatus, Place: "632723", Subject: "card:" + card.String()})
		})
		carrier := &tell.Carrier{DB: w.db, Place: "630000", Deliverers: map[string]tell.Deliverer{tell.Bank: w.Service}, Logger: slog.New(slog.DiscardHandler)}
		w.bank.SetFaults(sim.Faults{Down: 100})
		for turn := range 6 {
			if turn == 2 {
				w.bank.SetFaults(sim.Faults{})
			}
			_, err := carrier.Turn(t.Context(), tell.Bank)
			require.NoError(t, err)
			w.clock.Advance(20 * time.Minute)
		}
		require.Equal(t, "oral-loss", w.bank.Accounts()[0].State)
		require.Equal(t, 1, w.count(t, "deliveries", "peer = 'bank' AND state = 'acknowledged'"))
		require.Equal(t, 1, w.count(t, "bank_orders", "operation = 'account.status'"))
	})
}
