// Package province makes up a province of any size (模拟全省数据) for trials and
// measurements: residents with true codes, plausible ages, and names by ethnic
// group and prefecture, as the tables of an existing system, with errors of
// twelve kinds of which it keeps account. The same seed makes the same people.
package province

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"onecard/internal/gb"
)

//go:embed people.yaml
var peopleFile []byte

type people struct {
	Assumed     bool
	Prefectures []struct {
		Code   string
		Share  int
		Groups map[string]int
	}
	Ages                      []int
	Surnames, Hui, Tu, Salar  string
	Given, Rare               string
	Tibetan, Mongolian, Towns []string
	TibetanScript             map[string]string
	prefectures               weighted
	ages                      weighted
	groups                    []weighted // by prefecture
	groupCodes                [][]string
	counties                  [][]gb.Division
	surnames, hui, tu, salar  []rune
	given, rare               []rune
}

// weighted draws an index by its weight.
type weighted []int // running sums

func weigh(weights []int) weighted {
	sums := make(weighted, len(weights))
	total := 0
	for i, w := range weights {
		total += w
		sums[i] = total
	}
	return sums
}

func (w weighted) draw(r *rand.Rand) int {
	at, _ := slices.BinarySearch(w, r.IntN(w[len(w)-1])+1)
	return at
}

// Resident is a made-up resident.
type Resident struct {
	Number      int // from 0
	IDNumber    string
	Name        string
	NameTibetan string
	Sex         gb.Sex
	Ethnic      string
	Birth       gb.Date
	Place       string // county today
	Address     string
	Phone       string
	Household   int
	Rural       bool
}

// Province makes residents, one after the other.
type Province struct {
	people
	random *rand.Rand
	today  gb.Date
	next   int
	used   map[numberKey]uint16     // numbers given out by area and day
	former map[string][]gb.Division // by the code that took their place
}

type numberKey struct {
	area uint32
	day  uint32
}

// New makes a province from a seed. today is the day on which nobody is unborn.
func New(seed uint64, today gb.Date) (*Province, error) {
	p := &Province{random: rand.New(rand.NewPCG(seed, 63)), today: today, used: map[numberKey]uint16{}, former: map[string][]gb.Division{}}
	for _, old := range gb.Divisions().All() {
		if old.Code != "" && old.Successor != "" {
			p.former[old.Successor] = append(p.former[old.Successor], old)
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(peopleFile))
	decoder.KnownFields(true)
	if err := decoder.Decode(&p.people); err != nil {
		return nil, fmt.Errorf("province: %w", err)
	}
	p.surnames, p.hui, p.tu, p.salar = []rune(p.Surnames), []rune(p.Hui), []rune(p.Tu), []rune(p.Salar)
	p.given, p.rare = []rune(p.Given), []rune(p.Rare)
	var shares []int
	for _, prefecture := range p.Prefectures {
		shares = append(shares, prefecture.Share)
		codes := slices.Sorted(maps.Keys(prefecture.Groups))
		var weights []int
		for _, code := range codes {
			weights = append(weights, prefecture.Groups[code])
		}
		p.groups, p.groupCodes = append(p.groups, weigh(weights)), append(p.groupCodes, codes)
		counties := gb.Divisions().Children(prefecture.Code, today)
		if len(counties) == 0 {
			return nil, fmt.Errorf("province: no counties in %s", prefecture.Code)
		}
		p.counties = append(p.counties, counties)
	}
	p.prefectures, p.ages = weigh(shares), weigh(p.people.Ages)
	return p, nil
}

// Next makes the next resident.
func (p *Province) Next() Resident {
	for {
		prefecture := p.prefectures.draw(p.random)
		county := p.counties[prefecture][p.random.IntN(len(p.counties[prefecture]))]
		r := Resident{
			Number: p.next, Ethnic: p.groupCodes[prefecture][p.groups[prefecture].draw(p.random)], Place: county.Code,
			Rural: p.random.IntN(100) < 55, Household: p.next / 3, Phone: fmt.Sprintf("139%08d", p.next%100_000_000),
		}
		age := 10*p.ages.draw(p.random) + p.random.IntN(10)
		r.Birth = p.birth(age)
		if !p.number(&r) {
			continue // all numbers of that day and place are given out
		}
		p.name(&r)
		r.Address = fmt.Sprintf("青海省%s%s%d号", county.Name, p.Towns[p.random.IntN(len(p.Towns))], p.random.IntN(900)+1)
		p.next++
		return r
	}
}

func (p *Province) birth(age int) gb.Date {
	day := time.Date(p.today.Year()-age, p.today.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -1-p.random.IntN(365))
	return gb.DateOf(day)
}

// number gives a citizen's number with the area's code of the year of birth:
// identity numbers keep it for life.
func (p *Province) number(r *Resident) bool {
	area := r.Place
	for _, old := range p.former[r.Place] {
		if r.Birth.Before(old.To) {
			area = old.Code
		}
	}
	var code uint32
	for _, digit := range area {
		code = code*10 + uint32(digit-'0')
	}
	key := numberKey{code, uint32(r.Birth.Year()*10000 + int(r.Birth.Month())*100 + r.Birth.Day())}
	sequence := p.used[key]
	if sequence > 998 {
		return false
	}
	p.used[key] = sequence + 1
	number, err := gb.NewIDNumber(area, r.Birth, int(sequence)+1)
	if err != nil {
		return false
	}
	r.IDNumber, r.Sex = number.String(), number.Sex()
	return true
}

func pick(r *rand.Rand, from []rune) string { return string(from[r.IntN(len(from))]) }

func (p *Province) name(r *Resident) {
	switch r.Ethnic {
	case "04":
		p.tibetan(r)
		return
	case "02":
		r.Name = p.Mongolian[p.random.IntN(len(p.Mongolian))]
		return
	}
	from := p.surnames
	switch r.Ethnic {
	case "03":
		from = p.hui
	case "30":
		from = p.tu
	case "35":
		from = p.salar
	}
	r.Name = pick(p.random, from) + pick(p.random, p.given)
	if p.random.IntN(100) < 80 {
		r.Name += pick(p.random, p.given)
	}
	if p.random.IntN(1000) < 3 {
		r.Name = string([]rune(r.Name)[0]) + pick(p.random, p.rare)
	}
}

func (p *Province) tibetan(r *Resident) {
	parts := 2
	if n := p.random.IntN(100); n < 8 {
		parts = 1
	} else if n > 97 {
		parts = 5 // such as 阿旺洛桑图登嘉措·索南旺杰
	}
	var words, script []string
	for range parts {
		word := p.Tibetan[p.random.IntN(len(p.Tibetan))]
		words = append(words, word)
		if written, ok := p.TibetanScript[word]; ok {
			script = append(script, written)
		}
	}
	dot := ""
	if parts > 1 && p.random.IntN(100) < 40 {
		dot = "·"
	}
	r.Name = strings.Join(words[:max(1, parts-1)], "") + dot
	if parts > 1 {
		r.Name += words[parts-1]
	}
	if len(script) == len(words) {
		r.NameTibetan = strings.Join(script, "་")
	}
}
