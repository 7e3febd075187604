package tell

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/registry"
)

const (
	batch        = 100              // messages of a peer in one turn
	sides        = 4                // of them on their way at once
	lease        = time.Minute      // how long a message that was taken may be on its way
	longestPause = 30 * time.Minute // between two attempts
	limitOfOne   = 30 * time.Second // for one attempt
)

// Carrier hands messages over (通知投递). Several instances may run at once.
type Carrier struct {
	DB *registry.DB
	// Deliverers are the peers that can be reached, by name. What is for others
	// waits.
	Deliverers map[string]Deliverer
	// Place is in whose audit chain it is noted what was handed over.
	Place  string
	Logger *slog.Logger
}

// Run hands messages over until ctx ends. Each peer has its own way: one that
// is silent delays nobody else.
func (c *Carrier) Run(ctx context.Context, pause time.Duration) {
	var group errgroup.Group
	for _, peer := range slices.Sorted(maps.Keys(c.Deliverers)) {
		group.Go(func() error {
			for ctx.Err() == nil {
				n, err := c.Turn(ctx, peer)
				if err != nil && ctx.Err() == nil {
					c.Logger.ErrorContext(ctx, "通知未能投递 messages could not be handed over", "peer", peer, "error", err)
				}
				if n > 0 && err == nil {
					continue // what follows those that went, or did not fit in, is due now
				}
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
			return nil
		})
	}
	_ = group.Wait() // nothing returns an error
}

// Turn hands over what is due for a peer and returns how many messages it tried.
func (c *Carrier) Turn(ctx context.Context, peer string) (int, error) {
	deliverer, ok := c.Deliverers[peer]
	if !ok {
		return 0, nil
	}
	due, err := c.take(ctx, peer)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	ended := make([]Delivery, len(due))
	var group errgroup.Group
	group.SetLimit(sides)
	for i, d := range due {
		group.Go(func() error {
			ended[i] = c.attempt(ctx, deliverer, d)
			return nil
		})
	}
	_ = group.Wait()
	// What was said is written down even when the program is stopping.
	return len(due), c.note(context.WithoutCancel(ctx), peer, ended)
}

func (c *Carrier) actor(peer string) registry.Actor {
	return registry.Actor{Operator: "peer:" + peer, Place: c.Place}
}

// take leases the messages that are due: those of a subject in their order, one
// at a time.
func (c *Carrier) take(ctx context.Context, peer string) (due []Delivery, err error) {
	err = c.DB.InTx(ctx, c.actor(peer), func(tx *registry.Tx) error {
		due = nil
		err := tx.DB().Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"}).
			Where("peer = ? AND state = ? AND next_at <= ?", peer, Waiting, tx.Now()).
			Where("NOT EXISTS (SELECT 1 FROM deliveries earlier WHERE earlier.subject = deliveries.subject AND earlier.peer = deliveries.peer AND earlier.id < deliveries.id AND earlier.state = ?)", Waiting).
			Order("next_at").Limit(batch).Find(&due).Error
		if err != nil || len(due) == 0 {
			return errors.Join(err, errNothing)
		}
		ids := make([]uuid.UUID, len(due))
		for i, d := range due {
			ids[i] = d.ID
		}
		err = tx.DB().Model(&Delivery{}).Where("id IN ?", ids).
			Updates(map[string]any{"attempts": gorm.Expr("attempts + 1"), "next_at": tx.Now().Add(lease)}).Error
		if err != nil {
			return err
		}
		return tx.Audit("tell.taken", "peer:"+peer, map[string]string{"messages": fmt.Sprint(len(due))})
	})
	if errors.Is(err, errNothing) {
		return nil, nil
	}
	return due, err
}

// errNothing ends a transaction in which there was nothing to do.
var errNothing = errors.New("tell: nothing is due")

// attempt tries to hand a message over and returns it as it stands then.
func (c *Carrier) attempt(ctx context.Context, deliverer Deliverer, d Delivery) Delivery {
	d.Attempts++
	ctx, cancel := context.WithTimeout(ctx, limitOfOne)
	defer cancel()
	answer, err := deliverer.Deliver(ctx, d)
	now := c.DB.Now()
	d.Code, d.Answer = answer.Code, answer.Text
	switch {
	case err != nil:
		d.NextAt = now.Add(pauseAfter(d.Attempts))
		if d.Code == "" {
			d.Code = "unreached"
		}
		c.Logger.WarnContext(ctx, "通知未送达，稍后再试 a message was not handed over, it is tried again", "peer", d.Peer, "message", d.ID, "attempt", d.Attempts, "error", err)
	case answer.Acknowledged:
		d.State, d.EndedAt = Acknowledged, &now
	default:
		d.State, d.EndedAt = Refused, &now
	}
	return d
}

// pauseAfter doubles from two seconds.
func pauseAfter(attempts int) time.Duration {
	return min(2*time.Second<<min(attempts-1, 20), longestPause)
}

// note writes down what became of messages.
func (c *Carrier) note(ctx context.Context, peer string, ended []Delivery) error {
	return c.DB.InTx(ctx, c.actor(peer), func(tx *registry.Tx) error {
		counts := map[string]int{}
		byEnd := map[[3]string][]uuid.UUID{}
		for _, d := range ended {
			counts[d.State]++
			if d.State != Waiting {
				end := [3]string{d.State, d.Code, d.Answer}
				byEnd[end] = append(byEnd[end], d.ID)
				continue
			}
			err := tx.DB().Model(&Delivery{}).Where("id = ? AND state = ?", d.ID, Waiting).
				Updates(map[string]any{"next_at": d.NextAt, "code": d.Code, "answer": d.Answer}).Error
			if err != nil {
				return fmt.Errorf("tell: %w", err)
			}
		}
		for end, ids := range byEnd {
			err := tx.DB().Model(&Delivery{}).Where("id IN ? AND state = ?", ids, Waiting).
				Updates(map[string]any{"state": end[0], "code": end[1], "answer": end[2], "ended_at": tx.Now()}).Error
			if err != nil {
				return fmt.Errorf("tell: %w", err)
			}
		}
		detail := map[string]string{}
		for state, n := range counts {
			detail[state] = fmt.Sprint(n)
		}
		return tx.Audit("tell.carried", "peer:"+peer, detail)
	})
}
