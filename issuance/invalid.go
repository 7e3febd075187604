package issuance

import (
	"context"
	"fmt"
	"time"

	"onecard/registry"
)

// listInvalid notes a change of status for the terminals (失效名单), in the
// transaction of the change.
func listInvalid(tx *registry.Tx, row cardRow) error {
	seq, err := next(tx, sequenceInvalid)
	if err != nil {
		return err
	}
	entry := invalidRow{Seq: seq, CardID: row.ID, ChipID: row.ChipID, CardNumber: row.Number, Status: row.Status, At: tx.Now()}
	if err := tx.DB().Create(&entry).Error; err != nil {
		return fmt.Errorf("list of invalid cards: %w", err)
	}
	return nil
}

// InvalidCard is a card's latest change on the list of invalid cards: the
// status that it has from then on; 1 takes it off the list.
type InvalidCard struct {
	Seq        int64
	ChipID     string
	CardNumber string
	Status     string
	At         time.Time
}

// listPage is how many changes one answer holds.
const listPage = 5000

// InvalidCards returns the latest change of each card that changed after a
// sequence number, in their order, and the number up to which they go: ask
// again with it, until nothing comes. Since 0 it is the full list and leaves
// out what is valid again.
func (s *Service) InvalidCards(ctx context.Context, since int64) ([]InvalidCard, int64, error) {
	query := s.db.Read(ctx).Where("seq > ?", since).
		Where("NOT EXISTS (SELECT 1 FROM invalid_cards later WHERE later.card_id = invalid_cards.card_id AND later.seq > invalid_cards.seq)")
	if since == 0 {
		query = query.Where("status <> ?", StatusNormal)
	}
	var rows []invalidRow
	if err := query.Order("seq").Limit(listPage).Find(&rows).Error; err != nil {
		return nil, 0, fmt.Errorf("list of invalid cards: %w", err)
	}
	latest := since
	entries := make([]InvalidCard, len(rows))
	for i, row := range rows {
		entries[i] = InvalidCard{Seq: row.Seq, ChipID: row.ChipID, CardNumber: row.CardNumber, Status: row.Status, At: row.At}
		latest = row.Seq
	}
	return entries, latest, nil
}
