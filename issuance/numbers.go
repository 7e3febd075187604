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

// lastBody is the last card number's body of eight digits.
const lastBody = 99999999

// nextCardNumber draws a card number (卡号). A number is drawn once and never
// again, whatever becomes of the application or the chip.
func nextCardNumber(tx *registry.Tx) (string, error) {
	body, err := tx.Draw(sequenceCard)
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
