package bank

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/internal/gb"
	"onecard/registry"
)

// opening is an order that opens an account, with the bank's answer that it has.
type opening struct {
	order  order
	ask    Ask
	answer Answer
}

// misfit says in words what is wrong with the account that a bank has opened;
// empty if nothing is.
func (s *Service) misfit(o opening) string {
	b, _ := s.banks.find(o.order.Bank)
	switch {
	case !sameName(o.ask.Name, o.answer.Name):
		return "姓名与申请不符"
	case !strings.EqualFold(o.ask.IDNumber, o.answer.IDNumber):
		return "证件号码与申请不符"
	case !b.holds(o.answer.Account):
		return "账号不符合本行号段或校验位错误"
	case o.answer.State != Preopened || o.answer.Seq < 1:
		return "账户状态应为预开户"
	}
	return ""
}

// takeAccounts enters the accounts that a bank has opened and tells of them. It
// returns in words, for each, why it cannot be taken; empty if it is.
func (s *Service) takeAccounts(tx *registry.Tx, openings []opening) ([]string, error) {
	misfits := make([]string, len(openings))
	var fit []int
	for i, o := range openings {
		if misfits[i] = s.misfit(o); misfits[i] == "" {
			fit = append(fit, i)
		}
	}
	if len(fit) == 0 {
		return misfits, nil
	}
	rows, older, err := s.accountRows(tx, openings, fit)
	if err != nil {
		return nil, err
	}
	if rows, fit, err = unknown(tx, rows, older, fit, misfits); err != nil || len(rows) == 0 {
		return misfits, err
	}
	entered, err := enterAccounts(tx, rows)
	if err != nil {
		return nil, err
	}
	var told []Opened
	for n, i := range fit {
		if row := rows[n]; entered(row.ID) {
			told = append(told, Opened{Application: *row.ApplicationID, Account: row.ID})
			err = errors.Join(err, tx.Audit("bank.account.opened", row.subject(), map[string]string{"bank": row.Bank, "application": row.ApplicationID.String()}))
			continue
		}
		misfits[i] = taken
	}
	if err != nil {
		return nil, err
	}
	return misfits, s.opened(tx, openings[0].order.Bank, told...)
}

// accountOf is the account that an order has opened: its application's that is
// not closed.
var accountOf = gorm.Expr("(SELECT a.id FROM bank_accounts a WHERE a.application_id = bank_orders.application_id AND a.state <> 'closed')")

// taken says in words that an account cannot be this holder's.
const taken = "账号已属于他人，或此申领已有账户"

// unknown leaves out the accounts that are known under an older version of their
// digest, while the key of blind indexes changes: no constraint holds those apart
// from the one that is written.
func unknown(tx *registry.Tx, rows []account, older [][]byte, fit []int, misfits []string) ([]account, []int, error) {
	if len(older) == 0 {
		return rows, fit, nil
	}
	var known [][]byte
	if err := tx.DB().Model(&account{}).Where("account_index IN ?", older).Pluck("account_index", &known).Error; err != nil {
		return nil, nil, err
	}
	var fresh []account
	var left []int
	for n, i := range fit {
		if slices.ContainsFunc(known, func(index []byte) bool { return slices.Equal(index, older[n]) }) {
			misfits[i] = taken
			continue
		}
		fresh, left = append(fresh, rows[n]), append(left, i)
	}
	return fresh, left, nil
}

// accountRows makes the rows of accounts, with the other digests of their
// numbers.
func (s *Service) accountRows(tx *registry.Tx, openings []opening, fit []int) (rows []account, older [][]byte, err error) {
	rows = make([]account, len(fit))
	names, numbers := make([]string, len(fit)), make([][]byte, len(fit))
	opened := gb.DayOf(tx.Now()).String()
	for n, i := range fit {
		o := openings[i]
		id, err := tx.NewID()
		if err != nil {
			return nil, nil, fmt.Errorf("bank: new id: %w", err)
		}
		rows[n] = account{ID: id, PersonID: *o.order.PersonID, Bank: o.order.Bank, State: Preopened, ApplicationID: o.order.ApplicationID, OpenedOn: &opened,
			Seq: o.answer.Seq, Stamp: tx.Stamp("银行开户 " + o.order.ID.String())}
		names[n], numbers[n] = id.String(), []byte(o.answer.Account)
	}
	sealed, err := s.db.SealAll(tx.Context(), columnAccount, names, numbers)
	if err != nil {
		return nil, nil, err
	}
	indexes, older, err := tx.DigestsAll(columnAccount, numbers, accountIndex)
	if err != nil {
		return nil, nil, err
	}
	for n := range rows {
		rows[n].Sealed, rows[n].Index = sealed[n], indexes[n]
	}
	return rows, older, nil
}

// enterAccounts enters those that nobody has, and says which.
func enterAccounts(tx *registry.Tx, rows []account) (func(uuid.UUID) bool, error) {
	created := int64(0)
	for part := range slices.Chunk(rows, together) {
		some := tx.DB().Clauses(clause.OnConflict{DoNothing: true}).Create(&part)
		if some.Error != nil {
			return nil, some.Error
		}
		created += some.RowsAffected
	}
	if created == int64(len(rows)) {
		return func(uuid.UUID) bool { return true }, nil
	}
	ids := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	var entered []uuid.UUID
	if err := tx.DB().Model(&account{}).Where("id IN ?", ids).Pluck("id", &entered).Error; err != nil {
		return nil, err
	}
	return func(id uuid.UUID) bool { return slices.Contains(entered, id) }, nil
}

// opened tells whoever waits for accounts what became of them.
func (s *Service) opened(tx *registry.Tx, bank string, told ...Opened) error {
	if s.tellOpened == nil || len(told) == 0 {
		return nil
	}
	return s.tellOpened(tx, bank, told)
}

// settleOpen takes the account that a bank has opened, or says in words why it
// cannot be taken.
func (s *Service) settleOpen(tx *registry.Tx, o order, ask Ask, answer Answer) (misfit string, err error) {
	misfits, err := s.takeAccounts(tx, []opening{{o, ask, answer}})
	if err != nil {
		return "", err
	}
	return misfits[0], nil
}

// notOpened tells that an order opens no account.
func (s *Service) notOpened(tx *registry.Tx, o order, why string) error {
	return s.opened(tx, o.Bank, Opened{Application: *o.ApplicationID, Refused: errors.New(why)})
}

// notOpenedBy are the words for a bank's refusal.
func notOpenedBy(text string) string { return "银行未开户：" + text }

// takeRows takes rows of a return, all together, and says in words of each why
// it cannot be taken: its order then leaves the batch, refused or to be undone
// by the bank.
func (s *Service) takeRows(tx *registry.Tx, p Peer, batch string, rows [][]string) ([]string, error) {
	orders, err := lockOrders(tx, rows)
	if err != nil {
		return nil, err
	}
	misfits := make([]string, len(rows))
	var openings []opening
	var at []int
	var refused []opening
	for i, fields := range rows {
		o, known := orders[fields[0]]
		switch {
		case !known || o.Bank != p.Code || o.Batch == nil || *o.Batch != batch:
			misfits[i] = "指令不在此批次"
			continue
		case o.ReversalID != nil:
			misfits[i] = "此指令已冲正，答复过迟"
			continue
		case o.State != Sent:
			misfits[i] = "此指令已有结果，重复行不再处理"
			continue
		}
		row := opening{order: o, answer: Answer{Result: fields[5], Code: short(fields[6], 16), Text: short(fields[7], 200), Name: fields[2], IDNumber: fields[3], Account: fields[4], State: Preopened, Seq: 1}}
		o.State = Done // a second row of it is a repetition
		orders[fields[0]] = o
		if row.answer.Result == resultRefused {
			misfits[i] = notOpenedBy(row.answer.Text)
			refused = append(refused, row)
			continue
		}
		openings, at = append(openings, row), append(at, i)
	}
	if err := s.refuseAll(tx, refused); err != nil {
		return nil, err
	}
	wrong, err := s.openAll(tx, openings)
	for n, i := range at {
		if err == nil {
			misfits[i] = wrong[n]
		}
	}
	return misfits, err
}

// lockOrders locks the orders that rows are about, by id.
func lockOrders(tx *registry.Tx, rows [][]string) (map[string]order, error) {
	ids := make([]uuid.UUID, len(rows))
	for i, fields := range rows {
		ids[i] = uuid.MustParse(fields[0]) // it was checked
	}
	var found []order
	if err := tx.ForUpdate().Where("id IN ?", ids).Order("id").Find(&found).Error; err != nil {
		return nil, err
	}
	orders := make(map[string]order, len(found))
	for _, o := range found {
		orders[o.ID.String()] = o
	}
	return orders, nil
}

// refuseAll ends orders that the bank refuses.
func (s *Service) refuseAll(tx *registry.Tx, refused []opening) error {
	if len(refused) == 0 {
		return nil
	}
	bank, told := refused[0].order.Bank, make([]Opened, len(refused))
	for i, o := range refused {
		told[i] = Opened{Application: *o.order.ApplicationID, Refused: errors.New(notOpenedBy(o.answer.Text))}
	}
	return errors.Join(endAll(tx, eventRefuse, refused), s.opened(tx, bank, told...))
}

// openAll takes the accounts of orders and ends those that fit; the others are
// reversed at the bank.
func (s *Service) openAll(tx *registry.Tx, openings []opening) ([]string, error) {
	if len(openings) == 0 {
		return nil, nil
	}
	names, sealed := make([]string, len(openings)), make([][]byte, len(openings))
	for i, o := range openings {
		names[i], sealed[i] = o.order.ID.String(), o.order.Body
	}
	bodies, err := s.db.UnsealAll(tx.Context(), columnBody, names, sealed)
	if err != nil {
		return nil, err
	}
	for i := range openings {
		if openings[i].ask, err = askOf(bodies[i]); err != nil {
			return nil, err
		}
	}
	misfits, err := s.takeAccounts(tx, openings)
	if err != nil {
		return nil, err
	}
	var done []opening
	for i, o := range openings {
		if misfits[i] == "" {
			done = append(done, o)
		} else if err := s.reverse(tx, o.order, misfits[i]); err != nil {
			return nil, err
		}
	}
	return misfits, endAll(tx, eventConfirm, done)
}

// endAll takes orders of accounts that are locked and in one state along a line of the
// table, those with the same words in one statement.
func endAll(tx *registry.Tx, event string, ended []opening) error {
	for len(ended) > 0 {
		first := ended[0]
		rule, ok := Orders.Rule(first.order.State, event)
		if !ok {
			return fmt.Errorf("%w: bank order %s: %s", registry.ErrConflict, first.order.State, event)
		}
		same := func(o opening) bool { return o.answer.Code == first.answer.Code && o.answer.Text == first.answer.Text }
		var ids []uuid.UUID
		for _, o := range ended {
			if !same(o) {
				continue
			}
			ids = append(ids, o.order.ID)
			if err := tx.Audit("bank.order."+event, o.order.subject(), map[string]string{"from": rule.From, "to": rule.To, "code": o.answer.Code}); err != nil {
				return err
			}
		}
		ends := map[string]any{"state": rule.To, "ended_at": tx.Now(), "code": first.answer.Code, "answer": first.answer.Text}
		if event == eventConfirm {
			ends["account_id"] = accountOf
		}
		moved := tx.DB().Model(&order{}).Where("id IN ? AND state = ? AND reversal_id IS NULL", ids, rule.From).Updates(ends)
		if moved.Error != nil {
			return moved.Error
		}
		if moved.RowsAffected != int64(len(ids)) {
			return registry.ErrConflict
		}
		ended = slices.DeleteFunc(ended, same)
	}
	return nil
}
