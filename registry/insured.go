package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"onecard/internal/gb"
)

// Insured is how a person is insured in one kind at one place (参保险种、参保地).
type Insured struct {
	Kind  string // pension, rural-pension, medical, resident-medical, unemployment, work-injury, maternity
	Place string // 参保地, division code
	State string // insured, suspended, ended
	Since gb.Date
	Until gb.Date // of one that ended
	Stamp Stamp
}

type insuredRow struct {
	PersonID uuid.UUID `gorm:"column:person_id"`
	Kind     string    `gorm:"column:kind"`
	Place    string    `gorm:"column:place"`
	State    string    `gorm:"column:state"`
	Since    *string   `gorm:"column:since"`
	Until    *string   `gorm:"column:until"`
	Stamp    `gorm:"embedded"`
}

// TableName implements gorm's schema.Tabler.
func (insuredRow) TableName() string { return "insured" }

func (r insuredRow) domain() Insured {
	since, _ := gb.ParseDate(deref(r.Since)) // written by us; empty is the zero date
	until, _ := gb.ParseDate(deref(r.Until))
	return Insured{Kind: r.Kind, Place: r.Place, State: r.State, Since: since, Until: until, Stamp: r.Stamp}
}

func (i Insured) row(person uuid.UUID) insuredRow {
	return insuredRow{PersonID: person, Kind: i.Kind, Place: i.Place, State: i.State, Since: day(i.Since), Until: day(i.Until), Stamp: i.Stamp}
}

func day(date gb.Date) *string {
	if date.IsZero() {
		return nil
	}
	text := date.String()
	return &text
}

// Insure records how a person is insured; what was recorded of the same kind at
// the same place becomes history. Errors: ErrConflict for words outside the
// code lists or a place that never was.
func (tx *Tx) Insure(person uuid.UUID, insured Insured, reason string) error {
	row := insured.row(person)
	var err error
	row.Stamp = tx.Stamp(reason)
	row.Stamp.Version, err = tx.firstVersion("insured", map[string]any{"person_id": person, "kind": row.Kind, "place": row.Place})
	if err != nil {
		return err
	}
	made := tx.gorm.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	if made.Error != nil {
		return made.Error
	}
	if made.RowsAffected == 0 {
		changes := tx.Change(map[string]any{"state": row.State, "since": row.Since, "until": row.Until}, reason)
		key := tx.gorm.Model(&insuredRow{}).Where("person_id = ? AND kind = ? AND place = ?", person, row.Kind, row.Place)
		if err := key.Updates(changes).Error; err != nil {
			return err
		}
	}
	detail := map[string]string{"kind": insured.Kind, "place": insured.Place, "state": insured.State}
	return tx.Audit("person.insured", "person:"+person.String(), detail)
}

// InsuredAt returns how a person was insured at an instant, by kind and place.
func (db *DB) InsuredAt(ctx context.Context, person uuid.UUID, at time.Time) ([]Insured, error) {
	present, past := db.AsOf(ctx, "insured", at)
	var rows, earlier []insuredRow
	if err := present.Where("person_id = ?", person).Order("kind, place").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("registry: insured: %w", err)
	}
	if err := past.Where("person_id = ?", person).Order("kind, place").Find(&earlier).Error; err != nil {
		return nil, fmt.Errorf("registry: insured: %w", err)
	}
	insured := make([]Insured, 0, len(rows)+len(earlier))
	for _, row := range append(rows, earlier...) {
		insured = append(insured, row.domain())
	}
	return insured, nil
}
