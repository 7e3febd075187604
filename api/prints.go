package api

import (
	"bytes"
	"context"

	"onecard/issuance/prints"
	"onecard/registry"
)

// CardFace implements StrictServerInterface (卡面).
func (s *Server) CardFace(ctx context.Context, request CardFaceRequestObject) (CardFaceResponseObject, error) {
	card, err := s.issuance.Card(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	document, err := s.prints.Face(ctx, callerOf(ctx).actor(), card, nil)
	if err != nil {
		return nil, err
	}
	return CardFace200ApplicationpdfResponse{Body: bytes.NewReader(document), ContentLength: int64(len(document))}, nil
}

// CardPrints implements StrictServerInterface (打印情况).
func (s *Server) CardPrints(ctx context.Context, request CardPrintsRequestObject) (CardPrintsResponseObject, error) {
	card, err := s.issuance.Card(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	state, err := s.prints.Of(ctx, card)
	if err != nil {
		return nil, err
	}
	answer := CardPrints200JSONResponse{Offered: state.Offered, Printed: state.Printed, Attempts: make([]CardPrint, len(state.Attempts))}
	for i, a := range state.Attempts {
		answer.Attempts[i] = printView(a)
	}
	return answer, nil
}

// RecordPrint implements StrictServerInterface (打印结果).
func (s *Server) RecordPrint(ctx context.Context, request RecordPrintRequestObject) (RecordPrintResponseObject, error) {
	told := prints.Told{
		Printer: request.Body.Printer, Outcome: string(request.Body.Outcome),
		Cause: deref(request.Body.Cause, ""), Reason: deref(request.Body.Reason, ""),
	}
	answer, err := once(ctx, s, request.Params.IdempotencyKey, func(tx *registry.Tx) (CardPrint, error) {
		attempt, err := s.prints.Record(tx, request.Id, told)
		return printView(attempt), err
	})
	if err != nil {
		return nil, err
	}
	return RecordPrint201JSONResponse(answer), nil
}

func printView(a prints.Attempt) CardPrint {
	return CardPrint{
		Attempt: a.Number, Printer: a.Printer, Outcome: CardPrintOutcome(a.Outcome), Cause: optional(a.Cause), Reason: optional(a.Reason),
		Operator: a.Operator, At: a.At.UTC(),
	}
}
