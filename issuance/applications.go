package issuance

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"onecard/registry"
)

// Fire lets an event happen to an application (办理). Events that belong to a
// chip operation are refused: they happen by themselves when it ends.
func (s *Service) Fire(tx *registry.Tx, id uuid.UUID, event, reason string, roles []string) (Application, error) {
	row, err := lockApplication(tx, id)
	if err != nil {
		return Application{}, err
	}
	rule, err := Applications.permitted(tx, row.State, row.about(), request{event: event, reason: reason, roles: roles})
	if err != nil {
		return Application{}, err
	}
	changes := map[string]any{}
	if rule.Reason {
		changes["reason"] = reason
	}
	switch event {
	case EventApprove:
		changes["reviewed_by"] = tx.Actor().Operator
		changes["card_number"], err = nextCardNumber(tx)
	case EventSpoil:
		// The chip may already say the old number: the next chip gets another.
		if err = s.spoil(tx, row); err == nil {
			changes["card_number"], err = nextCardNumber(tx)
		}
	}
	if err != nil {
		return Application{}, err
	}
	if err := moveApplication(tx, row, rule, changes); err != nil {
		return Application{}, err
	}
	if row, err = lockApplication(tx, id); err != nil {
		return Application{}, err
	}
	return row.domain(), nil
}

func lockApplication(tx *registry.Tx, id uuid.UUID) (applicationRow, error) {
	var row applicationRow
	err := forUpdate(tx).Where("id = ?", id).Take(&row).Error
	return row, err
}

// moveApplication carries a rule out: the row must still be in the state that
// the rule leads from.
func moveApplication(tx *registry.Tx, row applicationRow, rule Rule, changes map[string]any) error {
	changes["state"], changes["changed_at"] = rule.To, tx.Now()
	result := tx.DB().Model(&applicationRow{}).Where("id = ? AND state = ?", row.ID, rule.From).Updates(changes)
	if result.Error != nil {
		return fmt.Errorf("application %s: %w", rule.Event, result.Error)
	}
	if result.RowsAffected != 1 {
		return registry.ErrConflict
	}
	return tx.Audit("application."+rule.Event, "application:"+row.ID.String(), map[string]string{"from": rule.From, "to": rule.To})
}

// Application returns an application, or registry.ErrNotFound.
func (s *Service) Application(ctx context.Context, id uuid.UUID) (Application, error) {
	var row applicationRow
	if err := s.db.Read(ctx).Where("id = ?", id).Take(&row).Error; err != nil {
		return Application{}, err
	}
	return row.domain(), nil
}

// Filter chooses applications; zero fields choose all.
type Filter struct {
	State    string
	Place    string // where it was entered: a place of any level, with all below it
	PersonID uuid.UUID
	After    uuid.UUID // the last id of the page before
	Limit    int       // default 50
}

const defaultLimit = 50

// Applications returns applications, oldest first (the ids are in the order of
// time).
func (s *Service) Applications(ctx context.Context, f Filter) ([]Application, error) {
	query := s.db.Read(ctx).Order("id")
	if f.State != "" {
		query = query.Where("state = ?", f.State)
	}
	if f.Place != "" {
		scope, err := s.db.Scope(ctx, f.Place)
		if err != nil {
			return nil, err
		}
		query = scope.In(query, "place", "locality")
	}
	if f.PersonID != uuid.Nil {
		query = query.Where("person_id = ?", f.PersonID)
	}
	if f.After != uuid.Nil {
		query = query.Where("id > ?", f.After)
	}
	if f.Limit == 0 {
		f.Limit = defaultLimit
	}
	var rows []applicationRow
	if err := query.Limit(f.Limit).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list applications: %w", err)
	}
	applications := make([]Application, len(rows))
	for i, row := range rows {
		applications[i] = row.domain()
	}
	return applications, nil
}

// EnteredIn says whether an application was entered within a scope, or
// registry.ErrNotFound.
func EnteredIn(tx *registry.Tx, id uuid.UUID, scope registry.Scope) (bool, error) {
	var row applicationRow
	if err := tx.DB().Select("id", "place", "locality").Where("id = ?", id).Take(&row).Error; err != nil {
		return false, err
	}
	locality := ""
	if row.Locality != nil {
		locality = *row.Locality
	}
	return scope.Covers(row.Place, locality), nil
}

// ApplicationEvents returns what an operator may do with an application now.
func (s *Service) ApplicationEvents(a Application, login string, roles []string) []Rule {
	return slices.DeleteFunc(Applications.possible(a.State, roles), func(r Rule) bool {
		return a.EnteredBy == login && slices.Contains(r.Needs, NeedsOtherPerson)
	})
}
