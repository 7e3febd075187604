package gb

import (
	"cmp"
	"fmt"
	"time"
)

// Date is a day of the Gregorian calendar, without time and zone. The zero
// value is no day. Dates compare with ==.
type Date struct {
	year, month, day int
}

// NewDate returns the day, or ErrDate if the calendar has no such day or the
// year is not 1 to 9999.
func NewDate(year int, month time.Month, day int) (Date, error) {
	t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	if year < 1 || year > 9999 || t.Year() != year || t.Month() != month || t.Day() != day {
		return Date{}, &FormatError{Subject: subjectDate, Problem: ErrDate}
	}
	return Date{year, int(month), day}, nil
}

// ParseDate reads YYYY-MM-DD, or YYYYMMDD as in codes.
func ParseDate(s string) (Date, error) {
	layout := time.DateOnly
	if len(s) == len("20060102") {
		layout = "20060102"
	}
	t, err := time.Parse(layout, s)
	if err != nil || t.Year() < 1 {
		return Date{}, &FormatError{Subject: subjectDate, Problem: ErrDate, WantZH: " YYYY-MM-DD", WantEN: "YYYY-MM-DD"}
	}
	return DateOf(t), nil
}

// Beijing is the legal time by which days are counted (北京时间).
var Beijing = time.FixedZone("CST", 8*60*60)

// DayOf returns the day of an instant by the legal time.
func DayOf(t time.Time) Date { return DateOf(t.In(Beijing)) }

// DateOf returns the day of t in t's own zone.
func DateOf(t time.Time) Date {
	return Date{t.Year(), int(t.Month()), t.Day()}
}

// IsZero reports whether d is no day.
func (d Date) IsZero() bool { return d == Date{} }

// Year returns the year.
func (d Date) Year() int { return d.year }

// Month returns the month.
func (d Date) Month() time.Month { return time.Month(d.month) }

// Day returns the day of the month.
func (d Date) Day() int { return d.day }

// Compare returns -1, 0 or +1 as d is before, the same as, or after other.
func (d Date) Compare(other Date) int {
	return cmp.Or(cmp.Compare(d.year, other.year), cmp.Compare(d.month, other.month), cmp.Compare(d.day, other.day))
}

// Before reports whether d is before other.
func (d Date) Before(other Date) bool { return d.Compare(other) < 0 }

// Age returns the full years (周岁) on the day on; a birthday on 29 February is
// counted on 1 March of other years.
func (d Date) Age(on Date) int {
	years := on.year - d.year
	if on.month < d.month || (on.month == d.month && on.day < d.day) {
		years--
	}
	return years
}

// Time returns the beginning of the day in the zone.
func (d Date) Time(zone *time.Location) time.Time {
	return time.Date(d.year, time.Month(d.month), d.day, 0, 0, 0, 0, zone)
}

// String returns YYYY-MM-DD, or nothing for the zero value.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.year, d.month, d.day)
}

// Compact returns YYYYMMDD as in codes and on the chip, or nothing for the zero value.
func (d Date) Compact() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d%02d%02d", d.year, d.month, d.day)
}

// MarshalText returns what String returns.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what ParseDate reads, and nothing as the zero value.
func (d *Date) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Date{}
		return nil
	}
	parsed, err := ParseDate(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
