package gb

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// IDNumber is a citizen's identity number (公民身份号码, GB 11643-1999): six
// digits of area, eight of birth, three of sequence and a check digit, 18
// characters. A value other than the zero value is well-formed. Values compare
// with ==.
//
// It is personal data: slog shows it masked. Do not print it with fmt.
type IDNumber struct {
	text string
}

// idNumberLength is the number of characters.
const idNumberLength = 18

// earliestBirth is the first year of birth that is taken for real.
const earliestBirth = 1800

// provinces are the first two digits: GB/T 2260, and 81–83 of the residence
// permits of Hong Kong, Macao and Taiwan residents (国办发〔2018〕81号).
var provinces = strings.Fields("11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83")

// ParseIDNumber reads an identity number. A lower-case x becomes X; spaces are
// not allowed. The error is a *FormatError of ErrLength, ErrCharacter (with
// the position), ErrArea, ErrDate or ErrCheck. Whether the area's lower digits
// and the birth are plausible today is not asked: old codes stay for life.
func ParseIDNumber(s string) (IDNumber, error) {
	fail := func(problem *Problem, position int, zh, en string) (IDNumber, error) {
		return IDNumber{}, &FormatError{subjectIDNumber, problem, position, zh, en}
	}
	for i, r := range []rune(s) {
		last := i == idNumberLength-1 && (r == 'x' || r == 'X')
		if i < idNumberLength && (r < '0' || r > '9') && !last {
			return fail(ErrCharacter, i+1, "数字（末位可为 X）", "a digit (or X at the end)")
		}
	}
	if len(s) != idNumberLength {
		return fail(ErrLength, 0, " 18 位", "18 characters")
	}
	s = strings.ToUpper(s)
	if !slices.Contains(provinces, s[:2]) {
		return fail(ErrArea, 1, "省级代码", "the code of a province")
	}
	if birth, err := ParseDate(s[6:14]); err != nil || birth.Year() < earliestBirth {
		return fail(ErrDate, 7, "出生日期 YYYYMMDD", "the date of birth YYYYMMDD")
	}
	if s[17] != idNumberCheck(s[:17]) {
		return fail(ErrCheck, 18, "", "")
	}
	return IDNumber{s}, nil
}

// NewIDNumber makes the number for synthetic data from an area of six digits,
// a birth and a sequence number 0 to 999 (odd for men, even for women).
func NewIDNumber(area string, birth Date, sequence int) (IDNumber, error) {
	if sequence < 0 || sequence > 999 {
		return IDNumber{}, &FormatError{Subject: subjectIDNumber, Problem: ErrSequence, WantZH: " 0 至 999", WantEN: "0 to 999"}
	}
	if len(area) != 6 {
		return IDNumber{}, &FormatError{Subject: subjectIDNumber, Problem: ErrArea, WantZH: " 6 位数字", WantEN: "six digits"}
	}
	if birth.IsZero() {
		return IDNumber{}, &FormatError{Subject: subjectIDNumber, Problem: ErrDate}
	}
	body := fmt.Sprintf("%s%s%03d", area, birth.Compact(), sequence)
	return ParseIDNumber(body + string(idNumberCheck(body)))
}

// OldIDNumberLength is the number of digits of the numbers given out before
// 1999-10-01.
const OldIDNumberLength = 15

// ParseOldIDNumber reads a number of the old 15 digits (十五位身份证号码): two
// digits of the year, which is of the 20th century, and no check character. It
// returns the number of 18 characters that took its place (GB 11643-1999).
func ParseOldIDNumber(s string) (IDNumber, error) {
	for i, r := range []rune(s) {
		if r < '0' || r > '9' {
			return IDNumber{}, &FormatError{subjectIDNumber, ErrCharacter, i + 1, "数字", "a digit"}
		}
	}
	if len(s) != OldIDNumberLength {
		return IDNumber{}, &FormatError{subjectIDNumber, ErrLength, 0, " 15 位", "15 characters"}
	}
	body := s[:6] + "19" + s[6:]
	return ParseIDNumber(body + string(idNumberCheck(body)))
}

// idNumberCheck returns the check digit of 17 characters by ISO 7064 MOD 11-2
// (GB 11643-1999, 附录 A).
func idNumberCheck(body string) byte {
	sum := 0
	for _, c := range []byte(body) {
		sum = (sum + int(c-'0')) * 2 % 11
	}
	return "0123456789X"[(12-sum)%11]
}

// Area returns the division in which the number was given (GB/T 2260, six digits).
func (n IDNumber) Area() string { return n.part(0, 6) }

// Birth returns the date of birth.
func (n IDNumber) Birth() Date {
	birth, err := ParseDate(n.part(6, 14))
	if err != nil {
		return Date{} // the zero value only
	}
	return birth
}

// Sex returns the sex that the sequence number tells: odd for men.
func (n IDNumber) Sex() Sex {
	switch digit := n.part(16, 17); {
	case digit == "":
		return SexUnknown
	case digit[0]%2 == 1:
		return Male
	default:
		return Female
	}
}

// part returns some of the characters, none for the zero value.
func (n IDNumber) part(from, to int) string {
	if n.text == "" {
		return ""
	}
	return n.text[from:to]
}

// IsZero reports whether n is no number.
func (n IDNumber) IsZero() bool { return n.text == "" }

// String returns the whole number, for the places that need it: the chip, the
// sealed column, a form. Never for a log.
func (n IDNumber) String() string { return n.text }

// Masked returns the number as screens and receipts show it (脱敏): the first
// three characters and the last two, which tell neither the county nor the
// birth.
func (n IDNumber) Masked() string {
	if n.text == "" {
		return ""
	}
	return n.text[:3] + strings.Repeat("*", idNumberLength-5) + n.text[idNumberLength-2:]
}

// LogValue returns the masked number.
func (n IDNumber) LogValue() slog.Value { return slog.StringValue(n.Masked()) }

// MarshalText returns the whole number.
func (n IDNumber) MarshalText() ([]byte, error) { return []byte(n.text), nil }

// UnmarshalText reads what ParseIDNumber reads, and nothing as the zero value.
func (n *IDNumber) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*n = IDNumber{}
		return nil
	}
	parsed, err := ParseIDNumber(string(text))
	if err != nil {
		return err
	}
	*n = parsed
	return nil
}
