package issuance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/registry"
)

// timerBatch is how many cards one turn of a timer looks at.
const timerBatch = 200

// timer is something that happens by itself, in time (到期自动办理).
type timer struct {
	event string
	due   func(s *Service, db *gorm.DB, now time.Time) *gorm.DB
}

var timers = []timer{
	{EventEndLoss, func(_ *Service, db *gorm.DB, now time.Time) *gorm.DB {
		return db.Where("status = ? AND loss_ends_at <= ?", StatusTempLost, now)
	}},
	{EventLapse, func(s *Service, db *gorm.DB, now time.Time) *gorm.DB {
		// The shortest time anywhere; each card's own is asked before it is moved.
		return db.Where("status = ? AND changed_at <= ?", StatusLost, now.AddDate(0, 0, -s.policies.shortestLapse()))
	}},
	{EventExpire, func(_ *Service, db *gorm.DB, now time.Time) *gorm.DB {
		return db.Where("kind = ? AND status = ? AND expires_on <= ?", CardTemporary, StatusNormal, gb.DayOf(now).String())
	}},
}

// Clock lets what is due happen, and tells holders before it does. It returns
// how much happened. It may run anywhere, any number of times: each thing
// happens once.
func (s *Service) Clock(ctx context.Context, place string) (int, error) {
	actor := registry.Actor{Operator: "timer", Place: place}
	happened, err := s.warn(ctx, actor)
	if err != nil {
		return happened, err
	}
	for _, t := range timers {
		if t.event == EventLapse && s.policies.shortestLapse() == 0 {
			continue
		}
		// A card that may not move yet would be found again: it is passed over.
		after := uuid.Nil
		for {
			var due []cardRow
			err := t.due(s, s.db.Read(ctx), s.db.Now()).Where("id > ?", after).Order("id").Limit(timerBatch).Find(&due).Error
			if err != nil {
				return happened, fmt.Errorf("timer %s: %w", t.event, err)
			}
			for _, row := range due {
				after = row.ID
				moved, err := s.fireTimer(ctx, actor, t, row.ID)
				if err != nil {
					return happened, fmt.Errorf("timer %s: %w", t.event, err)
				}
				if moved {
					happened++
				}
			}
			if len(due) < timerBatch {
				break
			}
		}
	}
	return happened, nil
}

// fireTimer moves a card if it is still due.
func (s *Service) fireTimer(ctx context.Context, actor registry.Actor, t timer, id uuid.UUID) (moved bool, err error) {
	err = s.db.InTx(ctx, actor, func(tx *registry.Tx) error {
		var rows []cardRow
		if err := t.due(s, tx.ForUpdate(), tx.Now()).Where("id = ?", id).Find(&rows).Error; err != nil {
			return err
		}
		if len(rows) == 0 {
			return errNotDue
		}
		row := rows[0]
		if over, err := s.timeIsOver(tx, t, row); err != nil || !over {
			return errors.Join(err, errNotDue)
		}
		about, err := aboutCard(tx, &row)
		if err != nil {
			return err
		}
		rule, reason, err := s.permitted(&Cards, tx, row.Status, about, Asked{Event: t.event, by: ByTimer})
		var refusal *Error
		if errors.As(err, &refusal) {
			return errNotDue // something stands in its way, such as a replacement
		}
		if err != nil {
			return err
		}
		return s.moveCard(tx, &row, rule, reason, Asked{Event: t.event, Channel: "timer"})
	})
	if errors.Is(err, errNotDue) {
		return false, nil
	}
	return err == nil, err
}

var errNotDue = errors.New("issuance: not due")

// timeIsOver asks the policy of the holder's own place.
func (s *Service) timeIsOver(tx *registry.Tx, t timer, row cardRow) (bool, error) {
	if t.event != EventLapse {
		return true, nil
	}
	place, err := tx.PlaceOf(row.PersonID)
	if err != nil {
		return false, err
	}
	policy, err := s.policy(place, tx.Now())
	if err != nil {
		return false, err
	}
	return policy.LapseDays > 0 && !row.Stamp.At.AddDate(0, 0, policy.LapseDays).After(tx.Now()), nil
}

// shortestLapse is the least of the days after which lost cards are cancelled;
// 0: nowhere.
func (all Policies) shortestLapse() int {
	shortest := 0
	for _, p := range all {
		if p.LapseDays > 0 && (shortest == 0 || p.LapseDays < shortest) {
			shortest = p.LapseDays
		}
	}
	return shortest
}

// warn tells holders that their temporary loss report is about to end (到期预告).
func (s *Service) warn(ctx context.Context, actor registry.Actor) (told int, err error) {
	for {
		var due []cardRow
		horizon := s.db.Now().Add(s.policies.longestNotice())
		err := s.db.Read(ctx).Where("status = ? AND loss_ends_at <= ? AND loss_warned_at IS NULL", StatusTempLost, horizon).
			Order("loss_ends_at").Limit(timerBatch).Find(&due).Error
		if err != nil {
			return told, fmt.Errorf("loss reports about to end: %w", err)
		}
		warned := 0
		for _, row := range due {
			done, err := s.warnOf(ctx, actor, row.ID)
			if err != nil {
				return told, err
			}
			if done {
				warned++
			}
		}
		told += warned
		if len(due) < timerBatch || warned == 0 {
			return told, nil
		}
	}
}

func (s *Service) warnOf(ctx context.Context, actor registry.Actor, id uuid.UUID) (bool, error) {
	err := s.db.InTx(ctx, actor, func(tx *registry.Tx) error {
		row, err := lockCard(tx, id)
		if err != nil {
			return err
		}
		place, err := tx.PlaceOf(row.PersonID)
		if err != nil {
			return err
		}
		policy, err := s.policy(place, tx.Now())
		if err != nil {
			return err
		}
		notice := time.Duration(policy.LossNoticeHours) * time.Hour
		if row.Status != StatusTempLost || row.LossEndsAt == nil || tx.Now().Before(row.LossEndsAt.Add(-notice)) {
			return errNotDue
		}
		marked := tx.DB().Model(&cardRow{}).Where("id = ? AND loss_warned_at IS NULL", id).
			Updates(tx.Change(map[string]any{"loss_warned_at": tx.Now()}, ""))
		if marked.Error != nil {
			return marked.Error
		}
		if marked.RowsAffected == 0 {
			return errNotDue
		}
		if err := tellHolder(tx, place, row.PersonID, Notice{Machine: Cards.Name, Event: "lossEnding", State: row.Status, Until: row.LossEndsAt}); err != nil {
			return err
		}
		return tx.Audit("card.lossEnding", "card:"+id.String(), nil)
	})
	if errors.Is(err, errNotDue) {
		return false, nil
	}
	return err == nil, err
}

// longestNotice is the longest time before the end at which a holder is told.
func (all Policies) longestNotice() time.Duration {
	longest := 0
	for _, p := range all {
		longest = max(longest, p.LossNoticeHours)
	}
	return time.Duration(longest) * time.Hour
}

// RunClock lets what is due happen, every pause, until ctx ends.
func (s *Service) RunClock(ctx context.Context, place string, pause time.Duration, logger *slog.Logger) {
	for ctx.Err() == nil {
		happened, err := s.Clock(ctx, place)
		if err != nil && ctx.Err() == nil {
			logger.ErrorContext(ctx, "到期事项未能办理 what is due could not be done", "error", err)
		} else if happened > 0 {
			logger.InfoContext(ctx, "到期事项已办理 what was due is done", "number", happened)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
