package gb

import (
	"slices"
	"strings"
)

// Path returns the place that a code means on that day and all above it, the
// nearest first: 632123 in 2024 is 630202, 630200, 630000. The code may be of
// any year and any level. What the table does not know, such as a place of
// another province, lies where its digits say (GB/T 2260: province, prefecture,
// county; 统计用区划代码: and township, community). None for what is no code.
func (t *Table) Path(code string, day Date) []string {
	if !isPlace(code) {
		return nil
	}
	now, ok := t.Successor(code, day)
	if !ok {
		path := []string{code}
		if higher := upper(code); higher != "" {
			path = append(path, t.Path(higher, day)...)
		}
		return path
	}
	path := []string{now.Code}
	for _, d := range t.Ancestors(now.Code, day) {
		path = append(path, d.Code)
	}
	return path
}

// isPlace reports whether a text has the form of a code: 6, 9 or 12 digits.
func isPlace(code string) bool {
	for _, r := range code {
		if r < '0' || r > '9' {
			return false
		}
	}
	return len(code) == 6 || len(code) == 9 || len(code) == 12
}

// upper returns the code of the place above by the digits alone, or nothing.
func upper(code string) string {
	switch {
	case len(code) > 6:
		return code[:len(code)-3]
	case code[4:] != "00":
		return code[:4] + "00"
	case code[2:] != "0000":
		return code[:2] + "0000"
	default:
		return ""
	}
}

// Lies reports whether a place lies in another, or is it, on that day. Both
// codes may be of any year: they stand for what took their place. Every right,
// list, report and route by place rests on this answer.
func (t *Table) Lies(place, within string, day Date) bool {
	outer := t.Path(within, day)
	return len(outer) > 0 && slices.Contains(t.Path(place, day), outer[0])
}

// Within returns every code, of today or of earlier years, whose place lies in
// a place on that day, and that place's own. What is recorded under an old code
// is found through it.
func (t *Table) Within(ancestor string, day Date) []string {
	outer := t.Path(ancestor, day)
	if len(outer) == 0 {
		return nil
	}
	var codes []string
	for i, row := range t.rows {
		if row.Code != "" && t.byCode[row.Code][0] == i && slices.Contains(t.Path(row.Code, day), outer[0]) {
			codes = append(codes, row.Code)
		}
	}
	return codes
}

// Nearest returns the index of the place among those given that a place lies in
// and that is nearest above it on that day; of equal ones the first. -1: none.
func (t *Table) Nearest(place string, among []string, day Date) int {
	best, nearest := -1, 0
	path := t.Path(place, day)
	for i, code := range among {
		outer := t.Path(code, day)
		if len(outer) == 0 {
			continue
		}
		if at := slices.Index(path, outer[0]); at >= 0 && (best < 0 || at < nearest) {
			best, nearest = i, at
		}
	}
	return best
}

// InForce returns the index of the line of a table of rules that holds for a
// place on a day: that of the nearest place above, and of those the latest; -1
// for none. where tells of which place, and from which day on, a line is.
func InForce[T any](lines []T, place string, day Date, where func(T) (place string, from Date)) int {
	var valid []int
	for i, line := range lines {
		if _, from := where(line); !day.Before(from) {
			valid = append(valid, i)
		}
	}
	slices.SortStableFunc(valid, func(a, b int) int {
		_, first := where(lines[a])
		_, second := where(lines[b])
		return second.Compare(first)
	})
	places := make([]string, len(valid))
	for i, line := range valid {
		places[i], _ = where(lines[line])
	}
	found := Divisions().Nearest(place, places, day)
	if found < 0 {
		return -1
	}
	return valid[found]
}

// Search returns the places on that day within a place (nothing: everywhere)
// whose name has the text in it or whose code, of today or of earlier years,
// begins with it; without a text those directly below the place.
func (t *Table) Search(text, within string, day Date) []Division {
	var outer string
	if path := t.Path(within, day); len(path) > 0 {
		outer = path[0]
	} else if within != "" {
		return nil
	}
	if text == "" {
		return t.filter(func(d Division) bool {
			if !d.ValidOn(day) || d.Code == "" {
				return false
			}
			path := t.Path(d.Code, day)
			return outer == "" && len(path) == 1 || outer != "" && len(path) > 1 && path[1] == outer
		})
	}
	meant := map[string]bool{}
	for _, d := range t.rows {
		if d.Code != "" && strings.HasPrefix(d.Code, text) {
			if now, ok := t.Successor(d.Code, day); ok {
				meant[now.Code] = true
			}
		}
	}
	return t.filter(func(d Division) bool {
		return d.Code != "" && d.ValidOn(day) && (meant[d.Code] || strings.Contains(d.Name, text)) &&
			(outer == "" || slices.Contains(t.Path(d.Code, day), outer))
	})
}

// FullName returns the name of what a code means on that day after the names of
// what is above it, the province left out.
func (t *Table) FullName(code string, day Date) string {
	var name string
	for _, upper := range t.Path(code, day) {
		if d, ok := t.At(upper, day); ok && (d.Level != Province || name == "") {
			name = d.Name + name
		}
	}
	return name
}

// Former returns the earlier codes of a place of that day.
func (t *Table) Former(code string, day Date) []string {
	var codes []string
	for i, d := range t.rows {
		if d.Code == "" || d.Code == code || d.To.IsZero() || t.byCode[d.Code][0] != i {
			continue
		}
		if now, ok := t.Successor(d.Code, day); ok && now.Code == code {
			codes = append(codes, d.Code)
		}
	}
	return codes
}

// History returns every row of a place: of the code, of what it was before and
// of what followed it.
func (t *Table) History(code string) []Division {
	codes := map[string]bool{code: true}
	for grown := true; grown; {
		grown = false
		for _, d := range t.rows {
			linked := d.Code != "" && d.Successor != "" && codes[d.Code] != codes[d.Successor]
			if linked {
				codes[d.Code], codes[d.Successor], grown = true, true, true
			}
		}
	}
	return t.filter(func(d Division) bool { return d.Code != "" && codes[d.Code] || d.Code == "" && codes[d.Successor] })
}

// Newest returns the day from which the newest row holds: the places as the
// table knows them last.
func (t *Table) Newest() Date {
	var newest Date
	for _, d := range t.rows {
		for _, day := range []Date{d.From, d.To} {
			if newest.Before(day) {
				newest = day
			}
		}
	}
	return newest
}
