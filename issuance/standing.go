package issuance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/registry"
)

// CanApply says for what a person may apply. That the chip can hold the name is
// told by Apply, which names the character.
func (s *Service) CanApply(ctx context.Context, personID uuid.UUID) (kinds []string, err error) {
	person, err := s.db.PersonByID(ctx, personID)
	if err != nil {
		return nil, err
	}
	has, err := s.fit(person, s.db.Now())
	var refusal *Error
	if errors.As(err, &refusal) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := recordsOf(s.db.Read(ctx), []uuid.UUID{personID})
	if err != nil {
		return nil, err
	}
	has.records = found[personID]
	for _, kind := range []string{KindFirst, KindReplacement, KindExchange, KindTemporary} {
		if _, err := has.entitled(Request{Kind: kind}.withDefaults()); err == nil {
			kinds = append(kinds, kind)
		}
	}
	return kinds, nil
}

// entitlement is what a person may apply for: by which policy, in which card's
// place.
type entitlement struct {
	policy   Policy
	previous *uuid.UUID
}

// records are what is on record of a person's cards and applications.
type records struct {
	cards   []cardRow // that are not cancelled
	running bool      // an application is under way
}

// standing is what decides for what a person may apply.
type standing struct {
	policy Policy
	today  gb.Date
	records
}

// fit says by what a person may apply, or why there may be no card at all,
// whatever the records say of cards.
func (s *Service) fit(person registry.Person, now time.Time) (has standing, err error) {
	has.today = gb.DayOf(now)
	if has.policy, err = s.policy(person.Place, now); err != nil {
		return standing{}, err
	}
	switch {
	case person.MergedInto != nil:
		return standing{}, ErrMerged
	case person.IDNumber.IsZero():
		return standing{}, ErrNoCitizen
	case !person.Living():
		return standing{}, ErrDead
	case person.Birth.Age(has.today) < has.policy.MinimumAge:
		return standing{}, ErrTooYoung
	}
	return has, nil
}

// recordsOf reads what is on record of persons.
func recordsOf(db *gorm.DB, persons []uuid.UUID) (map[uuid.UUID]records, error) {
	found := make(map[uuid.UUID]records, len(persons))
	for _, id := range persons {
		found[id] = records{}
	}
	var cards []cardRow
	if err := db.Where("person_id IN ? AND status <> ?", persons, StatusCancelled).Find(&cards).Error; err != nil {
		return nil, fmt.Errorf("look for cards: %w", err)
	}
	for _, card := range cards {
		of := found[card.PersonID]
		of.cards = append(of.cards, card)
		found[card.PersonID] = of
	}
	var running []uuid.UUID
	under := db.Model(&applicationRow{}).Where("person_id IN ? AND state IN ?", persons, Applications.running())
	if err := under.Pluck("person_id", &running).Error; err != nil {
		return nil, fmt.Errorf("look for applications: %w", err)
	}
	for _, id := range running {
		of := found[id]
		of.running = true
		found[id] = of
	}
	return found, nil
}

// entitled says to what a request leads for who stands so, or why to nothing.
func (has standing) entitled(request Request) (entitlement, error) {
	previous, err := inPlaceOf(has.cards, request, has.policy, has.today)
	switch {
	case err != nil:
		return entitlement{}, err
	case has.running:
		return entitlement{}, ErrRunning
	}
	return entitlement{has.policy, previous}, nil
}

// mayApply says whether a person may apply.
func (s *Service) mayApply(tx *registry.Tx, person registry.Person, request Request) (entitlement, error) {
	has, err := s.fit(person, tx.Now())
	if err != nil {
		return entitlement{}, err
	}
	found := aheadIn(tx)
	if _, ok := found[person.ID]; !ok {
		if found, err = recordsOf(tx.DB(), []uuid.UUID{person.ID}); err != nil {
			return entitlement{}, err
		}
	}
	has.records = found[person.ID]
	return has.entitled(request)
}
