package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// accountRow is a row of bank_accounts.
type accountRow struct {
	ID     uuid.UUID `gorm:"column:id"`
	Bank   string    `gorm:"column:bank"`
	Sealed []byte    `gorm:"column:account_sealed"`
	State  string    `gorm:"column:state"`
	Stamp  `gorm:"embedded"`
}

// AccountsAt returns the bank accounts of a person as they stood at an instant.
func (db *DB) AccountsAt(ctx context.Context, person uuid.UUID, at time.Time) ([]BankAccount, error) {
	present, past := db.AsOf(ctx, "bank_accounts", at)
	var rows, earlier []accountRow
	if err := present.Where("person_id = ?", person).Order("id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("registry: accounts: %w", err)
	}
	if err := past.Where("person_id = ?", person).Order("id").Find(&earlier).Error; err != nil {
		return nil, fmt.Errorf("registry: accounts: %w", err)
	}
	rows = append(rows, earlier...)
	accounts := make([]BankAccount, len(rows))
	work := newOpening(len(rows))
	for i := range rows {
		row := &rows[i]
		accounts[i] = BankAccount{Bank: row.Bank, State: row.State, Stamp: row.Stamp}
		work.open(columnAccount, row.ID.String(), row.Sealed, &accounts[i].Account)
	}
	return accounts, work.run(ctx, db)
}
