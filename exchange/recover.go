package exchange

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"onecard/registry"
)

// lateReason is recorded when recovery reverses (冲正原因).
const lateReason = "超时或中断，系统自动冲正 no answer in time: reversed by the system"

// batch is how many open transactions recovery reads at once, and giveUp after
// how many failures in a row it leaves a silent back end alone for a while.
const (
	batch  = 100
	giveUp = 3
)

// Run recovers at once and then at intervals, each back end by itself, so that
// a silent one holds nobody up; after failures the pauses double up to MaxDelay.
// It returns when ctx ends.
func (s *Service) Run(ctx context.Context) {
	var lanes sync.WaitGroup
	for name := range s.config.Backends {
		lanes.Go(func() { s.runLane(ctx, &lane{service: s, backend: name}) })
	}
	lanes.Wait()
}

func (s *Service) runLane(ctx context.Context, l *lane) {
	pause := s.config.Interval
	for {
		if err := l.pass(ctx, giveUp); err == nil {
			pause = s.config.Interval
		} else {
			pause = min(2*pause, s.config.MaxDelay)
			s.config.Logger.WarnContext(ctx, "未决交易恢复受阻 recovery is held up", "backend", l.backend, "pause", pause, "error", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// Recover tries once to bring every open transaction to its end. What is still
// open afterwards is told by the error. It may run beside Submit, Reverse, Run
// and other processes: every step starts from a state that only one of them
// can leave, and back ends repeat their answers.
func (s *Service) Recover(ctx context.Context) error {
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(s.config.Backends)) {
		failed = append(failed, (&lane{service: s, backend: name}).pass(ctx, 0))
	}
	return errors.Join(failed...)
}

// lane is recovery of one back end's transactions. after is where the next pass
// begins, so that a few that always fail do not keep the others waiting.
type lane struct {
	service *Service
	backend string
	after   uuid.UUID
}

// pass walks through the open transactions once and stops after limit failures
// in a row, 0 for never. A pending transaction is left alone until its deadline.
func (l *lane) pass(ctx context.Context, limit int) error {
	var failed []error
	streak := 0
	for {
		var rows []row
		err := l.service.config.DB.Read(ctx).
			Where("backend = ? AND state IN ('pending', 'unknown', 'reversing') AND id > ?", l.backend, l.after).
			Order("id").Limit(batch).Find(&rows).Error
		if err != nil {
			return fmt.Errorf("exchange: open transactions of %s: %w", l.backend, err)
		}
		for _, r := range rows {
			l.after = r.ID
			if r.State == StatePending && l.service.config.Now().Before(r.Deadline) {
				continue
			}
			if err := l.service.settle(ctx, r); err == nil {
				streak = 0
				continue
			} else if streak++; len(failed) < batch {
				failed = append(failed, err)
			}
			if limit > 0 && streak == limit {
				return errors.Join(failed...)
			}
		}
		if len(rows) < batch {
			l.after = uuid.Nil
			return errors.Join(failed...)
		}
	}
}

// errOpen means that a transaction has no end yet.
var errOpen = errors.New("exchange: the transaction is still open")

// settle takes one open transaction to its end, step by step.
func (s *Service) settle(ctx context.Context, r row) error {
	actor := system(r.PlaceOfTreatment)
	for range transitions {
		var err error
		switch r.State {
		case StatePending:
			_, err = s.post(ctx, actor, r, eventLose, nil)
		case StateUnknown:
			err = s.inquire(ctx, actor, r)
		case StateReversing:
			_, err = s.undo(ctx, actor, r)
		}
		if err != nil {
			return err
		}
		before := r.State
		if r, err = find(s.config.DB.Read(ctx), r.ID); err != nil {
			return err
		}
		if !r.State.Open() {
			return nil
		}
		if r.State == before {
			break
		}
	}
	return fmt.Errorf("%w: %s is %s", errOpen, r.ID, r.State)
}

// inquire asks the back end what became of an unknown transaction. Declined is
// an end. Anything else is reversed: what was booked late was never told to the
// terminal as done, and what never arrived must not arrive any more.
func (s *Service) inquire(ctx context.Context, actor registry.Actor, r row) error {
	outcome, err := ask(ctx, reverseTimeout, func(ctx context.Context) (Outcome, error) {
		return s.config.Backends[r.Backend].Query(ctx, r.ID)
	})
	if err != nil {
		return fmt.Errorf("exchange: ask about %s: %w", r.ID, err)
	}
	if outcome.Result == Declined && outcome.Check(r.TotalFen) == nil {
		reason, err := encode(outcome.Reason)
		if err != nil {
			return err
		}
		_, err = s.post(ctx, actor, r, eventDecline, map[string]any{"refusal": reason})
		return err
	}
	_, err = s.post(ctx, actor, r, eventReverse, map[string]any{"reversal_reason": lateReason})
	return err
}
