package registry

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/internal/gb"
)

// How a guardian is related to the ward (监护关系) and what proves it (关系证明):
// 父, 母, 其他; 户口簿, 出生医学证明, 其他.
var (
	GuardianRelations = []string{"father", "mother", "other"}
	GuardianProofs    = []string{"household-book", "birth-certificate", "other"}
)

// Guardian is who acts for a minor (监护人). It holds personal data.
type Guardian struct {
	Relation string // one of GuardianRelations; a ward has at most one of each
	Proof    string // one of GuardianProofs
	// Person is the guardian's own file, if there is one. When a guardian is
	// recorded it is found by the number.
	Person *uuid.UUID
	IDType string // of a guardian to be recorded; empty: DocumentResident
	Name   string
	Number string
	Until  gb.Date // the last day on which it holds; zero: it holds
	Stamp  Stamp
}

type guardianRow struct {
	WardID       uuid.UUID  `gorm:"column:ward_id"`
	GuardianID   *uuid.UUID `gorm:"column:guardian_id"`
	NameSealed   []byte     `gorm:"column:name_sealed"`
	NumberSealed []byte     `gorm:"column:number_sealed"`
	Relation     string     `gorm:"column:relation"`
	Proof        string     `gorm:"column:proof"`
	Until        *string    `gorm:"column:until"`
	Stamp        `gorm:"embedded"`
}

// TableName implements gorm's schema.Tabler.
func (guardianRow) TableName() string { return "guardians" }

const (
	columnGuardianName   = "guardians.name"
	columnGuardianNumber = "guardians.number"
)

// PutGuardian records who acts for a person. A guardian whose number is
// registered is that person, whose name must be the same. Errors: ErrInvalid,
// ErrNotFound, ErrConflict for a file that was merged into another.
func (tx *Tx) PutGuardian(ward uuid.UUID, guardian Guardian, reason string) error {
	if err := errors.Join(checkReason(reason), guardian.check()); err != nil {
		return err
	}
	if _, _, err := tx.lockFile(ward); err != nil {
		return err
	}
	values := map[string]any{"proof": guardian.Proof, "until": day(guardian.Until), "guardian_id": nil, "name_sealed": nil, "number_sealed": nil}
	told, err := guardian.told()
	if err != nil {
		return err
	}
	known, err := tx.guardianFile(told)
	switch {
	case err != nil:
		return err
	case known != nil && *known == ward:
		return &FieldError{Field: "idNumber", ZH: "监护人不能是本人", EN: "another person than the ward"}
	case known != nil:
		values["guardian_id"] = *known
	default:
		row := ward.String() + "/" + guardian.Relation
		for column, plain := range map[string]string{columnGuardianName: told.Name, columnGuardianNumber: told.Number()} {
			sealed, err := tx.db.Seal(tx.ctx, column, row, []byte(plain))
			if err != nil {
				return err
			}
			values[strings.TrimPrefix(column, "guardians.")+"_sealed"] = sealed
		}
	}
	if err := tx.put("guardians", map[string]any{"ward_id": ward, "relation": guardian.Relation}, values, reason); err != nil {
		return err
	}
	return tx.Audit("person.guardian", "person:"+ward.String(), map[string]string{"relation": guardian.Relation, "proof": guardian.Proof})
}

func (g Guardian) check() error {
	if !slices.Contains(GuardianRelations, g.Relation) {
		return &FieldError{Field: "relation", ZH: "应为 " + strings.Join(GuardianRelations, "、"), EN: "one of " + strings.Join(GuardianRelations, ", ")}
	}
	if !slices.Contains(GuardianProofs, g.Proof) {
		return &FieldError{Field: "proof", ZH: "应为 " + strings.Join(GuardianProofs, "、"), EN: "one of " + strings.Join(GuardianProofs, ", ")}
	}
	return nil
}

// told brings name and number into the form in which they are stored.
func (g Guardian) told() (Person, error) { return CheckNamed(g.IDType, g.Number, g.Name) }

// CheckNamed brings the document and the name of somebody who acts for another
// into the form in which they are stored. An empty idType is DocumentResident.
// Error: a *FieldError for idType, idNumber or name.
func CheckNamed(idType, number, name string) (Person, error) {
	n := NewPerson{IDNumber: number, Name: name}
	person := Person{IDType: cmp.Or(idType, DocumentResident)}
	for _, check := range []func(NewPerson, *Person) error{checkNumber, checkNames} {
		if err := check(n, &person); err != nil {
			return Person{}, err
		}
	}
	return person, nil
}

// guardianFile finds the guardian's own file by the number; nil for none.
func (tx *Tx) guardianFile(told Person) (*uuid.UUID, error) {
	digests, err := tx.db.digests(tx.ctx, columnIDNumber, numberKey(told.IDType, told.Number()), 0)
	if err != nil {
		return nil, err
	}
	person, err := tx.db.takePerson(tx.ctx, tx.ForUpdate().Where("id_number_index IN ?", digests))
	for err == nil && person.MergedInto != nil {
		person, err = tx.PersonByID(*person.MergedInto)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case letters(person.Name) != letters(told.Name):
		return nil, &FieldError{Field: "name", ZH: "与该号码登记的姓名不同", EN: "the name that is registered with this number"}
	case !person.Living():
		return nil, &FieldError{Field: "idNumber", ZH: "该人员已死亡", EN: "a living person"}
	}
	return &person.ID, nil
}

// HasGuardian says whether somebody is on record as who acts for a person on a
// day.
func (tx *Tx) HasGuardian(ward uuid.UUID, on gb.Date) (bool, error) {
	var n int64
	err := tx.gorm.Model(&guardianRow{}).Where("ward_id = ? AND (until IS NULL OR until >= ?)", ward, on.String()).Count(&n).Error
	return n > 0, err
}

// GuardiansAt returns who acted for a person at an instant as the record had
// it, by relation. Name and number of a guardian with a file of their own are
// those of today.
func (db *DB) GuardiansAt(ctx context.Context, ward uuid.UUID, at time.Time) ([]Guardian, error) {
	rows, err := rowsAt[guardianRow](ctx, db, "guardians", "ward_id", ward, at, func(q *gorm.DB) *gorm.DB { return q })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b guardianRow) int { return strings.Compare(a.Relation, b.Relation) })
	guardians := make([]Guardian, len(rows))
	work := newOpening(2 * len(rows))
	for i, row := range rows {
		until, _ := gb.ParseDate(deref(row.Until)) // written by us; empty is the zero date
		guardians[i] = Guardian{Relation: row.Relation, Proof: row.Proof, Person: row.GuardianID, Until: until, Stamp: row.Stamp}
		if row.GuardianID != nil {
			person, err := db.PersonByID(ctx, *row.GuardianID)
			if err != nil {
				return nil, err
			}
			guardians[i].Name, guardians[i].Number = person.Name, person.Number()
			continue
		}
		bound := row.WardID.String() + "/" + row.Relation
		work.open(columnGuardianName, bound, row.NameSealed, &guardians[i].Name)
		work.open(columnGuardianNumber, bound, row.NumberSealed, &guardians[i].Number)
	}
	return guardians, work.run(ctx, db)
}
