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
	// IssuingRegion is how far the region reaches in which a card is enabled and
	// cancelled (发卡地区): province, prefecture or county.
	IssuingRegion string `yaml:"issuingRegion"`
	// TemporaryLossDays is after how many days a temporary loss report ends by
	// itself (临时挂失天数); LossNoticeHours how long before the holder is told.
	TemporaryLossDays int `yaml:"temporaryLossDays"`
	LossNoticeHours   int `yaml:"lossNoticeHours"`
	// FormalLossFinal: a formal loss report cannot be cancelled (正式挂失不可解挂).
	FormalLossFinal bool `yaml:"formalLossFinal"`
	// LapseDays is after how many days a card that was formally reported lost is
	// cancelled by itself; 0: never (挂失期满注销).
	LapseDays int `yaml:"lapseDays"`
	// ExchangeDays is how long before its end a card is exchanged for that reason.
	ExchangeDays int `yaml:"exchangeDays"`
	// GuardianAge is below which age a guardian applies (监护人代办年龄).
	GuardianAge int `yaml:"guardianAge"`
	// PhotoAge is from which age a photograph is asked for (免照片年龄).
	PhotoAge int `yaml:"photoAge"`
	// TemporaryCardDays is the term of a temporary card (临时卡有效天数).
	TemporaryCardDays int `yaml:"temporaryCardDays"`
	// ReviewHours, MakeDays and CollectDays are within which time a stage is to be
	// done (办理时限): review, making, and collecting by the holder.
	ReviewHours int `yaml:"reviewHours"`
	MakeDays    int `yaml:"makeDays"`
	CollectDays int `yaml:"collectDays"`
	// Handover is what is asked for before a card is activated (领卡要求): none,
	// taker 登记领卡人, or signature 登记并签字.
	Handover string `yaml:"handover"`
	// PrintedFirst: a card made at a counter is not activated before its face is
	// printed well (印好卡面才交卡).
	PrintedFirst bool `yaml:"printedFirst"`
	// MinistryQuery is what is asked of the ministry before an application is
	// approved (部级查重要求): one of the Ministry….
	MinistryQuery string `yaml:"ministryQuery"`
}

// sameRegion says whether two places lie in one issuing region.
func (p Policy) sameRegion(a, b string) bool {
	n := map[string]int{"province": 2, "prefecture": 4, "county": 6}[p.IssuingRegion]
	if a[:2] == b[:2] && a[2:] == "0000" {
		return true // the province's own office
	}
	return a[:n] == b[:n]
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
		{"issuingRegion: province, prefecture or county", slices.Contains([]string{"province", "prefecture", "county"}, p.IssuingRegion)},
		{"temporaryLossDays: 1 to 90", p.TemporaryLossDays >= 1 && p.TemporaryLossDays <= 90},
		{"lossNoticeHours: 1 to 24 times temporaryLossDays", p.LossNoticeHours >= 1 && p.LossNoticeHours <= 24*p.TemporaryLossDays},
		{"lapseDays: 0 to 3650", p.LapseDays >= 0 && p.LapseDays <= 3650},
		{"exchangeDays: 0 to 365", p.ExchangeDays >= 0 && p.ExchangeDays <= 365},
		{"guardianAge: 0 to 18", p.GuardianAge >= 0 && p.GuardianAge <= 18},
		{"photoAge: 0 to 18", p.PhotoAge >= 0 && p.PhotoAge <= 18},
		{"temporaryCardDays: 1 to 366", p.TemporaryCardDays >= 1 && p.TemporaryCardDays <= 366},
		{"reviewHours: 1 to 2160", p.ReviewHours >= 1 && p.ReviewHours <= 2160},
		{"makeDays: 1 to 180", p.MakeDays >= 1 && p.MakeDays <= 180},
		{"collectDays: 1 to 1095", p.CollectDays >= 1 && p.CollectDays <= 1095},
		{"handover: none, taker or signature", slices.Contains([]string{HandoverNone, HandoverTaker, HandoverSignature}, p.Handover)},
		{"ministryQuery: none, told or required", slices.Contains([]string{MinistryNone, MinistryTold, MinistryRequired}, p.MinistryQuery)},
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
	i := gb.InForce(all, place, day, func(p Policy) (string, gb.Date) { return p.Place, p.From })
	if i < 0 {
		return Policy{}, ErrNoPolicy
	}
	return all[i], nil
}

func (p Policy) proofAge() time.Duration   { return time.Duration(p.ProofMinutes) * time.Minute }
func (p Policy) sessionAge() time.Duration { return time.Duration(p.SessionMinutes) * time.Minute }
