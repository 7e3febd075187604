package issuance

import (
	"github.com/google/uuid"

	"onecard/registry"
)

// aheadKey is under which a transaction keeps what [Service.Ahead] has read.
type aheadKey struct{}

func aheadIn(tx *registry.Tx) map[uuid.UUID]records {
	found, _ := tx.Value(aheadKey{}).(map[uuid.UUID]records)
	return found
}

// Ahead reads at once what is on record of many persons, and of those whose
// applications are held, so that applying and submitting does not go to the
// database for each. It is for transactions that do nothing else to cards and
// applications.
func (s *Service) Ahead(tx *registry.Tx, persons []uuid.UUID) error {
	for _, row := range heldIn(tx) {
		persons = append(persons, row.PersonID)
	}
	if len(persons) == 0 {
		return nil
	}
	found, err := recordsOf(tx.DB(), persons)
	if err != nil {
		return err
	}
	tx.SetValue(aheadKey{}, found)
	return tx.Prefetch(persons)
}

// applies notes that an application of a person is under way now, for those of
// the same transaction that come later.
func applies(tx *registry.Tx, person uuid.UUID) {
	if found := aheadIn(tx); found != nil {
		of := found[person]
		of.running = true
		found[person] = of
	}
}

// Admits says what would keep a person from applying who is not on record yet,
// so that nobody is registered for an application that is then refused.
func (s *Service) Admits(tx *registry.Tx, person registry.Person, request Request) error {
	_, _, err := s.form(tx, person, request)
	return err
}

// ApplyAll is [Service.Apply] for many persons in one transaction (集体申领): each
// for itself. One that is refused keeps no other back. One that lacks something
// is entered as a draft: its outcome has both the application and, as the
// refusal, what it lacks. Any other error is of all of them; ErrRunning says
// that another counter was faster for one.
func (s *Service) ApplyAll(tx *registry.Tx, requests []Request) ([]Outcome, error) {
	outcomes := make([]Outcome, len(requests))
	var rows []applicationRow
	var of []int // whose outcome a row is
	for i, request := range requests {
		row, lacks, err := s.application(tx, request)
		switch {
		case err == nil:
			rows, of = append(rows, row), append(of, i)
			outcomes[i].Refused = lacks
			if row.State == StateApplied {
				applies(tx, row.PersonID)
			}
		case refusal(err):
			outcomes[i].Refused = err
		default:
			return nil, err
		}
	}
	if err := s.enter(tx, rows); err != nil {
		return nil, err
	}
	for i, row := range rows {
		outcomes[of[i]].Application = row.domain()
	}
	return outcomes, nil
}
