package bank

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"onecard/internal/gb"
	"onecard/registry"
)

// settlement is what an operation does with the bank's answer. done takes it,
// or says in words why it does not fit; undone is what follows when the order
// was refused or reversed.
type settlement struct {
	done   func(s *Service, tx *registry.Tx, o order, ask Ask, answer Answer) (misfit string, err error)
	undone func(s *Service, tx *registry.Tx, o order, why string) error
	// reversed says that an answer that does not fit has the order reversed at
	// the bank; otherwise a person must look.
	reversed bool
}

func fits(*Service, *registry.Tx, order, Ask, Answer) (string, error) { return "", nil }
func nothing(*Service, *registry.Tx, order, string) error             { return nil }

// settlementOf has a line for every operation of the journal.
func settlementOf(operation string) settlement {
	return map[string]settlement{
		OpenAccount:    {done: (*Service).settleOpen, undone: (*Service).notOpened, reversed: true},
		ChangeStatus:   {done: (*Service).settleStatus, undone: nothing},
		ChangeHolder:   {done: fits, undone: nothing},
		ChargeFee:      {done: (*Service).settleCharge, undone: (*Service).chargeFailed, reversed: true},
		RefundFee:      {done: (*Service).settleRefund, undone: (*Service).refundFailed, reversed: true},
		ReverseMessage: {done: (*Service).settleReversal, undone: (*Service).reversalRefused},
	}[operation]
}

// sameName compares names as the province writes them.
func sameName(a, b string) bool {
	first, err := gb.NormaliseName(a)
	second, other := gb.NormaliseName(b)
	return err == nil && other == nil && first == second
}

// settle takes a bank's answer to an order in one transaction: the order's end
// with all that follows. An answer that does not fit starts a reversal. When
// the order has moved on meanwhile, the answer is late and not taken.
func (s *Service) settle(tx *registry.Tx, o order, answer Answer) error {
	now, err := find(tx.ForUpdate(), o.ID)
	if err != nil {
		return err
	}
	if now.State != o.State || now.ReversalID != nil {
		return errLate
	}
	rules := settlementOf(o.Operation)
	told := map[string]any{"code": answer.Code, "answer": answer.Text}
	if answer.Result == resultRefused {
		if _, err := move(tx, now, eventRefuse, told); err != nil {
			return err
		}
		return rules.undone(s, tx, now, notOpenedBy(answer.Text))
	}
	_, ask, err := s.body(tx.Context(), now)
	if err != nil {
		return err
	}
	misfit, err := rules.done(s, tx, now, ask, answer)
	if err != nil {
		return err
	}
	if misfit == "" {
		if told, err = s.booked(tx, now, answer, told); err != nil {
			return err
		}
		_, err := move(tx, now, eventConfirm, told)
		return err
	}
	if rules.reversed {
		return s.reverse(tx, now, misfit)
	}
	// The bank has done something else: refused here, and a difference at the
	// end of the day.
	_, err = move(tx, now, eventRefuse, map[string]any{"code": "misfit", "answer": misfit})
	return err
}

// errLate ends a transaction whose order has moved on.
var errLate = fmt.Errorf("bank: the answer is late: %w", registry.ErrConflict)

// reverse orders the reversal of an order that has no end yet (冲正), and lets
// follow what follows from it.
func (s *Service) reverse(tx *registry.Tx, o order, reason string) error {
	ended, err := s.withdraw(tx, o, reason)
	switch {
	case err != nil:
		return err
	case ended:
		return settlementOf(o.Operation).undone(s, tx, o, reason)
	case o.Operation == OpenAccount:
		// Whoever waits for the account need not wait for the bank to undo it.
		return s.notOpened(tx, o, reason)
	}
	return nil
}

// withdraw orders the reversal of an order that has no end yet. One that never
// left needs no bank: it has ended.
func (s *Service) withdraw(tx *registry.Tx, o order, reason string) (ended bool, err error) {
	if !o.open() || o.Operation == ReverseMessage {
		return false, ErrEnded
	}
	if o.State == Begun && o.Attempts == 0 && o.Batch == nil {
		_, err := move(tx, o, eventReverse, map[string]any{"code": "unsent", "answer": reason})
		return true, err
	}
	reversal, _, err := s.begin(tx, order{Bank: o.Bank, Operation: ReverseMessage, Subject: o.subject(), Key: "reverse", Place: o.Place,
		PersonID: o.PersonID, ApplicationID: o.ApplicationID}, Ask{Message: o.ID, Reason: reason})
	if err != nil {
		return false, err
	}
	return false, tx.DB().Model(&order{}).Where("id = ? AND reversal_id IS NULL", o.ID).
		Updates(map[string]any{"reversal_id": reversal.ID, "answer": reason}).Error
}

// GiveUp gives up accounts that were asked for by an instant and of which the bank
// has said nothing since: their orders are reversed (冲正), and [Config.Opened] is
// told. It returns how many they were.
func (s *Service) GiveUp(tx *registry.Tx, bank string, applications []uuid.UUID, begunBy time.Time, reason string) (int, error) {
	p, err := s.peer(bank)
	if err != nil {
		return 0, err
	}
	var silent []order
	err = tx.ForUpdate().Where("application_id IN ? AND operation = '"+OpenAccount+"' AND bank = ? AND state IN ? AND reversal_id IS NULL AND begun_at <= ?",
		applications, p.Code, []string{Begun, Sent, Unknown}, begunBy).Order("id").Find(&silent).Error
	if err != nil {
		return 0, err
	}
	told := make([]Opened, len(silent))
	for i, o := range silent {
		if _, err := s.withdraw(tx, o, reason); err != nil {
			return 0, err
		}
		if err := tx.Audit("bank.order.reversing", o.subject(), map[string]string{"reason": reason}); err != nil {
			return 0, err
		}
		told[i] = Opened{Application: *o.ApplicationID, Refused: errors.New(reason)}
	}
	return len(silent), s.opened(tx, p.Code, told...)
}

// original returns the order that a reversal is about.
func original(tx *registry.Tx, reversal order) (o order, err error) {
	return o, tx.ForUpdate().Where("reversal_id = ?", reversal.ID).Take(&o).Error
}

func (s *Service) settleReversal(tx *registry.Tx, reversal order, _ Ask, _ Answer) (string, error) {
	o, err := original(tx, reversal)
	if err != nil || !o.open() {
		return "", err
	}
	if moved, err := move(tx, o, eventReverse, map[string]any{"code": "reversed"}); err != nil || !moved {
		return "", err
	}
	return "", settlementOf(o.Operation).undone(s, tx, o, o.Answer)
}

// reversalRefused lets the order be asked about again: the bank would not undo
// it.
func (s *Service) reversalRefused(tx *registry.Tx, reversal order, _ string) error {
	return tx.DB().Model(&order{}).Where("reversal_id = ?", reversal.ID).
		Updates(map[string]any{"reversal_id": nil, "next_at": tx.Now().Add(longestPause)}).Error
}
