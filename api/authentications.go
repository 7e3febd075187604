package api

import (
	"context"

	"onecard/exchange/authentication"
)

// Authenticate implements StrictServerInterface (安全认证).
func (s *Server) Authenticate(ctx context.Context, request AuthenticateRequestObject) (AuthenticateResponseObject, error) {
	b := request.Body
	text := func(p *string) string { return deref(p, "") }
	answer, err := s.authentication.Authenticate(ctx, asker(ctx), request.Params.IdempotencyKey, callerOf(ctx).request, authentication.Message{
		Service: b.Service, Area: b.Area, ATR: b.Atr, Algorithm: b.Algorithm, CardID: b.CardId, Key: text(b.Key),
		InternalFactor: text(b.InternalFactor), InternalOriginal: text(b.InternalOriginal),
		ExternalFactor: text(b.ExternalFactor), ExternalOriginal: text(b.ExternalOriginal),
		Factor: text(b.Factor), Command: text(b.Command), PIN: text(b.Pin),
		TerminalSerial: text(b.TerminalSerial), Random: text(b.Random), CardSerial: text(b.CardSerial), Amounts: text(b.Amounts),
		TradeType: text(b.TradeType), TerminalNumber: text(b.TerminalNumber), Time: text(b.Time), Terminal: text(b.Terminal),
	})
	if err != nil {
		return nil, err
	}
	return Authenticate200JSONResponse(authenticationView(answer)), nil
}

// AuthenticateMessage implements StrictServerInterface (安全认证报文).
func (s *Server) AuthenticateMessage(ctx context.Context, request AuthenticateMessageRequestObject) (AuthenticateMessageResponseObject, error) {
	answer, err := s.authentication.AuthenticateLine(ctx, asker(ctx), request.Params.IdempotencyKey, callerOf(ctx).request, request.Body.Message)
	if err != nil {
		return nil, err
	}
	return AuthenticateMessage200JSONResponse(authenticationView(answer)), nil
}

// asker is the caller as the authentication service knows it.
func asker(ctx context.Context) authentication.Caller {
	who := callerOf(ctx)
	return authentication.Caller{Workstation: who.workstation, Operator: who.operator}
}

func authenticationView(a authentication.Answer) Authentication {
	view := Authentication{
		Internal: optional(a.Internal), External: optional(a.External), Command: optional(a.Command),
		TerminalSerial: optional(a.TerminalSerial), Time: optional(a.Time), Mac1: optional(a.MAC1), Mac2: optional(a.MAC2), Tac: optional(a.TAC),
		Message: a.Line, CardStatus: optional(a.Status),
	}
	if a.Status != "" {
		words := text(a.StatusText)
		view.CardStatusText = &words
	}
	return view
}
