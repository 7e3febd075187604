package issuance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/registry"
)

// Card returns a card, or registry.ErrNotFound.
func (s *Service) Card(ctx context.Context, id uuid.UUID) (Card, error) {
	return takeCard(s.db.Read(ctx).Where("id = ?", id))
}

// CardByNumber returns a card by its number (卡号), or registry.ErrNotFound.
func (s *Service) CardByNumber(ctx context.Context, number string) (Card, error) {
	return takeCard(s.db.Read(ctx).Where("number = ?", number))
}

// CardByChipID returns a card by its chip identification (卡识别码), or
// registry.ErrNotFound.
func (s *Service) CardByChipID(ctx context.Context, chipID string) (Card, error) {
	return takeCard(s.db.Read(ctx).Where("chip_id = ?", chipID))
}

// CardsAt returns the cards of a person as they stood at an instant.
func (s *Service) CardsAt(ctx context.Context, personID uuid.UUID, at time.Time) ([]Card, error) {
	present, past := s.db.AsOf(ctx, "cards", at)
	var cards []Card
	for _, query := range []*gorm.DB{present, past} {
		var rows []cardRow
		if err := query.Where("person_id = ?", personID).Order("id DESC").Find(&rows).Error; err != nil {
			return nil, fmt.Errorf("cards at an instant: %w", err)
		}
		for _, row := range rows {
			c, err := row.domain()
			if err != nil {
				return nil, err
			}
			cards = append(cards, c)
		}
	}
	return cards, nil
}

func takeCard(query *gorm.DB) (Card, error) {
	var row cardRow
	if err := query.Take(&row).Error; err != nil {
		return Card{}, err
	}
	return row.domain()
}

// CardsOf returns the cards of a person, newest first.
func (s *Service) CardsOf(ctx context.Context, personID uuid.UUID) ([]Card, error) {
	var rows []cardRow
	if err := s.db.Read(ctx).Where("person_id = ?", personID).Order("id DESC").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list cards: %w", err)
	}
	cards := make([]Card, len(rows))
	for i, row := range rows {
		var err error
		if cards[i], err = row.domain(); err != nil {
			return nil, err
		}
	}
	return cards, s.markHeld(ctx, cards)
}

// CardStatus reads a card's status (AAZ502) and holds it until the transaction
// ends, so that nothing begins with a card after its loss was reported.
func (s *Service) CardStatus(tx *registry.Tx, cardID uuid.UUID) (string, error) {
	row, err := lockCard(tx, cardID)
	return row.Status, err
}

func lockCard(tx *registry.Tx, id uuid.UUID) (cardRow, error) {
	var row cardRow
	err := forUpdate(tx).Where("id = ?", id).Take(&row).Error
	return row, err
}

// CardEvents returns what an operator may do with a card now.
func (s *Service) CardEvents(c Card, roles []string) []Rule {
	possible := Cards.possible(c.Status, roles)
	if c.Held && resume.Allows(roles) {
		possible = append(possible, resume)
	}
	return possible
}

// FireCard lets an event happen to a card (挂失、解挂、注销). Events that belong to
// a chip operation are refused: they happen by themselves when it ends. An
// event that already happened is a success: a holder who reports a loss twice
// is right both times.
func (s *Service) FireCard(tx *registry.Tx, id uuid.UUID, event, reason string, roles []string) (Card, error) {
	row, err := lockCard(tx, id)
	if err != nil {
		return Card{}, err
	}
	if event == EventResume {
		return s.askAgain(tx, row, roles)
	}
	rule, err := Cards.permitted(tx, row.Status, subject{person: row.PersonID}, request{event: event, reason: reason, roles: roles})
	switch {
	case errors.Is(err, ErrNotAllowed) && Cards.already(event, row.Status, roles):
		if err := tx.Audit("card."+event, "card:"+id.String(), map[string]string{"already": row.Status}); err != nil {
			return Card{}, err
		}
		return row.domain()
	case err != nil:
		return Card{}, err
	}
	return s.moveCard(tx, row, rule, reason)
}

// already says whether a card is in the state to which an event leads that one
// of the roles may fire by hand.
func (m *Machine) already(event, state string, roles []string) bool {
	return slices.ContainsFunc(m.Rules, func(r Rule) bool {
		return r.Event == event && r.To == state && r.Chip == "" && r.Allows(roles)
	})
}

// moveCard carries a rule out, with what it brings to the application, and
// tells the terminals. The reason of a cancelled application is its card's.
func (s *Service) moveCard(tx *registry.Tx, row cardRow, rule Rule, reason string) (Card, error) {
	result := tx.DB().Model(&cardRow{}).Where("id = ? AND status = ?", row.ID, rule.From).
		Updates(tx.Change(rule.changes(), reason))
	if result.Error != nil {
		return Card{}, fmt.Errorf("card %s: %w", rule.Event, result.Error)
	}
	if result.RowsAffected != 1 {
		return Card{}, registry.ErrConflict
	}
	row.Status = rule.To
	if err := logStatus(tx, row.ID, rule, reason); err != nil {
		return Card{}, err
	}
	if rule.Also != "" {
		if err := followCard(tx, row.ID, rule.Also, reason); err != nil {
			return Card{}, err
		}
	}
	if slices.Contains(rule.Tell, TellTerminals) {
		if err := listInvalid(tx, row); err != nil {
			return Card{}, err
		}
	}
	if err := tellStatus(tx, row, rule); err != nil {
		return Card{}, err
	}
	if err := tx.Audit("card."+rule.Event, "card:"+row.ID.String(), map[string]string{"from": rule.From, "to": rule.To}); err != nil {
		return Card{}, err
	}
	return row.domain()
}

// StatusMessage is what peers are told when a card's status (AAZ502) has
// changed, under the field names of package indicator.
type StatusMessage struct {
	CardNumber string    `json:"cardNumber"` // AAZ500
	ChipID     string    `json:"chipId"`     // AAZ501
	Status     string    `json:"cardStatus"` // AAZ502
	Event      string    `json:"event"`
	At         time.Time `json:"at"`
}

func tellStatus(tx *registry.Tx, row cardRow, rule Rule) error {
	place, err := tx.PlaceOf(row.PersonID)
	if err != nil {
		return err
	}
	return tx.Tell(registry.TopicCardStatus, place, "card:"+row.ID.String(), StatusMessage{
		CardNumber: row.Number, ChipID: row.ChipID, Status: rule.To, Event: rule.Event, At: tx.Now(),
	})
}

// changes are the columns of a card that a rule changes.
func (r Rule) changes() map[string]any {
	changes := map[string]any{"status": r.To}
	maps.Copy(changes, r.Sets)
	return changes
}

// logStatus keeps a card's history.
func logStatus(tx *registry.Tx, cardID uuid.UUID, rule Rule, reason string) error {
	id, err := tx.NewID()
	if err != nil {
		return fmt.Errorf("card status: new id: %w", err)
	}
	entry := statusRow{
		ID: id, CardID: cardID, Event: rule.Event, From: rule.From, To: rule.To, Reason: reason,
		Operator: tx.Actor().Operator, Workstation: tx.Actor().Workstation, At: tx.Now(),
	}
	if err := tx.DB().Create(&entry).Error; err != nil {
		return fmt.Errorf("card status: %w", err)
	}
	return nil
}

// followCard lets the application of a card follow it.
func followCard(tx *registry.Tx, cardID uuid.UUID, event, reason string) error {
	var application applicationRow
	if err := forUpdate(tx).Where("card_id = ?", cardID).Take(&application).Error; err != nil {
		return fmt.Errorf("application of the card: %w", err)
	}
	rule, ok := Applications.Rule(application.State, event)
	if !ok || !rule.Follows {
		return ErrNotAllowed
	}
	changes := map[string]any{}
	if reason != "" {
		changes["reason"] = reason
	}
	return moveApplication(tx, application, rule, changes)
}
