package issuance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"onecard/internal/gb"
	"onecard/registry"
)

// Acting is who brings an application and what identifies the holder.
type Acting struct {
	Agent       *Agent // who acts for the holder
	Institution string // for which institution
	ValidFrom   gb.Date
	ValidUntil  gb.Date
}

// LongTerm is the end of a document that is valid without end (长期).
var LongTerm = gb.DateOf(time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC))

// Agent is who acts for a holder (代办人): a guardian who has no record in the
// holder's file, or somebody with an authorisation. It holds personal data and
// is kept sealed.
type Agent struct {
	Name          string `json:"name"`
	IDType        string `json:"idType"` // empty: the identity card
	Number        string `json:"number"`
	Authorisation string `json:"authorisation,omitempty"` // 委托书编号
	Phone         string `json:"phone,omitempty"`
	Relation      string `json:"relation,omitempty"` // to the holder, in words or one of registry.GuardianRelations
}

// LogValue returns nothing of the agent.
func (Agent) LogValue() slog.Value { return slog.StringValue("agent") }

const columnAgent = "applications.agent"

const (
	maxAgentWord  = 64
	maxAgentPhone = 20
)

// told brings an agent into the form in which it is stored.
func (a Agent) told() (Agent, error) {
	person, err := registry.CheckNamed(a.IDType, a.Number, a.Name)
	if err != nil {
		var field *registry.FieldError
		if errors.As(err, &field) {
			return Agent{}, &registry.FieldError{Field: "agent." + field.Field, ZH: field.ZH, EN: field.EN}
		}
		return Agent{}, err
	}
	for field, text := range map[string]string{"authorisation": a.Authorisation, "relation": a.Relation} {
		if len([]rune(text)) > maxAgentWord {
			return Agent{}, &registry.FieldError{Field: "agent." + field, ZH: "最多 64 个字符", EN: "at most 64 characters"}
		}
	}
	if len(a.Phone) > maxAgentPhone {
		return Agent{}, &registry.FieldError{Field: "agent.phone", ZH: "应为电话号码", EN: "a telephone number"}
	}
	a.Name, a.IDType, a.Number = person.Name, person.IDType, person.Number()
	return a, nil
}

// acting notes on an application who brings it.
func (s *Service) acting(tx *registry.Tx, row *applicationRow, who Acting) error {
	if who.Agent != nil {
		agent, err := who.Agent.told()
		if err != nil {
			return err
		}
		plain, err := json.Marshal(agent)
		if err != nil {
			return fmt.Errorf("agent: %w", err)
		}
		if row.AgentSealed, err = s.db.Seal(tx.Context(), columnAgent, row.ID.String(), plain); err != nil {
			return err
		}
	}
	if who.Institution != "" {
		if err := institutionOf(tx, row.Applicant, who.Institution); err != nil {
			return err
		}
		row.Institution = &who.Institution
	}
	if !who.ValidFrom.IsZero() && !who.ValidUntil.IsZero() && who.ValidUntil.Before(who.ValidFrom) {
		return &registry.FieldError{Field: "validUntil", ZH: "不能早于起始日期", EN: "not before validFrom"}
	}
	for column, date := range map[**string]gb.Date{&row.ValidFrom: who.ValidFrom, &row.ValidUntil: who.ValidUntil} {
		if !date.IsZero() {
			*column = new(date.String())
		}
	}
	return nil
}

// institutionKey is under which a transaction keeps the kind of an institution
// that it has read.
type institutionKey struct{ id string }

// institutionOf refuses an institution of another kind than the applicant is.
func institutionOf(tx *registry.Tx, applicant, id string) error {
	kind, read := tx.Value(institutionKey{id}).(string)
	if !read {
		if err := tx.DB().Table("institutions").Select("kind").Where("id = ?", id).Limit(1).Scan(&kind).Error; err != nil {
			return fmt.Errorf("institution: %w", err)
		}
		tx.SetValue(institutionKey{id}, kind)
	}
	if kind == "" || slices.Contains(institutional, applicant) && kind != applicant {
		return &registry.FieldError{Field: "institution", ZH: "应为与申领人类别相符的已登记机构", EN: "an institution on record, of the applicant's kind"}
	}
	return nil
}

// Amendment changes what a draft or a returned application says; what is zero
// stays as it is.
type Amendment struct {
	Method, Applicant string
	Acting
}

// Amend changes a draft or a returned application (补正). Errors: ErrNotAllowed in
// any other state, ErrNoRight for who may not submit it.
func (s *Service) Amend(tx *registry.Tx, id uuid.UUID, to Amendment, roles []string) (Application, error) {
	row, err := lockApplication(tx, id)
	if err != nil {
		return Application{}, err
	}
	submit, ok := Applications.Rule(row.State, map[string]string{StateDraft: EventSubmit, StateReturned: EventResubmit}[row.State])
	switch {
	case !ok:
		return Application{}, ErrNotAllowed
	case !submit.Allows(roles):
		return Application{}, ErrNoRight
	}
	request := Request{Kind: row.Kind, Ground: row.Ground, Method: row.Method, Applicant: row.Applicant}
	for told, into := range map[string]*string{to.Method: &request.Method, to.Applicant: &request.Applicant} {
		if told != "" {
			*into = told
		}
	}
	if err := request.check(); err != nil {
		return Application{}, err
	}
	row.Method, row.Applicant = request.Method, request.Applicant
	if err := s.acting(tx, &row, to.Acting); err != nil {
		return Application{}, err
	}
	changes := map[string]any{
		"method": row.Method, "applicant": row.Applicant, "agent_sealed": row.AgentSealed, "institution": row.Institution,
		"valid_from": row.ValidFrom, "valid_until": row.ValidUntil, "changed_at": tx.Now(),
	}
	if err := tx.DB().Model(&applicationRow{}).Where("id = ? AND state = ?", id, row.State).Updates(changes).Error; err != nil {
		return Application{}, fmt.Errorf("amend: %w", err)
	}
	return row.domain(), tx.Audit("application.amend", "application:"+id.String(), map[string]string{"method": row.Method, "applicant": row.Applicant})
}

// AgentOf returns who acts for the holder, or nil. Who asked is on record.
func (s *Service) AgentOf(tx *registry.Tx, id uuid.UUID) (*Agent, error) {
	var row applicationRow
	if err := tx.DB().Where("id = ?", id).Take(&row).Error; err != nil {
		return nil, err
	}
	agent, err := s.agent(tx.Context(), row)
	if err != nil {
		return nil, err
	}
	return agent, tx.Audit("application.read", "application:"+id.String(), map[string]string{"agent": fmt.Sprint(agent != nil)})
}

func (s *Service) agent(ctx context.Context, row applicationRow) (*Agent, error) {
	if row.AgentSealed == nil {
		return nil, nil
	}
	plain, err := s.db.Unseal(ctx, columnAgent, row.ID.String(), row.AgentSealed)
	if err != nil {
		return nil, err
	}
	var agent Agent
	if err := json.Unmarshal(plain, &agent); err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	return &agent, nil
}

// throughChannel refuses what the channel may not ask for. What no hand fires
// comes through none.
func (s *Service) throughChannel(tx *registry.Tx, ask Asked) error {
	if ask.by != "" || ask.chip {
		return nil
	}
	demand, err := s.demands.At(tx.Actor().Place, gb.DayOf(tx.Now()))
	if err != nil {
		return err
	}
	return demand.allows(ask.Channel, ask.Event, "")
}

// Missing lists what an application lacks of what is demanded of it.
func (s *Service) Missing(tx *registry.Tx, id uuid.UUID) ([]Text, error) {
	var row applicationRow
	if err := tx.DB().Where("id = ?", id).Take(&row).Error; err != nil {
		return nil, err
	}
	demand, err := s.demands.At(row.Place, gb.DayOf(tx.Now()))
	if err != nil {
		return nil, err
	}
	person, err := tx.PersonByID(row.PersonID)
	if err != nil {
		return nil, err
	}
	return s.lacks(tx, demand, person, row)
}

// demanded refuses an application that lacks something.
func (s *Service) demanded(tx *registry.Tx, demand Demand, person registry.Person, row applicationRow) error {
	things, err := s.lacks(tx, demand, person, row)
	if err != nil {
		return err
	}
	if len(things) > 0 {
		return missing(things)
	}
	return nil
}

func (s *Service) lacks(tx *registry.Tx, demand Demand, person registry.Person, row applicationRow) ([]Text, error) {
	if len(demand.Channels) == 0 {
		return nil, nil // nothing is demanded
	}
	policy, err := s.policy(row.Place, tx.Now())
	if err != nil {
		return nil, err
	}
	today := gb.DayOf(tx.Now())
	age := person.Birth.Age(today)
	if age < policy.GuardianAge && !slices.Contains(demand.Minors, row.Applicant) {
		return nil, ErrNeedsGuardian
	}
	things, err := s.actorLacks(tx, row)
	if err != nil {
		return nil, err
	}
	if age >= demand.ValidityAge {
		switch until := dateOf(row.ValidUntil); {
		case row.ValidFrom == nil || row.ValidUntil == nil:
			things = append(things, Text{"证件有效期起止日期", "the dates of the document's validity"})
		case until.Before(today), today.Before(dateOf(row.ValidFrom)):
			things = append(things, Text{"有效期内的证件", "a document that is valid today"})
		}
	}
	brought, err := tx.Brought(person.ID)
	if err != nil {
		return nil, err
	}
	for _, paper := range demand.Papers {
		asked := len(paper.Applicants) == 0 || slices.Contains(paper.Applicants, row.Applicant)
		if !asked || paper.PhotoAge && age < policy.PhotoAge {
			continue
		}
		if !slices.ContainsFunc(paper.Any, func(kind string) bool { return slices.Contains(brought.Kinds, kind) }) {
			things = append(things, paper.text())
		}
	}
	return things, nil
}

// text names a paper.
func (p Paper) text() (t Text) {
	for _, k := range registry.AttachmentKinds() {
		if !slices.Contains(p.Any, k.Kind) {
			continue
		}
		if t != (Text{}) {
			t = Text{t.ZH + "或", t.EN + " or "}
		}
		t = Text{t.ZH + k.ZH, t.EN + k.EN}
	}
	return t
}

// actorLacks lists what is missing of who acts.
func (s *Service) actorLacks(tx *registry.Tx, row applicationRow) ([]Text, error) {
	agent, err := s.agent(tx.Context(), row)
	if err != nil {
		return nil, err
	}
	switch {
	case row.Applicant == "guardian" && (agent == nil || agent.Relation == ""):
		on, err := tx.HasGuardian(row.PersonID, gb.DayOf(tx.Now()))
		if err != nil || on {
			return nil, err
		}
		return []Text{{"监护人", "the guardian"}}, nil
	case row.Applicant == "agent" && agent == nil:
		return []Text{{"代办人", "the agent"}, {"委托书编号", "the number of the authorisation"}}, nil
	case row.Applicant == "agent" && agent.Authorisation == "":
		return []Text{{"委托书编号", "the number of the authorisation"}}, nil
	case slices.Contains(institutional, row.Applicant) && row.Institution == nil:
		return []Text{{"申领单位", "the institution"}}, nil
	}
	return nil, nil
}
