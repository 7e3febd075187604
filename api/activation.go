package api

import (
	"context"

	"onecard/issuance"
	"onecard/issuance/bank"
	"onecard/registry"
)

// CardActivation implements StrictServerInterface (两项激活).
func (s *Server) CardActivation(ctx context.Context, request CardActivationRequestObject) (CardActivationResponseObject, error) {
	card, err := s.issuance.Card(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	answer, err := s.activationView(ctx, card)
	return CardActivation200JSONResponse(answer), err
}

// AskActivation implements StrictServerInterface (再请银行激活).
func (s *Server) AskActivation(ctx context.Context, request AskActivationRequestObject) (AskActivationResponseObject, error) {
	_, err := once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (struct{}, error) {
		return struct{}{}, bank.AskActivation(tx, request.Id)
	})
	if err != nil {
		return nil, err
	}
	card, err := s.issuance.Card(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	answer, err := s.activationView(ctx, card)
	return AskActivation200JSONResponse(answer), err
}

// activationView shows both halves of a card's activation. The first is the
// card's own status: no bank has a part in it.
func (s *Server) activationView(ctx context.Context, c issuance.Card) (CardActivation, error) {
	a, err := bank.ActivationOf(ctx, s.db, c)
	if err != nil {
		return CardActivation{}, err
	}
	financial := FinancialActivation{
		State: FinancialActivationState(a.State), Text: Text{Zh: a.Text().ZH, En: a.Text().EN}, Pending: a.Pending(), Askable: c.Status == issuance.StatusNormal && a.Askable(),
		Bank: optional(a.Bank), BankName: optional(a.Name), Code: optional(a.Code), Words: optional(a.Words),
	}
	if !a.At.IsZero() {
		financial.Since = new(a.At.UTC())
	}
	return CardActivation{
		Social:    SocialActivation{Done: c.Status != issuance.StatusSealed && c.Custody == "holder", Status: c.Status, Text: statusText(c.Status)},
		Financial: financial,
	}, nil
}
