package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm/clause"

	"onecard/card"
	"onecard/registry"
)

// ErrAttempts: so many authentications in a row have had no good answer that a
// person must look at the chip before the next one.
var ErrAttempts = errors.New("此芯片连续多次认证没有成功的应答 this chip has not answered several authentications in a row")

// attemptsRow counts what a chip was asked and has not answered well (认证尝试).
type attemptsRow struct {
	ATR  string `gorm:"column:atr;primaryKey"`
	Open int
	At   time.Time
}

func (attemptsRow) TableName() string { return "chip_attempts" }

// asking counts, before the chip is asked, a script in which it counts attempts.
// At the floor it is refused: the chip's own counter, which no answer may have
// told us, is further down than ours at most by what we have counted here.
func asking(tx *registry.Tx, atr string, script *card.Script, floor int) error {
	if script == nil || !script.Counted() {
		return nil
	}
	var row attemptsRow
	found := tx.DB().Where("atr = ?", atr).Limit(1).Find(&row)
	if found.Error != nil {
		return fmt.Errorf("attempts: %w", found.Error)
	}
	if floor > 0 && row.Open >= floor {
		return ErrAttempts
	}
	next := attemptsRow{ATR: atr, Open: row.Open + 1, At: tx.Now()}
	err := tx.DB().Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "atr"}}, DoUpdates: clause.AssignmentColumns([]string{"open", "at"})}).Create(&next).Error
	if err != nil {
		return fmt.Errorf("attempts: %w", err)
	}
	return nil
}

// ClearAttempts begins the count of a chip anew: it has answered well, or a
// person has looked at it.
func (s *Store) ClearAttempts(tx *registry.Tx, atr string) error { return answered(tx, atr) }

func answered(tx *registry.Tx, atr string) error {
	if err := tx.DB().Where("atr = ?", atr).Delete(&attemptsRow{}).Error; err != nil {
		return fmt.Errorf("attempts: %w", err)
	}
	return nil
}

// Held returns those of the chips that have left so many authentications in a
// row without a good answer.
func (s *Store) Held(ctx context.Context, atrs []string, floor int) (held []string, err error) {
	if len(atrs) == 0 {
		return nil, nil
	}
	err = s.config.DB.Read(ctx).Model(&attemptsRow{}).Where("atr IN ? AND open >= ?", atrs, floor).Pluck("atr", &held).Error
	return held, err
}
