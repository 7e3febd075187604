package stores

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/registry"
)

// Decision is the decision store (决策库).
type Decision struct{ store *registry.Store }

// OpenDecision opens the decision store.
func OpenDecision(ctx context.Context, dsn string, now func() time.Time) (*Decision, error) {
	store, err := open(ctx, dsn, "decision", now)
	if err != nil {
		return nil, fmt.Errorf("decision store: %w", err)
	}
	return &Decision{store}, nil
}

// Columns returns every column of every table.
func (d *Decision) Columns(ctx context.Context) ([]registry.Column, error) {
	return d.store.Columns(ctx)
}

// Close closes all connections.
func (d *Decision) Close() error { return d.store.Close() }

// Fact is a count of a day: of a place (GB/T 2260), by up to three dimensions.
// A dimension is Withheld where it would have told of too few persons.
type Fact struct {
	Day     string `gorm:"column:day"`
	Measure string `gorm:"column:measure"`
	Place   string `gorm:"column:place"`
	First   string `gorm:"column:first"`
	Second  string `gorm:"column:second"`
	Third   string `gorm:"column:third"`
	Number  int64  `gorm:"column:number"`
}

// TableName implements gorm's schema.Tabler.
func (Fact) TableName() string { return "facts" }

// Withheld stands for a dimension that is not told.
const Withheld = "*"

// Least is the least number of persons that a fact tells of.
const Least = 5

// measures are the questions of every day, and what their dimensions are. Each
// gives place, first, second, third and number; an age is given as the year of
// birth.
var measures = []struct{ name, dimensions, question string }{
	{"persons", "sex, age band, ethnic group", "SELECT place, sex AS first, substr(birth, 1, 4) AS second, ethnic AS third, count(*) AS number FROM persons WHERE merged_into IS NULL AND life_state = 'living' GROUP BY 1, 2, 3, 4"},
	{"life", "life state", "SELECT place, life_state AS first, '' AS second, '' AS third, count(*) AS number FROM persons WHERE merged_into IS NULL GROUP BY 1, 2"},
	{"checks", "police comparison, ministry's copy", "SELECT place, police_state AS first, ministry_state AS second, '' AS third, count(*) AS number FROM persons WHERE merged_into IS NULL GROUP BY 1, 2, 3"},
	{"insured", "kind of insurance, state", "SELECT place, kind AS first, state AS second, '' AS third, count(*) AS number FROM insured GROUP BY 1, 2, 3"},
	{"cards", "status, specification", "SELECT p.place, c.status AS first, c.spec_version AS second, '' AS third, count(*) AS number FROM cards c JOIN persons p ON p.id = c.person_id GROUP BY 1, 2, 3"},
	{"applications", "state", "SELECT p.place, a.state AS first, '' AS second, '' AS third, count(*) AS number FROM applications a JOIN persons p ON p.id = a.person_id GROUP BY 1, 2"},
}

// aged is the measure whose second dimension is a year of birth.
const aged = "persons"

// Take takes the facts of a day (每日快照) from production; taken again, they
// replace what was taken before.
func (d *Decision) Take(ctx context.Context, production *registry.DB, day time.Time) (int, error) {
	date := day.Format(time.DateOnly)
	var facts []Fact
	for _, m := range measures {
		var cells []Fact
		if err := production.Read(ctx).Raw(m.question).Scan(&cells).Error; err != nil {
			return 0, fmt.Errorf("decision store: %s: %w", m.name, err)
		}
		if m.name == aged {
			cells = byAge(cells, day.Year())
		}
		for _, cell := range withhold(cells, Least) {
			cell.Day, cell.Measure = date, m.name
			facts = append(facts, cell)
		}
	}
	err := d.store.Change(ctx, func(tx *gorm.DB) error {
		if err := tx.Where("day = ?", date).Delete(&Fact{}).Error; err != nil {
			return err
		}
		if err := tx.CreateInBatches(facts, batch).Error; err != nil {
			return err
		}
		if err := tx.Exec("DELETE FROM days WHERE day = ?", date).Error; err != nil {
			return err
		}
		return tx.Exec("INSERT INTO days (day, taken_at) VALUES (?, ?)", date, d.store.Now()).Error
	})
	return len(facts), err
}

// Taken says whether a day's facts have been taken.
func (d *Decision) Taken(ctx context.Context, day time.Time) (bool, error) {
	var days int64
	err := d.store.Read(ctx).Table("days").Where("day = ?", day.Format(time.DateOnly)).Count(&days).Error
	return days > 0, err
}

// Facts returns a measure of a day, of a place and all below it.
func (d *Decision) Facts(ctx context.Context, day time.Time, measure, within string) (facts []Fact, err error) {
	return facts, d.store.Read(ctx).Where("day = ? AND measure = ? AND place IN ?", day.Format(time.DateOnly), measure, gb.Divisions().Within(within, gb.DateOf(d.store.Now()))).
		Order("place, first, second, third").Find(&facts).Error
}

// byAge puts years of birth together to bands of ten years of age.
func byAge(cells []Fact, year int) []Fact {
	for i := range cells {
		born, err := strconv.Atoi(cells[i].Second)
		if err != nil {
			cells[i].Second = Withheld
			continue
		}
		from := max(year-born, 0) / 10 * 10
		cells[i].Second = fmt.Sprintf("%02d-%02d", from, from+9)
		if from >= 90 {
			cells[i].Second = "90-"
		}
	}
	return together(cells)
}

// together adds up the cells of one kind.
func together(cells []Fact) []Fact {
	slices.SortFunc(cells, compare)
	var sums []Fact
	for _, c := range cells {
		if n := len(sums); n > 0 && compare(sums[n-1], c) == 0 {
			sums[n-1].Number += c.Number
			continue
		}
		sums = append(sums, c)
	}
	return sums
}

func compare(a, b Fact) int {
	return cmp.Or(strings.Compare(a.Place, b.Place), strings.Compare(a.First, b.First), strings.Compare(a.Second, b.Second), strings.Compare(a.Third, b.Third))
}

// withhold leaves no cell that tells of fewer persons than least: the cells of a
// place that would are one without dimensions. Where that is still too few it
// takes the next larger cell along, so that it cannot be had by subtraction;
// and what a place has too few of counts in its prefecture, and then in the
// province. The numbers still add up, unless the whole province has too few.
func withhold(cells []Fact, least int64) []Fact {
	for _, wider := range []func(place string) string{
		func(place string) string { return place[:4] + "00" },
		func(place string) string { return place[:2] + "0000" },
		func(string) string { return "" },
	} {
		byPlace := map[string][]Fact{}
		for _, c := range cells {
			byPlace[c.Place] = append(byPlace[c.Place], c)
		}
		cells = cells[:0:0]
		for place, of := range byPlace {
			told, few := withholdIn(of, least)
			if few > 0 {
				rest := Fact{Place: place, First: Withheld, Second: Withheld, Third: Withheld, Number: few}
				if few < least {
					rest.Place = wider(place)
				}
				told = append(told, rest)
			}
			cells = append(cells, told...)
		}
		cells = together(cells)
	}
	return slices.DeleteFunc(cells, func(c Fact) bool { return c.Place == "" || c.Number < least })
}

// withholdIn divides the cells of a place into those that are told and the
// number of persons in the others.
func withholdIn(cells []Fact, least int64) (told []Fact, few int64) {
	slices.SortFunc(cells, func(a, b Fact) int { return cmp.Or(cmp.Compare(a.Number, b.Number), compare(a, b)) })
	for _, c := range cells {
		if c.First == Withheld || c.Number < least || few > 0 && few < least {
			few += c.Number
			continue
		}
		told = append(told, c)
	}
	return told, few
}
