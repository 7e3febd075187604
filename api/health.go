package api

import "context"

// Health implements StrictServerInterface (存活).
func (s *Server) Health(context.Context, HealthRequestObject) (HealthResponseObject, error) {
	return Health200JSONResponse{Status: "ok"}, nil
}

// Ready implements StrictServerInterface (就绪): the database answers.
func (s *Server) Ready(ctx context.Context, _ ReadyRequestObject) (ReadyResponseObject, error) {
	if err := s.db.Ping(ctx); err != nil {
		return nil, err
	}
	return Ready200JSONResponse{Status: "ok"}, nil
}
