package api

import (
	"context"
	"errors"

	"onecard/registry"
)

// SignIn implements StrictServerInterface (登录).
func (s *Server) SignIn(ctx context.Context, request SignInRequestObject) (SignInResponseObject, error) {
	station := callerOf(ctx).workstation
	session, err := s.db.Authenticate(ctx, request.Body.Login, request.Body.Password, station.ID)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, errUnknownWorkstation // taken out of use a moment ago
	}
	if err != nil {
		return nil, err
	}
	return SignIn200JSONResponse{
		Token: session.Token, ExpiresAt: session.ExpiresAt,
		Operator: operatorView(session.Operator, station),
	}, nil
}

// SignOut implements StrictServerInterface (退出).
func (s *Server) SignOut(ctx context.Context, _ SignOutRequestObject) (SignOutResponseObject, error) {
	who := callerOf(ctx)
	if err := s.db.SignOut(ctx, who.token, who.workstation.ID); err != nil {
		return nil, err
	}
	return SignOut204Response{}, nil
}

// Me implements StrictServerInterface (当前经办人).
func (s *Server) Me(ctx context.Context, _ MeRequestObject) (MeResponseObject, error) {
	who := callerOf(ctx)
	return Me200JSONResponse(operatorView(who.operator, who.workstation)), nil
}

func operatorView(o registry.Operator, station registry.Workstation) Operator {
	return Operator{
		Login: o.Login, Name: o.Name, Roles: o.Roles, May: allowedTo(o), Place: o.Place,
		Institution: o.Institution, Workstation: station.ID,
	}
}
