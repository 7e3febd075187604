package stock

import (
	"errors"
	"fmt"
	"slices"

	"onecard/issuance"
	"onecard/registry"
)

// assignable are the roles that a line may name.
var assignable = []string{registry.RoleClerk, registry.RoleReviewer, registry.RoleIssuer, registry.RoleSupervisor, RoleStorekeeper}

// Check refuses a machine that contradicts itself: a state that stands twice,
// that nothing reaches or that no final one follows, a way out of a final one,
// two lines for one state and event, a line from or to an unknown state, a
// right that nobody has, a guard that does not exist, missing texts.
func Check(m *issuance.Machine) error {
	var problems []error
	wrong := func(where string, is bool, what string) {
		if is {
			problems = append(problems, fmt.Errorf("%w: %s: %s: %s", issuance.ErrWorkflow, m.Name, where, what))
		}
	}
	empty := func(t text) bool { return t.ZH == "" || t.EN == "" }
	wrong("machine", empty(m.Title), "no text")
	reached := ahead(m, m.Initial)
	for i, s := range m.States {
		wrong(s.Name, empty(s.Text), "no text")
		wrong(s.Name, slices.ContainsFunc(m.States[:i], func(o state) bool { return o.Name == s.Name }), "stands twice")
		wrong(s.Name, !slices.Contains(reached, s.Name), "never reached")
		wrong(s.Name, s.Final && slices.ContainsFunc(m.Rules, func(r rule) bool { return r.From == s.Name }), "final and has a way out")
		wrong(s.Name, !slices.ContainsFunc(ahead(m, s.Name), func(n string) bool { return m.State(n).Final }), "a dead end")
	}
	for i, r := range m.Rules {
		where := r.Event + " in " + r.From
		wrong(where, slices.ContainsFunc(m.Rules[:i], func(o rule) bool { return o.From == r.From && o.Event == r.Event }), "stands twice")
		wrong(where, m.State(r.From).Name == "" || m.State(r.To).Name == "", "unknown state")
		wrong(where, r.From == r.To, "leads nowhere")
		wrong(where, len(r.Roles) == 0 || slices.ContainsFunc(r.Roles, func(n string) bool { return !slices.Contains(assignable, n) }), "a right that nobody has")
		wrong(where, slices.ContainsFunc(r.Needs, func(n string) bool { return n != NeedsWitness }), "unknown guard")
		wrong(where, empty(r.Text), "no text")
	}
	return errors.Join(problems...)
}

// ahead returns all states that lines lead to from one, with it.
func ahead(m *issuance.Machine, from string) []string {
	found := []string{from}
	for i := 0; i < len(found); i++ {
		for _, r := range m.Rules {
			if r.From == found[i] && !slices.Contains(found, r.To) {
				found = append(found, r.To)
			}
		}
	}
	return found
}
