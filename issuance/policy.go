package issuance

import (
	"bytes"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"onecard/internal/gb"
)

//go:embed policy.yaml
var defaultPolicies []byte

// DefaultPolicies returns the text of the parameters as shipped.
func DefaultPolicies() []byte { return slices.Clone(defaultPolicies) }

// Policy is the parameters of issuance for a place from a day on (发卡参数). The
// number of attempts at the holder's PIN is the chip's and stands in its
// profile.
type Policy struct {
	Place          string  `yaml:"place"` // GB/T 2260; holds for all places below
	From           gb.Date `yaml:"from"`
	MinimumAge     int     `yaml:"minimumAge"`     // 周岁
	ValidYears     int     `yaml:"validYears"`     // of a card
	ProofMinutes   int     `yaml:"proofMinutes"`   // how long a reading proves the card
	SessionMinutes int     `yaml:"sessionMinutes"` // a chip session between two scripts
	// Attempts is how many authentications in a row may go without a good answer
	// of the chip before a supervisor has to look at it (认证尝试下限).
	Attempts int    `yaml:"attempts"`
	CardType string `yaml:"cardType"` // 卡的类别
	Issuer   string `yaml:"issuer"`   // 初始化机构编号, 24 hexadecimal digits
	// SpecVersions are the specification versions that new cards may be of
	// (规范版本); whether a chip can hold what an application says is asked of the
	// first.
	SpecVersions []string `yaml:"specVersions"`
	KeyVersion   int      `yaml:"keyVersion"` // of the keys that new cards get
}

// Policies is the policy of each place and time.
type Policies []Policy

// ErrNoPolicy says that no policy holds for a place on a day.
var ErrNoPolicy = errors.New("此地此日没有发卡参数 no issuance policy for the place on that day")

// ErrPolicy says that a policy file is not as it should be.
var ErrPolicy = errors.New("发卡参数有误 the issuance policy is wrong")

// ParsePolicies reads a policy file. Unknown keys, values out of range and two
// lines for one place and day are refused.
func ParsePolicies(text []byte) (Policies, error) {
	var all Policies
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more than one document", ErrPolicy)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no line", ErrPolicy)
	}
	type key struct {
		place string
		from  gb.Date
	}
	seen := map[key]bool{}
	for i, p := range all {
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrPolicy, i+1, err)
		}
		if seen[key{p.Place, p.From}] {
			return nil, fmt.Errorf("%w: line %d: place and day stand twice", ErrPolicy, i+1)
		}
		seen[key{p.Place, p.From}] = true
	}
	return all, nil
}

func (p Policy) check() error {
	issuer, err := hex.DecodeString(p.Issuer)
	for _, condition := range []struct {
		expected string
		holds    bool
	}{
		{"place: 6 digits", len(p.Place) == 6 && strings.Trim(p.Place, "0123456789") == ""},
		{"from: a day", !p.From.IsZero()},
		{"minimumAge: 0 to 60", p.MinimumAge >= 0 && p.MinimumAge <= 60},
		{"validYears: 1 to 30", p.ValidYears >= 1 && p.ValidYears <= 30},
		{"proofMinutes: 1 to 120", p.ProofMinutes >= 1 && p.ProofMinutes <= 120},
		{"sessionMinutes: 1 to 120", p.SessionMinutes >= 1 && p.SessionMinutes <= 120},
		{"attempts: 1 to 14", p.Attempts >= 1 && p.Attempts <= 14},
		{"cardType: one character", len(p.CardType) == 1},
		{"issuer: 24 hexadecimal digits", err == nil && len(issuer) == 12},
		{"specVersions: at least one, such as 3.00, none twice", versions(p.SpecVersions)},
		{"keyVersion: 1 to 254", p.KeyVersion >= 1 && p.KeyVersion <= 254},
	} {
		if !condition.holds {
			return errors.New(condition.expected)
		}
	}
	return nil
}

// versions says whether a list of specification versions is one.
func versions(list []string) bool {
	for i, version := range list {
		if !versionForm.MatchString(version) || slices.Contains(list[:i], version) {
			return false
		}
	}
	return len(list) > 0
}

var versionForm = regexp.MustCompile(`^[0-9]\.[0-9]{2}$`)

// At returns the policy of a place (six digits) on a day: that of the nearest
// place above, and of those the latest.
func (all Policies) At(place string, day gb.Date) (Policy, error) {
	var best Policy
	for _, p := range all {
		if !strings.HasPrefix(place, below(p.Place)) || day.Before(p.From) {
			continue
		}
		nearer := len(below(p.Place)) - len(below(best.Place))
		if best.Place == "" || nearer > 0 || nearer == 0 && best.From.Before(p.From) {
			best = p
		}
	}
	if best.Place == "" {
		return Policy{}, ErrNoPolicy
	}
	return best, nil
}

// below returns what all codes under a division begin with: two digits for a
// province, four for a prefecture, six for a county (GB/T 2260).
func below(place string) string {
	for strings.HasSuffix(place, "00") {
		place = place[:len(place)-2]
	}
	return place
}

func (p Policy) proofAge() time.Duration   { return time.Duration(p.ProofMinutes) * time.Minute }
func (p Policy) sessionAge() time.Duration { return time.Duration(p.SessionMinutes) * time.Minute }
