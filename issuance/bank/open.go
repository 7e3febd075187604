package bank

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"onecard/internal/signed"
	"onecard/issuance"
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

func (a application) subject() string { return "application:" + a.ID.String() }

// numbered says whether an account may be opened for an application: it has a
// number, and neither it nor its card has ended.
func (a application) numbered(ended []uuid.UUID) bool {
	return a.CardNumber != nil && !slices.Contains([]string{"withdrawn", "returned", "cancelled"}, a.State) && !slices.Contains(ended, a.ID)
}

// Opened is what became of the account of an application (开户结果): the account,
// or why there is none.
type Opened struct {
	Application uuid.UUID
	Account     uuid.UUID
	Refused     error
}

// together is how many rows one statement inserts: the embedded database binds
// each value in a time that grows with their number.
const together = 50

// notBegun are the columns that an order has not yet when it begins.
var notBegun = []string{"account_id", "amount_fen", "code", "answer", "attempts", "reversal_id", "business_day", "sent_at", "ended_at"}

// openKey is the business key of the order that opens an account.
const openKey = "open"

// OpenAccounts orders an account for each application (预开户): with batch by the
// batch's file, else by real-time messages. An application that has an order
// already keeps it and is not counted. One that can have none is an error.
func (s *Service) OpenAccounts(tx *registry.Tx, bank, batch string, applications ...uuid.UUID) (ordered int, err error) {
	ordered, known, err := s.AskAccounts(tx, bank, batch, applications)
	if err != nil {
		return 0, err
	}
	for _, o := range known {
		if o.Refused != nil {
			return 0, fmt.Errorf("application %s: %w", o.Application, o.Refused)
		}
	}
	return ordered, nil
}

// AskAccounts is [Service.OpenAccounts] for a set: it returns of which
// applications it is known already what becomes of their accounts, and why some
// can have none. Of the others [Config.Opened] is told. It reads and writes a
// page at a time.
func (s *Service) AskAccounts(tx *registry.Tx, bank, batch string, applications []uuid.UUID) (ordered int, known []Opened, err error) {
	p, err := s.peer(bank)
	if err != nil {
		return 0, nil, err
	}
	if batch != "" {
		if err := mayJoin(tx, p, batch); err != nil {
			return 0, nil, err
		}
	}
	for part := range slices.Chunk(applications, page) {
		n, told, err := s.ask(tx, p, batch, part)
		if err != nil {
			return 0, nil, err
		}
		ordered, known = ordered+n, append(known, told...)
	}
	return ordered, known, nil
}

const batchLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

// CheckBatch refuses a name that no batch of accounts can have.
func CheckBatch(batch string) error {
	if batch == "" || len(batch) > 40 || strings.Trim(batch, batchLetters) != "" {
		return &registry.FieldError{Field: "batch", ZH: "应为 1 至 40 个字母、数字或 -", EN: "1 to 40 letters, digits or -"}
	}
	return nil
}

// mayJoin refuses what comes after the batch's file, which cannot be made while
// anybody joins.
func mayJoin(tx *registry.Tx, p Peer, batch string) error {
	if err := errors.Join(CheckBatch(batch), openBooks(tx, p.Code, clause.LockingStrengthShare)); err != nil {
		return err
	}
	var made int64
	if err := tx.DB().Model(&fileRow{}).Where("bank = ? AND batch = ? AND kind = ?", p.Code, batch, kindOpen).Count(&made).Error; err != nil {
		return err
	}
	if made > 0 {
		return &registry.FieldError{Field: "batch", ZH: "此批次的开户文件已生成，不能再加入", EN: "the file of the batch has been made: nothing can be added"}
	}
	return nil
}

// ask orders accounts for some applications, which it locks: of one application
// there is one order that has not failed.
func (s *Service) ask(tx *registry.Tx, p Peer, batch string, ids []uuid.UUID) (ordered int, known []Opened, err error) {
	var rows []application
	if err := tx.ForUpdate().Where("id IN ?", ids).Order("id").Find(&rows).Error; err != nil {
		return 0, nil, err
	}
	if len(rows) < len(ids) {
		return 0, nil, fmt.Errorf("applications: %w", registry.ErrNotFound)
	}
	subjects := make([]string, len(rows))
	for i, a := range rows {
		subjects[i] = a.subject()
	}
	var there []order
	err = tx.DB().Where("subject IN ? AND operation = ? AND business_key = ? AND state IN ?", subjects, OpenAccount, openKey, []string{Begun, Sent, Unknown, Done}).Find(&there).Error
	if err != nil {
		return 0, nil, err
	}
	orders := make(map[string]order, len(there))
	for _, o := range there {
		orders[o.Subject] = o
	}
	var ended []uuid.UUID // whose card was cancelled
	err = tx.DB().Table("applications").Joins("JOIN cards ON cards.id = applications.card_id").
		Where("applications.id IN ? AND cards.status = ?", ids, issuance.StatusCancelled).Pluck("applications.id", &ended).Error
	if err != nil {
		return 0, nil, err
	}
	var fresh []application
	var moved []uuid.UUID
	for _, a := range rows {
		o, has := orders[a.subject()]
		switch {
		case !has && a.numbered(ended):
			fresh = append(fresh, a)
		case !has:
			known = append(known, Opened{Application: a.ID, Refused: ErrNumbered})
		case o.Bank != p.Code || o.ReversalID != nil:
			known = append(known, Opened{Application: a.ID, Refused: ErrOpened})
		case o.State == Done:
			known = append(known, Opened{Application: a.ID, Account: *o.AccountID})
		case batch != "" && o.State == Begun && o.Batch != nil && *o.Batch != batch:
			moved = append(moved, o.ID) // the file that it waits for has not been made
		}
	}
	if len(moved) > 0 {
		if err := tx.DB().Model(&order{}).Where("id IN ? AND state = ?", moved, Begun).Update("batch", batch).Error; err != nil {
			return 0, nil, err
		}
	}
	if known, err = closed(tx, known); err != nil {
		return 0, nil, err
	}
	return len(fresh), known, s.beginOpening(tx, p, batch, fresh)
}

// closed says of accounts that were closed since that there is none.
func closed(tx *registry.Tx, known []Opened) ([]Opened, error) {
	ids := make([]uuid.UUID, 0, len(known))
	for _, o := range known {
		if o.Refused == nil {
			ids = append(ids, o.Account)
		}
	}
	if len(ids) == 0 {
		return known, nil
	}
	var gone []uuid.UUID
	if err := tx.DB().Model(&account{}).Where("id IN ? AND state = ?", ids, Closed).Pluck("id", &gone).Error; err != nil {
		return nil, err
	}
	for i, o := range known {
		if slices.Contains(gone, o.Account) {
			known[i] = Opened{Application: o.Application, Refused: ErrNoAccount}
		}
	}
	return known, nil
}

// beginOpening writes the orders that open accounts into the journal.
func (s *Service) beginOpening(tx *registry.Tx, p Peer, batch string, rows []application) error {
	if len(rows) == 0 {
		return nil
	}
	holders := make([]uuid.UUID, len(rows))
	for i, a := range rows {
		holders[i] = a.PersonID
	}
	if err := tx.Prefetch(holders); err != nil {
		return err
	}
	orders, names, bodies := make([]order, len(rows)), make([]string, len(rows)), make([][]byte, len(rows))
	for i, a := range rows {
		person, err := tx.PersonByID(a.PersonID)
		if err != nil {
			return err
		}
		o := order{Bank: p.Code, Operation: OpenAccount, Subject: a.subject(), Key: openKey, State: Begun, Place: a.Place, PersonID: &a.PersonID, ApplicationID: &a.ID,
			Operator: tx.Actor().Operator, BegunAt: tx.Now(), NextAt: tx.Now()}
		if batch != "" {
			o.Batch = &batch
		}
		if o.ID, err = tx.NewID(); err != nil {
			return fmt.Errorf("bank: new id: %w", err)
		}
		orders[i], names[i] = o, o.ID.String()
		if bodies[i], err = json.Marshal(Ask{
			Application: a.ID.String(), CardNumber: *a.CardNumber, Name: person.Name, IDType: person.IDType, IDNumber: person.Number(),
			Phone: person.Phone, Place: a.Place,
		}); err != nil {
			return fmt.Errorf("bank: body: %w", err)
		}
	}
	sealed, err := s.db.SealAll(tx.Context(), columnBody, names, bodies)
	if err != nil {
		return err
	}
	for i := range orders {
		orders[i].Body = sealed[i]
	}
	for part := range slices.Chunk(orders, together) {
		if err := tx.DB().Omit(notBegun...).Create(&part).Error; err != nil {
			return err
		}
	}
	if batch != "" {
		return tx.Audit("bank.orders.begun", "bank-batch:"+batch, map[string]string{"bank": p.Code, "operation": OpenAccount, "orders": fmt.Sprint(len(orders)), "first": names[0]})
	}
	for _, o := range orders {
		if err := tx.Audit("bank.order.begun", o.subject(), o.begun()); err != nil {
			return err
		}
	}
	return nil
}

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

// Waiting counts the orders of a batch that have no end yet.
func (s *Service) Waiting(ctx context.Context, bank, batch string) (n int64, err error) {
	p, err := s.peer(bank)
	if err != nil {
		return 0, err
	}
	return n, s.db.Read(ctx).Model(&order{}).Where("bank = ? AND batch = ? AND state IN ?", p.Code, batch, []string{Begun, Sent, Unknown}).Count(&n).Error
}
