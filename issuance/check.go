package issuance

import (
	"errors"
	"fmt"
	"slices"

	"onecard/registry"
)

// ErrWorkflow says that the table contradicts itself.
var ErrWorkflow = errors.New("工作流程表有误 the workflow table is wrong")

// operatorRoles are the roles that an operator can have.
var operatorRoles = []string{
	registry.RoleClerk, registry.RoleReviewer, registry.RoleIssuer, registry.RoleSupervisor, registry.RoleCashier, registry.RoleAdmin,
}

// Check refuses a workflow that contradicts itself: unknown states, two lines
// for one event, a state that nothing reaches, a dead end (a state from which
// no final one can be reached), a right that nobody has, guards, chip
// operations or addressees that do not exist, missing texts, and events of
// cards and of applications that do not meet. It names all that is wrong.
func Check(applications, cards *Machine) error {
	return errors.Join(applications.check(), cards.check(), applications.meets(cards))
}

func (m *Machine) problem(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrWorkflow, m.Name, fmt.Sprintf(format, args...))
}

func (m *Machine) check() error {
	var problems []error
	seen := map[[2]string]bool{}
	for _, r := range m.Rules {
		if seen[[2]string{r.From, r.Event}] {
			problems = append(problems, m.problem("%s in %s stands twice", r.Event, r.From))
		}
		seen[[2]string{r.From, r.Event}] = true
		problems = append(problems, m.checkRule(r))
	}
	reached := m.closure(m.Initial)
	for _, s := range m.States {
		leaves := slices.ContainsFunc(m.Rules, func(r Rule) bool { return r.From == s.Name })
		switch {
		case s.Text.ZH == "" || s.Text.EN == "":
			problems = append(problems, m.problem("state %s has no text", s.Name))
		case !slices.Contains(reached, s.Name):
			problems = append(problems, m.problem("state %s is never reached", s.Name))
		case s.Final && leaves:
			problems = append(problems, m.problem("state %s is final and has a way out", s.Name))
		case !m.ends(s.Name):
			problems = append(problems, m.problem("state %s is a dead end", s.Name))
		}
	}
	return errors.Join(problems...)
}

// ends says whether a final state can be reached.
func (m *Machine) ends(state string) bool {
	ahead := m.closure(state)
	return slices.ContainsFunc(ahead, func(name string) bool { return m.State(name).Final })
}

// closure returns all states that lines lead to from one.
func (m *Machine) closure(from string) []string {
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

func (m *Machine) checkRule(r Rule) error {
	where := r.Event + " in " + r.From
	unknown := func(names, known []string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(known, name) })
	}
	var problems []error
	for _, condition := range []struct {
		wrong bool
		text  string
	}{
		{m.State(r.From).Name == "" || m.State(r.To).Name == "", "unknown state"},
		{r.From == r.To, "leads nowhere"},
		{len(r.Roles) == 0 || unknown(r.Roles, operatorRoles), "a right that nobody has"},
		{slices.ContainsFunc(r.Needs, func(name string) bool { _, ok := guards[name]; return !ok }), "unknown guard"},
		{slices.ContainsFunc(r.Tell, func(name string) bool { _, ok := told[name]; return !ok }), "nobody of that name to tell"},
		{r.Chip != "" && !slices.Contains(chipOperations, r.Chip), "unknown chip operation"},
		{r.Chip != "" && r.Reason, "a chip operation gives no reason"},
		{r.Text.ZH == "" || r.Text.EN == "", "no text"},
	} {
		if condition.wrong {
			problems = append(problems, m.problem("%s: %s", where, condition.text))
		}
	}
	return errors.Join(problems...)
}

// meets checks that each event which a card's event brings to its application
// has a line there, and that each such line has an event that brings it.
func (m *Machine) meets(cards *Machine) error {
	var problems []error
	for _, r := range cards.Rules {
		followed := slices.ContainsFunc(m.Rules, func(f Rule) bool { return f.Follows && f.Event == r.Also })
		if r.Also != "" && !followed {
			problems = append(problems, cards.problem("%s in %s: no application follows with %s", r.Event, r.From, r.Also))
		}
	}
	for _, f := range m.Rules {
		brought := slices.ContainsFunc(cards.Rules, func(r Rule) bool { return r.Also == f.Event })
		if f.Follows && !brought {
			problems = append(problems, m.problem("%s in %s follows no event of a card", f.Event, f.From))
		}
	}
	return errors.Join(problems...)
}
