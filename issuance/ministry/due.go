package ministry

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

const (
	page      = 500             // cards in one turn
	together  = 4               // messages on their way at once
	patience  = 2 * time.Minute // before what was sent without an answer is sent again
	lookBack  = time.Hour       // for changes of status that nobody told of
	failLimit = 20              // messages without an answer, then the ministry is left alone
)

// Due returns cards that the ministry must be told of, after a card, in the order
// of their ids: never told, told without an answer, known to be stale; and those
// whose status changed lately while the ministry has an older one.
func (s *Service) Due(ctx context.Context, after uuid.UUID, most int) (cards []uuid.UUID, err error) {
	now := s.DB.Now()
	waiting := s.DB.Read(ctx).Table("cards c").Joins("LEFT JOIN ministry_copies m ON m.card_id = c.id").
		Where("c.production IN ('made', 'inspected') AND c.id > ?", after).
		Where("c.ministry_state IN ('unsent', 'unknown', 'stale') OR (c.ministry_state = 'sent' AND m.sent_at < ?)", now.Add(-patience)).
		Order("c.id").Limit(most)
	if err := waiting.Pluck("c.id", &cards).Error; err != nil || len(cards) == most {
		return cards, err
	}
	var changed []uuid.UUID
	err = s.DB.Read(ctx).Table("card_status_log l").Joins("JOIN cards c ON c.id = l.card_id").Joins("JOIN ministry_copies m ON m.card_id = c.id").
		Where("l.id > ? AND c.ministry_state = 'accepted' AND m.status <> c.status AND c.id > ?", firstID(now.Add(-lookBack)), after).
		Distinct().Limit(most-len(cards)).Pluck("l.card_id", &changed).Error
	return append(cards, changed...), err
}

// firstID is the first id (UUID version 7) of an instant.
func firstID(at time.Time) (id uuid.UUID) {
	ms := uint64(at.UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6], id[8] = 0x70, 0x80
	return id
}

// Counts is what became of messages.
type Counts struct{ Told, Refused, Unanswered int }

// Resend tells the ministry of all cards that are due, several at once. A
// ministry that does not answer is left alone after a few.
func (s *Service) Resend(ctx context.Context) (counts Counts, err error) {
	var after uuid.UUID
	for {
		due, err := s.Due(ctx, after, page)
		if err != nil || len(due) == 0 {
			return counts, err
		}
		for len(due) > 0 {
			n := min(len(due), failLimit)
			some, err := s.tellAll(ctx, due[:n])
			counts.Told += some.Told
			counts.Refused += some.Refused
			counts.Unanswered += some.Unanswered
			if err != nil || counts.Unanswered >= failLimit {
				return counts, err
			}
			for _, id := range due[:n] {
				if id.String() > after.String() {
					after = id
				}
			}
			due = due[n:]
		}
	}
}

func (s *Service) tellAll(ctx context.Context, cards []uuid.UUID) (counts Counts, err error) {
	ends := make([]Counts, len(cards))
	var group errgroup.Group
	group.SetLimit(together)
	for i, card := range cards {
		group.Go(func() error {
			answer, err := s.Tell(ctx, card)
			switch {
			case errors.Is(err, ErrNoAnswer):
				ends[i].Unanswered++
			case err != nil:
				return err
			case answer.Acknowledged:
				ends[i].Told++
			default:
				ends[i].Refused++
			}
			return nil
		})
	}
	err = group.Wait()
	for _, end := range ends {
		counts.Told += end.Told
		counts.Refused += end.Refused
		counts.Unanswered += end.Unanswered
	}
	return counts, err
}

// State counts the cards by the state of the ministry's copy.
func (s *Service) State(ctx context.Context) (map[string]int64, error) {
	var rows []struct {
		State string `gorm:"column:ministry_state"`
		N     int64  `gorm:"column:n"`
	}
	err := s.DB.Read(ctx).Table("cards").Where("production IN ('made', 'inspected')").Select("ministry_state, count(*) AS n").Group("ministry_state").Find(&rows).Error
	counts := map[string]int64{}
	for _, row := range rows {
		counts[row.State] = row.N
	}
	return counts, err
}

// A Trouble is a card that somebody must look at.
type Trouble struct {
	Card   string `gorm:"column:number"`
	State  string `gorm:"column:ministry_state"`
	Code   string `gorm:"column:code"`
	Answer string `gorm:"column:answer"`
}

// Troubles returns the cards that the ministry did not take, after a card number.
func (s *Service) Troubles(ctx context.Context, after string, most int) (troubles []Trouble, err error) {
	return troubles, s.DB.Read(ctx).Table("cards c").Joins("JOIN ministry_copies m ON m.card_id = c.id").
		Where("c.ministry_state IN ('duplicate', 'rejected') AND c.number > ?", after).
		Select("c.number, c.ministry_state, m.code, m.answer").Order("c.number").Limit(most).Find(&troubles).Error
}
