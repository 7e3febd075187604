package insurance

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/exchange"
	"onecard/registry"
)

// accumulator is what a person has used in one year (年度累计).
type accumulator struct {
	PersonID      uuid.UUID `gorm:"column:person_id;primaryKey"`
	Year          int       `gorm:"column:year;primaryKey;autoIncrement:false"`
	Kind          string    `gorm:"column:kind;primaryKey"`
	DeductibleFen exchange.Fen
	FundFen       exchange.Fen
}

// TableName implements gorm's Tabler.
func (accumulator) TableName() string { return "insurance_accumulators" }

// accumulated reads a person's year. The caller holds the person's enrolment
// locked, and with it the year.
func accumulated(tx *registry.Tx, person uuid.UUID, year int, kind string) (accumulator, error) {
	var a accumulator
	err := tx.DB().Where("person_id = ? AND year = ? AND kind = ?", person, year, kind).Take(&a).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return accumulator{}, nil
	}
	if err != nil {
		return accumulator{}, fmt.Errorf("insurance: year: %w", err)
	}
	return a, nil
}

// accumulate adds to a person's year; negative amounts take back.
func accumulate(tx *registry.Tx, person uuid.UUID, year int, kind string, deductible, fund exchange.Fen) error {
	if deductible == 0 && fund == 0 {
		return nil
	}
	opened := tx.DB().Clauses(clause.OnConflict{DoNothing: true}).Create(&accumulator{PersonID: person, Year: year, Kind: kind})
	if opened.Error != nil {
		return fmt.Errorf("insurance: year: %w", opened.Error)
	}
	err := tx.DB().Model(&accumulator{}).Where("person_id = ? AND year = ? AND kind = ?", person, year, kind).
		Updates(map[string]any{
			"deductible_fen": gorm.Expr("deductible_fen + ?", deductible),
			"fund_fen":       gorm.Expr("fund_fen + ?", fund),
		}).Error
	if err != nil {
		return fmt.Errorf("insurance: year: %w", err)
	}
	return nil
}
