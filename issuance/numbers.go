package issuance

import (
	"fmt"

	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/registry"
)

// The sequences.
const (
	sequenceCard    = "card"    // body of the next card number
	sequenceInvalid = "invalid" // next change of the list of invalid cards
)

// next draws a number from a sequence. The row stays locked until the
// transaction ends, so numbers are in the order of the commits.
func next(tx *registry.Tx, sequence string) (int64, error) {
	result := tx.DB().Model(&sequenceRow{}).Where("name = ?", sequence).Update("next", gorm.Expr("next + 1"))
	if result.Error != nil {
		return 0, fmt.Errorf("draw from sequence %s: %w", sequence, result.Error)
	}
	var row sequenceRow
	if err := tx.DB().Where("name = ?", sequence).Take(&row).Error; err != nil {
		return 0, fmt.Errorf("draw from sequence %s: %w", sequence, err)
	}
	return row.Next - 1, nil
}

// lastBody is the last card number's body of eight digits.
const lastBody = 99999999

// nextCardNumber draws a card number (卡号). A number is drawn once and never
// again, whatever becomes of the application or the chip.
func nextCardNumber(tx *registry.Tx) (string, error) {
	body, err := next(tx, sequenceCard)
	if err != nil {
		return "", err
	}
	if body > lastBody {
		return "", ErrNumbersEnded
	}
	number, err := gb.NewCardNumber(fmt.Sprintf("%08d", body))
	if err != nil {
		return "", fmt.Errorf("card number: %w", err)
	}
	return number.String(), nil
}
