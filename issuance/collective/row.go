package collective

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"onecard/internal/gb"
	"onecard/internal/sheet"
	"onecard/issuance"
	"onecard/registry"
)

//go:embed columns.yaml
var columnsFile []byte

// Fields of a row, as columns.yaml names them.
const (
	fieldNumber           = "idNumber"
	fieldName             = "name"
	fieldEthnic           = "ethnic"
	fieldPlace            = "place"
	fieldPhone            = "phone"
	fieldAddress          = "address"
	fieldFrom             = "validFrom"
	fieldUntil            = "validUntil"
	fieldGuardian         = "guardianName"
	fieldGuardianNumber   = "guardianNumber"
	fieldGuardianRelation = "guardianRelation"
	fieldGuardianPhone    = "guardianPhone"
	ignored               = "ignored"
)

var columns = sync.OnceValue(func() map[string][]string {
	var all map[string][]string
	decoder := yaml.NewDecoder(bytes.NewReader(columnsFile))
	if err := decoder.Decode(&all); err != nil {
		panic(fmt.Sprintf("collective: columns.yaml: %v", err)) // embedded: a test reads it
	}
	return all
})

// layout says in which column of a list each field stands.
type layout map[string]int

// layoutOf finds the fields among the headings. Error: a *registry.FieldError
// that names what is missing or not known.
func layoutOf(header []string) (layout, error) {
	found := layout{}
	var unknown []string
	for i, heading := range header {
		known := false
		for field, names := range columns() {
			if !slices.Contains(names, heading) {
				continue
			}
			if _, twice := found[field]; twice && field != ignored {
				return nil, wrong("list", "两列含义相同："+heading, "two columns mean the same: "+heading)
			}
			found[field], known = i, true
		}
		if !known {
			unknown = append(unknown, heading)
		}
	}
	for _, field := range []string{fieldNumber, fieldName} {
		if _, ok := found[field]; !ok {
			name := columns()[field][0]
			return nil, wrong("list", "缺少列："+name, "a column is missing: "+name)
		}
	}
	if len(unknown) > 0 {
		list := strings.Join(unknown, "、")
		return nil, wrong("list", "不认识的列："+list, "unknown columns: "+list)
	}
	return found, nil
}

func wrong(field, zh, en string) error { return &registry.FieldError{Field: field, ZH: zh, EN: en} }

// told is what a row says. It holds personal data.
type told struct {
	number gb.IDNumber
	person registry.NewPerson
	acting issuance.Acting
}

// read takes a row; what it says of a person that is not registered is checked
// when the person is.
func (l layout) read(row sheet.Row, today gb.Date) (told, error) {
	if row.Err != nil {
		return told{}, wrong(row.Err.Column, row.Err.ZH, row.Err.EN)
	}
	text := func(field string) string {
		at, ok := l[field]
		if !ok || at >= len(row.Cells) {
			return ""
		}
		return strings.TrimSpace(row.Cells[at])
	}
	number, err := gb.ParseIDNumber(strings.ToUpper(text(fieldNumber)))
	if err != nil {
		return told{}, wrong(fieldNumber, "应为 18 位公民身份号码，校验位相符", "a citizen's number of 18 digits whose check digit fits")
	}
	t := told{number: number, person: registry.NewPerson{IDNumber: number.String(), Name: text(fieldName), Phone: text(fieldPhone), Address: text(fieldAddress)}}
	if t.person.Name == "" {
		return told{}, wrong(fieldName, "不能为空", "must not be empty")
	}
	if t.person.Ethnic, err = ethnicOf(text(fieldEthnic)); err != nil {
		return told{}, err
	}
	if t.person.Place, err = placeOf(text(fieldPlace), today); err != nil {
		return told{}, err
	}
	if t.acting.ValidFrom, err = dateOf(fieldFrom, text(fieldFrom)); err != nil {
		return told{}, err
	}
	if t.acting.ValidUntil, err = dateOf(fieldUntil, text(fieldUntil)); err != nil {
		return told{}, err
	}
	if name := text(fieldGuardian); name != "" {
		t.acting.Agent = &issuance.Agent{
			Name: name, Number: strings.ToUpper(text(fieldGuardianNumber)), Relation: text(fieldGuardianRelation), Phone: text(fieldGuardianPhone),
		}
	}
	return t, nil
}

func ethnicOf(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	group, err := gb.EthnicByName(text)
	if err != nil {
		group, err = gb.EthnicByCode(text)
	}
	if err != nil {
		return "", wrong(fieldEthnic, "不是国家标准的民族名称或代码", "neither name nor code of a national group")
	}
	return group.Code, nil
}

func placeOf(text string, today gb.Date) (string, error) {
	if text == "" {
		return "", nil
	}
	if division, ok := gb.Divisions().Successor(text, today); ok {
		return division.Code, nil
	}
	for _, division := range gb.Divisions().Current(today) {
		if division.Name == text {
			return division.Code, nil
		}
	}
	return "", wrong(fieldPlace, "不是本省的行政区划代码或名称", "neither code nor name of a division of the province")
}

// excelEpoch is the day from which Excel counts, with its leap year 1900.
var excelEpoch = time.Date(1899, time.December, 30, 0, 0, 0, 0, time.UTC)

func dateOf(field, text string) (gb.Date, error) {
	switch text {
	case "":
		return gb.Date{}, nil
	case "长期":
		return issuance.LongTerm, nil
	}
	for _, form := range []string{"2006-1-2", "20060102", "2006/1/2", "2006.1.2", "2006年1月2日"} {
		if day, err := time.Parse(form, text); err == nil {
			return gb.DateOf(day), nil
		}
	}
	if days, err := strconv.Atoi(text); err == nil && len(text) == 5 {
		return gb.DateOf(excelEpoch.AddDate(0, 0, days)), nil
	}
	return gb.Date{}, wrong(field, "应为日期，如 2036-03-01，或“长期”", "a date such as 2036-03-01, or 长期")
}
