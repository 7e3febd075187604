package insurance

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"onecard/exchange"
	"onecard/internal/gb"
)

//go:embed policy.yaml
var samplePolicies []byte

// PolicyText returns the text of the parameters as shipped.
func PolicyText() []byte { return slices.Clone(samplePolicies) }

// SamplePolicies returns the parameters as shipped: sample values for trials.
func SamplePolicies() (*Policies, error) { return ParsePolicies(samplePolicies) }

// ErrPolicies means that a file of policy parameters is not usable; the error
// says where.
var ErrPolicies = errors.New("insurance: policies")

// Policies holds the parameters of all places, years and kinds (政策参数).
type Policies struct {
	Sample bool     `yaml:"sample"` // invented values, for trials only
	List   []Policy `yaml:"policies"`
}

// Policy is what one place grants one kind of insured person from a year on.
type Policy struct {
	Place      string        `yaml:"place"` // GB/T 2260; holds for all places below
	Kind       string        `yaml:"kind"`
	From       int           `yaml:"from"` // first year
	Text       exchange.Text `yaml:"text"`
	Deductible exchange.Fen  `yaml:"deductible"` // 起付线 per year
	Cap        exchange.Fen  `yaml:"cap"`        // 封顶线 of the fund's payments per year
	Ratio      map[int]Share `yaml:"ratio"`      // 报销比例 by hospital level
	SelfFirst  Share         `yaml:"selfFirst"`  // 乙类先自付
	Account    *AccountRules `yaml:"account"`    // nil: there is no personal account
}

// Share is a ratio in ten-thousandths.
type Share int64

const whole Share = 10000

// of returns the share of an amount, fractions of a fen left out.
func (s Share) of(amount exchange.Fen) exchange.Fen {
	return amount * exchange.Fen(s) / exchange.Fen(whole)
}

// exact reports whether the share of the amount has no fraction of a fen.
func (s Share) exact(amount exchange.Fen) bool {
	return amount*exchange.Fen(s)%exchange.Fen(whole) == 0
}

// String writes the share in percent, such as "12.5%".
func (s Share) String() string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%02d", s/100, s%100), "0"), ".") + "%"
}

// AccountRules says what the personal account (个人账户) may pay.
type AccountRules struct {
	Outpatient []Cause             `yaml:"outpatient"`
	Pharmacy   []exchange.Category `yaml:"pharmacy"`
	// WhenShort is what happens at a pharmacy when the balance does not suffice:
	// the rest in cash, or refusal.
	WhenShort string `yaml:"whenShort"`
}

// The values of AccountRules.WhenShort.
const (
	shortCash   = "cash"
	shortRefuse = "refuse"
)

// Cause is why the patient bears a part of an out-patient bill.
type Cause string

// The causes.
const (
	CauseOwn        Cause = "own"        // 自费
	CauseSelfFirst  Cause = "selfFirst"  // 乙类先自付
	CauseDeductible Cause = "deductible" // 起付标准以内
	CauseCoPayment  Cause = "coPayment"  // 按比例自付
	CauseOverCap    Cause = "overCap"    // 超过封顶线
)

// ParsePolicies reads and checks policy parameters.
func ParsePolicies(text []byte) (*Policies, error) {
	var p Policies
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicies, err)
	}
	seen := map[string]bool{}
	for i, policy := range p.List {
		key := fmt.Sprintf("%s %s %d", policy.Place, policy.Kind, policy.From)
		if seen[key] {
			return nil, fmt.Errorf("%w: %s stands twice", ErrPolicies, key)
		}
		seen[key] = true
		if err := policy.check(); err != nil {
			return nil, fmt.Errorf("%w: entry %d (%s): %w", ErrPolicies, i+1, key, err)
		}
	}
	return &p, nil
}

var prefixForm = regexp.MustCompile(`^[0-9]{6}$`)

func (p Policy) check() error {
	switch {
	case !prefixForm.MatchString(p.Place):
		return errors.New("place: a GB/T 2260 code of 6 digits")
	case p.Kind != exchange.KindEmployee && p.Kind != exchange.KindResident:
		return errors.New("kind: employee or resident")
	case p.From < 1990 || p.From > 9999:
		return errors.New("from: a year")
	case p.Text.ZH == "" || p.Text.EN == "":
		return errors.New("text: zh and en")
	case p.Deductible < 0 || p.Deductible > exchange.MaxFen || p.Cap < 0 || p.Cap > exchange.MaxFen:
		return errors.New("deductible and cap: amounts in fen")
	case p.SelfFirst < 0 || p.SelfFirst > whole:
		return errors.New("selfFirst: 0 to 10000")
	case len(p.Ratio) == 0:
		return errors.New("ratio: needed for at least one hospital level")
	}
	for level, ratio := range p.Ratio {
		if level < 1 || level > 3 || ratio < 0 || ratio > whole {
			return errors.New("ratio: 0 to 10000 for the levels 1 to 3")
		}
	}
	return p.Account.check()
}

func (a *AccountRules) check() error {
	if a == nil {
		return nil
	}
	for _, cause := range a.Outpatient {
		switch cause {
		case CauseOwn, CauseSelfFirst, CauseDeductible, CauseCoPayment, CauseOverCap:
		default:
			return errors.New("account.outpatient: unknown cause")
		}
	}
	for _, category := range a.Pharmacy {
		switch category {
		case exchange.CategoryA, exchange.CategoryB, exchange.CategoryOwn:
		default:
			return errors.New("account.pharmacy: unknown category")
		}
	}
	if a.WhenShort != shortCash && a.WhenShort != shortRefuse {
		return errors.New("account.whenShort: cash or refuse")
	}
	return nil
}

// find returns the policy for an insured place, kind and year: the nearest
// place above, then the latest year.
func (p *Policies) find(insured exchange.Insurance, year int) (Policy, bool) {
	var found []Policy
	for _, policy := range p.List {
		if policy.Kind == insured.Kind && policy.From <= year {
			found = append(found, policy)
		}
	}
	slices.SortStableFunc(found, func(a, b Policy) int { return b.From - a.From })
	places := make([]string, len(found))
	for i, policy := range found {
		places[i] = policy.Place
	}
	nearest := gb.Divisions().Nearest(insured.Place, places, gb.Divisions().Newest())
	if nearest < 0 {
		return Policy{}, false
	}
	return found[nearest], true
}
