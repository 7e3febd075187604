package production

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"onecard/internal/gb"
)

//go:embed policy.yaml
var defaultPolicies []byte

// Policy is the parameters of production for a place from a day on (批量制卡参数).
type Policy struct {
	Place         string  `yaml:"place"` // GB/T 2260; holds for all places below
	From          gb.Date `yaml:"from"`
	SamplePercent int64   `yaml:"samplePercent"` // of the cards made, inspected at least
	SampleLeast   int64   `yaml:"sampleLeast"`
	TestHolder    string  `yaml:"testHolder"` // name on test cards
	BankDays      int     `yaml:"bankDays"`   // in which a bank answers for a row, or the row leaves
}

// Policies is the policy of each place and time.
type Policies []Policy

// ErrPolicy says that a policy file is not as it should be.
var ErrPolicy = errors.New("批量制卡参数有误 the production policy is wrong")

// ParsePolicies reads a policy file. Unknown keys and values out of range are
// refused.
func ParsePolicies(text []byte) (Policies, error) {
	var all Policies
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) || len(all) == 0 {
		return nil, fmt.Errorf("%w: one document with one line at least", ErrPolicy)
	}
	for i, p := range all {
		switch {
		case len(p.Place) != 6 || strings.Trim(p.Place, "0123456789") != "" || p.From.IsZero():
			return nil, fmt.Errorf("%w: line %d: place of 6 digits, from", ErrPolicy, i+1)
		case p.SamplePercent < 0 || p.SamplePercent > 100 || p.SampleLeast < 1 || p.TestHolder == "" || p.BankDays < 1 || p.BankDays > 365:
			return nil, fmt.Errorf("%w: line %d: samplePercent 0 to 100, sampleLeast 1 or more, testHolder, bankDays 1 to 365", ErrPolicy, i+1)
		}
	}
	return all, nil
}

// At returns the policy of a place on a day: that of the nearest place above,
// and of those the latest.
func (all Policies) At(place string, day gb.Date) (Policy, error) {
	i := gb.InForce(all, place, day, func(p Policy) (string, gb.Date) { return p.Place, p.From })
	if i < 0 {
		return Policy{}, fmt.Errorf("%w: none for %s", ErrPolicy, place)
	}
	return all[i], nil
}

// sample is how many of so many cards are inspected at least (质检数量).
func (p Policy) sample(made int64) int64 {
	return min(made, max(p.SampleLeast, (made*p.SamplePercent+99)/100))
}
