package bank

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/registry"
)

// Classes of differences (差异类别).
const (
	ClassOurs   = "only-ours" // 我方有、银行无
	ClassBank   = "only-bank" // 银行有、我方无
	ClassDiffer = "differ"    // 双方不一致
)

// States of an item.
const (
	ItemOpen    = "open"
	ItemSettled = "settled"
)

// owners says who has to look at a difference first: what the bank lacks, the
// bank; the rest, the province (assumed).
func owners(bank string) map[string]string {
	return map[string]string{ClassOurs: "bank:" + bank, ClassBank: "province", ClassDiffer: "province"}
}

// Item is a difference with whoever has to settle it (差异挂账).
type Item struct {
	ID        uuid.UUID  `gorm:"column:id;primaryKey"`
	Bank      string     `gorm:"column:bank"`
	Day       string     `gorm:"column:day"`
	Kind      string     `gorm:"column:kind"` // account, fee
	Class     string     `gorm:"column:class"`
	Key       string     `gorm:"column:item_key"` // digest of the account, id of the order
	Ours      string     `gorm:"column:ours"`
	Theirs    string     `gorm:"column:theirs"`
	Owner     string     `gorm:"column:owner"`
	State     string     `gorm:"column:state"`
	Reason    string     `gorm:"column:reason"`
	SettledBy *string    `gorm:"column:settled_by"`
	FoundAt   time.Time  `gorm:"column:found_at"`
	SettledAt *time.Time `gorm:"column:settled_at"`
}

// TableName implements gorm's schema.Tabler.
func (Item) TableName() string { return "bank_items" }

// Items returns the open differences of a bank, or of all, the oldest first.
func (s *Service) Items(ctx context.Context, bank string, most int) (items []Item, err error) {
	query := s.db.Read(ctx).Where("state = ?", ItemOpen).Order("id").Limit(most)
	if bank != "" {
		query = query.Where("bank = ?", bank)
	}
	return items, query.Find(&items).Error
}

// Days returns the reconciled days of a bank, the newest first.
func (s *Service) Days(ctx context.Context, bank string, most int) ([]*Day, error) {
	var rows []dayRow
	if err := s.db.Read(ctx).Where("bank = ?", bank).Order("day DESC").Limit(most).Find(&rows).Error; err != nil {
		return nil, err
	}
	days := make([]*Day, len(rows))
	for i, row := range rows {
		var err error
		if days[i], err = row.domain(); err != nil {
			return nil, err
		}
	}
	return days, nil
}

// Assign gives a difference to somebody.
func (s *Service) Assign(tx *registry.Tx, item uuid.UUID, owner string) error {
	if owner = strings.TrimSpace(owner); owner == "" || len(owner) > 64 {
		return &registry.FieldError{Field: "owner", ZH: "应为 1 至 64 字节", EN: "1 to 64 bytes"}
	}
	changed := tx.DB().Model(&Item{}).Where("id = ? AND state = ?", item, ItemOpen).Update("owner", owner)
	if changed.Error != nil {
		return changed.Error
	}
	if changed.RowsAffected == 0 {
		return registry.ErrNotFound
	}
	return tx.Audit("bank.item.assigned", "bank-item:"+item.String(), map[string]string{"owner": owner})
}

// Settle ends a difference that was cleared up, for a reason (销账).
func (s *Service) Settle(tx *registry.Tx, item uuid.UUID, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return &registry.FieldError{Field: "reason", ZH: "须写明处理结果", EN: "say how it was cleared up"}
	}
	return settleItem(tx, item, tx.Actor().Operator, reason)
}

func settleItem(tx *registry.Tx, item uuid.UUID, by, reason string) error {
	changed := tx.DB().Model(&Item{}).Where("id = ? AND state = ?", item, ItemOpen).
		Updates(map[string]any{"state": ItemSettled, "settled_by": by, "settled_at": tx.Now(), "reason": reason})
	if changed.Error != nil {
		return changed.Error
	}
	if changed.RowsAffected == 0 {
		return registry.ErrNotFound
	}
	return tx.Audit("bank.item.settled", "bank-item:"+item.String(), map[string]string{"reason": reason})
}
