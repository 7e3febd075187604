package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"onecard/internal/gb"
	"onecard/internal/pinyin"
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

// suspicion is the rule by which two files look like one person's, or none:
// the same name and day of birth within a prefecture, or a name that sounds the
// same within a county.
func (db *DB) suspicion(a, b Person) string {
	switch {
	case a.ID == b.ID || a.Birth != b.Birth:
		return ""
	case letters(a.Name) == letters(b.Name) && db.prefecture(a.Place) == db.prefecture(b.Place):
		return RuleNameBirth
	case gb.Divisions().Lies(a.Place, b.Place, db.Today()) && pinyin.Sound(a.Name) == pinyin.Sound(b.Name):
		return RuleSoundBirth
	default:
		return ""
	}
}

// suspect opens a case for each pair among persons of the same sound and day
// of birth. Who was merged is one person already.
func (tx *Tx) suspect(persons []Person) (int, error) {
	var cases []duplicateRow
	for i, a := range persons {
		for _, b := range persons[i+1:] {
			rule := tx.db.suspicion(a, b)
			if rule == "" || a.MergedInto != nil || b.MergedInto != nil {
				continue
			}
			id, err := tx.NewID()
			if err != nil {
				return 0, fmt.Errorf("registry: new id: %w", err)
			}
			first, second := a.ID, b.ID
			if bytes.Compare(first[:], second[:]) > 0 {
				first, second = second, first
			}
			cases = append(cases, duplicateRow{ID: id, FirstID: first, SecondID: &second, Rule: rule, Place: a.Place, State: "open", FoundAt: tx.now})
		}
	}
	return len(cases), tx.addCases(cases)
}

// mostAlike bounds the files of one sound and day of birth that are compared.
const mostAlike = 20

// suspectNew compares a person who was just registered with those of the same
// sound and day of birth (录入时查重).
func (tx *Tx) suspectNew(row personRow) error {
	var rows []personRow
	err := tx.gorm.Where("sound_index = ? AND birth = ?", row.SoundIndex, row.Birth).Limit(mostAlike).Find(&rows).Error
	if err != nil || len(rows) < 2 {
		return err
	}
	persons, err := tx.db.openPersons(tx.ctx, rows)
	if err != nil {
		return err
	}
	_, err = tx.suspect(persons)
	return err
}

// ScanDuplicates compares all persons of the same sound and day of birth (批量查重)
// and opens a case for each suspicious pair. It goes through an index, in
// transactions of bounded size, and may be stopped and run again: no case is
// opened twice. It returns the number of suspicious pairs.
func (db *DB) ScanDuplicates(ctx context.Context, actor Actor) (int, error) {
	const groups = 200
	type group struct {
		SoundIndex []byte
		Birth      string
	}
	total := 0
	last := group{SoundIndex: []byte{}}
	for {
		var found []group
		err := db.Read(ctx).Table("persons").Select("sound_index, birth").
			Where("(sound_index > ? OR (sound_index = ? AND birth > ?))", last.SoundIndex, last.SoundIndex, last.Birth).
			Group("sound_index, birth").Having("count(*) > 1").Order("sound_index, birth").Limit(groups).Scan(&found).Error
		if err != nil {
			return total, fmt.Errorf("registry: duplicates: %w", err)
		}
		if len(found) == 0 {
			return total, nil
		}
		err = db.InTx(ctx, actor, func(tx *Tx) error {
			pairs := 0
			for _, g := range found {
				var rows []personRow
				if err := tx.gorm.Where("sound_index = ? AND birth = ?", g.SoundIndex, g.Birth).Limit(mostAlike).Find(&rows).Error; err != nil {
					return err
				}
				persons, err := db.openPersons(tx.ctx, rows)
				if err != nil {
					return err
				}
				n, err := tx.suspect(persons)
				if err != nil {
					return err
				}
				pairs += n
			}
			total += pairs
			return tx.Audit("duplicates.scanned", "persons", map[string]string{"pairs": fmt.Sprint(pairs)})
		})
		if err != nil {
			return total, err
		}
		last = found[len(found)-1]
	}
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
	if err := tx.gorm.Clauses(clause.Locking{Strength: "UPDATE"}).Where("id = ?", id).Take(&row).Error; err != nil {
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
