package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"
)

// Rules by which two files, or a file and a row of another system, are taken
// for the same person's (疑似重复规则).
const (
	RuleNameBirth  = "same-name-birth"   // 姓名、出生日期相同，号码不同
	RuleSoundBirth = "same-sound-birth"  // 姓名读音、出生日期相同，号码不同
	RulePhoto      = "same-photo"        // 照片相同
	RuleOtherName  = "number-other-name" // 号码相同，姓名不同
)

// duplicateRow is a row of duplicate_cases.
type duplicateRow struct {
	ID         uuid.UUID  `gorm:"column:id"`
	FirstID    uuid.UUID  `gorm:"column:first_id"`
	SecondID   *uuid.UUID `gorm:"column:second_id"`
	ToldSealed []byte     `gorm:"column:told_sealed"`
	ToldIndex  []byte     `gorm:"column:told_index"`
	Rule       string     `gorm:"column:rule"`
	Place      string     `gorm:"column:place"`
	State      string     `gorm:"column:state"`
	FoundAt    time.Time  `gorm:"column:found_at"`
	DecidedAt  *time.Time `gorm:"column:decided_at"`
	DecidedBy  *string    `gorm:"column:decided_by"`
	Reason     *string    `gorm:"column:reason"`
}

// TableName implements gorm's schema.Tabler.
func (duplicateRow) TableName() string { return "duplicate_cases" }

// DuplicateCase is two files that may be one person's, for a human to decide
// (疑似重复). It holds personal data.
type DuplicateCase struct {
	ID      uuid.UUID
	Rule    string // one of the Rule…
	Place   string
	State   string // open, same, different
	FoundAt time.Time
	First   Person
	Second  *Person // nil: Told says what another system told under the number of First
	Told    *Reported
}

// Reported is what a row of another system told.
type Reported struct {
	Name  string `json:"name"`
	Phone string `json:"phone,omitempty"`
	From  string `json:"from"`
}

const columnTold = "duplicate_cases.told"

// openCase notes that a row of a file has the number of a person and another
// name.
func (db *DB) openCase(ctx context.Context, l *loading, person Person, row LoadRow) error {
	id, err := uuid.NewV7FromReader(db.rand)
	if err != nil {
		return fmt.Errorf("registry: new id: %w", err)
	}
	told, err := json.Marshal(Reported{Name: row.Person.Name, Phone: row.Person.Phone, From: l.reason})
	if err != nil {
		return fmt.Errorf("registry: case: %w", err)
	}
	c := duplicateRow{ID: id, FirstID: person.ID, Rule: RuleOtherName, Place: person.Place, State: "open", FoundAt: db.Now()}
	work := newSealing(1, 1)
	work.seal(columnTold, id.String(), string(told), &c.ToldSealed)
	work.index(columnTold, row.Person.Name, numberIndex, &c.ToldIndex)
	if err := work.run(ctx, db); err != nil {
		return err
	}
	l.cases = append(l.cases, c)
	return nil
}

// addCases stores cases; one that was raised before, decided or not, stays as
// it is.
func (tx *Tx) addCases(cases []duplicateRow) error {
	const batch = 500
	for len(cases) > 0 {
		n := min(batch, len(cases))
		if err := tx.gorm.Clauses(clause.OnConflict{DoNothing: true}).Create(cases[:n]).Error; err != nil {
			return err
		}
		cases = cases[n:]
	}
	return nil
}

func pairCase(tx *Tx, a, b uuid.UUID, rule, place string) (duplicateRow, error) {
	id, err := tx.NewID()
	if err != nil {
		return duplicateRow{}, fmt.Errorf("registry: new id: %w", err)
	}
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	return duplicateRow{ID: id, FirstID: a, SecondID: &b, Rule: rule, Place: place, State: "open", FoundAt: tx.now}, nil
}
