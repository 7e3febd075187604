package terminal

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"onecard/api/client"
	"onecard/internal/signed"
)

// InvalidList is the list of cards that must not be used (失效名单), as this
// terminal knows it, with its age. It is fetched in full once and then by its
// changes, each page signed by the province.
type InvalidList struct {
	mu     sync.RWMutex
	roots  *x509.CertPool
	latest int64
	cards  map[string]string // grade by chip identification
	at     time.Time
}

// NewInvalidList returns an empty list of no age, which takes what is signed
// under roots.
func NewInvalidList(roots *x509.CertPool) *InvalidList {
	return &InvalidList{roots: roots, cards: map[string]string{}}
}

// Contains says whether the card with this identification (卡识别码) is on the
// list.
func (l *InvalidList) Contains(chipID string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, found := l.cards[chipID]
	return found
}

// Known returns how many cards are on the list and when the province said so
// last; the zero time: never.
func (l *InvalidList) Known() (cards int, at time.Time) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.cards), l.at
}

// Refresh takes the changes since the last time, page after page.
func (l *InvalidList) Refresh(ctx context.Context, platform Platform) error {
	for {
		l.mu.RLock()
		since := l.latest
		l.mu.RUnlock()
		token, err := platform.invalidCards(ctx, since)
		if err != nil {
			return err
		}
		latest, err := l.take(token, since)
		if err != nil {
			return err
		}
		if latest <= since {
			return nil
		}
	}
}

func (p Platform) invalidCards(ctx context.Context, since int64) (string, error) {
	answer, err := p.API.InvalidCardsWithResponse(ctx, &client.InvalidCardsParams{Since: &since}, p.authorise)
	if err != nil {
		return "", ErrOffline.Because(err)
	}
	list, err := answered(answer.JSON200, answer.ApplicationproblemJSONDefault)
	return list.Signed, err
}

// page is what the province signs.
type page struct {
	IssuedAt time.Time `json:"issuedAt"`
	Since    int64     `json:"since"`
	Latest   int64     `json:"latest"`
	Entries  []struct {
		ChipID string `json:"chipId"`
		Status string `json:"status"`
		Grade  string `json:"grade"`
	} `json:"entries"`
}

// take enters a page of changes. One that is not the province's, that goes on
// from elsewhere, or that is older than what is known, changes nothing.
func (l *InvalidList) take(token string, since int64) (int64, error) {
	var p page
	payload, err := signed.Open(token, l.roots, func(payload []byte) (time.Time, error) {
		err := json.Unmarshal(payload, &p)
		return p.IssuedAt, err
	})
	if err != nil {
		return 0, ErrList.Because(err)
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return 0, ErrList.Because(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.Since != since || l.latest != since || p.IssuedAt.Before(l.at) {
		return 0, ErrList.Because(fmt.Errorf("a page after %d of %s, where one after %d was asked for", p.Since, p.IssuedAt, since))
	}
	for _, entry := range p.Entries {
		if entry.Grade == "" {
			delete(l.cards, entry.ChipID)
		} else {
			l.cards[entry.ChipID] = entry.Grade
		}
	}
	l.latest, l.at = p.Latest, p.IssuedAt
	return p.Latest, nil
}
