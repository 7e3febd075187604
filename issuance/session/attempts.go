package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/apdu"
	"onecard/card"
	"onecard/registry"
)

// ErrAttempts: so many authentications in a row have had no good answer that a
// person must look at the chip before the next one.
var ErrAttempts = errors.New("此芯片连续多次认证没有成功的应答 this chip has not answered several authentications in a row")

// attemptsRow counts what a chip was asked under a key and has not answered
// well (认证尝试).
type attemptsRow struct {
	ATR  string `gorm:"column:atr;primaryKey"`
	Key  string `gorm:"column:key;primaryKey"`
	Open int
	At   time.Time
}

func (attemptsRow) TableName() string { return "chip_attempts" }

// asking counts, before the chip is asked, the attempts that it counts in a
// script, each for its key. A key at the floor refuses the script: the chip's
// own counter, which no answer may have told us, is further down than ours at
// most by what we have counted here.
func asking(tx *registry.Tx, atr string, script *card.Script, floor int) error {
	for key, times := range script.Counted() {
		var row attemptsRow
		found := tx.DB().Where("atr = ? AND key = ?", atr, key).Limit(1).Find(&row)
		if found.Error != nil {
			return fmt.Errorf("attempts: %w", found.Error)
		}
		if floor > 0 && row.Open >= floor {
			return ErrAttempts
		}
		if err := setAttempts(tx, attemptsRow{ATR: atr, Key: key, Open: row.Open + times}); err != nil {
			return err
		}
	}
	return nil
}

// answered takes the answers to a script: a key that the chip accepted begins
// anew, and what came after in the script stays counted.
func answered(tx *registry.Tx, atr string, script *card.Script, responses []apdu.Response) error {
	for key, after := range script.Accepted(responses) {
		if err := setAttempts(tx, attemptsRow{ATR: atr, Key: key, Open: after}); err != nil {
			return err
		}
	}
	return nil
}

func setAttempts(tx *registry.Tx, row attemptsRow) error {
	var err error
	if row.At = tx.Now(); row.Open > 0 {
		err = tx.DB().Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "atr"}, {Name: "key"}}, DoUpdates: clause.AssignmentColumns([]string{"open", "at"}),
		}).Create(&row).Error
	} else {
		err = forget(tx.DB().Where("key = ?", row.Key), row.ATR)
	}
	if err != nil {
		return fmt.Errorf("attempts: %w", err)
	}
	return nil
}

// ClearAttempts begins the counts of a chip anew: a person has looked at it.
func (s *Store) ClearAttempts(tx *registry.Tx, atr string) error { return forget(tx.DB(), atr) }

func forget(db *gorm.DB, atr string) error {
	return db.Where("atr = ?", atr).Delete(&attemptsRow{}).Error
}

// Held returns those of the chips that have left so many authentications under
// one key in a row without a good answer.
func (s *Store) Held(ctx context.Context, atrs []string, floor int) (held []string, err error) {
	if len(atrs) == 0 {
		return nil, nil
	}
	err = s.config.DB.Read(ctx).Model(&attemptsRow{}).Where("atr IN ? AND open >= ?", atrs, floor).Distinct().Pluck("atr", &held).Error
	return held, err
}
