package gb

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
)

//go:embed divisions.csv
var divisionsFile []byte

// Level is the level of a division (行政区划级别).
type Level string

// The levels.
const (
	// Province is 省级.
	Province Level = "province"
	// Prefecture is 地级.
	Prefecture Level = "prefecture"
	// County is 县级.
	County Level = "county"
	// Township is 乡级: a township, town, sub-district, or a farm or park that
	// ranks with them; nine digits.
	Township Level = "township"
	// Community is 村级: a village or community; twelve digits.
	Community Level = "community"
)

// CodeKind says where a division's code comes from.
type CodeKind string

// The kinds of code.
const (
	// NationalCode is a code of GB/T 2260.
	NationalCode CodeKind = "gb"
	// StatisticsCode is a code of the statistical office alone.
	StatisticsCode CodeKind = "statistics"
	// NoCode: the unit had no code of its own.
	NoCode CodeKind = "none"
)

// Division is a division (行政区划) as it was between two days.
type Division struct {
	// Code is six digits, nine for a township and twelve for a community; empty
	// for the administrative committees (行政委员会) which had none.
	Code string
	// Name is the full Chinese name.
	Name  string
	Level Level
	// Parent is the code of the division above; empty for the province.
	Parent string
	// From is the first day of validity, zero for before the oldest table;
	// To is the first day on which it was no longer valid, zero for none.
	From, To Date
	// Successor is the code of what took its place on To; empty while valid, and
	// for townships and communities also when it is not known.
	Successor string
	Kind      CodeKind
	// Source says where the row comes from.
	Source string
	// Assumed marks rows whose date or code rests on one source or on an assumption.
	Assumed bool
}

// ValidOn reports whether the division was as described on that day.
func (d Division) ValidOn(day Date) bool {
	return !day.Before(d.From) && (d.To.IsZero() || day.Before(d.To))
}

// Table is a table of divisions with their history. It does not change and is
// safe for concurrent use.
type Table struct {
	rows   []Division
	byCode map[string][]int // the rows of each code
}

// newTable makes a table of rows.
func newTable(rows []Division) *Table {
	t := &Table{rows: rows, byCode: map[string][]int{}}
	for i, d := range rows {
		if d.Code != "" {
			t.byCode[d.Code] = append(t.byCode[d.Code], i)
		}
	}
	return t
}

// embedded is the table of Qinghai, parsed once.
var embedded = sync.OnceValues(func() (*Table, error) {
	return ParseDivisions(bytes.NewReader(divisionsFile))
})

// Divisions returns the embedded table of Qinghai (code 63). That it parses is
// held by a test; a build with a broken file has an empty table.
func Divisions() *Table {
	table, err := embedded()
	if err != nil {
		return &Table{}
	}
	return table
}

// divisionColumns is the header of the data file.
var divisionColumns = []string{"code", "name", "level", "parent", "valid_from", "valid_to", "successor", "kind", "source", "assumed"}

// ParseDivisions reads a table in the form of divisions.csv, whose header
// explains the columns, and checks that it does not contradict itself: no code
// valid twice on one day, every parent valid as long as its division, every
// successor beginning when its predecessor ends. The error is ErrTable and
// names the row.
func ParseDivisions(r io.Reader) (*Table, error) {
	reader := csv.NewReader(r)
	reader.Comment = '#'
	reader.FieldsPerRecord = len(divisionColumns)
	header, err := reader.Read()
	if err != nil || !slices.Equal(header, divisionColumns) {
		return nil, tableError(0, errors.New("表头 header"))
	}
	var rows []Division
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		row := len(rows) + 1
		if err != nil {
			return nil, tableError(row, err)
		}
		division, err := parseDivision(record)
		if err != nil {
			return nil, tableError(row, err)
		}
		rows = append(rows, division)
	}
	table := newTable(rows)
	for i, division := range table.rows {
		if err := table.check(division); err != nil {
			return nil, fmt.Errorf("%s: %w", division.Name, tableError(i+1, err))
		}
	}
	return table, nil
}

// tableError says where the table is wrong, counting rows from 1 after the header.
func tableError(row int, err error) error {
	return fmt.Errorf("行政区划表第 %d 行 table of divisions, row %d: %w: %w", row, row, ErrTable, err)
}

// parseDivision reads one row.
func parseDivision(record []string) (Division, error) {
	d := Division{
		Code: record[0], Name: record[1], Level: Level(record[2]), Parent: record[3],
		Successor: record[6], Kind: CodeKind(record[7]), Source: record[8],
	}
	var err error
	if d.Assumed, err = strconv.ParseBool(record[9]); err != nil {
		return Division{}, errors.New("assumed")
	}
	if err := errors.Join(d.From.UnmarshalText([]byte(record[4])), d.To.UnmarshalText([]byte(record[5]))); err != nil {
		return Division{}, err
	}
	switch {
	case d.Name == "" || d.Source == "":
		return Division{}, errors.New("name, source")
	case !slices.Contains([]Level{Province, Prefecture, County}, d.Level):
		return Division{}, errors.New("level")
	case !slices.Contains([]CodeKind{NationalCode, StatisticsCode, NoCode}, d.Kind):
		return Division{}, errors.New("kind")
	case (d.Kind == NoCode) != (d.Code == "") || (d.Code != "" && !isDivisionCode(d.Code)):
		return Division{}, errors.New("code")
	case d.To.IsZero() != (d.Successor == "") || (!d.To.IsZero() && !d.From.Before(d.To)):
		return Division{}, errors.New("valid_to, successor")
	}
	return d, nil
}

// isDivisionCode reports whether the code is six digits.
func isDivisionCode(code string) bool {
	_, err := strconv.ParseUint(code, 10, 32)
	return err == nil && len(code) == 6
}

// check compares a row with the others.
func (t *Table) check(d Division) error {
	if _, ok := t.At(d.Successor, d.To); d.Successor != "" && !ok {
		return errors.New("successor")
	}
	if (d.Level == Province) != (d.Parent == "") {
		return errors.New("parent")
	}
	covered := d.Level == Province
	for _, i := range t.byCode[d.Parent] {
		other := t.rows[i]
		if above(other.Level, d.Level) && !d.From.Before(other.From) &&
			(other.To.IsZero() || (!d.To.IsZero() && !other.To.Before(d.To))) {
			covered = true
		}
	}
	if !covered {
		return errors.New("parent")
	}
	return t.once(d)
}

// once makes sure that a code is not valid twice on one day.
func (t *Table) once(d Division) error {
	for _, i := range t.byCode[d.Code] {
		other := t.rows[i]
		if other != d && (other.ValidOn(d.From) || d.ValidOn(other.From)) {
			return errors.New("code valid twice")
		}
	}
	return nil
}

// above reports whether level a stands above level b.
func above(a, b Level) bool {
	order := []Level{Province, Prefecture, County, Township, Community}
	return slices.Index(order, a) < slices.Index(order, b)
}

// All returns every row.
func (t *Table) All() []Division { return slices.Clone(t.rows) }

// Current returns the divisions as they were on that day, the province first,
// then the prefectures, then the counties.
func (t *Table) Current(day Date) []Division {
	return t.filter(func(d Division) bool { return d.ValidOn(day) })
}

// Children returns the divisions directly below the code on that day.
func (t *Table) Children(code string, day Date) []Division {
	return t.filter(func(d Division) bool { return d.Parent == code && d.ValidOn(day) })
}

// filter returns the rows that are wanted.
func (t *Table) filter(wanted func(Division) bool) []Division {
	var found []Division
	for _, d := range t.rows {
		if wanted(d) {
			found = append(found, d)
		}
	}
	return found
}

// At returns the division which had the code on that day.
func (t *Table) At(code string, day Date) (Division, bool) {
	for _, i := range t.byCode[code] {
		if t.rows[i].ValidOn(day) {
			return t.rows[i], true
		}
	}
	return Division{}, false
}

// Ancestors returns the divisions above the code on that day, the nearest
// first: the prefecture, then the province.
func (t *Table) Ancestors(code string, day Date) []Division {
	var ancestors []Division
	for d, ok := t.At(code, day); ok && d.Parent != ""; {
		if d, ok = t.Successor(d.Parent, day); ok {
			ancestors = append(ancestors, d)
		}
	}
	return ancestors
}

// Successor returns what a code that was ever valid stands for on that day:
// the division itself if it is valid, otherwise the one that took its place,
// over as many changes as there were. An identity number keeps the old code
// for life; this tells which county it means today.
func (t *Table) Successor(code string, day Date) (Division, bool) {
	if d, ok := t.At(code, day); ok {
		return d, true
	}
	for range t.rows { // no chain is longer than the table
		d, ok := t.last(code, day)
		if !ok {
			return Division{}, false
		}
		if d.ValidOn(day) {
			return d, true
		}
		code = d.Successor
	}
	return Division{}, false
}

// last returns the newest row of the code that began by that day.
func (t *Table) last(code string, day Date) (Division, bool) {
	var newest Division
	found := false
	for _, i := range t.byCode[code] {
		if d := t.rows[i]; !day.Before(d.From) && (!found || newest.From.Before(d.From)) {
			newest, found = d, true
		}
	}
	return newest, found
}
