package issuance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"onecard/registry"
)

// Proof is what a finished reading has shown of a card (鉴权凭证). It holds for
// the workstation where the card was read; whether the card is in force is
// another question ([Service.CardStatus]).
type Proof struct {
	CardID      uuid.UUID
	PersonID    uuid.UUID
	CardNumber  string
	Workstation string
	At          time.Time // of the reading
	Genuine     bool
}

// Proof returns what a finished reading has shown. ErrNoProof: there is no such
// session, it is not a finished reading, or it is older than the policy allows.
func (s *Service) Proof(ctx context.Context, sessionID uuid.UUID) (Proof, error) {
	about, err := s.sessions.Get(ctx, sessionID)
	if errors.Is(err, registry.ErrNotFound) {
		return Proof{}, ErrNoProof
	}
	if err != nil {
		return Proof{}, err
	}
	policy, err := s.policy(about.Place, about.ChangedAt)
	if err != nil {
		return Proof{}, err
	}
	if !about.Done || about.Operation != operationRead || s.db.Now().Sub(about.ChangedAt) > policy.proofAge() {
		return Proof{}, ErrNoProof
	}
	cardID, err := uuid.Parse(about.Subject)
	if err != nil {
		return Proof{}, fmt.Errorf("session subject: %w", err)
	}
	c, err := s.Card(ctx, cardID)
	if err != nil {
		return Proof{}, err
	}
	// A reading ends only when the chip has proven itself.
	return Proof{CardID: c.ID, PersonID: c.PersonID, CardNumber: c.Number, Workstation: about.Workstation, At: about.ChangedAt, Genuine: true}, nil
}
