package authentication

import (
	_ "embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"onecard/internal/gb"
	"onecard/registry"
)

//go:embed policy.yaml
var defaultPolicies []byte

// PolicyText returns the text of the rights and limits as shipped.
func PolicyText() []byte { return slices.Clone(defaultPolicies) }

// Policy is who may ask for what and how often, for a place from a day on
// (权限和限额).
type Policy struct {
	Place         string              `yaml:"place"` // GB/T 2260; holds for all places below
	From          gb.Date             `yaml:"from"`
	ReplayHours   int                 `yaml:"replayHours"`
	ReloadMinutes int                 `yaml:"reloadMinutes"`
	Statuses      map[string][]string `yaml:"statuses"` // AAZ502 by service; NoRecord for a card without record
	Rights        []Right             `yaml:"rights"`
	Limits        []Limit             `yaml:"limits"`
}

// NoRecord stands for a card that the province has no record of.
const NoRecord = "-"

// Right is one line of the rights: who may use which services with which keys.
type Right struct {
	Kinds    []string `yaml:"kinds"` // of workstation
	Roles    []string `yaml:"roles"` // of which the operator has one; empty where none is needed
	Services []string `yaml:"services"`
	Keys     []string `yaml:"keys"` // patterns of names
}

// Limit is how often something may be asked for.
type Limit struct {
	Name     string   `yaml:"name"`
	Of       string   `yaml:"of"` // card or terminal
	Services []string `yaml:"services"`
	Count    int      `yaml:"count"`
	Minutes  int      `yaml:"minutes"`
}

// What a limit counts by.
const (
	ofCard     = "card"
	ofTerminal = "terminal"
)

// Policies is the policy of each place and time.
type Policies []Policy

// Errors of policies.
var (
	ErrPolicy   = errors.New("认证权限参数有误 the authentication policy is wrong")
	ErrNoPolicy = errors.New("此地此日没有认证权限参数 no authentication policy for the place on that day")
)

// ParsePolicies reads a policy file. Unknown keys, values out of range and two
// lines for one place and day are refused.
func ParsePolicies(text []byte) (Policies, error) {
	var all Policies
	if err := decodeYAML(text, &all); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no line", ErrPolicy)
	}
	for i, p := range all {
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrPolicy, i+1, err)
		}
		if slices.ContainsFunc(all[:i], func(q Policy) bool { return q.Place == p.Place && q.From == p.From }) {
			return nil, fmt.Errorf("%w: line %d: place and day stand twice", ErrPolicy, i+1)
		}
	}
	return all, nil
}

// What the lists of a policy may hold.
var (
	services = []string{"01", "02", "03", "04"}
	kinds    = []string{registry.KindCounter, registry.KindHospital, registry.KindPharmacy}
	roles    = []string{registry.RoleClerk, registry.RoleReviewer, registry.RoleIssuer, registry.RoleSupervisor, registry.RoleCashier, registry.RoleAdmin, registry.RoleProducer, registry.RoleStorekeeper}
	statuses = []string{NoRecord, "0", "1", "2", "3", "4", "9"}
)

// among says whether a list is not empty and holds nothing else than known.
func among(list, known []string) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(known, s) })
}

func (p Policy) check() error {
	switch {
	case len(p.Place) != 6 || strings.Trim(p.Place, "0123456789") != "":
		return errors.New("place: 6 digits")
	case p.From.IsZero():
		return errors.New("from: a day")
	case p.ReplayHours < 1 || p.ReplayHours > 8760:
		return errors.New("replayHours: 1 to 8760")
	case p.ReloadMinutes < 1 || p.ReloadMinutes > 60:
		return errors.New("reloadMinutes: 1 to 60")
	case len(p.Rights) == 0 || len(p.Limits) == 0:
		return errors.New("rights and limits are needed")
	}
	for service, list := range p.Statuses {
		if !slices.Contains(services, service) || !among(list, statuses) {
			return fmt.Errorf("statuses: service %s: one of %v for services %v", service, statuses, services)
		}
	}
	for i, r := range p.Rights {
		if err := r.check(); err != nil {
			return fmt.Errorf("rights: line %d: %w", i+1, err)
		}
	}
	for i, l := range p.Limits {
		named := func(other Limit) bool { return other.Name == l.Name }
		if l.Name == "" || slices.ContainsFunc(p.Limits[:i], named) || l.Of != ofCard && l.Of != ofTerminal ||
			!among(l.Services, services) || l.Count < 1 || l.Minutes < 1 || l.Minutes > 525600 {
			return fmt.Errorf("limits: line %d: a name of its own, of card or terminal, services, count and minutes above zero", i+1)
		}
	}
	return nil
}

func (r Right) check() error {
	if !among(r.Kinds, kinds) || !among(r.Services, services) || len(r.Keys) == 0 || len(r.Roles) > 0 && !among(r.Roles, roles) {
		return errors.New("known kinds of workstation, roles and services, and keys")
	}
	for _, pattern := range r.Keys {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
	}
	return nil
}

// At returns the policy of a place (six digits) on a day: that of the nearest
// place above, and of those the latest.
func (all Policies) At(place string, day gb.Date) (Policy, error) {
	i := gb.InForce(all, place, day, func(p Policy) (string, gb.Date) { return p.Place, p.From })
	if i < 0 {
		return Policy{}, ErrNoPolicy
	}
	return all[i], nil
}

// allows says whether a caller may use a service with all of the keys.
func (p Policy) allows(who Caller, service string, keys []string) bool {
	for _, key := range keys {
		if !slices.ContainsFunc(p.Rights, func(r Right) bool { return r.allows(who, service, key) }) {
			return false
		}
	}
	return true
}

func (r Right) allows(who Caller, service, key string) bool {
	matches := func(pattern string) bool {
		ok, err := path.Match(pattern, key)
		return ok && err == nil
	}
	return slices.Contains(r.Kinds, who.Workstation.Kind) && slices.Contains(r.Services, service) &&
		(len(r.Roles) == 0 || slices.ContainsFunc(r.Roles, who.Operator.Has)) && slices.ContainsFunc(r.Keys, matches)
}

func (l Limit) window() time.Duration { return time.Duration(l.Minutes) * time.Minute }

func dayOf(t time.Time) gb.Date { return gb.DayOf(t) }
