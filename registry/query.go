package registry

import (
	"strings"
	"unicode"

	"onecard/internal/gb"
)

// Told is what was typed into the one field for searching: a Query of persons,
// or the number of a card or chip.
type Told struct {
	Query      Query
	CardNumber string // 卡号
	ChipID     string // 卡识别码
}

// ParseQuery reads what a clerk types into one field, in any order, with spaces
// between: a number (18, 15 digits), a card number, a chip identification (32
// hexadecimal digits), a telephone number (11 digits), a day of birth (8
// digits), a place (6 digits), a name in any script, pinyin or its first
// letters. What fits nothing is taken as a number of another system.
func ParseQuery(text string) (Told, error) {
	var told Told
	var names []string
	for _, word := range strings.Fields(text) {
		if !told.take(word) {
			names = append(names, word)
		}
	}
	name := strings.Join(names, " ")
	switch {
	case name == "":
	case strings.IndexFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) < 0 && onlyLetters(name):
		told.Query.Latin = name
	default:
		told.Query.Name = name
	}
	if told == (Told{}) {
		return Told{}, &FieldError{Field: "q", ZH: "请输入号码、卡号、电话、姓名或拼音", EN: "type a number, a card number, a telephone number, a name or pinyin"}
	}
	return told, nil
}

// take recognises a word by its form; false for what may be part of a name.
func (t *Told) take(word string) bool {
	digits := strings.Trim(word, "0123456789") == ""
	upper := strings.ToUpper(word)
	switch {
	case len(word) == 18 && strings.Trim(word[:17], "0123456789") == "" && strings.Trim(upper[17:], "0123456789X") == "":
		t.Query.Number = upper
	case digits && len(word) == gb.OldIDNumberLength:
		t.Query.Number = word
	case digits && len(word) == 11 && word[0] == '1':
		t.Query.Phone = word
	case digits && len(word) == 8:
		date, err := gb.ParseDate(word)
		if err != nil {
			t.Query.Number = word
			return true
		}
		t.Query.Birth = date
	case digits && len(word) == 6:
		t.Query.Place = word
	case len(word) == 9 && strings.Trim(word[:8], "0123456789") == "" && strings.Trim(upper[8:], "0123456789X") == "":
		t.CardNumber = upper
	case len(word) == 32 && strings.Trim(upper, "0123456789ABCDEF") == "":
		t.ChipID = upper
	case len(word) >= 4 && strings.ContainsAny(word, "0123456789") && documentForm.MatchString(upper):
		t.Query.Number = upper
	default:
		return false
	}
	return true
}

func onlyLetters(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r != ' ' && !unicode.IsLetter(r) }) < 0
}
