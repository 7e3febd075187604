package terminal

import (
	"context"
	"sync"
	"time"

	"onecard/api/client"
)

// InvalidList is the list of cards that must not be used (失效名单), as this
// terminal knows it, with its age. It is fetched in full once and then by its
// changes.
type InvalidList struct {
	mu     sync.RWMutex
	latest int64
	cards  map[string]string // status by chip identification
	at     time.Time
}

// NewInvalidList returns an empty list of no age.
func NewInvalidList() *InvalidList { return &InvalidList{cards: map[string]string{}} }

// Contains says whether the card with this identification (卡识别码) is on the
// list.
func (l *InvalidList) Contains(chipID string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, found := l.cards[chipID]
	return found
}

// Refresh takes the changes since the last time, page after page.
func (l *InvalidList) Refresh(ctx context.Context, platform Platform, now time.Time) error {
	for {
		l.mu.RLock()
		since := l.latest
		l.mu.RUnlock()
		changes, err := platform.invalidCards(ctx, since)
		if err != nil {
			return err
		}
		l.take(changes, now)
		if changes.Latest <= since {
			return nil
		}
	}
}

func (p Platform) invalidCards(ctx context.Context, since int64) (client.InvalidCardList, error) {
	answer, err := p.API.InvalidCardsWithResponse(ctx, &client.InvalidCardsParams{Since: &since}, p.authorise)
	if err != nil {
		return client.InvalidCardList{}, ErrOffline.Because(err)
	}
	return answered(answer.JSON200, answer.ApplicationproblemJSONDefault)
}

// take enters a page of changes.
func (l *InvalidList) take(changes client.InvalidCardList, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, entry := range changes.Entries {
		if entry.Status == "1" || entry.Status == "0" {
			delete(l.cards, entry.ChipId)
		} else {
			l.cards[entry.ChipId] = entry.Status
		}
	}
	l.latest, l.at = changes.Latest, now
}
