package issuance

import (
	"cmp"
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
	err := tx.ForUpdate().Where("id = ?", id).Take(&row).Error
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
// a chip operation or to another card are refused: they happen with it. An
// event that already happened is a success: a holder who reports a loss twice
// is right both times.
func (s *Service) FireCard(tx *registry.Tx, id uuid.UUID, ask Asked) (Card, error) {
	row, about, err := lockForEvent(tx, id, ask.Event)
	if err != nil {
		return Card{}, err
	}
	if ask.Event == EventResume {
		return s.askAgain(tx, row, ask.Roles)
	}
	rule, reason, err := s.permitted(&Cards, tx, row.Status, about, ask)
	switch {
	case errors.Is(err, ErrNotAllowed) && Cards.already(ask.Event, row.Status, ask.Roles):
		if err := tx.Audit("card."+ask.Event, "card:"+id.String(), map[string]string{"already": row.Status}); err != nil {
			return Card{}, err
		}
		return row.domain()
	case err != nil:
		return Card{}, err
	}
	if err := s.moveCard(tx, &row, rule, reason, ask); err != nil {
		return Card{}, err
	}
	return row.domain()
}

// around is what else is asked of a card that is locked.
type around struct {
	Place     *string // where it was applied for; nil: taken over from before
	HolderAt  string  // where the holder lives
	LifeState string
	Merged    *uuid.UUID // the file into which the holder's was merged
	Others    int        // cards of the holder in any use
	Replacing int        // applications under way for a card in its place
}

// find asks for it, in a statement of its own after the one that locks the
// card: whoever held the lock may have changed it.
func (a *around) find(db *gorm.DB, card uuid.UUID) *gorm.DB {
	return db.Raw(`SELECT (SELECT place FROM applications WHERE id = cards.application_id) AS place,
		persons.place AS holder_at, life_state, merged_into AS merged,
		(SELECT COUNT(*) FROM cards o WHERE o.person_id = persons.id AND o.id <> cards.id AND o.status NOT IN ?) AS others,
		(SELECT COUNT(*) FROM applications WHERE previous_id = cards.id AND state IN ?) AS replacing
		FROM cards JOIN persons ON persons.id = cards.person_id WHERE cards.id = ?`, notInUse, Applications.running(), card).Take(a)
}

// about makes of it what the guards are asked with, and leaves it with the card.
func (a *around) about(row *cardRow) subject {
	row.around = a
	about := subject{person: row.PersonID, row: row, life: &registry.Person{Life: a.LifeState, MergedInto: a.Merged}}
	if a.Place != nil {
		about.place = *a.Place
	}
	return about
}

// aboutCard is what the guards ask of a card.
func aboutCard(tx *registry.Tx, row *cardRow) (subject, error) {
	var found around
	if err := found.find(tx.DB(), row.ID).Error; err != nil {
		return subject{}, fmt.Errorf("about the card: %w", err)
	}
	return found.about(row), nil
}

// lockForEvent is lockCard with what the guards ask of the card, and the
// application that follows it if the event brings it something.
func lockForEvent(tx *registry.Tx, id uuid.UUID, event string) (cardRow, subject, error) {
	var (
		row          cardRow
		found        around
		applications []applicationRow
	)
	questions := []func(*gorm.DB) *gorm.DB{
		func(db *gorm.DB) *gorm.DB { return registry.Lock(db).Where("id = ?", id).Take(&row) },
		func(db *gorm.DB) *gorm.DB { return found.find(db, id) },
	}
	if slices.ContainsFunc(Cards.Rules, func(r Rule) bool { return r.Event == event && r.Also != "" }) {
		questions = append(questions, func(db *gorm.DB) *gorm.DB {
			return registry.Lock(db).Where("card_id = ?", id).Find(&applications)
		})
	}
	if err := tx.Ask(questions...); err != nil {
		return cardRow{}, subject{}, err
	}
	if len(applications) > 0 {
		row.application = &applications[0]
	}
	return row, found.about(&row), nil
}

// notInUse are the states of a card that stands in no other's way.
var notInUse = []string{StatusSealed, StatusCancelled}

// already says whether a card is in the state to which an event leads that one
// of the roles may fire by hand.
func (m *Machine) already(event, state string, roles []string) bool {
	return slices.ContainsFunc(m.Rules, func(r Rule) bool {
		return r.Event == event && r.To == state && r.Chip == "" && r.By == "" && r.Allows(roles)
	})
}

// moveCard carries a rule out, with what it brings to the application and to
// other cards, and tells who must know. The reason of a cancelled application
// is its card's.
func (s *Service) moveCard(tx *registry.Tx, row *cardRow, rule Rule, reason Reason, ask Asked) error {
	words := ""
	if rule.Reasons != "" {
		words = reason.words(ask)
	}
	if rule.Event == EventActivate && (row.around == nil || row.around.Others > 0) {
		if err := s.supersede(tx, row); err != nil {
			return err
		}
	}
	if rule.Also != "" && row.application == nil { // read before anything is queued
		row.application = &applicationRow{}
		if err := tx.ForUpdate().Where("card_id = ?", row.ID).Take(row.application).Error; err != nil {
			return fmt.Errorf("application of the card: %w", err)
		}
	}
	changes := rule.changes()
	ends, err := s.lossEnds(tx, rule)
	if err != nil {
		return err
	}
	changes["loss_ends_at"], changes["loss_warned_at"] = ends, nil
	id, from, stamped := row.ID, rule.From, tx.Change(changes, words)
	tx.Queue(func(db *gorm.DB) *gorm.DB {
		return db.Model(&cardRow{}).Where("id = ? AND status = ?", id, from).Updates(stamped)
	}, func(err error) error {
		if errors.Is(err, registry.ErrDuplicate) {
			return ErrHasCard // at most one card in use, whoever was faster
		}
		return fmt.Errorf("card %s: %w", rule.Event, err)
	})
	row.Status, row.LossEndsAt = rule.To, ends
	entry := statusRow{
		CardID: row.ID, Event: rule.Event, From: rule.From, To: rule.To, Reason: words, ReasonCode: ask.Code, Channel: cmp.Or(ask.Channel, "counter"),
	}
	if err := logStatus(tx, entry); err != nil {
		return err
	}
	if rule.Also != "" {
		if err := s.followCard(tx, row.application, row.ID, rule, words); err != nil {
			return err
		}
	}
	if err := s.tell(tx, *row, rule, reason); err != nil {
		return err
	}
	detail := map[string]string{"from": rule.From, "to": rule.To}
	if ask.Code != "" {
		detail["code"] = ask.Code
	}
	return tx.Audit("card."+rule.Event, "card:"+row.ID.String(), detail)
}

// supersede cancels the other cards of the holder, in the same change in which
// a new one is activated: the old card works until then and not a moment
// longer (新卡启用，旧卡注销).
func (s *Service) supersede(tx *registry.Tx, row *cardRow) error {
	var others []cardRow
	err := tx.ForUpdate().Where("person_id = ? AND id <> ? AND status NOT IN ?", row.PersonID, row.ID, notInUse).Order("id").Find(&others).Error
	if err != nil {
		return fmt.Errorf("other cards: %w", err)
	}
	for _, other := range others {
		if row.Kind == CardTemporary && other.Status == StatusLost {
			continue // a temporary card replaces nothing
		}
		rule, ok := Cards.Rule(other.Status, EventSupersede)
		if !ok || row.Kind == CardTemporary {
			return ErrHasCard
		}
		if err := s.moveCard(tx, &other, rule, Reason{}, Asked{Event: EventSupersede}); err != nil {
			return err
		}
	}
	return nil
}

// lossEnds is when a report that a rule brings ends by itself, or nil.
func (s *Service) lossEnds(tx *registry.Tx, rule Rule) (*time.Time, error) {
	if rule.To != StatusTempLost {
		return nil, nil
	}
	policy, err := s.policy(tx.Actor().Place, tx.Now())
	if err != nil {
		return nil, err
	}
	ends := tx.Now().AddDate(0, 0, policy.TemporaryLossDays)
	return &ends, nil
}

// changes are the columns of a card that a rule changes.
func (r Rule) changes() map[string]any {
	changes := map[string]any{"status": r.To}
	maps.Copy(changes, r.Sets)
	return changes
}

// logStatus keeps a card's history.
func logStatus(tx *registry.Tx, entry statusRow) error {
	id, err := tx.NewID()
	if err != nil {
		return fmt.Errorf("card status: new id: %w", err)
	}
	entry.ID, entry.Operator, entry.Workstation, entry.At = id, tx.Actor().Operator, tx.Actor().Workstation, tx.Now()
	tx.Append(entry)
	return nil
}

// followCard lets the application of a card follow it.
func (s *Service) followCard(tx *registry.Tx, application *applicationRow, cardID uuid.UUID, brought Rule, reason string) error {
	rule, _, err := Applications.find(application.State, Asked{Event: brought.Also, by: ByCard})
	if err != nil {
		return err
	}
	changes := map[string]any{}
	if reason != "" {
		changes["reason"] = reason
	}
	switch rule.Event {
	case EventActivate:
		changes["handed_by"] = tx.Actor().Operator
	case EventRemake:
		// The scrapped card keeps its number for ever: the next one gets another.
		changes["card_id"], changes["made_by"] = nil, nil
		if changes["card_number"], err = nextCardNumber(tx); err != nil {
			return err
		}
		if err := tx.DB().Model(&cardRow{}).Where("id = ?", cardID).Updates(tx.Change(map[string]any{"application_id": nil}, reason)).Error; err != nil {
			return fmt.Errorf("scrapped card: %w", err)
		}
	}
	return s.moveApplication(tx, application, rule, changes, "")
}
