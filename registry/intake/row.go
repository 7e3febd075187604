package intake

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"onecard/internal/gb"
	"onecard/internal/sheet"
	"onecard/registry"
)

// Problem says what is wrong with a row. It holds no value.
type Problem struct {
	Row    int64
	Field  string // our own name of it
	Column string // the file's
	Code   string // stable word
	ZH, EN string
}

// taker brings one row into our form and gathers all that is wrong with it.
type taker struct {
	*layout
	row      sheet.Row
	today    gb.Date
	problems []Problem
}

// take returns the resident of a row, or what is wrong with it.
func (l *layout) take(row sheet.Row, today gb.Date) (registry.LoadRow, []Problem) {
	if row.Err != nil {
		return registry.LoadRow{}, []Problem{{Row: row.Number, Column: row.Err.Column, Code: row.Err.Code, ZH: row.Err.ZH, EN: row.Err.EN}}
	}
	t := &taker{layout: l, row: row, today: today}
	told := registry.NewPerson{
		IDType: t.word("idType"), IDNumber: strings.ToUpper(t.text("idNumber")), Name: t.text("name"), NameTibetan: t.text("nameTibetan"),
		Sex: t.word("sex"), Ethnic: t.ethnic(), Place: t.place("place"), Address: t.text("address"), Postcode: t.text("postcode"),
		Phone: t.text("phone"), HouseholdKind: t.word("householdKind"), Household: t.text("household"),
		HouseholdRole: t.text("householdRole"), Education: t.text("education"), Employment: t.text("employment"), Life: t.word("life"),
	}
	pool := t.place("pool")
	if told.Place == "" {
		told.Place = pool
	}
	told.Birth = t.date("birth")
	person, err := told.Check()
	t.refuse(err)
	if err == nil {
		t.agree(told, &person)
	}
	loaded := registry.LoadRow{Person: person, Insured: t.insured(told.Place)}
	if key := t.text("key"); key != "" {
		loaded.Numbers = []registry.OtherNumber{{System: t.System, Number: t.System + "/" + key}}
		if pool != "" {
			loaded.Numbers[0].Number = t.System + "/" + pool + "/" + key
		}
	}
	if number := t.text("oldCard"); number != "" {
		loaded.OldCard = &registry.OldCard{Pool: pool, Number: number, State: t.word("oldCardState"), Balance: t.fen("oldCardBalance")}
	}
	if account := t.text("account"); account != "" {
		loaded.Accounts = []registry.BankAccount{{Bank: t.word("bank"), Account: t.account(account), State: "active"}}
	}
	return loaded, t.problems
}

// problem notes what is wrong with a field, once however often it is looked at.
func (t *taker) problem(field, code, zh, en string) {
	p := Problem{Row: t.row.Number, Field: field, Column: t.Fields[field].Column, Code: code, ZH: zh, EN: en}
	if !slices.Contains(t.problems, p) {
		t.problems = append(t.problems, p)
	}
}

// refuse turns what the registry says of a person into a problem of the row.
func (t *taker) refuse(err error) {
	var field *registry.FieldError
	if !errors.As(err, &field) {
		return
	}
	code := "invalid-" + field.Field
	if field.Field == "idNumber" && strings.HasSuffix(t.text("idNumber"), "000") {
		t.problem(field.Field, "digits-lost", "号码末几位可能已丢失："+field.ZH, "the last digits may have been lost: "+field.EN)
		return
	}
	for _, known := range t.problems {
		if known.Field == field.Field {
			return // said already, in more detail
		}
	}
	t.problem(field.Field, code, field.ZH, field.EN)
}

// agree compares what the row says besides with what follows from the number.
func (t *taker) agree(told registry.NewPerson, person *registry.Person) {
	if person.IDNumber.IsZero() {
		return
	}
	if told.Sex != "" && told.Sex != "9" && told.Sex != "0" && told.Sex != string(person.IDNumber.Sex()) {
		t.problem("sex", "sex-number", "性别与公民身份号码不符", "not the sex that the identity number says")
	}
	born := person.IDNumber.Birth()
	same := told.Birth == born || told.Birth.IsZero() ||
		(t.Fields["birth"].Month && told.Birth.Year() == born.Year() && told.Birth.Month() == born.Month())
	if !same {
		t.problem("birth", "birth-number", "出生日期与公民身份号码不符", "not the day of birth that the identity number says")
	}
	if t.today.Before(born) {
		t.problem("idNumber", "birth-future", "出生日期在今天之后", "born after today")
	}
}

// text returns the cell of a field; an empty required one is a problem.
func (t *taker) text(field string) string {
	at, ok := t.columns[field]
	if !ok {
		return ""
	}
	value := t.row.Cells[at]
	if value == "" && t.Fields[field].Required {
		t.problem(field, "empty", "不能为空", "must not be empty")
	}
	if strings.HasPrefix(value, "=") {
		t.problem(field, "formula", "是公式，请粘贴为值", "a formula: paste the value")
	}
	return value
}

// word translates a cell of a field of codes.
func (t *taker) word(field string) string {
	value := t.text(field)
	if value == "" {
		return t.Fields[field].Default
	}
	if t.words[field] == nil {
		return value
	}
	ours, ok := t.words[field][value]
	if !ok {
		t.problem(field, "unknown-code", "不在代码表中", "not in the table of codes")
	}
	return ours
}

func (t *taker) ethnic() string {
	value := t.text("ethnic")
	if group, err := gb.EthnicByName(value); err == nil {
		return group.Code
	}
	if group, err := gb.EthnicByCode(value); err == nil {
		return group.Code
	}
	if value != "" {
		t.problem("ethnic", "unknown-code", "不是国家标准的民族名称或代码", "neither name nor code of a national group")
	}
	return ""
}

// place takes a division by code, also an old one, or by name, and returns what
// it is today.
func (t *taker) place(field string) string {
	value := t.text(field)
	if value == "" {
		return ""
	}
	division, ok := gb.Divisions().Successor(value, t.today)
	for _, other := range gb.Divisions().Current(t.today) {
		if !ok && other.Name == value {
			division, ok = other, true
		}
	}
	if !ok {
		t.problem(field, "unknown-place", "不是本省的行政区划代码或名称", "neither code nor name of a division of the province")
	}
	return division.Code
}

// excelEpoch is the day from which Excel counts, with its leap year 1900.
var excelEpoch = time.Date(1899, time.December, 30, 0, 0, 0, 0, time.UTC)

// date takes the forms in which dates are met.
func (t *taker) date(field string) gb.Date {
	value := t.text(field)
	if value == "" {
		return gb.Date{}
	}
	forms := []string{"2006-1-2", "20060102", "2006/1/2", "2006.1.2", "2006年1月2日", "2006-1-2 15:04:05", "2006/1/2 15:04:05"}
	if t.Fields[field].Month {
		forms = append(forms, "2006-1", "200601", "2006/1", "2006.1", "2006年1月")
	}
	for _, form := range forms {
		if day, err := time.Parse(form, value); err == nil {
			return gb.DateOf(day)
		}
	}
	if days, err := strconv.Atoi(value); err == nil && len(value) == 5 {
		return gb.DateOf(excelEpoch.AddDate(0, 0, days))
	}
	t.problem(field, "date", "应为日期，如 1975-07-02", "a date such as 1975-07-02")
	return gb.Date{}
}

// insured takes the insured kinds, of which a cell may list several.
func (t *taker) insured(place string) []registry.Insured {
	value := t.text("insured")
	if value == "" {
		return nil
	}
	state, since := t.word("insuredState"), t.date("insuredSince")
	if state == "" {
		state = "insured"
	}
	var insured []registry.Insured
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune("、;；,， |/+", r) }) {
		kind, ok := t.words["insured"][word]
		if !ok {
			t.problem("insured", "unknown-code", "险种不在代码表中", "a kind of insurance that is not in the table of codes")
			continue
		}
		one := registry.Insured{Kind: kind, Place: place, State: state, Since: since}
		insured = append(insured, one)
	}
	return insured
}

// fen takes an amount in yuan.
func (t *taker) fen(field string) int64 {
	value := t.text(field)
	if value == "" {
		return 0
	}
	yuan, cents, _ := strings.Cut(value, ".")
	if len(cents) > 2 || yuan == "" || len(yuan) > 9 || strings.Trim(yuan+cents, "0123456789") != "" {
		t.problem(field, "amount", "应为金额（元），最多两位小数", "an amount in yuan with two decimals at most")
		return 0
	}
	whole, _ := strconv.ParseInt(yuan, 10, 64) // nine digits
	part, _ := strconv.ParseInt((cents + "00")[:2], 10, 64)
	return whole*100 + part
}

func (t *taker) account(value string) string {
	value = strings.ReplaceAll(value, " ", "")
	if len(value) < 12 || len(value) > 22 || strings.Trim(value, "0123456789") != "" {
		t.problem("account", "account", "应为 12 至 22 位数字", "12 to 22 digits")
	}
	if t.text("bank") == "" {
		t.problem("bank", "empty", "有银行账号时须填开户银行", "a bank is needed with an account")
	}
	return value
}

// String is the problem as it stands in a report.
func (p Problem) String() string {
	return fmt.Sprintf("%d %s %s：%s / %s", p.Row, p.Column, p.Code, p.ZH, p.EN)
}
