package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"onecard/registry"
)

// once lets change happen once for an idempotency key of the operator and
// returns its answer, or the stored answer when the request came before.
func once[T any](ctx context.Context, s *Server, key string, change func(tx *registry.Tx) (T, error)) (T, error) {
	var answer T
	who := callerOf(ctx)
	stored, _, err := s.db.Once(ctx, who.actor(), key, who.request, func(tx *registry.Tx) (any, error) {
		return change(tx)
	})
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(stored, &answer); err != nil {
		return answer, fmt.Errorf("api: stored answer: %w", err)
	}
	return answer, nil
}

// errFresh leaves the transaction in which a key proved to be new.
var errFresh = errors.New("api: the idempotency key is new")

// onceAround is once for work that makes transactions of its own. Between its
// end and the storing of the answer the platform may stop: work must give the
// same answer when it is done again at once.
func onceAround[T any](ctx context.Context, s *Server, key, action string, work func() (T, string, error)) (T, error) {
	answer, err := once(ctx, s, key, func(*registry.Tx) (T, error) {
		var none T
		return none, errFresh
	})
	if !errors.Is(err, errFresh) {
		return answer, err
	}
	answer, subject, err := work()
	if err != nil {
		return answer, err
	}
	return once(ctx, s, key, func(tx *registry.Tx) (T, error) {
		return answer, tx.Audit(action, subject, nil)
	})
}
