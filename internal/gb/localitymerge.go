package gb

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// head explains the data file to who opens it.
const head = `# 青海省乡级、村级统计用区划代码及其沿革
# Townships and communities of Qinghai (统计用区划代码), with their history.
#
# code        九位：乡级（乡、镇、街道及同级的农场、园区）；十二位：村级（村、社区）
#             nine digits: township; twelve: village or community
# name        名称
# valid_from  生效日（含）first day; empty: before the oldest table
# valid_to    失效日（不含）first day on which it was no longer valid; empty: still valid
# successor   承继者代码，空 = 未知 code of what took its place; empty: not known
#
# 上级代码即代码的前 6 位或前 9 位。起止日取各年表的截止日，县级代码同期变更的取变更日；承继者按同名推定。
# The place above is the first 6 or 9 digits. Days are the closing days of the yearly tables, or that
# of the change of the county's code; a successor is who has the same name: all assumed.
# 由 onecard places extract 生成 written by "onecard places extract".
#
`

// Write writes the data file.
func (l *Localities) Write(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s%s%s\n%s%s\n", head, editionMark, l.Edition, sourceMark, l.Source); err != nil {
		return err
	}
	out := csv.NewWriter(w)
	rows := [][]string{localityColumns}
	for _, d := range l.Rows {
		rows = append(rows, []string{d.Code, d.Name, d.From.String(), d.To.String(), d.Successor})
	}
	return out.WriteAll(rows)
}

// Yearly is one yearly table (统计用区划代码年表): the names of all townships and
// communities on its closing day.
type Yearly struct {
	Edition Date
	Source  string
	Names   map[string]string
}

// ReadYearly adds the codes of a CSV file with the columns code and name, such
// as streets.csv and villages.csv of china-division, as far as they begin with
// those digits.
func (y *Yearly) ReadYearly(r io.Reader, prefix string) error {
	reader := csv.NewReader(r)
	reader.ReuseRecord = true
	header, err := reader.Read()
	if err != nil {
		return localityError(1, "读不到表头", "no header")
	}
	code, name := slices.Index(header, "code"), slices.Index(header, "name")
	if code < 0 || name < 0 {
		return localityError(1, "应有 code、name 两列", "columns code and name are needed")
	}
	if y.Names == nil {
		y.Names = map[string]string{}
	}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return localityError(0, "不是 CSV 表", err.Error())
		}
		if strings.HasPrefix(record[code], prefix) {
			y.Names[record[code]] = strings.TrimSpace(record[name])
		}
	}
}

// Add puts a yearly table onto what earlier ones told: what is new begins, what
// is gone ends, what has another name begins anew. Nothing is forgotten.
func (l *Localities) Add(y Yearly, divisions *Table) error {
	if !l.Edition.Before(y.Edition) || y.Source == "" || len(y.Names) == 0 {
		return localityError(0, "年表应有行、有出处，并晚于 "+l.Edition.String(), "a yearly table has rows, a source and a later day")
	}
	m := merging{divisions: divisions, year: y, before: l.Edition, fresh: map[string][]string{}, follows: map[string]string{}}
	ended := m.end(l.Rows)
	l.Rows = append(l.Rows, m.begin(l.Rows)...)
	for _, i := range ended {
		l.Rows[i].Successor = m.successor(l.Rows[i])
		m.follows[l.Rows[i].Code] = l.Rows[i].Successor
	}
	slices.SortFunc(l.Rows, func(a, b Division) int { return cmp.Or(cmp.Compare(a.Code, b.Code), a.From.Compare(b.From)) })
	l.Edition, l.Source = y.Edition, y.Source
	return nil
}

// merging is the putting of one yearly table onto earlier ones.
type merging struct {
	divisions *Table
	year      Yearly
	before    Date                // closing day of the table before
	fresh     map[string][]string // codes that are new, by level, county and stem of the name
	follows   map[string]string   // what took the place of codes that ended
}

// end ends the rows that the year does not tell any more and returns them, the
// townships first.
func (m *merging) end(rows []Division) []int {
	var ended []int
	for i, d := range rows {
		if name, told := m.year.Names[d.Code]; !d.To.IsZero() || name == d.Name {
			continue
		} else if county, ok := m.divisions.last(d.Code[:6], m.year.Edition); !told && ok && m.before.Before(county.To) {
			rows[i].To = county.To
		} else {
			rows[i].To = m.year.Edition
		}
		ended = append(ended, i)
	}
	slices.SortStableFunc(ended, func(a, b int) int { return cmp.Compare(len(rows[a].Code), len(rows[b].Code)) })
	return ended
}

// begin returns the rows that the year tells anew.
func (m *merging) begin(rows []Division) []Division {
	valid, known := map[string]bool{}, map[string]bool{}
	for _, d := range rows {
		known[d.Code] = true
		valid[d.Code] = valid[d.Code] || d.To.IsZero()
	}
	var begun []Division
	for _, code := range slices.Sorted(maps.Keys(m.year.Names)) {
		if valid[code] {
			continue
		}
		d := Division{Code: code, Name: m.year.Names[code]}
		if len(rows) > 0 {
			d.From = m.year.Edition
		}
		if county := m.divisions.byCode[code[:6]]; len(rows) > 0 && !known[code] && len(county) > 0 {
			if from := m.divisions.rows[county[0]].From; m.before.Before(from) {
				d.From = from
			}
		}
		if !known[code] {
			key := m.key(code, code[:6], d.Name)
			m.fresh[key] = append(m.fresh[key], code)
		}
		begun = append(begun, d)
	}
	return begun
}

func (m *merging) key(code, area, name string) string {
	return fmt.Sprint(len(code), area, stem(name))
}

// successor finds what took the place of a row that ended: the code itself when
// only the name changed, else what is new with the same name in the township's
// or the county's successor. Nothing when there is none, or more than one.
func (m *merging) successor(d Division) string {
	if m.year.Names[d.Code] != "" {
		return d.Code
	}
	county, ok := m.divisions.Successor(d.Code[:6], d.To)
	if !ok {
		return ""
	}
	candidates := m.fresh[m.key(d.Code, county.Code, d.Name)]
	township := upper(d.Code)
	if followed, ended := m.follows[township]; ended {
		township = followed
	}
	near := slices.DeleteFunc(slices.Clone(candidates), func(code string) bool { return township == "" || !strings.HasPrefix(code, township) })
	switch {
	case len(near) == 1:
		return near[0]
	case len(candidates) == 1:
		return candidates[0]
	default:
		return ""
	}
}

// What a name ends with whatever the place, and what it may have in between.
var (
	endings = strings.Fields("社区居民委员会 社区居委会 居民委员会 居委会 村民委员会 村委会 牧民委员会 牧委会 社区 街道办事处 办事处 街道 镇政府 镇 乡 村")
	peoples = strings.NewReplacer("蒙古族", "", "藏族", "", "回族", "", "土族", "", "撒拉族", "")
)

// stem is a name without what changes when a township becomes a town, or a
// village a community.
func stem(name string) string {
	for _, ending := range endings {
		if rest, ok := strings.CutSuffix(name, ending); ok && rest != "" {
			return peoples.Replace(rest)
		}
	}
	return name
}
