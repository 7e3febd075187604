package registry

import (
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
	RulePhoneName  = "same-phone-name"   // 电话、姓名相同，号码不同
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
func (db *DB) openCase(ctx context.Context, l *Loading, person Person, row LoadRow) error {
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

// OpenCases returns the cases of a place and all below it that wait for a
// decision, the oldest first, after the case of that id.
func (db *DB) OpenCases(ctx context.Context, place string, after uuid.UUID, limit int) ([]DuplicateCase, error) {
	scope, err := db.Scope(ctx, place)
	if err != nil {
		return nil, err
	}
	var rows []duplicateRow
	const locality = "(SELECT p.locality FROM persons p WHERE p.id = first_id)"
	err = scope.In(db.Read(ctx), "place", locality).Where("state = 'open' AND id > ?", after).Order("id").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("registry: cases: %w", err)
	}
	cases := make([]DuplicateCase, len(rows))
	for i, row := range rows {
		if cases[i], err = db.openDuplicate(ctx, row); err != nil {
			return nil, err
		}
	}
	return cases, nil
}

// DuplicateCase returns one case, or ErrNotFound.
func (db *DB) DuplicateCase(ctx context.Context, id uuid.UUID) (DuplicateCase, error) {
	var row duplicateRow
	if err := db.Read(ctx).Where("id = ?", id).Take(&row).Error; err != nil {
		return DuplicateCase{}, err
	}
	return db.openDuplicate(ctx, row)
}

func (db *DB) openDuplicate(ctx context.Context, row duplicateRow) (DuplicateCase, error) {
	c := DuplicateCase{ID: row.ID, Rule: row.Rule, Place: row.Place, State: row.State, FoundAt: row.FoundAt}
	var err error
	if c.First, err = db.PersonByID(ctx, row.FirstID); err != nil {
		return DuplicateCase{}, err
	}
	if row.SecondID != nil {
		second, err := db.PersonByID(ctx, *row.SecondID)
		c.Second = &second
		return c, err
	}
	plain, err := db.Unseal(ctx, columnTold, row.ID.String(), row.ToldSealed)
	if err != nil {
		return DuplicateCase{}, err
	}
	c.Told = &Reported{}
	if err := json.Unmarshal(plain, c.Told); err != nil {
		return DuplicateCase{}, fmt.Errorf("registry: case %s: %w", row.ID, err)
	}
	return c, nil
}

// DecideCase closes a case: the same person or different ones. Two files of the
// same person are merged into the one to keep; what another system told under
// a person's number is told to be right or wrong by its reason alone: the
// record is corrected separately. Errors: ErrNotFound, ErrConflict for a case
// that is closed, and those of MergePersons.
func (tx *Tx) DecideCase(id uuid.UUID, same bool, keep uuid.UUID, reason string) error {
	if err := checkReason(reason); err != nil {
		return err
	}
	var row duplicateRow
	if err := tx.ForUpdate().Where("id = ?", id).Take(&row).Error; err != nil {
		return err
	}
	if row.State != "open" {
		return &Error{Kind: ErrConflict, Table: "duplicate_cases", Constraint: "decided"}
	}
	state := "different"
	if same {
		state = "same"
	}
	if same && row.SecondID != nil {
		absorbed := *row.SecondID
		switch keep {
		case row.FirstID:
		case *row.SecondID:
			absorbed = row.FirstID
		default:
			return &FieldError{Field: "keep", ZH: "应为两份档案之一", EN: "one of the two files"}
		}
		if _, err := tx.MergePersons(keep, absorbed, reason); err != nil {
			return err
		}
	}
	decided := tx.gorm.Model(&duplicateRow{}).Where("id = ?", id).Updates(map[string]any{
		"state": state, "decided_at": tx.now, "decided_by": tx.actor.Operator, "reason": reason,
	})
	if decided.Error != nil {
		return decided.Error
	}
	return tx.Audit("duplicate.decided", "case:"+id.String(), map[string]string{"state": state})
}
