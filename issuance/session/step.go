package session

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"onecard/apdu"
	"onecard/card"
	"onecard/registry"
)

// Step takes the answers to script seq and returns the next script, or the
// end. An error of the operation that is the chip's doing ends the session; any
// other (keeper out of reach, a number of the wrong form, the database) leaves
// it as it was.
func (s *Store) Step(ctx context.Context, actor registry.Actor, id uuid.UUID, seq int, responses []apdu.Response, pin string) (Turn, error) {
	r, err := s.find(ctx, actor, id)
	if err != nil {
		return Turn{}, err
	}
	asked, err := s.digest(ctx, seq, responses, pin)
	if err != nil {
		return Turn{}, err
	}
	same := subtle.ConstantTimeCompare(asked, r.Asked) == 1
	switch {
	case same && seq == r.Seq-1 && (r.Status == statusOpen || r.Status == statusDone):
		return s.stored(ctx, r)
	case same && seq == r.Seq && r.Status == statusFailed:
		return Turn{}, s.refusedAgain(ctx, actor, r, card.Input{Responses: responses, PIN: pin})
	case r.Status != statusOpen || s.config.DB.Now().After(r.ExpiresAt):
		return Turn{}, ErrEnded
	case seq != r.Seq:
		return Turn{}, ErrStep
	}
	work, err := s.restore(ctx, r)
	if err != nil {
		return Turn{}, err
	}
	last, err := s.stored(ctx, r)
	if err != nil {
		return Turn{}, err
	}
	heard := answers{asked: asked, script: last.Script, responses: responses}
	script, err := work.Next(ctx, s.config.Keeper, card.Input{Responses: responses, PIN: pin})
	if err != nil {
		return Turn{}, s.refuse(ctx, actor, r, heard, err)
	}
	turn, err := s.advance(ctx, actor, *r, heard, script, work)
	var refused *Refused
	switch {
	case errors.Is(err, errRaced):
		return s.raced(ctx, actor, id, seq, asked)
	case errors.As(err, &refused):
		return Turn{}, s.refuse(ctx, actor, r, heard, err)
	}
	return turn, err
}

// answers are what a chip said to a script, with their digest.
type answers struct {
	asked     []byte
	script    *card.Script
	responses []apdu.Response
}

// find returns a session that belongs to the actor.
func (s *Store) find(ctx context.Context, actor registry.Actor, id uuid.UUID) (*row, error) {
	var r row
	if err := s.config.DB.Read(ctx).Where("id = ?", id).Take(&r).Error; err != nil {
		return nil, err
	}
	if r.Operator != actor.Operator || r.Workstation != actor.Workstation {
		return nil, ErrBound
	}
	return &r, nil
}

// restore brings the operation back to life.
func (s *Store) restore(ctx context.Context, r *row) (Work, error) {
	state, err := s.get(ctx, r, "state", r.State)
	if err != nil {
		return nil, err
	}
	restored, err := card.Restore(s.config.Profiles, r.Work, state)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	work, ok := restored.(Work)
	if !ok {
		return nil, fmt.Errorf("session: operation %s cannot be driven by a session", r.Work)
	}
	return work, nil
}

// errRaced: the session is no longer where it was read.
var errRaced = errors.New("session: the step was taken meanwhile")

// advance stores a step: first it claims it, so that of two at once only one
// draws consequences.
func (s *Store) advance(ctx context.Context, actor registry.Actor, r row, heard answers, script *card.Script, work Work) (Turn, error) {
	age := r.ExpiresAt.Sub(r.ChangedAt)
	var turn Turn
	err := s.config.DB.InTx(ctx, actor, func(tx *registry.Tx) error {
		next := r
		next.ChangedAt, next.ExpiresAt = tx.Now(), tx.Now().Add(age)
		claim := tx.DB().Model(&row{}).Where("id = ? AND seq = ? AND status = ?", r.ID, r.Seq, statusOpen).
			Updates(map[string]any{"seq": r.Seq + 1, "asked": heard.asked, "changed_at": next.ChangedAt, "expires_at": next.ExpiresAt})
		if claim.Error != nil {
			return fmt.Errorf("session: claim step: %w", claim.Error)
		}
		if claim.RowsAffected != 1 {
			return errRaced
		}
		if err := answered(tx, r.ATR, heard.script, heard.responses); err != nil {
			return err
		}
		if err := asking(tx, r.ATR, script, r.Attempts); err != nil {
			return err
		}
		var err error
		if turn, err = s.turn(tx, &next, r.Seq+1, script, work); err != nil {
			return err
		}
		stored := tx.DB().Model(&row{}).Where("id = ?", r.ID).
			Updates(map[string]any{"status": next.Status, "state": next.State, "answer": next.Answer})
		if stored.Error != nil {
			return fmt.Errorf("session: store step: %w", stored.Error)
		}
		return tx.Audit("chip."+r.Operation+".step", r.ID.String(), map[string]string{"seq": strconv.Itoa(r.Seq + 1), "status": next.Status})
	})
	return turn, err
}

// raced answers a step that another one overtook: the same answers get what
// that one got.
func (s *Store) raced(ctx context.Context, actor registry.Actor, id uuid.UUID, seq int, asked []byte) (Turn, error) {
	r, err := s.find(ctx, actor, id)
	switch {
	case err != nil:
		return Turn{}, err
	case r.Seq == seq+1 && subtle.ConstantTimeCompare(asked, r.Asked) == 1:
		return s.stored(ctx, r)
	case r.Status != statusOpen:
		return Turn{}, ErrEnded
	}
	return Turn{}, ErrStep
}

// finding says whether an error of an operation is what the chip did or is:
// such an operation cannot go on. The code is for the audit log.
func finding(err error) (code string, ok bool) {
	var known *card.Error
	var step *card.StepError
	var differs *card.ReadBackError
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		return refused.Code, true
	case errors.Is(err, card.ErrPINFormat):
		return "", false
	case errors.As(err, &known):
		return known.Code, true
	case errors.As(err, &differs):
		return "read-back", true
	case errors.As(err, &step):
		var status *apdu.StatusError
		if errors.As(err, &status) {
			return "refused-" + status.SW.String(), true
		}
		return "refused", true
	case errors.Is(err, apdu.ErrMalformed):
		return "malformed", true
	}
	return "", false
}

// refuse closes a session whose chip refused, on record, and hands the error
// on.
func (s *Store) refuse(ctx context.Context, actor registry.Actor, r *row, heard answers, refusal error) error {
	code, final := finding(refusal)
	if !final {
		return refusal
	}
	err := s.config.DB.InTx(ctx, actor, func(tx *registry.Tx) error {
		result := tx.DB().Model(&row{}).Where("id = ? AND seq = ? AND status = ?", r.ID, r.Seq, statusOpen).
			Updates(map[string]any{"status": statusFailed, "asked": heard.asked, "changed_at": tx.Now()})
		if result.Error != nil {
			return fmt.Errorf("session: close: %w", result.Error)
		}
		if err := answered(tx, r.ATR, heard.script, heard.responses); err != nil {
			return err
		}
		return tx.Audit("chip."+r.Operation+".failed", r.ID.String(), map[string]string{"seq": strconv.Itoa(r.Seq), "code": code, "subject": r.Subject})
	})
	return errors.Join(refusal, err)
}

// refusedAgain finds the refusal once more: the same answers to the same state.
func (s *Store) refusedAgain(ctx context.Context, actor registry.Actor, r *row, in card.Input) error {
	work, err := s.restore(ctx, r)
	if err != nil {
		return err
	}
	script, err := work.Next(ctx, s.config.Keeper, in)
	switch {
	case err != nil:
		return err
	case script != nil:
		return ErrEnded
	}
	return s.config.DB.InTx(ctx, actor, func(tx *registry.Tx) error {
		if _, err := s.config.Finish(tx, r.session(), work); err != nil {
			return err
		}
		return ErrEnded // it would be accepted now; the session stays what it was
	})
}
