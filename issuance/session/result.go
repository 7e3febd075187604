package session

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
)

// Result returns a session that has ended and what its work came to, as its owner
// returned it from Finish; nothing for one that has not ended well.
func (s *Store) Result(ctx context.Context, id uuid.UUID) (Session, json.RawMessage, error) {
	var r row
	if err := s.config.DB.Read(ctx).Where("id = ?", id).Take(&r).Error; err != nil {
		return Session{}, nil, err
	}
	about := r.session()
	if !about.Done {
		return about, nil, nil
	}
	turn, err := s.stored(ctx, &r)
	return about, turn.Result, err
}
