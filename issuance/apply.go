package issuance

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

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
	row, lacks, err := s.application(tx, request)
	if err = cmp.Or(err, lacks); err != nil {
		return Application{}, err
	}
	rows := []applicationRow{row}
	if err := s.enter(tx, rows); err != nil {
		return Application{}, err
	}
	return rows[0].domain(), nil
}

// application is what is asked for as it would be entered: with the state that
// it begins in, and what it lacks to be applied for.
func (s *Service) application(tx *registry.Tx, request Request) (row applicationRow, lacks, err error) {
	person, err := tx.PersonByID(request.Person)
	if err != nil {
		return row, nil, err
	}
	row, demand, err := s.form(tx, person, request)
	if err != nil {
		return row, nil, err
	}
	may, err := s.mayApply(tx, person, Request{Kind: row.Kind, Ground: row.Ground})
	if err != nil {
		return row, nil, err
	}
	row.PreviousID, row.State = may.previous, StateDraft
	if !request.Draft {
		switch err := s.demanded(tx, demand, person, row); {
		case err == nil:
			row.State = StateApplied
		case errors.Is(err, ErrMissing), errors.Is(err, ErrNeedsGuardian):
			lacks = err
		default:
			return row, nil, err
		}
	}
	row.stage(row.State, may.policy, tx.Now())
	return row, lacks, nil
}

// form fills in the form of an application for a person, or says what keeps
// the person from applying whatever the records say besides.
func (s *Service) form(tx *registry.Tx, person registry.Person, request Request) (row applicationRow, demand Demand, err error) {
	request = request.withDefaults()
	if err := request.check(); err != nil {
		return row, demand, err
	}
	has, err := s.fit(person, tx.Now())
	if err != nil {
		return row, demand, err
	}
	if err := s.encodable(person, has.policy, tx.Now()); err != nil {
		return row, demand, err
	}
	id, err := tx.NewID()
	if err != nil {
		return row, demand, fmt.Errorf("apply: new id: %w", err)
	}
	row = applicationRow{
		ID: id, PersonID: person.ID, Kind: request.Kind, Place: tx.Actor().Place, Method: request.Method,
		Channel: request.Channel, Applicant: request.Applicant, Ground: request.Ground,
		EnteredBy: tx.Actor().Operator, CreatedAt: tx.Now(), ChangedAt: tx.Now(), MinistryState: questionNone,
	}
	if office := tx.Actor().Locality; office != "" {
		row.Locality = &office
	}
	if err := s.acting(tx, &row, request.Acting); err != nil {
		return row, demand, err
	}
	if demand, err = s.demands.At(row.Place, gb.DayOf(tx.Now())); err != nil {
		return row, demand, err
	}
	return row, demand, demand.allows(row.Channel, EventApply, row.Method)
}

// enter writes applications down, with their audit records and what their
// holders are told.
func (s *Service) enter(tx *registry.Tx, rows []applicationRow) error {
	if len(rows) == 0 {
		return nil
	}
	for i := range rows {
		changes := map[string]any{}
		if rows[i].State == StateApplied {
			if err := s.question(tx, rows[i], changes); err != nil {
				return err
			}
		}
		rows[i].take(changes)
	}
	if err := tx.DB().Create(&rows).Error; err != nil {
		if errors.Is(err, registry.ErrDuplicate) {
			return ErrRunning // another counter was faster
		}
		return fmt.Errorf("apply: %w", err)
	}
	for _, row := range rows {
		if row.State == StateApplied { // nobody waits for a draft
			if err := tellHolder(tx, row.Place, row.PersonID, Notice{Machine: Applications.Name, Event: EventApply, State: row.State}); err != nil {
				return err
			}
		}
		detail := map[string]string{"person": row.PersonID.String(), "kind": row.Kind, "method": row.Method, "channel": row.Channel, "applicant": row.Applicant}
		if row.Ground != "" {
			detail["ground"] = row.Ground
		}
		if err := tx.Audit("application.apply", "application:"+row.ID.String(), detail); err != nil {
			return err
		}
	}
	return nil
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
