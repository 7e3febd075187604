package exchange

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"onecard/registry"
)

// reverseTimeout is how long a back end may take for a query or a reversal.
const reverseTimeout = 10 * time.Second

// maxReason bounds the reason of a reversal, in characters.
const maxReason = 200

// Reverse takes a transaction back (冲正) and returns it as it then stands:
// reversed, or reversing while the back end has not answered; recovery goes on
// until it has. Reversing again is a success, and so is reversing what was
// declined: nothing is booked. A reversal that arrives before its original
// blocks the id, and the original is refused with ErrBlocked.
//
// Only the institution that asked for a transaction may reverse it.
func (s *Service) Reverse(ctx context.Context, actor registry.Actor, id uuid.UUID, reason string) (Transaction, error) {
	var bad Invalid
	if id == uuid.Nil {
		bad.add("id", "缺少交易标识", "the id of the transaction")
	}
	if n := utf8.RuneCountInString(reason); n == 0 || n > maxReason {
		bad.add("reason", "请填写冲正原因，最多 200 字", "a reason of at most 200 characters")
	}
	if len(bad.Fields) > 0 {
		return Transaction{}, &bad
	}
	site, err := s.config.Sites.Site(ctx, actor.Workstation)
	if err != nil {
		return Transaction{}, fmt.Errorf("exchange: site of the terminal: %w", err)
	}
	r, err := s.takeBack(ctx, actor, site, id, reason)
	if err != nil {
		return Transaction{}, err
	}
	if r.State == StateReversing {
		return s.undo(ctx, actor, r)
	}
	return r.transaction()
}

// takeBack records that the transaction is to be reversed, or blocks its id.
func (s *Service) takeBack(ctx context.Context, actor registry.Actor, site Site, id uuid.UUID, reason string) (r row, err error) {
	// errStands leaves a database transaction in which nothing changed.
	errStands := errors.New("stands")
	err = s.config.DB.InTx(ctx, actor, func(tx *registry.Tx) error {
		blocked := row{
			ID: id, State: StateBlocked, Fingerprint: []byte{}, Institution: site.Institution, InstitutionName: site.Name,
			InstitutionKind: site.Kind, InstitutionLevel: site.Level, PlaceOfTreatment: site.Place, Terminal: actor.Workstation,
			ReversalReason: reason, Operator: actor.Operator, CreatedAt: tx.Now(), Deadline: tx.Now(),
		}
		blocked.EndedAt.Time, blocked.EndedAt.Valid = tx.Now(), true
		first, err := insert(tx, &blocked)
		if err != nil {
			return err
		}
		if first {
			r = blocked
			return tx.Audit("transaction.block", subject(id), map[string]string{"institution": site.Institution})
		}
		if r, err = find(tx.DB(), id); err != nil {
			return err
		}
		if r.Institution != site.Institution {
			return ErrNotYours
		}
		if _, applies := next(r.State, eventReverse); !applies {
			return errStands
		}
		if err := fire(tx, r, eventReverse, map[string]any{"reversal_reason": reason}); err != nil {
			return err
		}
		r, err = find(tx.DB(), id)
		return err
	})
	if errors.Is(err, errStands) {
		return r, nil
	}
	if errors.Is(err, errMoved) {
		// Somebody changed the row between the two statements (PostgreSQL): what
		// they made of it is read again. A state is never left twice, so this ends.
		return s.takeBack(ctx, actor, site, id, reason)
	}
	return r, err
}

// undo asks the back end to reverse and posts that it did. Without its answer
// the transaction stays in reversing.
func (s *Service) undo(ctx context.Context, actor registry.Actor, r row) (Transaction, error) {
	_, err := ask(ctx, reverseTimeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.config.Backends[r.Backend].Reverse(ctx, r.ID)
	})
	if err != nil {
		s.config.Logger.WarnContext(ctx, "冲正未完成 reversal not finished", "transaction", r.ID, "backend", r.Backend, "error", err)
		return r.transaction()
	}
	return s.post(ctx, actor, r, eventUndo, nil)
}
