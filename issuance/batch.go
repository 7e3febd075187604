package issuance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/card"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/registry"
)

// Intention is what a card is to say and which of the province's keys it gets
// (制卡意图), or why there can be no card.
type Intention struct {
	Contents    card.Contents
	NameTibetan string // on the face
	KeyVersion  int
	Refused     error // ErrDead, ErrReviewAgain, ErrSpecVersion, *card.EncodeError
}

// Intentions is [Service.BatchContents] for many applications, for cards of a
// specification version: each person and each digest of what was reviewed goes
// through the keeper with all the others.
func (s *Service) Intentions(ctx context.Context, p *profile.Profile, ids []uuid.UUID) (map[uuid.UUID]Intention, error) {
	var rows []applicationRow
	if err := s.db.Read(ctx).Where("id IN ? AND state = ?", ids, StateBatched).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("applications of a batch: %w", err)
	}
	people := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		people[i] = row.PersonID
	}
	persons, err := s.db.PersonsByID(ctx, people)
	if err != nil {
		return nil, err
	}
	photos, err := s.db.PhotoDigests(ctx, people)
	if err != nil {
		return nil, err
	}
	texts := make([][]byte, len(rows))
	for i, row := range rows {
		texts[i] = reviewed(persons[row.PersonID], photos[row.PersonID])
	}
	digests, err := s.db.IndexAll(ctx, columnHolder, texts)
	if err != nil {
		return nil, err
	}
	intentions := make(map[uuid.UUID]Intention, len(rows))
	for i, row := range rows {
		if row.CardNumber == nil {
			return nil, fmt.Errorf("application %s without a card number: %w", row.ID, registry.ErrConflict)
		}
		intended := s.intentionOf(persons[row.PersonID], p, row.Kind, *row.CardNumber)
		if row.HolderIndex != nil && !slices.Equal(row.HolderIndex, digests[i][:holderIndexLength]) {
			intended.Refused = ErrReviewAgain
		}
		intentions[row.ID] = intended
	}
	return intentions, nil
}

// Photos returns the photographs that applicants have confirmed and somebody has
// reviewed (核样照片), by application; those without one are left out. The caller
// records the reading.
func (s *Service) Photos(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]registry.Photo, error) {
	var rows []applicationRow
	if err := s.db.Read(ctx).Select("id", "person_id", "photo_index").Where("id IN ? AND photo_index IS NOT NULL", ids).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("photographs of a batch: %w", err)
	}
	people, digests := make([]uuid.UUID, len(rows)), make([][]byte, len(rows))
	for i, row := range rows {
		people[i], digests[i] = row.PersonID, row.PhotoIndex
	}
	known, err := s.db.PhotosOf(ctx, people, digests)
	if err != nil {
		return nil, err
	}
	photos := make(map[uuid.UUID]registry.Photo, len(rows))
	for _, row := range rows {
		if photo, ok := known[row.PersonID]; ok {
			photos[row.ID] = photo
		}
	}
	return photos, nil
}

// IntendTest is the intention of a test card (测试卡), which is about nobody.
func (s *Service) IntendTest(person registry.Person, p *profile.Profile, number string) Intention {
	return s.intentionOf(person, p, KindFirst, number)
}

func (s *Service) intentionOf(person registry.Person, p *profile.Profile, kind, number string) Intention {
	now := s.db.Now()
	policy, err := s.policy(person.Place, now)
	switch {
	case err != nil:
		return Intention{Refused: err}
	case person.MergedInto != nil:
		return Intention{Refused: ErrMerged}
	case !person.Living():
		return Intention{Refused: ErrDead}
	case !slices.Contains(policy.SpecVersions, p.Version):
		return Intention{Refused: otherVersion(p.Version, policy.SpecVersions)}
	}
	intended := Intention{Contents: contents(person, policy, kind, number, now), NameTibetan: person.NameTibetan, KeyVersion: policy.KeyVersion}
	intended.Refused = intended.Contents.Check(p)
	return intended
}

// Waiting returns applications for cards made in batches, of a place with all
// places below it, that wait to be made, oldest first, after one of them.
func (s *Service) Waiting(tx *registry.Tx, place string, after uuid.UUID, most int) ([]Application, error) {
	scope, err := s.db.Scope(tx.Context(), place)
	if err != nil {
		return nil, err
	}
	var rows []applicationRow
	query := waiting(tx.DB(), scope).Order("id")
	if after != uuid.Nil {
		query = query.Where("id > ?", after)
	}
	if err := query.Limit(most).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("waiting applications: %w", err)
	}
	found := make([]Application, len(rows))
	for i, row := range rows {
		found[i] = row.domain()
	}
	return found, nil
}

// CountWaiting counts what Waiting would return, up to most and one.
func (s *Service) CountWaiting(ctx context.Context, place string, most int) (n int64, err error) {
	scope, err := s.db.Scope(ctx, place)
	if err != nil {
		return 0, err
	}
	found := waiting(s.db.Read(ctx).Model(&applicationRow{}), scope).Select("id").Limit(most + 1)
	if err := s.db.Read(ctx).Table("(?) AS found", found).Count(&n).Error; err != nil {
		return 0, fmt.Errorf("waiting applications: %w", err)
	}
	return n, nil
}

func waiting(db *gorm.DB, scope registry.Scope) *gorm.DB {
	return scope.In(db.Where("state = ? AND method = ?", StateNumbered, MethodBatch), "place", "locality")
}

// Day returns the legal day of an instant (北京时间), by which cards are dated.
func Day(at time.Time) gb.Date { return gb.DayOf(at) }

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

// Destroyed records that a card which was scrapped exists no more (销毁).
func (s *Service) Destroyed(tx *registry.Tx, cardID uuid.UUID) error {
	changed := tx.DB().Model(&cardRow{}).Where("id = ? AND production = 'scrapped'", cardID).Updates(tx.Change(map[string]any{"custody": "destroyed", "chip": "destroyed"}, ""))
	if changed.Error != nil {
		return fmt.Errorf("card destroyed: %w", changed.Error)
	}
	if changed.RowsAffected != 1 {
		return registry.ErrConflict
	}
	return tx.Audit("card.destroyed", "card:"+cardID.String(), nil)
}
