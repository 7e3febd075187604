package bank

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/registry"
)

// order is a row of bank_orders.
type order struct {
	ID            uuid.UUID  `gorm:"column:id;primaryKey"`
	Bank          string     `gorm:"column:bank"`
	Operation     string     `gorm:"column:operation"`
	Subject       string     `gorm:"column:subject"`
	Key           string     `gorm:"column:business_key"`
	State         string     `gorm:"column:state"`
	Place         string     `gorm:"column:place"`
	PersonID      *uuid.UUID `gorm:"column:person_id"`
	ApplicationID *uuid.UUID `gorm:"column:application_id"`
	AccountID     *uuid.UUID `gorm:"column:account_id"`
	AmountFen     int64      `gorm:"column:amount_fen"`
	Batch         *string    `gorm:"column:batch"`
	Body          []byte     `gorm:"column:body_sealed"`
	Code          string     `gorm:"column:code"`
	Answer        string     `gorm:"column:answer"`
	Attempts      int        `gorm:"column:attempts"`
	ReversalID    *uuid.UUID `gorm:"column:reversal_id"`
	BusinessDay   *string    `gorm:"column:business_day"`
	Operator      string     `gorm:"column:operator"`
	BegunAt       time.Time  `gorm:"column:begun_at"`
	SentAt        *time.Time `gorm:"column:sent_at"`
	NextAt        time.Time  `gorm:"column:next_at"`
	EndedAt       *time.Time `gorm:"column:ended_at"`
}

// TableName implements gorm's schema.Tabler.
func (order) TableName() string { return "bank_orders" }

func (o order) subject() string { return "bank-order:" + o.ID.String() }

func (o order) open() bool { return o.State == Begun || o.State == Sent || o.State == Unknown }

const columnBody = "bank_orders.body"

// begin writes an order into the journal. When there is one of the same act
// that the bank has not refused, that one is returned and fresh is false.
func (s *Service) begin(tx *registry.Tx, o order, ask Ask) (begun order, fresh bool, err error) {
	if o.ID == uuid.Nil {
		if o.ID, err = tx.NewID(); err != nil {
			return order{}, false, fmt.Errorf("bank: new id: %w", err)
		}
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return order{}, false, fmt.Errorf("bank: body: %w", err)
	}
	if o.Body, err = s.db.Seal(tx.Context(), columnBody, o.ID.String(), body); err != nil {
		return order{}, false, err
	}
	o.State, o.BegunAt, o.NextAt, o.Operator = Begun, tx.Now(), tx.Now(), tx.Actor().Operator
	created := tx.DB().Clauses(clause.OnConflict{DoNothing: true}).Create(&o)
	if created.Error != nil {
		return order{}, false, created.Error
	}
	if created.RowsAffected == 0 {
		var there order
		err := tx.DB().Where("operation = ? AND subject = ? AND business_key = ? AND state IN ?", o.Operation, o.Subject, o.Key, []string{Begun, Sent, Unknown, Done}).Take(&there).Error
		return there, false, err
	}
	return o, true, tx.Audit("bank.order.begun", o.subject(), o.begun())
}

// begun is what is noted of an order when it is begun.
func (o order) begun() map[string]string {
	return map[string]string{"bank": o.Bank, "operation": o.Operation, "subject": o.Subject, "key": o.Key, "amountFen": fmt.Sprint(o.AmountFen)}
}

// move takes an order along a line of the table. It reports false when the
// order is no longer where it was: somebody else was faster.
func move(tx *registry.Tx, o order, event string, values map[string]any) (bool, error) {
	rule, ok := Orders.Rule(o.State, event)
	if !ok {
		return false, fmt.Errorf("%w: bank order %s: %s", registry.ErrConflict, o.State, event)
	}
	changes := map[string]any{"state": rule.To}
	for column, value := range values {
		changes[column] = value
	}
	if Orders.State(rule.To).Final {
		changes["ended_at"] = tx.Now()
	}
	if event == eventConfirm && o.Operation == OpenAccount {
		changes["account_id"] = accountOf
	}
	query := tx.DB().Model(&order{}).Where("id = ? AND state = ?", o.ID, o.State)
	if event != eventReverse {
		query = query.Where("reversal_id IS NULL")
	}
	moved := query.Updates(changes)
	if moved.Error != nil || moved.RowsAffected == 0 {
		return false, moved.Error
	}
	if Orders.State(rule.To).Final {
		if err := o.heard(tx); err != nil {
			return false, err
		}
	}
	detail := map[string]string{"from": o.State, "to": rule.To}
	if code, ok := changes["code"].(string); ok {
		detail["code"] = code
	}
	return true, tx.Audit("bank.order."+event, o.subject(), detail)
}

// heard lets the message at once be told again that waited for the end of an
// order, so that what follows it about the same card, such as a loss, does not
// wait for the next attempt. Of accounts that are opened by file nobody waits.
func (o order) heard(tx *registry.Tx) error {
	switch o.Operation {
	case ChangeStatus, ChangeHolder:
		if message, err := uuid.Parse(o.Key); err == nil {
			return wake(tx, "id = ?", message)
		}
	case OpenAccount:
		if o.ApplicationID == nil || o.Batch != nil {
			return nil
		}
		var a application
		if err := tx.DB().Where("id = ?", o.ApplicationID).Take(&a).Error; err != nil || a.CardID == nil {
			return err
		}
		return wake(tx, "subject = ?", "card:"+a.CardID.String())
	}
	return nil
}

// body opens what an order asks for.
func (s *Service) body(ctx context.Context, o order) (text []byte, ask Ask, err error) {
	if text, err = s.db.Unseal(ctx, columnBody, o.ID.String(), o.Body); err != nil {
		return nil, Ask{}, err
	}
	ask, err = askOf(text)
	return text, ask, err
}

func askOf(body []byte) (ask Ask, err error) { return ask, json.Unmarshal(body, &ask) }

func find(db *gorm.DB, id uuid.UUID) (o order, err error) {
	return o, db.Where("id = ?", id).Take(&o).Error
}

// Order is an order as people may see it: it holds no personal data.
type Order struct {
	ID                     uuid.UUID
	Bank, Operation, State string
	Subject                string
	Code, Answer           string
	Attempts               int
	AmountFen              int64
	BegunAt, NextAt        time.Time
	Reversing              bool
}

// Filter chooses orders; zero fields choose all.
type Filter struct {
	Bank, State string
	Open        bool
	Subject     string
	Limit       int
}

// Orders returns orders, the newest first.
func (s *Service) Orders(ctx context.Context, f Filter) ([]Order, error) {
	query := s.db.Read(ctx).Order("id DESC").Limit(max(f.Limit, 1))
	for column, value := range map[string]string{"bank": f.Bank, "state": f.State, "subject": f.Subject} {
		if value != "" {
			query = query.Where(column+" = ?", value)
		}
	}
	if f.Open {
		query = query.Where("state IN ?", []string{Begun, Sent, Unknown})
	}
	var rows []order
	if err := query.Find(&rows).Error; err != nil {
		return nil, err
	}
	orders := make([]Order, len(rows))
	for i, o := range rows {
		orders[i] = o.shown()
	}
	return orders, nil
}

func (o order) shown() Order {
	return Order{ID: o.ID, Bank: o.Bank, Operation: o.Operation, State: o.State, Subject: o.Subject, Code: o.Code, Answer: o.Answer,
		Attempts: o.Attempts, AmountFen: o.AmountFen, BegunAt: o.BegunAt, NextAt: o.NextAt, Reversing: o.ReversalID != nil && o.State != Reversed}
}
