package issuance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/registry"
)

// Fire lets an event happen to an application (办理). Events that belong to a
// chip operation, a card or a batch are refused: they happen with it.
func (s *Service) Fire(tx *registry.Tx, id uuid.UUID, ask Asked) (Application, error) {
	row, err := lockApplication(tx, id)
	if err != nil {
		return Application{}, err
	}
	rule, reason, err := s.permitted(&Applications, tx, row.State, row.about(), ask)
	if err != nil {
		return Application{}, err
	}
	changes := map[string]any{}
	if rule.Reasons != "" {
		changes["reason"] = reason.words(ask)
	}
	switch ask.Event {
	case EventSubmit, EventResubmit:
		// What kept the person from applying may have come up meanwhile.
		if err = s.mayStill(tx, row); err == nil {
			applies(tx, row.PersonID)
			err = s.question(tx, row, changes)
		}
	case EventApprove:
		err = s.approve(tx, row, changes)
	case EventReopen:
		changes["holder_index"] = nil
	case EventSpoil:
		// The chip may already say the old number: the next chip gets another.
		if err = s.spoil(tx, row); err == nil {
			changes["card_number"], err = nextCardNumber(tx)
		}
	}
	if err != nil {
		return Application{}, err
	}
	if err := s.moveApplication(tx, &row, rule, changes, ask.Code); err != nil {
		return Application{}, err
	}
	return row.domain(), nil
}

// words are those of a reason for the record: its own where nothing was said.
func (r Reason) words(ask Asked) string { return cmp.Or(ask.Reason, r.Text.ZH) }

// mayStill asks again what was asked when the application was entered, and for
// all that a draft may lack.
func (s *Service) mayStill(tx *registry.Tx, row applicationRow) error {
	person, err := tx.PersonByID(row.PersonID)
	if err != nil {
		return err
	}
	if _, err = s.mayApply(tx, person, Request{Kind: row.Kind, Ground: row.Ground}); err != nil {
		return err
	}
	demand, err := s.demands.At(row.Place, gb.DayOf(tx.Now()))
	if err != nil {
		return err
	}
	return s.demanded(tx, demand, person, row)
}

// approve draws the card's number and notes what of the holder was reviewed.
func (s *Service) approve(tx *registry.Tx, row applicationRow, changes map[string]any) (err error) {
	if err := confirmed(tx, row); err != nil {
		return err
	}
	changes["reviewed_by"] = tx.Actor().Operator
	if row.CardNumber == nil {
		if changes["card_number"], err = nextCardNumber(tx); err != nil {
			return err
		}
	}
	changes["holder_index"], err = s.holderIndex(tx, row.PersonID)
	return err
}

// lockApplication reads an application and holds the row until the transaction
// ends. One that is held already is handed out once: it changes with whoever
// has it.
func lockApplication(tx *registry.Tx, id uuid.UUID) (applicationRow, error) {
	held := heldIn(tx)
	if row, ok := held[id]; ok {
		delete(held, id)
		return row, nil
	}
	var row applicationRow
	err := tx.ForUpdate().Where("id = ?", id).Take(&row).Error
	return row, err
}

// moveApplication carries a rule out: the row must still be in the state that
// the rule leads from.
func (s *Service) moveApplication(tx *registry.Tx, row *applicationRow, rule Rule, changes map[string]any, code string) error {
	policy, err := s.policy(row.Place, tx.Now())
	if err != nil {
		return err
	}
	changes["state"], changes["changed_at"] = rule.To, tx.Now()
	changes["stage_since"], changes["due_at"] = tx.Now(), policy.due(rule.To, tx.Now())
	id, from := row.ID, rule.From
	tx.Queue(func(db *gorm.DB) *gorm.DB {
		return db.Model(&applicationRow{}).Where("id = ? AND state = ?", id, from).Updates(changes)
	}, func(err error) error {
		if errors.Is(err, registry.ErrDuplicate) {
			return ErrRunning // submitted while another one runs
		}
		return fmt.Errorf("application %s: %w", rule.Event, err)
	})
	row.take(changes)
	if slices.Contains(rule.Tell, TellHolder) {
		if err := tellHolder(tx, row.Place, row.PersonID, Notice{Machine: Applications.Name, Event: rule.Event, State: rule.To, Code: code}); err != nil {
			return err
		}
	}
	detail := map[string]string{"from": rule.From, "to": rule.To}
	if code != "" {
		detail["code"] = code
	}
	return tx.Audit("application."+rule.Event, "application:"+row.ID.String(), detail)
}

// Application returns an application, or registry.ErrNotFound.
func (s *Service) Application(ctx context.Context, id uuid.UUID) (Application, error) {
	var row applicationRow
	if err := s.db.Read(ctx).Where("id = ?", id).Take(&row).Error; err != nil {
		return Application{}, err
	}
	return row.domain(), nil
}

// ApplicationIn returns an application as the transaction sees it, or
// registry.ErrNotFound.
func (s *Service) ApplicationIn(tx *registry.Tx, id uuid.UUID) (Application, error) {
	var row applicationRow
	if err := tx.DB().Where("id = ?", id).Take(&row).Error; err != nil {
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
	Kind     string
	Method   string
	// Due asks for a queue, in the order in which they are to be over: State is
	// one of [QueueStates]. AfterDue is then the Due of the last of the page
	// before, beside After.
	Due      bool
	AfterDue *time.Time
	Overdue  bool // those of the queue whose time is over
}

const defaultLimit = 50

// Applications returns applications, oldest first (the ids are in the order of
// time), or a queue.
func (s *Service) Applications(ctx context.Context, f Filter) ([]Application, error) {
	if f.Limit == 0 {
		f.Limit = defaultLimit
	}
	if f.Due {
		return s.queued(ctx, f)
	}
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
	for column, value := range map[string]string{"kind": f.Kind, "method": f.Method} {
		if value != "" {
			query = query.Where(column+" = ?", value)
		}
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
	row, held := heldIn(tx)[id]
	if !held {
		if err := tx.DB().Select("id", "place", "locality").Where("id = ?", id).Take(&row).Error; err != nil {
			return false, err
		}
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
