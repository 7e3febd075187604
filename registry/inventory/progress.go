package inventory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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

// part is a value of a primary key, in the form in which the cursor keeps it.
type part struct {
	Text   *string `json:"t,omitempty"`
	Number *int64  `json:"n,omitempty"`
	Bytes  []byte  `json:"b,omitempty"`
}

// cursor writes a primary key down.
func cursor(key []any) (string, error) {
	parts := make([]part, len(key))
	for i, value := range key {
		switch v := value.(type) {
		case string:
			parts[i].Text = &v
		case int64:
			parts[i].Number = &v
		case []byte:
			parts[i].Bytes = v
		default:
			return "", fmt.Errorf("inventory: a primary key of %T", value)
		}
	}
	text, err := json.Marshal(parts)
	return string(text), err
}

// position reads what cursor wrote.
func position(text string) ([]any, error) {
	if text == "" {
		return nil, nil
	}
	var parts []part
	if err := json.Unmarshal([]byte(text), &parts); err != nil {
		return nil, fmt.Errorf("inventory: reseal_progress.after: %w", err)
	}
	key := make([]any, len(parts))
	for i, p := range parts {
		switch {
		case p.Text != nil:
			key[i] = *p.Text
		case p.Number != nil:
			key[i] = *p.Number
		default:
			key[i] = p.Bytes
		}
	}
	return key, nil
}
