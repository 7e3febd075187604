package bank

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/internal/signed"
	"onecard/registry"
)

func openNotice(token []byte, roots *x509.CertPool, now time.Time) ([]byte, error) {
	return signed.Open(string(token), roots, func([]byte) (time.Time, error) { return now, nil })
}

// application is what opening an account needs of an application.
type application struct {
	ID         uuid.UUID  `gorm:"column:id"`
	PersonID   uuid.UUID  `gorm:"column:person_id"`
	Kind       string     `gorm:"column:kind"`
	Place      string     `gorm:"column:place"`
	State      string     `gorm:"column:state"`
	CardNumber *string    `gorm:"column:card_number"`
	CardID     *uuid.UUID `gorm:"column:card_id"`
}

// TableName implements gorm's schema.Tabler.
func (application) TableName() string { return "applications" }

// OpenAccounts orders an account for each application (预开户): with batch by the
// batch's file, else by real-time messages. An application that has an order
// already keeps it and is not counted.
func (s *Service) OpenAccounts(tx *registry.Tx, bank, batch string, applications ...uuid.UUID) (ordered int, err error) {
	p, err := s.peer(bank)
	if err != nil {
		return 0, err
	}
	if batch != "" && (len(batch) > 40 || strings.Trim(batch, batchLetters) != "") {
		return 0, &registry.FieldError{Field: "batch", ZH: "应为 1 至 40 个字母、数字或 -", EN: "1 to 40 letters, digits or -"}
	}
	if batch != "" {
		if err := lockBooks(tx, p.Code); err != nil {
			return 0, err
		}
		var made int64
		if err := tx.DB().Model(&fileRow{}).Where("bank = ? AND batch = ? AND kind = ?", p.Code, batch, kindOpen).Count(&made).Error; err != nil {
			return 0, err
		}
		if made > 0 {
			return 0, &registry.FieldError{Field: "batch", ZH: "此批次的开户文件已生成，不能再加入", EN: "the file of the batch has been made: nothing can be added"}
		}
	}
	for _, id := range applications {
		fresh, err := s.openAccount(tx, p, batch, id)
		if err != nil {
			return ordered, fmt.Errorf("application %s: %w", id, err)
		}
		if fresh {
			ordered++
		}
	}
	return ordered, nil
}

const batchLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

// Without returns applications of a place, or of one below it, that have a card
// number, no card and no account yet, the oldest first.
func (s *Service) Without(ctx context.Context, place string, most int) (ids []uuid.UUID, err error) {
	scope, err := s.db.Scope(ctx, place)
	if err != nil {
		return nil, err
	}
	return ids, scope.In(s.db.Read(ctx).Table("applications"), "place", "locality").Where("state IN ?", []string{"numbered", "batched"}).
		Where("NOT EXISTS (SELECT 1 FROM bank_orders o WHERE o.application_id = applications.id AND o.operation = ? AND o.state IN ?)", OpenAccount, []string{Begun, Sent, Unknown, Done}).
		Where("NOT EXISTS (SELECT 1 FROM bank_accounts a WHERE a.application_id = applications.id AND a.state <> 'closed')").
		Order("id").Limit(most).Pluck("id", &ids).Error
}

func (s *Service) openAccount(tx *registry.Tx, p Peer, batch string, id uuid.UUID) (fresh bool, err error) {
	var a application
	if err := tx.ForUpdate().Where("id = ?", id).Take(&a).Error; err != nil {
		return false, err
	}
	if a.CardNumber == nil || a.State == "withdrawn" || a.State == "returned" || a.State == "cancelled" || a.State == "handed" {
		return false, ErrNumbered
	}
	person, err := tx.PersonByID(a.PersonID)
	if err != nil {
		return false, err
	}
	o := order{Bank: p.Code, Operation: OpenAccount, Subject: "application:" + id.String(), Key: "open", Place: a.Place, PersonID: &a.PersonID, ApplicationID: &id}
	if batch != "" {
		o.Batch = &batch
	}
	began, fresh, err := s.begin(tx, o, Ask{
		Application: id.String(), CardNumber: *a.CardNumber, Name: person.Name, IDType: person.IDType, IDNumber: person.Number(),
		Phone: person.Phone, Place: a.Place,
	})
	if err == nil && !fresh && began.Bank != p.Code {
		return false, ErrOpened
	}
	return fresh, err
}

// misfit says in words what is wrong with the account that a bank has opened;
// empty if nothing is.
func (s *Service) misfit(bank string, ask Ask, answer Answer) string {
	b, _ := s.banks.find(bank)
	switch {
	case !sameName(ask.Name, answer.Name):
		return "姓名与申请不符"
	case !strings.EqualFold(ask.IDNumber, answer.IDNumber):
		return "证件号码与申请不符"
	case !b.holds(answer.Account):
		return "账号不符合本行号段或校验位错误"
	case answer.State != Preopened || answer.Seq < 1:
		return "账户状态应为预开户"
	}
	return ""
}

// settleOpen takes the account that a bank has opened, or says in words why it
// cannot be taken.
func (s *Service) settleOpen(tx *registry.Tx, o order, ask Ask, answer Answer) (misfit string, err error) {
	if misfit = s.misfit(o.Bank, ask, answer); misfit != "" {
		return misfit, nil
	}
	added, err := s.addAccount(tx, o, answer)
	if err == nil && !added {
		return "账号已属于他人，或此申领已有账户", nil
	}
	return "", err
}

// settleStatus takes the state in which a bank has put an account.
func (s *Service) settleStatus(tx *registry.Tx, o order, ask Ask, answer Answer) (misfit string, err error) {
	var a account
	if err := tx.ForUpdate().Where("id = ?", o.AccountID).Take(&a).Error; err != nil {
		return "", err
	}
	switch {
	case Accounts.State(answer.State).Name == notOpened || answer.Seq < 1:
		return "回应缺少账户状态", nil
	case ask.Change == ChangeActivate && answer.State == Preopened:
		return "银行称已办妥，账户却仍未激活", nil
	}
	err = s.becomes(tx, a, answer.State, answer.Seq, "银行回应 "+o.ID.String())
	var refused *registry.FieldError
	if errors.As(err, &refused) {
		return refused.ZH, nil
	}
	return "", err
}
