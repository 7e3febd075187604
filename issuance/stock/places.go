package stock

import (
	"fmt"
	"strings"

	"gorm.io/gorm"

	"onecard/registry"
)

// Place is an institution that keeps cards (保管场所).
type Place struct {
	ID     string  `gorm:"column:id"`
	Name   string  `gorm:"column:name"`
	Kind   string  `gorm:"column:kind"`
	Code   string  `gorm:"column:place"` // GB/T 2260
	Tier   *string `gorm:"column:tier"`
	Parent *string `gorm:"column:parent"`
}

// TableName implements gorm's schema.Tabler.
func (Place) TableName() string { return "institutions" }

// tiers are the steps down from the maker; each is also the custody of a
// finished card there.
var tiers = []string{"maker", "province", "prefecture", "county", "township"}

// step is how far down a place stands, or -1: nothing is kept there. An office
// whose tier is not on record is that of its division.
func (p Place) step() int {
	name := ""
	switch {
	case p.Kind == registry.KindMaker:
		name = "maker"
	case p.Kind != registry.KindOffice:
		return -1
	case p.Tier != nil:
		name = *p.Tier
	default:
		name = [...]string{2: "province", 4: "prefecture", 6: "county"}[len(below(p.Code))]
	}
	for i, tier := range tiers {
		if tier == name {
			return i
		}
	}
	return -1
}

func (p Place) custody() string { return tiers[p.step()] }

// above says whether p is the place one step above q: its parent on record, or
// without one the next tier of the same area.
func (p Place) above(q Place) bool {
	if p.step() < 0 || q.step() < 0 || p.step() >= q.step() {
		return false
	}
	if q.Parent != nil && p.Kind != registry.KindMaker {
		return *q.Parent == p.ID
	}
	return p.step()+1 == q.step() && (p.Kind == registry.KindMaker || strings.HasPrefix(q.Code, below(p.Code)))
}

func place(db *gorm.DB, id string) (Place, error) {
	var p Place
	if err := db.Where("id = ?", id).Take(&p).Error; err != nil {
		return p, fmt.Errorf("机构 institution %s: %w", id, err)
	}
	if p.step() < 0 {
		return p, naming(ErrWay, id)
	}
	return p, nil
}

// way returns both ends of a consignment if it is one step long.
func way(db *gorm.DB, from, to string) (a, b Place, err error) {
	if a, err = place(db, from); err != nil {
		return a, b, err
	}
	if b, err = place(db, to); err != nil {
		return a, b, err
	}
	if !a.above(b) && !b.above(a) {
		return a, b, naming(ErrWay, from+" → "+to)
	}
	return a, b, nil
}
