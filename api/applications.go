package api

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"

	"onecard/issuance"
	"onecard/registry"
)

// pageLimit is the length of a page of applications unless asked otherwise.
const pageLimit = 50

// FindApplications implements StrictServerInterface (申领列表): those entered in
// the operator's place and below it. The names that it shows are recorded as
// read.
func (s *Server) FindApplications(ctx context.Context, request FindApplicationsRequestObject) (FindApplicationsResponseObject, error) {
	who := callerOf(ctx)
	asked := request.Params
	found, err := s.issuance.Applications(ctx, issuance.Filter{
		Place: who.operator.Reach(), State: cmp.Or(deref(asked.Queue, ""), deref(asked.State, "")), After: deref(asked.After, uuid.Nil),
		Limit: deref(asked.Limit, pageLimit), Kind: deref(asked.Kind, ""), Method: deref(asked.Method, ""),
		Due: asked.Queue != nil, AfterDue: asked.AfterDue, Overdue: deref(asked.Overdue, false),
	})
	if err != nil {
		return nil, err
	}
	answer := FindApplications200JSONResponse{Applications: make([]Application, len(found))}
	if len(found) == 0 {
		return answer, nil
	}
	var shown []uuid.UUID
	for i, application := range found {
		person, err := s.db.PersonByID(ctx, application.PersonID)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(shown, person.ID) {
			shown = append(shown, person.ID)
		}
		answer.Applications[i] = s.applicationView(who, application, person.Name)
	}
	return answer, s.db.RecordRead(ctx, who.actor(), purposeList, shown...)
}

// Apply implements StrictServerInterface (申领).
func (s *Server) Apply(ctx context.Context, request ApplyRequestObject) (ApplyResponseObject, error) {
	body := request.Body
	bringing, err := acting(body.Agent, body.Institution, body.ValidFrom, body.ValidUntil)
	if err != nil {
		return nil, err
	}
	answer, err := once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (Application, error) {
		application, err := s.issuance.Apply(tx, issuance.Request{
			Person: body.PersonId, Kind: string(body.Kind), Ground: deref(body.Ground, ""), Channel: deref(body.Channel, ""),
			Method: string(deref(body.Method, "")), Applicant: string(deref(body.Applicant, "")), Draft: deref(body.Draft, false), Acting: bringing,
		})
		if err != nil {
			return Application{}, err
		}
		return s.applicationIn(tx, application)
	})
	if err != nil {
		return nil, err
	}
	return Apply201JSONResponse(answer), nil
}

// FireApplication implements StrictServerInterface (办理).
func (s *Server) FireApplication(ctx context.Context, request FireApplicationRequestObject) (FireApplicationResponseObject, error) {
	answer, err := s.changeApplication(ctx, request.Id, request.Params.IdempotencyKey, func(tx *registry.Tx, who caller) (issuance.Application, error) {
		return s.issuance.Fire(tx, request.Id, asked(request.Body, who))
	})
	if err != nil {
		return nil, err
	}
	return FireApplication200JSONResponse(answer), nil
}

// ownApplication refuses an application that was not entered in the operator's
// place or below it: who may list it may decide it.
func (s *Server) ownApplication(tx *registry.Tx, who caller, id uuid.UUID) error {
	scope, err := s.db.Scope(tx.Context(), who.operator.Reach())
	if err != nil {
		return err
	}
	inside, err := issuance.EnteredIn(tx, id, scope)
	if err == nil && !inside {
		return errOtherPlace
	}
	return err
}

// applicationIn shows an application as the transaction sees it.
func (s *Server) applicationIn(tx *registry.Tx, application issuance.Application) (Application, error) {
	person, err := tx.PersonByID(application.PersonID)
	if err != nil {
		return Application{}, err
	}
	return s.applicationView(callerOf(tx.Context()), application, person.Name), nil
}

func (s *Server) applicationView(who caller, a issuance.Application, name string) Application {
	state := issuance.Applications.State(a.State)
	return Application{
		Id: a.ID, PersonId: a.PersonID, PersonName: name, Kind: a.Kind, State: a.State, Method: optional(a.Method), Applicant: optional(a.Applicant),
		Ground: optional(a.Ground), PreviousCardId: a.PreviousID, Since: new(a.Since.UTC()), Due: a.Due,
		Overdue: new(a.Due != nil && a.Due.Before(s.db.Now())), Channel: optional(a.Channel), Institution: optional(a.Institution),
		HasAgent: &a.HasAgent, ConfirmedAt: a.ConfirmedAt, Ministry: s.ministryView(a),
		StateText:  Text{Zh: state.Text.ZH, En: state.Text.EN},
		CardNumber: optional(a.CardNumber), CardId: a.CardID, EnteredBy: a.EnteredBy, EnteredAt: a.CreatedAt.UTC(),
		ReviewedBy: optional(a.ReviewedBy), Reason: optional(a.Reason),
		Events: allowedEvents(s.issuance.ApplicationEvents(a, who.operator.Login, who.operator.Roles)),
	}
}

// ministryView shows what the ministry has said of the applicant, and whether
// the review waits for it.
func (s *Server) ministryView(a issuance.Application) *MinistryAnswer {
	demand, err := s.issuance.MinistryDemand(a.Place)
	if err != nil {
		return nil // no policy holds there: nothing is asked
	}
	text := issuance.Questions.State(a.Ministry).Text
	return &MinistryAnswer{
		Demand: MinistryAnswerDemand(demand), State: a.Ministry, Text: Text{Zh: text.ZH, En: text.EN}, Province: optional(a.MinistryProvince), At: a.MinistryAt,
	}
}

// AskMinistry implements StrictServerInterface (重新查重).
func (s *Server) AskMinistry(ctx context.Context, request AskMinistryRequestObject) (AskMinistryResponseObject, error) {
	answer, err := s.changeApplication(ctx, request.Id, request.Params.IdempotencyKey, func(tx *registry.Tx, _ caller) (issuance.Application, error) {
		return s.issuance.AskMinistry(tx, request.Id)
	})
	if err != nil {
		return nil, err
	}
	return AskMinistry200JSONResponse(answer), nil
}

// allowedWorks shows the chip work that the operator may do now.
func allowedWorks(works []issuance.Work) []AllowedEvent {
	events := make([]AllowedEvent, len(works))
	for i, work := range works {
		events[i] = AllowedEvent{Event: work.Name, Text: Text{Zh: work.Text.ZH, En: work.Text.EN}, Chip: work.Name, Work: new(true), Final: &work.Final}
	}
	return events
}

// allowedEvents shows what the workflow's table lets the operator do now.
func allowedEvents(rules []issuance.Rule) []AllowedEvent {
	events := make([]AllowedEvent, len(rules))
	for i, rule := range rules {
		events[i] = AllowedEvent{
			Event: rule.Event, Text: Text{Zh: rule.Text.ZH, En: rule.Text.EN}, Chip: rule.Chip, NeedsReason: new(rule.Reasons != ""),
		}
		if list := issuance.Reasons[rule.Reasons]; list != nil {
			codes := make([]ReasonCode, len(list))
			for j, reason := range list {
				codes[j] = ReasonCode{Code: reason.Code, Text: Text{Zh: reason.Text.ZH, En: reason.Text.EN}}
			}
			events[i].Reasons = &codes
		}
	}
	return events
}
