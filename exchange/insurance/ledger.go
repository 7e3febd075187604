package insurance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/exchange"
	"onecard/registry"
)

// account is one account of the ledger (账户). Its id begins with its kind.
type account struct {
	ID         string `gorm:"column:id;primaryKey"`
	Kind       string
	BalanceFen exchange.Fen
}

// TableName implements gorm's Tabler.
func (account) TableName() string { return "insurance_accounts" }

// The kinds of accounts.
const (
	kindOutside    = "outside"    // the world outside, which alone may stand below zero
	kindPersonal   = "personal"   // 个人账户 of a person
	kindPool       = "pool"       // 统筹基金 of a place and kind of insurance
	kindDrawer     = "drawer"     // cash that an institution took in
	kindReceivable = "receivable" // what the insurance owes an institution (应付)
)

// lockOrder is the order in which every transaction takes accounts, so that no
// two wait for each other.
var lockOrder = map[string]int{kindPersonal: 1, kindPool: 2, kindDrawer: 3, kindReceivable: 4, kindOutside: 5}

func personal(person uuid.UUID) account {
	return account{ID: kindPersonal + ":" + person.String(), Kind: kindPersonal}
}

func pool(insured exchange.Insurance) account {
	return account{ID: kindPool + ":" + insured.Place + ":" + insured.Kind, Kind: kindPool}
}

func receivable(institution string) account {
	return account{ID: kindReceivable + ":" + institution, Kind: kindReceivable}
}

func drawer(institution string) account {
	return account{ID: kindDrawer + ":" + institution, Kind: kindDrawer}
}

// patients is where cash comes from, one account for each institution so that
// they do not wait for each other.
func patients(institution string) account {
	return account{ID: kindOutside + ":patients:" + institution, Kind: kindOutside}
}

// payers is where contributions come from.
func payers(place string) account {
	return account{ID: kindOutside + ":payers:" + place, Kind: kindOutside}
}

// transfer is one movement of money: amount leaves debit and enters credit.
type transfer struct {
	Cause     uuid.UUID
	Number    int
	Debit     string
	Credit    string
	AmountFen exchange.Fen
	Reverses  *int
	At        time.Time
}

// TableName implements gorm's Tabler.
func (transfer) TableName() string { return "insurance_transfers" }

// movement is a transfer to be made.
type movement struct {
	debit, credit account
	amount        exchange.Fen
	reverses      *int
}

// post writes the movements with an amount as transfers number first and
// following of the cause, and moves the balances with them.
func post(tx *registry.Tx, cause uuid.UUID, first int, movements []movement) error {
	var transfers []transfer
	change := map[account]exchange.Fen{}
	for _, m := range movements {
		if m.amount == 0 {
			continue
		}
		change[m.debit] -= m.amount
		change[m.credit] += m.amount
		transfers = append(transfers, transfer{Cause: cause, Number: first + len(transfers), Debit: m.debit.ID,
			Credit: m.credit.ID, AmountFen: m.amount, Reverses: m.reverses, At: tx.Now()})
	}
	if len(transfers) == 0 {
		return nil
	}
	var touched []account
	for a := range change {
		touched = append(touched, a)
	}
	slices.SortFunc(touched, inLockOrder)
	for _, a := range touched {
		if err := move(tx.DB(), a, change[a]); err != nil {
			return err
		}
	}
	if err := tx.DB().Create(&transfers).Error; err != nil {
		return fmt.Errorf("insurance: transfers: %w", err)
	}
	return nil
}

func inLockOrder(a, b account) int {
	if d := lockOrder[a.Kind] - lockOrder[b.Kind]; d != 0 {
		return d
	}
	if a.ID < b.ID {
		return -1
	}
	return 1
}

// move changes one balance, opening the account first if it is new. The table
// refuses a balance below zero (registry.ErrConflict).
func move(db *gorm.DB, a account, by exchange.Fen) error {
	opened := db.Clauses(clause.OnConflict{DoNothing: true}).Create(&account{ID: a.ID, Kind: a.Kind})
	if opened.Error != nil {
		return fmt.Errorf("insurance: account: %w", opened.Error)
	}
	moved := db.Model(&account{}).Where("id = ?", a.ID).Update("balance_fen", gorm.Expr("balance_fen + ?", by))
	if moved.Error != nil {
		return fmt.Errorf("insurance: balance of %s: %w", a.Kind, moved.Error)
	}
	return nil
}

// balance returns what an account holds, locked until tx ends; 0 when it has
// not been opened.
func balance(tx *registry.Tx, a account) (exchange.Fen, error) {
	var found account
	err := tx.ForUpdate().Where("id = ?", a.ID).Take(&found).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("insurance: balance: %w", err)
	}
	return found.BalanceFen, nil
}

// counter returns the movements that take back what cause moved, and the number
// after its last transfer.
func counter(tx *registry.Tx, cause uuid.UUID) ([]movement, int, error) {
	var transfers []transfer
	if err := tx.DB().Where("cause = ?", cause).Order("number").Find(&transfers).Error; err != nil {
		return nil, 0, fmt.Errorf("insurance: transfers: %w", err)
	}
	var movements []movement
	for _, t := range transfers {
		movements = append(movements, movement{debit: named(t.Credit), credit: named(t.Debit), amount: t.AmountFen, reverses: &t.Number})
	}
	return movements, len(transfers) + 1, nil
}

// named returns the account with this id, which begins with its kind.
func named(id string) account {
	kind, _, _ := strings.Cut(id, ":")
	return account{ID: id, Kind: kind}
}
