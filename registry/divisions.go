package registry

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm/clause"

	"onecard/internal/gb"
)

// divisionRow is a row of divisions.
type divisionRow struct {
	Code      string  `gorm:"column:code"`
	Name      string  `gorm:"column:name"`
	Level     string  `gorm:"column:level"`
	Parent    *string `gorm:"column:parent"`
	ValidFrom *string `gorm:"column:valid_from"`
	ValidTo   *string `gorm:"column:valid_to"`
	Successor *string `gorm:"column:successor"`
}

// TableName implements gorm's schema.Tabler.
func (divisionRow) TableName() string { return "divisions" }

// divisionRows renders the table of internal/gb: one row for each code, as it
// was last, those above before those below. Units that had no code are left
// out: nothing can refer to them.
func divisionRows(table *gb.Table) []divisionRow {
	last := map[string]gb.Division{}
	for _, division := range table.All() {
		if other, seen := last[division.Code]; division.Code != "" && (!seen || other.From.Before(division.From)) {
			last[division.Code] = division
		}
	}
	levels := []gb.Level{gb.Province, gb.Prefecture, gb.County}
	var rows []divisionRow
	for _, level := range levels {
		for _, division := range table.All() {
			if division.Level == level && division == last[division.Code] {
				rows = append(rows, divisionRow{
					Code: division.Code, Name: division.Name, Level: string(level), Parent: optional(division.Parent),
					ValidFrom: optional(division.From.String()), ValidTo: optional(division.To.String()),
					Successor: optional(division.Successor),
				})
			}
		}
	}
	return rows
}

// optional returns nil, a database's NULL, for the empty text.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// loadDivisions brings the table of divisions up to what this program knows.
// Codes that it does not know, from a newer program, stay.
func (db *DB) loadDivisions(ctx context.Context) error {
	var stored []divisionRow
	if err := db.Read(ctx).Find(&stored).Error; err != nil {
		return err
	}
	var changed []divisionRow
	for _, row := range divisionRows(gb.Divisions()) {
		if !slices.ContainsFunc(stored, func(other divisionRow) bool { return row.equal(other) }) {
			changed = append(changed, row)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	onConflict := clause.OnConflict{Columns: []clause.Column{{Name: "code"}}, UpdateAll: true}
	return db.write.WithContext(ctx).Clauses(onConflict).Create(&changed).Error
}

func (r divisionRow) equal(other divisionRow) bool {
	same := func(a, b *string) bool {
		return (a == nil) == (b == nil) && (a == nil || *a == *b)
	}
	return r.Code == other.Code && r.Name == other.Name && r.Level == other.Level && same(r.Parent, other.Parent) &&
		same(r.ValidFrom, other.ValidFrom) && same(r.ValidTo, other.ValidTo) && same(r.Successor, other.Successor)
}

// placeToday makes sure that a place is a division today.
func (tx *Tx) placeToday(place string) error {
	if _, ok := gb.Divisions().At(place, gb.DayOf(tx.now)); !ok {
		return &FieldError{Field: "place", ZH: "应为现行的行政区划代码", EN: "a division code that is valid today"}
	}
	return nil
}

// localityToday makes sure that a locality, if one is told, is a township or
// community today and lies in the place.
func (tx *Tx) localityToday(locality, place string) error {
	if locality == "" {
		return nil
	}
	places, err := tx.db.Places(tx.ctx)
	if err != nil {
		return err
	}
	today := gb.DayOf(tx.now)
	if _, ok := places.At(locality, today); !ok || len(locality) == len(place) || !places.Lies(locality, place, today) {
		return &FieldError{Field: "locality", ZH: "应为该地区内现行的 9 位乡级或 12 位村级代码", EN: "a code of 9 (township) or 12 digits (community) in that place that is valid today"}
	}
	return nil
}

// Prefecture returns the code of the prefecture (市州) that a division lies in
// by its code: four digits and 00. The audit log has a chain for each; its name
// stays when a prefecture gets another code.
func Prefecture(place string) (string, error) {
	if !isCode(place) {
		return "", fmt.Errorf("registry: prefecture: %w", &FieldError{Field: "place", ZH: "应为 6 位行政区划代码", EN: "a division code of 6 digits"})
	}
	return place[:4] + "00", nil
}

// prefecture returns the prefecture in which a place lies today, or the
// province itself.
func (db *DB) prefecture(place string) string {
	path := gb.Divisions().Path(place, db.Today())
	return path[max(len(path)-2, 0)]
}
