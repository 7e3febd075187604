package production

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"onecard/issuance"
	"onecard/registry"
)

// Accounts has banks open the accounts of a batch's holders (银行开户).
type Accounts interface {
	// Bank returns the code under which a bank is on record. It refuses one that
	// is not known, and a batch's number that the bank cannot be told.
	Bank(code, number string) (string, error)
	// Banks are those that can be asked.
	Banks() []Bank
	// Ask asks the bank of a batch for accounts, in the transaction that adds the
	// applications to the batch, and returns what it knows already. Of the others
	// it is told later, through [Answers].
	Ask(tx *registry.Tx, b Batch, applications []uuid.UUID) ([]Answer, error)
}

// Answer is what became of the account of an application (开户结果): the account,
// or why there is none (无帐号、匹配失败).
type Answer struct {
	Application uuid.UUID
	Account     uuid.UUID
	Reason      string
}

// Answers takes what banks answer. It needs neither keys nor makers, so that
// whatever speaks with a bank can have one.
type Answers struct{ Issuance *issuance.Service }

// bankOf puts the code of the bank in the place of what it was called.
func (s *Service) bankOf(o *Order) (err error) {
	switch {
	case o.Bank == "":
		return nil
	case s.Accounts == nil:
		return field("bank", "本平台没有银行开户接口", "this platform has no way to a bank")
	}
	o.Bank, err = s.Accounts.Bank(o.Bank, o.Number)
	return err
}

// ask asks the bank for the accounts of rows, in the transaction that adds them:
// no row is without its order, and no transaction is longer than one step, for
// whose time other work with this bank waits. What the bank knows counts at once.
func (w *work) ask(tx *registry.Tx, items []Item) error {
	if w.batch.Bank == nil || len(items) == 0 {
		return nil
	}
	known, err := w.Accounts.Ask(tx, w.batch, applicationsOf(items))
	if err != nil {
		return err
	}
	return Answers{w.Issuance}.write(tx, w.batch, items, known)
}

// Take takes a bank's answers: rows get their account, or leave their batch and
// their applications wait again. The last answer makes a batch ready for
// production. An answer that no row waits for changes nothing: it was told
// before, or the account was asked for without a batch.
func (a Answers) Take(tx *registry.Tx, bank string, answers []Answer) error {
	ids := make([]uuid.UUID, len(answers))
	for i, answer := range answers {
		ids[i] = answer.Application
	}
	var waiting []uuid.UUID
	err := tx.DB().Model(&Item{}).Distinct("batch_id").Where("application_id IN ? AND state = '"+ItemOrdered+"'", ids).Pluck("batch_id", &waiting).Error
	if err != nil {
		return err
	}
	slices.SortFunc(waiting, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range waiting {
		var b Batch
		if err := tx.ForUpdate().Where("id = ?", id).Take(&b).Error; err != nil {
			return err
		}
		if b.State != StateOpen && b.State != StateOrdered || b.Bank == nil || *b.Bank != bank {
			continue
		}
		var items []Item
		if err := tx.ForUpdate().Where("batch_id = ? AND application_id IN ? AND state = '"+ItemOrdered+"'", id, ids).Order("seq").Find(&items).Error; err != nil {
			return err
		}
		if err := errors.Join(a.write(tx, b, items, answers), answered(tx, &b)); err != nil {
			return err
		}
	}
	return nil
}

// write writes answers into rows that wait for them, some in one statement.
func (a Answers) write(tx *registry.Tx, b Batch, items []Item, answers []Answer) error {
	told := make(map[uuid.UUID]Answer, len(answers))
	for _, answer := range answers {
		told[answer.Application] = answer
	}
	var changed, left []Item
	for _, item := range items {
		answer, known := told[*item.ApplicationID]
		if !known {
			continue
		}
		item.ChangedAt = tx.Now()
		if answer.Account == uuid.Nil {
			item.State, item.Reason = ItemNoAccount, answer.Reason
			left = append(left, item)
		} else {
			item.State, item.BankAccount = ItemAccounted, &answer.Account
		}
		changed = append(changed, item)
	}
	if len(changed) == 0 {
		return nil
	}
	unmade := tx.DB().Omit("atr", "chip_id", "intention", "card_id")
	if err := rewrite(unmade, ItemOrdered, changed, "state", "reason", "bank_account", "changed_at"); err != nil {
		return err
	}
	if err := a.leave(tx, b, left); err != nil {
		return err
	}
	return tx.Audit("batch.accounts", "batch:"+b.ID.String(), map[string]string{"accounted": fmt.Sprint(len(changed) - len(left)), "noAccount": fmt.Sprint(len(left))})
}

// leave lets applications wait again for which the bank opened no account, and
// gives their cards back to the supplier's quota.
func (a Answers) leave(tx *registry.Tx, b Batch, left []Item) error {
	if len(left) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(left))
	for i, item := range left {
		ids[i] = *item.ApplicationID
	}
	if err := a.Issuance.Hold(tx, ids); err != nil {
		return err
	}
	for _, item := range left {
		if err := a.Issuance.Unbatch(tx, *item.ApplicationID, "no-account", item.Reason, false, byBatch); err != nil {
			return err
		}
	}
	return reserve(tx, b.Supplier, -int64(len(left)))
}

// answered moves a batch on that is ordered and of which no row waits for an
// account any more.
func answered(tx *registry.Tx, b *Batch) error {
	if b.State != StateOrdered {
		return nil
	}
	var waits []Item
	if err := tx.DB().Select("seq").Where("batch_id = ? AND state = ?", b.ID, ItemOrdered).Limit(1).Find(&waits).Error; err != nil || len(waits) > 0 {
		return err
	}
	return move(tx, b, "bank", Who{}, "", nil)
}
