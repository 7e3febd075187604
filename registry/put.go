package registry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// put writes the row of a kept table that has this key: the next version of the
// one that is there, or a new one. Whoever calls it holds the person's file, so
// that no two write the same row.
func (tx *Tx) put(table string, key, values map[string]any, reason string) error {
	changed := tx.gorm.Table(table).Where(key).Updates(tx.Change(values, reason))
	if changed.Error != nil || changed.RowsAffected > 0 {
		return changed.Error
	}
	version, err := tx.firstVersion(table, key)
	if err != nil {
		return err
	}
	stamp := tx.Stamp(reason)
	row := map[string]any{
		"version": version, "changed_at": stamp.At, "changed_by": stamp.By, "changed_on": stamp.On, "change_reason": stamp.Reason,
	}
	for _, part := range []map[string]any{key, values} {
		for column, value := range part {
			row[column] = value
		}
	}
	return tx.gorm.Table(table).Create(row).Error
}

// firstVersion is that of a new row: it follows those of a row that had the key
// before and went to another file.
func (tx *Tx) firstVersion(table string, key map[string]any) (int64, error) {
	var last int64
	err := tx.gorm.Table(table + "_history").Where(key).Select("COALESCE(MAX(version), 0)").Scan(&last).Error
	return last + 1, err
}

// rowsAt reads the rows of a kept table that belonged to a person at an
// instant; narrow names columns and order.
func rowsAt[T any](ctx context.Context, db *DB, table, owner string, person uuid.UUID, at time.Time, narrow func(*gorm.DB) *gorm.DB) ([]T, error) {
	present, past := db.AsOf(ctx, table, at)
	var rows, earlier []T
	for query, into := range map[*gorm.DB]*[]T{present: &rows, past: &earlier} {
		if err := narrow(query.Where(owner+" = ?", person)).Find(into).Error; err != nil {
			return nil, fmt.Errorf("registry: %s: %w", table, err)
		}
	}
	return slices.Concat(rows, earlier), nil
}
