package prints

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"onecard/registry"
)

// Columns under which the registry seals what a face shows of other tables.
const (
	columnAccount = "bank_accounts.account"
	columnPhoto   = "attachments.content"
)

// bank is the line of the card's bank account (银行账户): the bank's name and the
// number; empty for a card without one.
func (s *Service) bank(ctx context.Context, cardID uuid.UUID) (string, error) {
	var rows []struct {
		ID     uuid.UUID `gorm:"column:id"`
		Bank   string    `gorm:"column:bank"`
		Sealed []byte    `gorm:"column:account_sealed"`
	}
	err := s.DB.Read(ctx).Table("cards").Joins("JOIN bank_accounts a ON a.id = cards.bank_account").
		Joins("LEFT JOIN institutions i ON i.id = a.bank").Where("cards.id = ?", cardID).
		Select("a.id, COALESCE(i.name, a.bank) AS bank, a.account_sealed").Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return "", err
	}
	number, err := s.DB.Unseal(ctx, columnAccount, rows[0].ID.String(), rows[0].Sealed)
	return rows[0].Bank + "　" + inFours(string(number)), err
}

// inFours writes a number in groups of four, as cards do.
func inFours(number string) string {
	var b strings.Builder
	for i, r := range number {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Attachments finds photographs among the papers of a person (附件).
type Attachments struct{ DB *registry.DB }

// Photo implements Photos.
func (a Attachments) Photo(ctx context.Context, person uuid.UUID) ([]byte, error) {
	var rows []struct {
		ID     uuid.UUID `gorm:"column:id"`
		Sealed []byte    `gorm:"column:content_sealed"`
	}
	err := a.DB.Read(ctx).Table("attachments").Where("person_id = ? AND kind = 'photo' AND state = 'valid'", person).
		Select("id", "content_sealed").Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return a.DB.Unseal(ctx, columnPhoto, rows[0].ID.String(), rows[0].Sealed)
}
