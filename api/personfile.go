package api

import (
	"context"

	"onecard/issuance"
	"onecard/registry"
)

// maxApplications bounds those of one person in an answer.
const maxApplications = 100

// Person implements StrictServerInterface (人员详情): the person with
// applications and cards, and what the operator may do with each.
func (s *Server) Person(ctx context.Context, request PersonRequestObject) (PersonResponseObject, error) {
	who := callerOf(ctx)
	person, err := s.db.PersonByID(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	applications, err := s.issuance.Applications(ctx, issuance.Filter{PersonID: person.ID, Limit: maxApplications})
	if err != nil {
		return nil, err
	}
	cards, err := s.issuance.CardsOf(ctx, person.ID)
	if err != nil {
		return nil, err
	}
	kinds := []string{}
	if who.operator.Has(registry.RoleClerk) {
		if kinds, err = s.issuance.CanApply(ctx, person.ID); err != nil {
			return nil, err
		}
	}
	answer := Person200JSONResponse{
		Person: s.personView(person), Applications: []Application{}, Cards: []Card{},
		MayApply: append([]string{}, kinds...),
	}
	for _, application := range applications {
		answer.Applications = append(answer.Applications, s.applicationView(who, application, person.Name))
	}
	for _, card := range cards {
		answer.Cards = append(answer.Cards, s.cardView(who, card))
	}
	return answer, s.db.RecordRead(ctx, who.actor(), purposeView, person.ID)
}
