package issuance

import (
	"fmt"

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
	var drawn int64
	result := tx.DB().Raw("UPDATE card_number_sequence SET next = next + 1 WHERE name = ? RETURNING next - 1", sequence).Scan(&drawn)
	switch {
	case result.Error != nil:
		return 0, fmt.Errorf("draw from sequence %s: %w", sequence, result.Error)
	case result.RowsAffected != 1:
		return 0, fmt.Errorf("draw from sequence %s: %w", sequence, registry.ErrNotFound)
	}
	return drawn, nil
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
