package issuance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/card"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/registry"
)

// KindFirst is an application for a person's first card (新申领).
const KindFirst = "first"

// Apply enters an application of a person for a card (申领). It refuses a person
// who has a card in force (ErrHasCard) or an application under way (ErrRunning),
// who is dead (ErrDead) or too young (ErrTooYoung), and data that the chip
// cannot hold (a *card.EncodeError that names the character).
func (s *Service) Apply(tx *registry.Tx, personID uuid.UUID, kind string) (Application, error) {
	if kind != KindFirst {
		return Application{}, &registry.FieldError{Field: "kind", ZH: "应为 first", EN: "first"}
	}
	person, err := tx.PersonByID(personID)
	if err != nil {
		return Application{}, err
	}
	policy, err := s.mayApply(tx.DB(), person, tx.Now())
	if err != nil {
		return Application{}, err
	}
	if err := s.encodable(person, policy, tx.Now()); err != nil {
		return Application{}, err
	}
	id, err := tx.NewID()
	if err != nil {
		return Application{}, fmt.Errorf("apply: new id: %w", err)
	}
	row := applicationRow{
		ID: id, PersonID: personID, Kind: kind, Place: tx.Actor().Place, State: Applications.Initial,
		EnteredBy: tx.Actor().Operator, CreatedAt: tx.Now(), ChangedAt: tx.Now(),
	}
	if office := tx.Actor().Locality; office != "" {
		row.Locality = &office
	}
	if err := tx.DB().Create(&row).Error; err != nil {
		if errors.Is(err, registry.ErrDuplicate) {
			return Application{}, ErrRunning // another counter was faster
		}
		return Application{}, fmt.Errorf("apply: %w", err)
	}
	return row.domain(), tx.Audit("application.apply", "application:"+id.String(), map[string]string{"person": personID.String(), "kind": kind})
}

// CanApply says whether a person may apply for a card. That the chip can hold
// the name is told by Apply, which names the character.
func (s *Service) CanApply(ctx context.Context, personID uuid.UUID) (bool, error) {
	person, err := s.db.PersonByID(ctx, personID)
	if err != nil {
		return false, err
	}
	_, err = s.mayApply(s.db.Read(ctx), person, s.db.Now())
	var refusal *Error
	if errors.As(err, &refusal) {
		return false, nil
	}
	return err == nil, err
}

// mayApply says whether a person may apply, and by which policy.
func (s *Service) mayApply(db *gorm.DB, person registry.Person, now time.Time) (Policy, error) {
	policy, err := s.policy(person.Place, now)
	if err != nil {
		return Policy{}, err
	}
	switch {
	case person.MergedInto != nil:
		return Policy{}, ErrMerged
	case person.IDNumber.IsZero():
		return Policy{}, ErrNoCitizen
	case !person.Living():
		return Policy{}, ErrDead
	case person.Birth.Age(day(now)) < policy.MinimumAge:
		return Policy{}, ErrTooYoung
	}
	var cards, running int64
	if err := db.Model(&cardRow{}).Where("person_id = ? AND status <> ?", person.ID, StatusCancelled).Count(&cards).Error; err != nil {
		return Policy{}, fmt.Errorf("look for cards: %w", err)
	}
	if cards > 0 {
		return Policy{}, ErrHasCard
	}
	if err := db.Model(&applicationRow{}).Where("person_id = ? AND state IN ?", person.ID, Applications.running()).Count(&running).Error; err != nil {
		return Policy{}, fmt.Errorf("look for applications: %w", err)
	}
	if running > 0 {
		return Policy{}, ErrRunning
	}
	return policy, nil
}

// running returns the states that are not final.
func (m *Machine) running() []string {
	var names []string
	for _, s := range m.States {
		if !s.Final {
			names = append(names, s.Name)
		}
	}
	return names
}

// encodable says whether the chip can hold what it is to say of a person whose
// card has no number yet.
func (s *Service) encodable(person registry.Person, policy Policy, now time.Time) error {
	number, err := gb.NewCardNumber("00000000")
	if err != nil {
		return fmt.Errorf("card number: %w", err)
	}
	p, err := profile.ByVersion(s.profiles, policy.SpecVersions[0])
	if err != nil {
		return err
	}
	return contents(person, policy, number.String(), now).Check(p)
}

// contents is what the chip is to say of a card and its holder.
func contents(person registry.Person, policy Policy, number string, now time.Time) card.Contents {
	today := now.In(beijing)
	return card.Contents{
		CardType: policy.CardType, Issuer: policy.Issuer,
		IssuedOn: gb.DateOf(today), ExpiresOn: gb.DateOf(today.AddDate(policy.ValidYears, 0, 0)),
		CardNumber: number, IDNumber: person.IDNumber, Name: person.Name, Sex: person.Sex,
		Ethnic: person.Ethnic, BirthPlace: person.IDNumber.Area(),
	}
}
