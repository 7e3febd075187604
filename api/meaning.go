package api

import (
	"time"

	"onecard/card"
	"onecard/internal/gb"
)

// meanings say in words what a coded element of the chip says, by the
// element's name. An unknown code has no words; the code itself is shown.
var meanings = map[string]func(code string) string{
	"sex":        sexMeaning,
	"ethnic":     ethnicMeaning,
	"birthPlace": placeMeaning,
	"issuedOn":   dayMeaning,
	"expiresOn":  dayMeaning,
	"birthDate":  dayMeaning,
}

func meaning(v card.Value) string {
	if say, ok := meanings[v.Name]; ok {
		return say(v.Value)
	}
	return ""
}

func sexMeaning(code string) string {
	sex, err := gb.ParseSex(code)
	if err != nil {
		return ""
	}
	return sex.ZH()
}

func ethnicMeaning(code string) string {
	group, err := gb.EthnicByCode(code)
	if err != nil {
		return ""
	}
	return group.Name
}

// placeMeaning names a division that may long since have another name or code:
// the place of birth is as it was on the day of birth, which is not asked here.
func placeMeaning(code string) string {
	name := ""
	for _, d := range gb.Divisions().All() {
		if d.Code == code {
			name = d.Name
		}
	}
	return name
}

func dayMeaning(digits string) string {
	day, err := time.Parse("20060102", digits)
	if err != nil {
		return ""
	}
	return day.Format("2006年1月2日")
}
