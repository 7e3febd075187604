package stock

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Holding is a card that a place has on its books (库存明细).
type Holding struct {
	Card  string     `gorm:"column:card"`
	State string     `gorm:"column:state"`
	Box   string     `gorm:"column:box"`   // label of the sealed box that it lies in; else empty
	Lease *uuid.UUID `gorm:"column:lease"` // of a blank that a counter holds
}

// held are the states of cards that are somewhere in the place's hands or are
// missed there; what was used, handed over or destroyed has a story only.
var held = []string{StateStored, StateIssued, StateSpoiled, StateSent, StateMissing}

// Holdings lists the cards of a kind that a place has on its books, by their
// names, after one of them: all, or those of a state.
func (s *Service) Holdings(ctx context.Context, at, kind, state, after string, most int) ([]Holding, error) {
	states := held
	if state != "" {
		states = []string{state}
	}
	head := headsOf[kind]
	var cards []Holding
	err := s.db.Read(ctx).Table(head.table+" h").Where("holder = ? AND h.state IN ? AND "+head.key+" > ?", at, states, after).
		Joins("LEFT JOIN stock_contents c ON c.kind = ? AND c.item = h."+head.key+" AND c.inside", kind).
		Joins("LEFT JOIN stock_boxes b ON b.id = c.box").
		Select(head.key + " AS card, h.state, COALESCE(b.label, '') AS box, " + head.lease + " AS lease").
		Order(head.key).Limit(most).Scan(&cards).Error
	if err != nil {
		return nil, fmt.Errorf("stock: holdings: %w", err)
	}
	return cards, nil
}

// Consignment returns a consignment, or registry.ErrNotFound.
func (s *Service) Consignment(ctx context.Context, id uuid.UUID) (c Consignment, err error) {
	return c, s.db.Read(ctx).Where("id = ?", id).Take(&c).Error
}

// Colleague is somebody who works at a place.
type Colleague struct{ Login, Name string }

// staff finds the counters of a place and who works there: whom blanks can be
// lent to, who signs as the second person, who clears an incident.
func staff(db *gorm.DB, v *View) error {
	return errors.Join(
		db.Table("workstations").Where("institution = ? AND disabled_at IS NULL", v.Place.ID).Order("id").Pluck("id", &v.Counters).Error,
		db.Table("operators").Where("institution = ? AND disabled_at IS NULL", v.Place.ID).Order("login").Select("login, name").Scan(&v.People).Error)
}
