package inventory

import (
	"bytes"
	"context"
	"time"

	"onecard/registry"
)

// progress is a row of reseal_progress: how far the run under a key has come in
// a table.
type progress struct {
	Table     string    `gorm:"column:table_name"`
	Head      []byte    `gorm:"column:head"`
	After     string    `gorm:"column:after"` // key of the last row seen, JSON; empty: none
	Done      bool      `gorm:"column:done"`
	Seen      int64     `gorm:"column:seen"`
	Resealed  int64     `gorm:"column:resealed"`
	ChangedAt time.Time `gorm:"column:changed_at"`
}

// TableName implements gorm's schema.Tabler.
func (progress) TableName() string { return "reseal_progress" }

// loadProgress returns where an earlier run under the same key was stopped, by
// table.
func loadProgress(ctx context.Context, db *registry.DB, head []byte) (map[string]*progress, error) {
	var rows []*progress
	if err := db.Read(ctx).Find(&rows).Error; err != nil {
		return nil, err
	}
	known := map[string]*progress{}
	for _, row := range rows {
		if bytes.Equal(row.Head, head) {
			known[row.Table] = row
		}
	}
	return known, nil
}

// save writes it down in the transaction of the rows it counts.
func (p progress) save(tx *registry.Tx) error {
	p.ChangedAt = tx.Now()
	if err := tx.DB().Where("table_name = ?", p.Table).Delete(&progress{}).Error; err != nil {
		return err
	}
	return tx.DB().Create(&p).Error
}
