package issuance

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"onecard/card"
	"onecard/registry"
)

// heldKey is under which a transaction keeps applications that it holds.
type heldKey struct{}

func heldIn(tx *registry.Tx) map[uuid.UUID]applicationRow {
	held, _ := tx.Value(heldKey{}).(map[uuid.UUID]applicationRow)
	return held
}

// Hold locks many applications at once and reads what will be asked of their
// holders, so that what then happens to them one by one does not go to the
// database for each. Those that are not there are left out.
func (s *Service) Hold(tx *registry.Tx, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	var rows []applicationRow
	if err := tx.ForUpdate().Where("id IN ?", ids).Order("id").Find(&rows).Error; err != nil {
		return fmt.Errorf("hold applications: %w", err)
	}
	held, people := make(map[uuid.UUID]applicationRow, len(rows)), make([]uuid.UUID, len(rows))
	for i, row := range rows {
		held[row.ID], people[i] = row, row.PersonID
	}
	tx.SetValue(heldKey{}, held)
	return tx.Prefetch(people)
}

// Outcome is what became of one of many: the application as it is now, or why
// it stayed as it was.
type Outcome struct {
	Application Application
	Refused     error
}

// FireAll lets an event happen to many applications in one transaction (批量办理):
// each for itself, as [Service.Fire] does. within is where whoever asks may work;
// one that was entered elsewhere is refused with elsewhere. One that is refused
// stays as it was and keeps no other back; any other error is of all of them.
func (s *Service) FireAll(tx *registry.Tx, ids []uuid.UUID, ask Asked, within registry.Scope, elsewhere error) ([]Outcome, error) {
	if err := s.Hold(tx, ids); err != nil {
		return nil, err
	}
	if ask.Event == EventApprove {
		unnumbered := 0
		for _, row := range heldIn(tx) {
			if row.State == StateApplied && row.CardNumber == nil {
				unnumbered++
			}
		}
		// Numbers of those who are refused are never used.
		if err := tx.Reserve(sequenceCard, unnumbered); err != nil {
			return nil, err
		}
	}
	outcomes, done := make([]Outcome, len(ids)), 0
	for i, id := range ids {
		inside, err := EnteredIn(tx, id, within)
		if err == nil && inside {
			outcomes[i].Application, err = s.Fire(tx, id, ask)
		}
		switch {
		case err == nil && !inside:
			outcomes[i].Refused = elsewhere
		case err == nil:
			done++
		case refusal(err):
			outcomes[i].Refused = err
		default:
			return nil, err
		}
	}
	return outcomes, tx.Audit("applications."+ask.Event, "applications", map[string]string{"asked": fmt.Sprint(len(ids)), "done": fmt.Sprint(done)})
}

// refusal says whether an error is about one application and not about the
// database or the keeper.
func refusal(err error) bool {
	var rule *Error
	var form *registry.FieldError
	var chip *card.EncodeError
	return errors.As(err, &rule) || errors.As(err, &form) || errors.As(err, &chip) || errors.Is(err, registry.ErrNotFound)
}
