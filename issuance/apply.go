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

// What an application is for (申领类型).
const (
	KindFirst       = "first"       // 新申领
	KindReplacement = "replacement" // 遗失补卡
	KindExchange    = "exchange"    // 换卡
	KindTemporary   = "temporary"   // 临时卡
)

// How the card is made (制卡方式).
const (
	MethodInstant = "instant" // 即时制卡, at a counter
	MethodBatch   = "batch"   // 批量制卡, by a maker
)

// Kinds of card (卡种).
const (
	CardPermanent = "permanent" // 正式卡
	CardTemporary = "temporary" // 临时卡
)

// Request is what somebody applies for.
type Request struct {
	Person    uuid.UUID
	Kind      string // one of the Kind…
	Ground    string // code of the reason; empty for a first card
	Method    string // empty: instant
	Channel   string // empty: counter
	Applicant string // empty: the holder
	Draft     bool   // not to be reviewed yet: may miss what is demanded
	Acting
}

func (r Request) withDefaults() Request {
	for field, usual := range map[*string]string{&r.Method: MethodInstant, &r.Channel: "counter", &r.Applicant: "holder"} {
		if *field == "" {
			*field = usual
		}
	}
	if r.Kind != KindFirst && r.Ground == "" {
		r.Ground = ReasonOther
	}
	return r
}

// CheckKind refuses what is no kind of application or no way of making a card.
func CheckKind(kind, method string) error {
	return errors.Join(
		oneOf("kind", kind, KindFirst, KindReplacement, KindExchange, KindTemporary),
		oneOf("method", method, MethodInstant, MethodBatch))
}

// check refuses a request that is not of the form asked for.
func (r Request) check() error {
	err := errors.Join(CheckKind(r.Kind, r.Method), oneOf("applicant", r.Applicant, applicants...))
	if err != nil || r.Kind == KindFirst {
		return err
	}
	if _, ok := reasonOf(r.Kind, r.Ground); !ok {
		return noSuchReason(r.Kind)
	}
	return nil
}

// Apply enters an application of a person for a card (申领). It refuses a person
// who is not entitled to what is asked for: one with a card in force for a first
// card (ErrHasCard), without a card that was formally reported lost for a
// replacement or in use for an exchange (ErrNoCard), with a locked card
// (ErrCardLocked), with an application under way (ErrRunning), dead (ErrDead),
// too young (ErrTooYoung), a channel that does not take it (ErrChannel), a minor
// without a guardian (ErrNeedsGuardian) and, unless it is a draft, what lacks
// something that is demanded (ErrMissing names it all); and data that the chip cannot hold (a
// *card.EncodeError that names the character).
func (s *Service) Apply(tx *registry.Tx, request Request) (Application, error) {
	request = request.withDefaults()
	if err := request.check(); err != nil {
		return Application{}, err
	}
	person, err := tx.PersonByID(request.Person)
	if err != nil {
		return Application{}, err
	}
	may, err := s.mayApply(tx.DB(), person, request, tx.Now())
	if err != nil {
		return Application{}, err
	}
	if err := s.encodable(person, may.policy, tx.Now()); err != nil {
		return Application{}, err
	}
	id, err := tx.NewID()
	if err != nil {
		return Application{}, fmt.Errorf("apply: new id: %w", err)
	}
	row := applicationRow{
		ID: id, PersonID: person.ID, Kind: request.Kind, Place: tx.Actor().Place, State: StateApplied, Method: request.Method,
		Channel: request.Channel, Applicant: request.Applicant, Ground: request.Ground, PreviousID: may.previous,
		EnteredBy: tx.Actor().Operator, CreatedAt: tx.Now(), ChangedAt: tx.Now(),
	}
	if err := s.acting(tx, &row, request.Acting); err != nil {
		return Application{}, err
	}
	demand, err := s.demands.At(row.Place, gb.DayOf(tx.Now()))
	if err != nil {
		return Application{}, err
	}
	if err := demand.allows(row.Channel, EventApply, row.Method); err != nil {
		return Application{}, err
	}
	if request.Draft {
		row.State = StateDraft
	} else if err := s.demanded(tx, demand, person, row); err != nil {
		return Application{}, err
	}
	row.stage(row.State, may.policy, tx.Now())
	if office := tx.Actor().Locality; office != "" {
		row.Locality = &office
	}
	if err := tx.DB().Create(&row).Error; err != nil {
		if errors.Is(err, registry.ErrDuplicate) {
			return Application{}, ErrRunning // another counter was faster
		}
		return Application{}, fmt.Errorf("apply: %w", err)
	}
	if row.State == StateApplied { // nobody waits for a draft
		if err := tellHolder(tx, row.Place, row.PersonID, Notice{Machine: Applications.Name, Event: EventApply, State: row.State}); err != nil {
			return Application{}, err
		}
	}
	detail := map[string]string{"person": person.ID.String(), "kind": row.Kind, "method": row.Method, "channel": row.Channel, "applicant": row.Applicant}
	if row.Ground != "" {
		detail["ground"] = row.Ground
	}
	return row.domain(), tx.Audit("application.apply", "application:"+id.String(), detail)
}

// stage notes when a stage began and when it is to be over (办理时限).
func (r *applicationRow) stage(state string, policy Policy, now time.Time) {
	r.StageSince, r.DueAt = &now, policy.due(state, now)
}

// due is when a stage that begins now is to be over; nil: nobody waits for us.
func (p Policy) due(state string, now time.Time) *time.Time {
	var after time.Duration
	switch state {
	case StateApplied:
		after = time.Duration(p.ReviewHours) * time.Hour
	case StateNumbered, StateBatched, StatePersonalising:
		after = time.Duration(p.MakeDays) * 24 * time.Hour
	case StateMade:
		after = time.Duration(p.CollectDays) * 24 * time.Hour
	default:
		return nil
	}
	due := now.Add(after)
	return &due
}

// CanApply says for what a person may apply. That the chip can hold the name is
// told by Apply, which names the character.
func (s *Service) CanApply(ctx context.Context, personID uuid.UUID) (kinds []string, err error) {
	person, err := s.db.PersonByID(ctx, personID)
	if err != nil {
		return nil, err
	}
	has, err := s.standing(s.db.Read(ctx), person, s.db.Now())
	var refusal *Error
	if errors.As(err, &refusal) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
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

// standing is what decides for what a person may apply.
type standing struct {
	policy  Policy
	today   gb.Date
	cards   []cardRow // that are not cancelled
	running bool      // an application is under way
}

// standing says how a person stands, or why there may be no card at all.
func (s *Service) standing(db *gorm.DB, person registry.Person, now time.Time) (has standing, err error) {
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
	if err := db.Where("person_id = ? AND status <> ?", person.ID, StatusCancelled).Find(&has.cards).Error; err != nil {
		return standing{}, fmt.Errorf("look for cards: %w", err)
	}
	var running int64
	if err := db.Model(&applicationRow{}).Where("person_id = ? AND state IN ?", person.ID, Applications.running()).Count(&running).Error; err != nil {
		return standing{}, fmt.Errorf("look for applications: %w", err)
	}
	has.running = running > 0
	return has, nil
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
func (s *Service) mayApply(db *gorm.DB, person registry.Person, request Request, now time.Time) (entitlement, error) {
	has, err := s.standing(db, person, now)
	if err != nil {
		return entitlement{}, err
	}
	return has.entitled(request)
}

// inPlaceOf finds the card that a new one is to replace among those that are
// not cancelled, or says why there may be no new one. A temporary card stands
// in nobody's way.
func inPlaceOf(cards []cardRow, request Request, policy Policy, today gb.Date) (*uuid.UUID, error) {
	var permanent *cardRow
	for i, c := range cards {
		switch {
		case c.Status == StatusLocked:
			return nil, ErrCardLocked
		case c.Kind == CardTemporary && request.Kind == KindTemporary, c.Kind == CardPermanent && c.Status == StatusSealed:
			return nil, ErrHasCard
		case c.Kind == CardPermanent:
			permanent = &cards[i]
		}
	}
	switch {
	case request.Kind == KindFirst && permanent != nil:
		return nil, ErrHasCard
	case request.Kind == KindTemporary && permanent != nil && permanent.Status != StatusLost:
		return nil, ErrHasCard
	case request.Kind == KindFirst || request.Kind == KindTemporary:
		return nil, nil
	case permanent == nil:
		return nil, ErrNoCard
	case request.Kind == KindReplacement && permanent.Status != StatusLost, request.Kind == KindExchange && permanent.Status != StatusNormal:
		return nil, ErrNoCard
	}
	if request.Kind == KindExchange && request.Ground == "expiring" {
		if expires, err := gb.ParseDate(permanent.ExpiresOn); err != nil || expires.Time(gb.Beijing).AddDate(0, 0, -policy.ExchangeDays).After(today.Time(gb.Beijing)) {
			return nil, ErrNotYet
		}
	}
	return &permanent.ID, nil
}

// running returns the states in which an application keeps its person from
// another one: neither a draft nor what waits for the applicant.
func (m *Machine) running() []string {
	var names []string
	for _, s := range m.States {
		if !s.Final && s.Name != StateDraft && s.Name != StateReturned {
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
	return contents(person, policy, KindFirst, number.String(), now).Check(p)
}

// contents is what the chip is to say of a card and its holder.
func contents(person registry.Person, policy Policy, kind, number string, now time.Time) card.Contents {
	today := now.In(gb.Beijing)
	expires := today.AddDate(policy.ValidYears, 0, 0)
	if kind == KindTemporary {
		expires = today.AddDate(0, 0, policy.TemporaryCardDays)
	}
	return card.Contents{
		CardType: policy.CardType, Issuer: policy.Issuer, IssuedOn: gb.DateOf(today), ExpiresOn: gb.DateOf(expires),
		CardNumber: number, IDNumber: person.IDNumber, Name: person.Name, Sex: person.Sex,
		Ethnic: person.Ethnic, BirthPlace: person.IDNumber.Area(),
	}
}
