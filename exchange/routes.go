package exchange

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"onecard/internal/gb"
)

//go:embed routes.yaml
var defaultRoutes []byte

// RoutesText returns the text of the routes as shipped.
func RoutesText() []byte { return slices.Clone(defaultRoutes) }

// DefaultRoutes returns the routes of the province as shipped.
func DefaultRoutes() (*Routes, error) { return ParseRoutes(defaultRoutes) }

// ErrRoutes means that a table of routes is not usable; the error says where.
var ErrRoutes = errors.New("exchange: routes")

// Routes decides which back end settles a transaction (路由表). It is complete
// and free of contradictions: ParseRoutes returns no other.
type Routes struct {
	Version    string     `yaml:"version"`
	Businesses []Business `yaml:"businesses"`
	Kinds      []string   `yaml:"kinds"` // 险种
	Rules      []Rule     `yaml:"rules"`
}

// Business is a kind of transaction (业务类型).
type Business struct {
	Code    string        `yaml:"code"`
	Text    Text          `yaml:"text"`
	Sites   []string      `yaml:"sites"`   // kinds of institution that may do it
	Timeout time.Duration `yaml:"timeout"` // how long the back end may take
}

// Rule sends the transactions that it matches to one back end, or refuses them
// with its text.
type Rule struct {
	ID         string   `yaml:"id"`
	Text       Text     `yaml:"text"`
	Businesses []string `yaml:"businesses"`
	Kinds      []string `yaml:"kinds"`
	Insured    Area     `yaml:"insured"`
	Treatment  Area     `yaml:"treatment"`
	Backend    string   `yaml:"backend"`
	Refuse     bool     `yaml:"refuse"`
}

// Area is a set of places by GB/T 2260 codes, each with all below it, under
// codes of whichever year. An empty Area is everywhere.
type Area struct {
	Within  []string `yaml:"within"`
	Outside []string `yaml:"outside"`
}

func (a Area) contains(place string) bool {
	places := gb.Divisions()
	in := func(area string) bool { return places.Lies(place, area, newest()) }
	return (len(a.Within) == 0 || slices.ContainsFunc(a.Within, in)) &&
		!slices.ContainsFunc(a.Outside, in)
}

// newest is the day on which places are compared: a route asks where a place
// lies now, not where it lay.
var newest = sync.OnceValue(func() gb.Date { return gb.Divisions().Newest() })

func (r Rule) matches(business, kind, insured, treatment string) bool {
	return slices.Contains(r.Businesses, business) && slices.Contains(r.Kinds, kind) &&
		r.Insured.contains(insured) && r.Treatment.contains(treatment)
}

// ParseRoutes reads a table of routes and checks that it decides every case
// exactly once.
func ParseRoutes(text []byte) (*Routes, error) {
	r, err := decodeRoutes(text)
	if err != nil {
		return nil, err
	}
	if err := r.checkCases(); err != nil {
		return nil, err
	}
	return &r, nil
}

// decodeRoutes reads a table and checks it row by row.
func decodeRoutes(text []byte) (Routes, error) {
	var r Routes
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&r); err != nil {
		return Routes{}, fmt.Errorf("%w: %w", ErrRoutes, err)
	}
	return r, r.checkNames()
}

// business returns the business with this code.
func (r *Routes) business(code string) (Business, bool) {
	i := slices.IndexFunc(r.Businesses, func(b Business) bool { return b.Code == code })
	if i < 0 {
		return Business{}, false
	}
	return r.Businesses[i], true
}

// route returns the rule that decides. The table is complete for the kinds and
// businesses that it lists; what it does not list has no route.
func (r *Routes) route(business string, insured Insurance, treatment string) (Rule, *Refusal) {
	for _, rule := range r.Rules {
		if rule.matches(business, insured.Kind, insured.Place, treatment) {
			if rule.Refuse {
				return rule, &Refusal{Code: ErrNoRoute.Code, Text: rule.Text}
			}
			return rule, nil
		}
	}
	return Rule{}, ErrNoRoute
}

var codeForm = regexp.MustCompile(`^[0-9]{6}$`)

// checkNames verifies the table row by row.
func (r *Routes) checkNames() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrRoutes, fmt.Sprintf(format, args...))
	}
	if r.Version == "" || len(r.Businesses) == 0 || len(r.Kinds) == 0 {
		return bad("version, businesses and kinds are needed")
	}
	codes := map[string]bool{}
	for _, b := range r.Businesses {
		if b.Code == "" || codes[b.Code] || b.Text.ZH == "" || b.Text.EN == "" || len(b.Sites) == 0 || b.Timeout <= 0 {
			return bad("business %q: needs an own code, text zh and en, sites and a timeout", b.Code)
		}
		codes[b.Code] = true
	}
	ids := map[string]bool{}
	for _, rule := range r.Rules {
		if rule.ID == "" || ids[rule.ID] || rule.Text.ZH == "" || rule.Text.EN == "" {
			return bad("rule %q: needs an own id and text zh and en", rule.ID)
		}
		ids[rule.ID] = true
		if (rule.Backend == "") != rule.Refuse {
			return bad("rule %s: needs either a backend or refuse", rule.ID)
		}
		for _, code := range rule.Businesses {
			if !codes[code] {
				return bad("rule %s: unknown business %q", rule.ID, code)
			}
		}
		for _, kind := range rule.Kinds {
			if !slices.Contains(r.Kinds, kind) {
				return bad("rule %s: unknown kind %q", rule.ID, kind)
			}
		}
		for _, code := range slices.Concat(rule.Insured.Within, rule.Insured.Outside, rule.Treatment.Within, rule.Treatment.Outside) {
			if !codeForm.MatchString(code) {
				return bad("rule %s: %q is no GB/T 2260 code", rule.ID, code)
			}
		}
	}
	return nil
}

// checkCases tries every case that the rules can tell apart: one place stands
// for all that lie in the same areas.
func (r *Routes) checkCases() error {
	var insured, treatment []Area
	for _, rule := range r.Rules {
		insured, treatment = append(insured, rule.Insured), append(treatment, rule.Treatment)
	}
	for _, business := range r.Businesses {
		for _, kind := range r.Kinds {
			for _, from := range representatives(insured) {
				for _, at := range representatives(treatment) {
					if err := r.checkCase(business.Code, kind, from, at); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

func (r *Routes) checkCase(business, kind, insured, treatment string) error {
	var hits []string
	for _, rule := range r.Rules {
		if rule.matches(business, kind, insured, treatment) {
			hits = append(hits, rule.ID)
		}
	}
	where := fmt.Sprintf("%s, %s, insured in %s, treated in %s", business, kind, insured, treatment)
	switch len(hits) {
	case 0:
		return fmt.Errorf("%w: gap: no rule for %s", ErrRoutes, where)
	case 1:
		return nil
	default:
		return fmt.Errorf("%w: overlap: rules %s for %s", ErrRoutes, strings.Join(hits, " and "), where)
	}
}

// representatives returns one place for every set of areas that some place lies
// in: of all divisions that are known, the places named, and others beside and
// below them.
func representatives(areas []Area) []string {
	var candidates, codes []string
	for _, d := range gb.Divisions().All() {
		candidates = append(candidates, d.Code)
	}
	for _, area := range areas {
		for _, code := range slices.Concat(area.Within, area.Outside) {
			candidates = append(candidates, code, code[:2]+"0000", code[:4]+"00", code[:2]+"9900", code[:4]+"99")
		}
	}
	candidates = append(candidates, "990000")
	seen := map[string]bool{}
	for _, code := range candidates {
		var in strings.Builder
		for _, area := range areas {
			fmt.Fprint(&in, area.contains(code), " ")
		}
		if code != "" && !seen[in.String()] {
			seen[in.String()] = true
			codes = append(codes, code)
		}
	}
	return codes
}
