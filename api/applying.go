package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/registry"
	"onecard/registry/portrait"
)

// acting reads who brings an application.
func acting(agent *Agent, institution, from, until *string) (issuance.Acting, error) {
	a := issuance.Acting{Institution: deref(institution, "")}
	var err1, err2 error
	a.ValidFrom, err1 = dateOf("validFrom", from)
	a.ValidUntil, err2 = dateOf("validUntil", until)
	if agent != nil {
		a.Agent = &issuance.Agent{
			Name: agent.Name, IDType: deref(agent.IdType, ""), Number: agent.Number, Authorisation: deref(agent.Authorisation, ""),
			Phone: deref(agent.Phone, ""), Relation: deref(agent.Relation, ""),
		}
	}
	return a, cmp.Or(err1, err2)
}

// Application implements StrictServerInterface (申领详情).
func (s *Server) Application(ctx context.Context, request ApplicationRequestObject) (ApplicationResponseObject, error) {
	who := callerOf(ctx)
	var answer ApplicationFile
	err := s.db.InTx(ctx, who.actor(), func(tx *registry.Tx) error {
		if err := s.ownApplication(tx, who, request.Id); err != nil {
			return err
		}
		application, err := s.issuance.ApplicationIn(tx, request.Id)
		if err != nil {
			return err
		}
		agent, err := s.issuance.AgentOf(tx, request.Id)
		if err != nil {
			return err
		}
		if agent != nil {
			answer.Agent = &Agent{
				Name: agent.Name, IdType: optional(agent.IDType), Number: agent.Number, Authorisation: optional(agent.Authorisation),
				Phone: optional(agent.Phone), Relation: optional(agent.Relation),
			}
		}
		answer.ValidFrom, answer.ValidUntil = dayText(application.ValidFrom), dayText(application.ValidUntil)
		lacks, err := s.issuance.Missing(tx, request.Id)
		switch {
		case errors.Is(err, issuance.ErrNeedsGuardian):
			lacks = []issuance.Text{{ZH: issuance.ErrNeedsGuardian.Text.ZH, EN: issuance.ErrNeedsGuardian.Text.EN}}
		case err != nil:
			return err
		}
		answer.Missing = make([]Text, len(lacks))
		for i, t := range lacks {
			answer.Missing[i] = Text{Zh: t.ZH, En: t.EN}
		}
		answer.Application, err = s.applicationIn(tx, application)
		return err
	})
	if err != nil {
		return nil, err
	}
	return Application200JSONResponse(answer), nil
}

func dayText(date gb.Date) *string {
	if date.IsZero() {
		return nil
	}
	return new(date.String())
}

// changeApplication changes an application of the operator's place.
func (s *Server) changeApplication(ctx context.Context, id uuid.UUID, key string, change func(tx *registry.Tx, who caller) (issuance.Application, error)) (Application, error) {
	who := callerOf(ctx)
	return once(ctx, s, key, func(tx *registry.Tx) (Application, error) {
		if err := s.ownApplication(tx, who, id); err != nil {
			return Application{}, err
		}
		application, err := change(tx, who)
		if err != nil {
			return Application{}, err
		}
		return s.applicationIn(tx, application)
	})
}

// AmendApplication implements StrictServerInterface (补正).
func (s *Server) AmendApplication(ctx context.Context, request AmendApplicationRequestObject) (AmendApplicationResponseObject, error) {
	body := request.Body
	bringing, err := acting(body.Agent, body.Institution, body.ValidFrom, body.ValidUntil)
	if err != nil {
		return nil, err
	}
	to := issuance.Amendment{Method: deref(body.Method, ""), Applicant: deref(body.Applicant, ""), Acting: bringing}
	answer, err := s.changeApplication(ctx, request.Id, request.Params.IdempotencyKey, func(tx *registry.Tx, who caller) (issuance.Application, error) {
		return s.issuance.Amend(tx, request.Id, to, who.operator.Roles)
	})
	return AmendApplication200JSONResponse(answer), err
}

// ConfirmProof implements StrictServerInterface (校样确认).
func (s *Server) ConfirmProof(ctx context.Context, request ConfirmProofRequestObject) (ConfirmProofResponseObject, error) {
	answer, err := s.changeApplication(ctx, request.Id, request.Params.IdempotencyKey, func(tx *registry.Tx, _ caller) (issuance.Application, error) {
		return s.issuance.ConfirmProof(tx, request.Id, request.Body.Digest)
	})
	return ConfirmProof200JSONResponse(answer), err
}

// ProofPicture implements StrictServerInterface (校样).
func (s *Server) ProofPicture(ctx context.Context, request ProofPictureRequestObject) (ProofPictureResponseObject, error) {
	who := callerOf(ctx)
	var proof issuance.ProofPicture
	var person uuid.UUID
	err := s.db.InTx(ctx, who.actor(), func(tx *registry.Tx) error {
		if err := s.ownApplication(tx, who, request.Id); err != nil {
			return err
		}
		application, err := s.issuance.ApplicationIn(tx, request.Id)
		if err != nil {
			return err
		}
		person = application.PersonID
		proof, err = s.issuance.ProofPicture(tx, request.Id)
		return err
	})
	if err != nil {
		return nil, err
	}
	answer := ProofPicture200JSONResponse{
		Name: proof.Name, NameTibetan: optional(proof.NameTibetan), IdNumber: proof.Number, Digest: optional(proof.Digest),
		Findings: []PhotoFinding{}, ConfirmedAt: proof.ConfirmedAt, ConfirmedBy: optional(proof.ConfirmedBy),
	}
	if proof.Photo == nil {
		return answer, nil
	}
	attachment, content, err := s.db.OpenAttachment(ctx, who.actor(), person, *proof.Photo, "")
	if err != nil {
		return nil, err
	}
	findings, err := portrait.CheckFile(content)
	if err != nil {
		return nil, fmt.Errorf("photograph on record: %w", err)
	}
	answer.Photo, answer.MediaType, answer.Findings = &content, &attachment.MediaType, photoView(findings)
	return answer, nil
}

func photoView(findings []portrait.Finding) []PhotoFinding {
	view := make([]PhotoFinding, len(findings))
	for i, f := range findings {
		view[i] = PhotoFinding{Code: f.Code, Level: f.Level, Text: Text{Zh: f.ZH, En: f.EN}}
	}
	return view
}

// FireApplications implements StrictServerInterface (批量办理).
func (s *Server) FireApplications(ctx context.Context, request FireApplicationsRequestObject) (FireApplicationsResponseObject, error) {
	event := &Event{Event: request.Body.Event, ReasonCode: request.Body.ReasonCode, Reason: request.Body.Reason}
	who := callerOf(ctx)
	scope, err := s.db.Scope(ctx, who.operator.Reach())
	if err != nil {
		return nil, err
	}
	answer, err := once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (answer BulkOutcome, err error) {
		outcomes, err := s.issuance.FireAll(tx, request.Body.Ids, asked(event, who), scope, errOtherPlace)
		answer.Outcomes = make([]BulkItem, len(outcomes))
		for i, outcome := range outcomes {
			item := BulkItem{Id: request.Body.Ids[i]}
			if outcome.Refused == nil {
				item.State = &outcome.Application.State
			} else {
				item.Problem = new(problemOf(outcome.Refused))
			}
			answer.Outcomes[i] = item
		}
		return answer, err
	})
	return FireApplications200JSONResponse(answer), err
}

// Queues implements StrictServerInterface (待办统计).
func (s *Server) Queues(ctx context.Context, request QueuesRequestObject) (QueuesResponseObject, error) {
	own := callerOf(ctx).operator.Reach()
	place := deref(request.Params.Place, own)
	if err := s.within(ctx, own, place); err != nil {
		return nil, err
	}
	queues, err := s.issuance.Queues(ctx, place)
	if err != nil {
		return nil, err
	}
	answer := Queues200JSONResponse{Place: place, Queues: make([]QueueState, len(queues))}
	for i, q := range queues {
		text := issuance.Applications.State(q.State).Text
		answer.Queues[i] = QueueState{
			State: q.State, Text: Text{Zh: text.ZH, En: text.EN}, Open: q.Open, Overdue: q.Overdue, DueSoon: q.DueSoon, Most: issuance.QueueCounted, Oldest: q.Oldest,
		}
	}
	return answer, nil
}

// within refuses a place that does not lie in one's own.
func (s *Server) within(ctx context.Context, own, place string) error {
	scope, err := s.db.Scope(ctx, own)
	if err != nil {
		return err
	}
	const county = 6
	if !scope.Covers(place[:county], place) {
		return errOtherPlace
	}
	return nil
}
