package registry

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// columnOtherNumber is the column of other numbers; a number's digest is the
// same in whatever system, so that a clerk need not know which.
const columnOtherNumber = "person_numbers.number"

// numberIndex is the length in bytes of a digest that has to be unique.
const numberIndex = 16

// SystemFormer is the system of a person's earlier identity numbers (曾用号码).
const SystemFormer = "former"

// OtherNumber is a number under which a person is or was known (其他号码).
type OtherNumber struct {
	System string // "former", or the name of another system such as "pension"
	Number string
	Former bool
	Stamp  Stamp
}

type numberRow struct {
	System       string    `gorm:"column:system"`
	NumberIndex  []byte    `gorm:"column:number_index"`
	PersonID     uuid.UUID `gorm:"column:person_id"`
	NumberSealed []byte    `gorm:"column:number_sealed"`
	State        string    `gorm:"column:state"`
	Stamp        `gorm:"embedded"`
}

// TableName implements gorm's schema.Tabler.
func (numberRow) TableName() string { return "person_numbers" }

// AddNumber records another number of a person. Errors: ErrInvalid,
// ErrDuplicate for a number that is somebody's already.
func (tx *Tx) AddNumber(person uuid.UUID, number OtherNumber, reason string) error {
	if number.Number == "" || len(number.Number) > maxWord {
		return &FieldError{Field: "number", ZH: "应为 1 至 40 位", EN: "1 to 40 characters"}
	}
	rows, err := tx.db.sealNumbers(tx.ctx, []numberOf{{person, number}})
	if err != nil {
		return err
	}
	older, err := tx.older(columnOtherNumber, number.Number, numberIndex)
	if err != nil {
		return err
	}
	if err := tx.free("person_numbers", "person_numbers_pkey", older, "number_index IN ? AND system = ?", number.System); err != nil {
		return err
	}
	rows[0].Stamp = tx.Stamp(reason)
	if err := tx.gorm.Create(&rows[0]).Error; err != nil {
		return err
	}
	return tx.Audit("person.number", "person:"+person.String(), map[string]string{"system": number.System})
}

// numberOf is a number with whose it is.
type numberOf struct {
	person uuid.UUID
	number OtherNumber
}

func (db *DB) sealNumbers(ctx context.Context, numbers []numberOf) ([]numberRow, error) {
	rows := make([]numberRow, len(numbers))
	work := newSealing(len(numbers), len(numbers))
	for i, n := range numbers {
		state := "valid"
		if n.number.Former {
			state = "former"
		}
		rows[i] = numberRow{System: n.number.System, PersonID: n.person, State: state}
		work.seal(columnOtherNumber, n.person.String(), n.number.Number, &rows[i].NumberSealed)
		work.index(columnOtherNumber, n.number.Number, numberIndex, &rows[i].NumberIndex)
	}
	return rows, work.run(ctx, db)
}

// NumbersOf returns the other numbers of a person, by system.
func (db *DB) NumbersOf(ctx context.Context, person uuid.UUID) ([]OtherNumber, error) {
	var rows []numberRow
	if err := db.Read(ctx).Where("person_id = ?", person).Order("system, number_index").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("registry: numbers: %w", err)
	}
	numbers := make([]OtherNumber, len(rows))
	work := newOpening(len(rows))
	for i, row := range rows {
		numbers[i] = OtherNumber{System: row.System, Former: row.State == "former", Stamp: row.Stamp}
		work.open(columnOtherNumber, row.PersonID.String(), row.NumberSealed, &numbers[i].Number)
	}
	return numbers, work.run(ctx, db)
}
