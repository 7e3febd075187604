package issuance

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/card"
	"onecard/internal/gb"
	"onecard/issuance/session"
	"onecard/registry"
)

// The chip work that moves money on the card's own account.
const (
	WorkDebit  = "debit"
	WorkCredit = "credit"
)

// movementRow is a row of account_movements.
type movementRow struct {
	ID             uuid.UUID  `gorm:"column:id"`
	CardID         uuid.UUID  `gorm:"column:card_id"`
	Credit         bool       `gorm:"column:credit"`
	Amount         int64      `gorm:"column:amount"`
	Total          int64      `gorm:"column:total"`
	Terminal       string     `gorm:"column:terminal"`
	TerminalSerial int64      `gorm:"column:terminal_serial"`
	State          string     `gorm:"column:state"`
	Operation      []byte     `gorm:"column:operation"`
	CardSerial     *int       `gorm:"column:card_serial"`
	BalanceBefore  *int64     `gorm:"column:balance_before"`
	BalanceAfter   *int64     `gorm:"column:balance_after"`
	TAC            *string    `gorm:"column:tac"`
	Operator       string     `gorm:"column:operator"`
	Workstation    string     `gorm:"column:workstation"`
	BegunAt        time.Time  `gorm:"column:begun_at"`
	EndedAt        *time.Time `gorm:"column:ended_at"`
}

// TableName implements gorm's schema.Tabler.
func (movementRow) TableName() string { return "account_movements" }

// is says whether a row is of this movement.
func (r movementRow) is(m card.Movement) bool {
	return r.Terminal == m.Terminal && r.TerminalSerial == int64(m.TerminalSerial) && r.Credit == m.Credit && r.Amount == int64(m.Amount) && r.Total == int64(m.Total)
}

// The states of a movement.
const (
	movementBegun = "begun"
	movementDone  = "done"
	movementVoid  = "void"
)

// movingNow chooses the movement that a card has under way (see [underWay]).
const movingNow = "card_id = ? AND state = '" + movementBegun + "'"

// operationColumn binds what is sealed to its column.
const operationColumn = "account_movements.operation"

// move begins a debit or a credit. An earlier one of the same card whose end is
// not known comes first: it is found out about, and the new one is asked for
// again afterwards.
func (s *Service) move(ctx context.Context, b beginning) (session.Work, error) {
	if b.movement == nil {
		return nil, card.ErrMovement
	}
	m := *b.movement
	m.Credit, m.At = b.name == WorkCredit, s.db.Now().In(gb.Beijing)
	var known movementRow
	switch err := s.db.Read(ctx).Where("terminal = ? AND terminal_serial = ? AND state <> ?", m.Terminal, m.TerminalSerial, movementBegun).Take(&known).Error; {
	case err == nil:
		return nil, ErrMovementKnown
	case !errors.Is(err, registry.ErrNotFound):
		return nil, err
	}
	var begun movementRow
	err := s.db.Read(ctx).Where(movingNow, b.card.ID).Take(&begun).Error
	switch {
	case errors.Is(err, registry.ErrNotFound):
		*b.movement = m
		return card.NewAccount(b.profile, b.id, m)
	case err != nil:
		return nil, err
	case len(begun.Operation) == 0:
		// The chip was never asked to carry it out.
		*b.movement = m
		return card.NewAccount(b.profile, b.id, m)
	}
	plain, err := s.db.Unseal(ctx, operationColumn, begun.ID.String(), begun.Operation)
	if err != nil {
		return nil, err
	}
	stored, err := card.Restore(s.profiles, WorkDebit, plain)
	if err != nil {
		return nil, err
	}
	earlier, ok := stored.(*card.Account)
	if !ok {
		return nil, fmt.Errorf("a movement was stored as %T", stored)
	}
	*b.movement = card.Movement{}
	return earlier.Settle(b.id)
}

// beginMovement writes a movement into the journal, before the chip is asked
// for anything. One of the card that never reached the chip is void.
func (s *Service) beginMovement(tx *registry.Tx, cardID uuid.UUID, m card.Movement) error {
	if m.Amount == 0 { // an earlier one is being settled
		return nil
	}
	var idle []movementRow
	if err := tx.ForUpdate().Where(movingNow+" AND operation IS NULL", cardID).Find(&idle).Error; err != nil {
		return fmt.Errorf("movement: %w", err)
	}
	for _, row := range idle {
		if row.is(m) {
			return nil // asked for again
		}
		if err := tx.DB().Model(&movementRow{}).Where("id = ?", row.ID).Updates(map[string]any{"state": movementVoid, "ended_at": tx.Now()}).Error; err != nil {
			return fmt.Errorf("movement: void: %w", err)
		}
	}
	id, err := tx.NewID()
	if err != nil {
		return fmt.Errorf("movement: new id: %w", err)
	}
	row := movementRow{
		ID: id, CardID: cardID, Credit: m.Credit, Amount: int64(m.Amount), Total: int64(m.Total), Terminal: m.Terminal,
		TerminalSerial: int64(m.TerminalSerial), State: movementBegun, Operator: tx.Actor().Operator, Workstation: tx.Actor().Workstation, BegunAt: tx.Now(),
	}
	if err := tx.DB().Create(&row).Error; err != nil {
		if errors.Is(err, registry.ErrDuplicate) {
			return ErrMovementKnown
		}
		return fmt.Errorf("movement: %w", err)
	}
	return nil
}

// advance stores what a movement knows before the chip is asked to carry it
// out, in the transaction in which the script goes out.
func (s *Service) advance(tx *registry.Tx, about session.Session, work session.Work) error {
	moving, ok := work.(*card.Account)
	if !ok || moving.Settling || moving.Moved.Serial == 0 {
		return nil
	}
	var row movementRow
	if err := tx.ForUpdate().Where(movingNow, about.Subject).Take(&row).Error; err != nil {
		return fmt.Errorf("movement: %w", err)
	}
	sealed, err := s.sealJSON(tx, operationColumn, row.ID, moving)
	if err != nil {
		return err
	}
	if err := tx.DB().Model(&movementRow{}).Where("id = ?", row.ID).Update("operation", sealed).Error; err != nil {
		return fmt.Errorf("movement: %w", err)
	}
	return nil
}

// moved ends a movement in the journal.
func moved(tx *registry.Tx, cardID uuid.UUID, work *card.Account) error {
	var row movementRow
	if err := tx.ForUpdate().Where(movingNow, cardID).Take(&row).Error; err != nil {
		return fmt.Errorf("movement: %w", err)
	}
	changes := map[string]any{"state": movementVoid, "ended_at": tx.Now(), "operation": nil}
	if m := work.Moved; m.Done {
		changes = map[string]any{
			"state": movementDone, "ended_at": tx.Now(), "operation": nil, "card_serial": int(m.Serial),
			"balance_before": int64(m.Before), "balance_after": int64(m.After), "tac": strings.ToUpper(hex.EncodeToString(m.TAC)),
		}
	}
	if err := tx.DB().Model(&movementRow{}).Where("id = ? AND state = ?", row.ID, movementBegun).Updates(changes).Error; err != nil {
		return fmt.Errorf("movement: %w", err)
	}
	return tx.Audit("card.moved", "card:"+cardID.String(), map[string]string{"movement": row.ID.String(), "done": strconv.FormatBool(work.Moved.Done)})
}
