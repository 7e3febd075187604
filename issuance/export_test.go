package issuance

import (
	"github.com/google/uuid"

	"onecard/registry"
)

// ChipEvent lets the event of a chip operation happen to a card as the
// beginning and the end of its session do, without a chip.
func (s *Service) ChipEvent(tx *registry.Tx, id uuid.UUID, event string, roles []string) (Card, error) {
	row, about, err := lockForEvent(tx, id, event)
	if err != nil {
		return Card{}, err
	}
	if _, _, err := s.permitted(&Cards, tx, row.Status, about, Asked{Event: event, Roles: roles, chip: true}); err != nil {
		return Card{}, err
	}
	if row, err = s.changed(tx, id, event); err != nil {
		return Card{}, err
	}
	return row.domain()
}

// ChipDone lets the event of a chip operation happen to a card as the end of its
// session does.
func (s *Service) ChipDone(tx *registry.Tx, id uuid.UUID, event string) error {
	_, err := s.changed(tx, id, event)
	return err
}

// Refreshable asks what is asked before a holder's data are written to a card.
func Refreshable(tx *registry.Tx, id uuid.UUID) error {
	row, err := lockCard(tx, id)
	if err != nil {
		return err
	}
	return refreshable(tx, &row)
}
