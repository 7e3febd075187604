package production

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"onecard/issuance"
	"onecard/registry"
)

// Batch returns a batch by number, or registry.ErrNotFound.
func (s *Service) Batch(ctx context.Context, number string) (b Batch, err error) {
	if err := s.DB.Read(ctx).Where("number = ?", number).Take(&b).Error; err != nil {
		return b, fmt.Errorf("batch: %w", err)
	}
	return b, nil
}

// List returns batches, newest first: of a state, or empty for all; of some
// places by their codes, or nil for all.
func (s *Service) List(ctx context.Context, state string, places []string, most int) (all []Batch, err error) {
	query := s.DB.Read(ctx).Order("id DESC").Limit(most)
	if places != nil {
		query = query.Where("place IN ?", places)
	}
	if state != "" {
		query = query.Where("state = ?", state)
	}
	return all, query.Find(&all).Error
}

// Counts counts the rows of a batch by state.
func (s *Service) Counts(ctx context.Context, batch uuid.UUID) (map[string]int64, error) {
	var rows []struct {
		State string
		N     int64
	}
	err := s.DB.Read(ctx).Model(&Item{}).Select("state, count(*) AS n").Where("batch_id = ?", batch).Group("state").Scan(&rows).Error
	counts := map[string]int64{}
	for _, r := range rows {
		counts[r.State] = r.N
	}
	return counts, err
}

// Items returns rows of a batch after one, in order.
func (s *Service) Items(ctx context.Context, batch uuid.UUID, state string, after int64, most int) (items []Item, err error) {
	query := s.DB.Read(ctx).Where("batch_id = ? AND seq > ?", batch, after).Order("seq").Limit(most)
	if state != "" {
		query = query.Where("state = ?", state)
	}
	return items, query.Find(&items).Error
}

// Files returns the files of a batch, oldest first.
func (s *Service) Files(ctx context.Context, batch uuid.UUID) (files []File, err error) {
	return files, s.DB.Read(ctx).Where("batch_id = ?", batch).Order("at, kind").Find(&files).Error
}

// Story is what happened to a batch, by the audit log (批次经过).
func (s *Service) Story(ctx context.Context, batch uuid.UUID) ([]registry.AuditRecord, error) {
	return s.DB.AuditTrail(ctx, "batch:"+batch.String())
}

// BankDays is how many days the bank of a batch has to answer for a row.
func (s *Service) BankDays(b Batch) (int, error) {
	policy, err := s.Policies.At(b.Place, issuance.Day(s.DB.Now()))
	return policy.BankDays, err
}
