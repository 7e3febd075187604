package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/internal/gb"
)

// GroupLabel is a group of the founding plan (人群).
type GroupLabel struct{ Label, ZH, EN string }

// GroupLabels are the groups to which a person may belong.
var GroupLabels = []GroupLabel{
	{"urban-worker", "城镇职工", "urban worker"},
	{"urban-resident", "城镇居民", "urban resident"},
	{"farmer-herder", "农牧民", "farmer or herder"},
	{"migrant-worker", "农民工", "migrant worker"},
	{"unemployed", "失业人员", "unemployed"},
	{"surplus-labour", "农牧区富余劳动力", "surplus labour of the pastoral areas"},
	{"graduate", "高校毕业生", "graduate"},
	{"civil-servant", "公务员", "civil servant"},
	{"specialist", "专业技术人员", "specialist"},
	{"veteran-officer", "军队转业干部", "officer gone over to civil work"},
	{"jobseeker", "求职人员", "jobseeker"},
	{"retired", "离退休人员", "retired"},
}

// Group is that a person belongs to a group.
type Group struct {
	GroupLabel
	Since gb.Date // may be zero
	Until gb.Date // the last day; zero: still
	Stamp Stamp
}

type groupRow struct {
	Label string  `gorm:"column:label"`
	Since *string `gorm:"column:since"`
	Until *string `gorm:"column:until"`
	Stamp `gorm:"embedded"`
}

func groupLabel(label string) int {
	return slices.IndexFunc(GroupLabels, func(g GroupLabel) bool { return g.Label == label })
}

// PutGroup records that a person belongs to a group, or did until a day.
// Errors: ErrInvalid, ErrNotFound, ErrConflict for a file that was merged into
// another.
func (tx *Tx) PutGroup(person uuid.UUID, label string, since, until gb.Date, reason string) error {
	switch {
	case groupLabel(label) < 0:
		return &FieldError{Field: "label", ZH: "应为十二类人群之一", EN: "one of the twelve groups"}
	case !since.IsZero() && !until.IsZero() && until.Before(since):
		return &FieldError{Field: "until", ZH: "不能早于起始日期", EN: "not before since"}
	}
	if err := checkReason(reason); err != nil {
		return err
	}
	if _, _, err := tx.lockFile(person); err != nil {
		return err
	}
	key := map[string]any{"person_id": person, "label": label}
	return errors.Join(
		tx.put("person_groups", key, map[string]any{"since": day(since), "until": day(until)}, reason),
		tx.Audit("person.group", "person:"+person.String(), map[string]string{"label": label}),
	)
}

// GroupsAt returns the groups of a person as the record had them at an instant,
// by label.
func (db *DB) GroupsAt(ctx context.Context, person uuid.UUID, at time.Time) ([]Group, error) {
	rows, err := rowsAt[groupRow](ctx, db, "person_groups", "person_id", person, at, func(q *gorm.DB) *gorm.DB { return q })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b groupRow) int { return strings.Compare(a.Label, b.Label) })
	groups := make([]Group, len(rows))
	for i, row := range rows {
		since, _ := gb.ParseDate(deref(row.Since)) // written by us; empty is the zero date
		until, _ := gb.ParseDate(deref(row.Until))
		groups[i] = Group{GroupLabel: GroupLabels[groupLabel(row.Label)], Since: since, Until: until, Stamp: row.Stamp}
	}
	return groups, nil
}
