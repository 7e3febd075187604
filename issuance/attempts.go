package issuance

import (
	"context"
	"slices"

	"onecard/registry"
)

// EventResume: a supervisor has looked at a chip that did not authenticate
// (恢复认证). It changes no status, so it is no line of the machine.
const EventResume = "resume"

var resume = Rule{Event: EventResume, Roles: supervisors, Text: Text{"恢复认证", "resume authentication"}}

// askAgain lets a card's chip be asked again.
func (s *Service) askAgain(tx *registry.Tx, row cardRow, roles []string) (Card, error) {
	if !resume.Allows(roles) {
		return Card{}, ErrNoRight
	}
	if err := s.sessions.ClearAttempts(tx, row.ATR); err != nil {
		return Card{}, err
	}
	if err := tx.Audit("card."+EventResume, "card:"+row.ID.String(), nil); err != nil {
		return Card{}, err
	}
	return row.domain()
}

// floor is the least number of authentications in a row at which some place
// stops.
func (s *Service) floor() int {
	least := slices.MinFunc(s.policies, func(a, b Policy) int { return a.Attempts - b.Attempts })
	return least.Attempts
}

// markHeld marks the cards whose chips are not asked any more.
func (s *Service) markHeld(ctx context.Context, cards []Card) error {
	atrs := make([]string, len(cards))
	for i, c := range cards {
		atrs[i] = c.ATR
	}
	held, err := s.sessions.Held(ctx, atrs, s.floor())
	for i := range cards {
		cards[i].Held = slices.Contains(held, cards[i].ATR)
	}
	return err
}
