package issuance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"onecard/card"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/registry"
)

// Intention is what a card is to say and which of the province's keys it gets
// (制卡意图).
type Intention struct {
	Contents   card.Contents
	KeyVersion int
}

// Intend returns the intention for a person's card of a specification version,
// as the policy of the person's place has it now, whoever makes the card.
// ErrDead, ErrSpecVersion and the errors of card.Contents.Check tell why there
// can be none.
func (s *Service) Intend(person registry.Person, p *profile.Profile, number string, now time.Time) (Intention, error) {
	if !person.Living() {
		return Intention{}, ErrDead
	}
	policy, err := s.policy(person.Place, now)
	if err != nil {
		return Intention{}, err
	}
	if !slices.Contains(policy.SpecVersions, p.Version) {
		return Intention{}, otherVersion(p.Version, policy.SpecVersions)
	}
	intention := Intention{Contents: contents(person, policy, number, now), KeyVersion: policy.KeyVersion}
	return intention, intention.Contents.Check(p)
}

// Waiting returns applications of a place, with all places below it, that wait
// to be made, oldest first, after one of them.
func (s *Service) Waiting(tx *registry.Tx, place string, after uuid.UUID, most int) ([]Application, error) {
	var rows []applicationRow
	query := tx.DB().Order("id").Where("state = ? AND place LIKE ?", StateNumbered, below(place)+"%")
	if after != uuid.Nil {
		query = query.Where("id > ?", after)
	}
	if err := query.Limit(most).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("waiting applications: %w", err)
	}
	waiting := make([]Application, len(rows))
	for i, row := range rows {
		waiting[i] = row.domain()
	}
	return waiting, nil
}

// MadeCard is a card that a maker has made for an application (批量制成的卡).
type MadeCard struct {
	Number, ChipID, ChipSerial, ATR, SpecVersion string
	KeyVersion                                   int
	IssuedOn, ExpiresOn                          gb.Date
}

// Day returns the legal day of an instant (北京时间), by which cards are dated.
func Day(at time.Time) gb.Date { return day(at) }

// Comparison is what a comparison at a counter has found of a card of record
// (芯片与省库比对).
type Comparison struct {
	CardID   uuid.UUID
	Operator string
	At       time.Time
	Same     bool // genuine, and the same as the records in everything
}

// Compared returns a finished comparison. ErrNoProof: there is no such session,
// it is not one, or not of a card of record.
func (s *Service) Compared(ctx context.Context, sessionID uuid.UUID) (Comparison, error) {
	about, told, err := s.sessions.Result(ctx, sessionID)
	if errors.Is(err, registry.ErrNotFound) || err == nil && (about.Operation != operationCompare || told == nil) {
		return Comparison{}, ErrNoProof
	}
	if err != nil {
		return Comparison{}, err
	}
	var result Result
	if err := json.Unmarshal(told, &result); err != nil {
		return Comparison{}, fmt.Errorf("comparison: %w", err)
	}
	if result.CardID == uuid.Nil {
		return Comparison{}, ErrNoProof
	}
	return Comparison{
		CardID: result.CardID, Operator: about.Operator, At: about.ChangedAt,
		Same: result.Genuine && len(result.Findings) == count(result.Findings, FoundSame),
	}, nil
}

// Inspected records that a card passed the quality check (质检合格).
func (s *Service) Inspected(tx *registry.Tx, cardID uuid.UUID) error {
	changed := tx.DB().Model(&cardRow{}).Where("id = ? AND production = 'made'", cardID).Updates(tx.Change(map[string]any{"production": "inspected"}, ""))
	if changed.Error != nil {
		return fmt.Errorf("card inspected: %w", changed.Error)
	}
	if changed.RowsAffected != 1 {
		return registry.ErrConflict
	}
	return tx.Audit("card.inspected", "card:"+cardID.String(), nil)
}
