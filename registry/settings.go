package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm/clause"
)

// settingRow is a row of settings.
type settingRow struct {
	Name      string    `gorm:"column:name"`
	Value     string    `gorm:"column:value"`
	ChangedAt time.Time `gorm:"column:changed_at"`
}

// TableName implements gorm's schema.Tabler.
func (settingRow) TableName() string { return "settings" }

const trialSetting = "trial"

// firstSetting stores a value unless there is one, and returns what is stored.
func (db *DB) firstSetting(ctx context.Context, name, value string) (string, error) {
	row := settingRow{Name: name, Value: value, ChangedAt: db.Now()}
	write := db.write.WithContext(ctx)
	if err := write.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
		return "", err
	}
	var stored settingRow
	err := write.Where("name = ?", name).Take(&stored).Error
	return stored.Value, err
}

// MarkTrial marks the database as one for trials (演示、培训), which sample data
// may be loaded into. A database that holds persons and has no mark is never
// marked (ErrConflict): production cannot become a trial. Marking twice is no
// error.
func (db *DB) MarkTrial(ctx context.Context, actor Actor) error {
	if trial, err := db.Trial(ctx); err != nil || trial {
		return err
	}
	err := db.InTx(ctx, actor, func(tx *Tx) error {
		var persons []int
		if err := tx.gorm.Table("persons").Select("1").Limit(1).Scan(&persons).Error; err != nil {
			return err
		}
		if len(persons) > 0 {
			return fmt.Errorf("%w: 数据库已有人员，不能改作试用 the database holds persons and cannot become a trial", ErrConflict)
		}
		row := settingRow{Name: trialSetting, Value: "true", ChangedAt: tx.now}
		if err := tx.gorm.Create(&row).Error; err != nil {
			return err
		}
		return tx.Audit("database.trial", "database", nil)
	})
	if errors.Is(err, ErrDuplicate) {
		return nil // another has marked it meanwhile
	}
	return err
}

// Trial reports whether the database is marked as one for trials.
func (db *DB) Trial(ctx context.Context) (bool, error) {
	var marks int64
	err := db.Read(ctx).Model(&settingRow{}).Where("name = ? AND value = ?", trialSetting, "true").Count(&marks).Error
	return marks > 0, err
}
