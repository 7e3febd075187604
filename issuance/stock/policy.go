package stock

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"onecard/internal/gb"
)

//go:embed policy.yaml
var defaultPolicies []byte

// Policy is the parameters of the stock for a place from a day on (库存参数).
type Policy struct {
	Place         string  `yaml:"place"` // GB/T 2260; holds for all places below
	From          gb.Date `yaml:"from"`
	Enforced      bool    `yaml:"enforced"`      // a counter uses leased blanks only
	LeaseDays     int     `yaml:"leaseDays"`     // longest lease
	UnclaimedDays int     `yaml:"unclaimedDays"` // until a finished card goes back
}

// Policies is the policy of each place and time.
type Policies []Policy

// ErrPolicy says that a policy file is not as it should be, or has no line for a
// place and day.
var ErrPolicy = errors.New("库存参数有误 the stock policy is wrong")

// ParsePolicies reads a policy file. Unknown keys, values out of range and two
// lines for one place and day are refused.
func ParsePolicies(file []byte) (Policies, error) {
	var all Policies
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	decoder.KnownFields(true)
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	type key struct {
		place string
		from  gb.Date
	}
	seen := map[key]bool{}
	for i, p := range all {
		var wrong string
		switch {
		case len(p.Place) != 6 || strings.Trim(p.Place, "0123456789") != "":
			wrong = "place: 6 digits"
		case p.From.IsZero():
			wrong = "from: a day"
		case p.LeaseDays < 1 || p.LeaseDays > 366:
			wrong = "leaseDays: 1 to 366"
		case p.UnclaimedDays < 1 || p.UnclaimedDays > 3660:
			wrong = "unclaimedDays: 1 to 3660"
		case seen[key{p.Place, p.From}]:
			wrong = "place and day stand twice"
		}
		if wrong != "" {
			return nil, fmt.Errorf("%w: line %d: %s", ErrPolicy, i+1, wrong)
		}
		seen[key{p.Place, p.From}] = true
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no line", ErrPolicy)
	}
	return all, nil
}

// At returns the policy of a place (six digits) on a day: that of the nearest
// place above, and of those the latest.
func (all Policies) At(place string, day gb.Date) (Policy, error) {
	i := gb.InForce(all, place, day, func(p Policy) (string, gb.Date) { return p.Place, p.From })
	if i < 0 {
		return Policy{}, fmt.Errorf("%w: %s", ErrPolicy, place)
	}
	return all[i], nil
}

// below returns what all codes under a division begin with (GB/T 2260).
func below(place string) string {
	for strings.HasSuffix(place, "00") {
		place = place[:len(place)-2]
	}
	return place
}
