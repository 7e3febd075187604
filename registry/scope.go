package registry

import (
	"context"

	"gorm.io/gorm"

	"onecard/internal/gb"
)

// Scope is a place and all below it, as a right or a list is limited to it: a
// province, prefecture, county, township or community with every code under
// which its records may be filed, old ones too. See docs/places.md.
type Scope struct {
	places *gb.Table
	of     string
	day    gb.Date
	codes  []string
	fine   bool // below the county: records are told apart by their locality
}

// Scope returns the scope of a place today. Error: a *FieldError for what is no
// place.
func (db *DB) Scope(ctx context.Context, place string) (Scope, error) {
	places, err := db.Places(ctx)
	if err != nil {
		return Scope{}, err
	}
	s := Scope{places: places, of: place, day: db.Today(), fine: len(place) > 6}
	table := gb.Divisions()
	if s.fine {
		table = places
	}
	if s.codes = table.Within(place, s.day); len(s.codes) == 0 {
		return Scope{}, &FieldError{Field: "place", ZH: "应为行政区划代码", EN: "a code of a place"}
	}
	return s, nil
}

// Covers reports whether a record of a place and, where it is known, a locality
// lies in the scope.
func (s Scope) Covers(place, locality string) bool {
	if s.fine {
		return s.places.Lies(locality, s.of, s.day)
	}
	return s.places.Lies(place, s.of, s.day)
}

// In limits a query to the scope by the columns of a record's place and
// locality.
func (s Scope) In(query *gorm.DB, place, locality string) *gorm.DB {
	if s.fine {
		return query.Where(locality+" IN ?", s.codes)
	}
	return query.Where(place+" IN ?", s.codes)
}

// Codes returns the six-digit codes under which records of the scope may be
// filed; false for a scope below the county.
func (s Scope) Codes() ([]string, bool) { return s.codes, !s.fine }

// Whole says whether the scope is so wide that an index by place would not
// help.
func (s Scope) Whole() bool { return !s.fine && len(s.codes) >= len(gb.Divisions().All())/2 }
