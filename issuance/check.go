package issuance

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"onecard/registry"
)

// ErrWorkflow says that the table contradicts itself.
var ErrWorkflow = errors.New("工作流程表有误 the workflow table is wrong")

// operatorRoles are the roles that an operator can have.
var operatorRoles = []string{
	registry.RoleClerk, registry.RoleReviewer, registry.RoleIssuer, registry.RoleSupervisor, registry.RoleCashier, registry.RoleAdmin,
	registry.RoleProducer, registry.RoleStorekeeper,
}

// Check refuses a workflow that contradicts itself: unknown states, two lines
// for one state or one event, a state that nothing reaches, a way out of a
// final state, a dead end (a state from which no final one can be reached), a
// line that leads nowhere, a right that nobody has, guards, chip operations or
// addressees that do not exist, a chip operation that asks for a reason,
// missing texts, reasons without a consequence, and events of cards and of
// applications that do not meet. It names all that is wrong.
func Check(applications, cards *Machine) error {
	return errors.Join(applications.check(), cards.check(), applications.meets(cards), CheckReasons(Reasons))
}

// CheckMachine is [Check] for a machine that stands alone.
func CheckMachine(m *Machine) error { return m.check() }

// CheckReasons refuses reasons without words, without a consequence or with one
// that does not exist, and lists without the reason that is told in words.
func CheckReasons(lists map[string][]Reason) error {
	var problems []error
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("%w: reasons: %s", ErrWorkflow, fmt.Sprintf(format, args...)))
	}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		if !slices.ContainsFunc(lists[name], func(r Reason) bool { return r.Code == ReasonOther }) {
			wrong("%s: no reason in words", name)
		}
		for i, r := range lists[name] {
			if r.Text.ZH == "" || r.Text.EN == "" {
				wrong("%s: %s: no text", name, r.Code)
			}
			if len(r.Then) == 0 {
				wrong("%s: %s: no consequence", name, r.Code)
			}
			for _, then := range r.Then {
				if consequences[then] == (Text{}) {
					wrong("%s: %s: no consequence of the name %s", name, r.Code, then)
				}
			}
			if slices.ContainsFunc(lists[name][:i], func(other Reason) bool { return other.Code == r.Code }) {
				wrong("%s: %s: stands twice", name, r.Code)
			}
		}
	}
	return errors.Join(problems...)
}

// condition is something that may be wrong with a line of a table.
type condition struct {
	wrong bool
	text  string
}

func (m *Machine) problem(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrWorkflow, m.Name, fmt.Sprintf(format, args...))
}

// problems names the conditions that are wrong somewhere in the machine.
func (m *Machine) problems(where string, conditions ...condition) error {
	var problems []error
	for _, c := range conditions {
		if c.wrong {
			problems = append(problems, m.problem("%s: %s", where, c.text))
		}
	}
	return errors.Join(problems...)
}

func (m *Machine) check() error {
	problems := []error{m.problems("machine",
		condition{m.Title.ZH == "" || m.Title.EN == "", "no text"},
		condition{!m.knows(m.Initial), "unknown initial state " + m.Initial})}
	reached := m.closure(append([]string{m.Initial}, m.Also...)...)
	for i, s := range m.States {
		named := func(other State) bool { return other.Name == s.Name }
		leaves := slices.ContainsFunc(m.Rules, func(r Rule) bool { return r.From == s.Name })
		problems = append(problems, m.problems("state "+s.Name,
			condition{s.Text.ZH == "" || s.Text.EN == "", "no text"},
			condition{slices.ContainsFunc(m.States[:i], named), "stands twice"},
			condition{!slices.Contains(reached, s.Name), "never reached"},
			condition{s.Final && leaves, "final and has a way out"},
			condition{!m.ends(s.Name), "a dead end"}))
	}
	for i, r := range m.Rules {
		problems = append(problems, m.checkRule(r, m.Rules[:i]))
	}
	return errors.Join(problems...)
}

// guardText is the words for a guard that a line names.
func (m *Machine) guardText(name string) Text {
	if own, ok := m.Guards[name]; ok {
		return own
	}
	return guards[name].text
}

// knows says whether a state stands in the table.
func (m *Machine) knows(state string) bool {
	return slices.ContainsFunc(m.States, func(s State) bool { return s.Name == state })
}

// ends says whether a final state can be reached.
func (m *Machine) ends(state string) bool {
	ahead := m.closure(state)
	return slices.ContainsFunc(ahead, func(name string) bool { return m.State(name).Final })
}

// closure returns all states that lines lead to from some.
func (m *Machine) closure(from ...string) []string {
	found := slices.Clone(from)
	for i := 0; i < len(found); i++ {
		for _, r := range m.Rules {
			if r.From == found[i] && !slices.Contains(found, r.To) {
				found = append(found, r.To)
			}
		}
	}
	return found
}

// checkRule looks at a line and at those before it.
func (m *Machine) checkRule(r Rule, before []Rule) error {
	unknown := func(names []string, known func(name string) bool) bool {
		return slices.ContainsFunc(names, func(name string) bool { return !known(name) })
	}
	isRole := func(name string) bool { return slices.Contains(operatorRoles, name) }
	isGuard := func(name string) bool { return m.guardText(name) != Text{} }
	isTold := func(name string) bool { _, ok := told[name]; return ok }
	same := func(other Rule) bool { return other.From == r.From && other.Event == r.Event }
	return m.problems(r.Event+" in "+r.From,
		condition{slices.ContainsFunc(before, same), "stands twice"},
		condition{!m.knows(r.From) || !m.knows(r.To), "unknown state"},
		condition{r.From == r.To, "leads nowhere"},
		condition{r.By == "" && len(r.Roles) == 0 || unknown(r.Roles, isRole), "a right that nobody has"},
		condition{r.By != "" && (firedBy[r.By] == Text{} || r.Chip != ""), "fired by what does not exist"},
		condition{r.Reasons != "" && len(Reasons[r.Reasons]) == 0, "no such list of reasons"},
		condition{unknown(r.Needs, isGuard), "unknown guard"},
		condition{unknown(r.Tell, isTold), "nobody of that name to tell"},
		condition{r.Chip != "" && !slices.Contains(chipOperations, r.Chip), "unknown chip operation"},
		condition{r.Chip != "" && r.Reasons != "", "a chip operation gives no reason"},
		condition{r.Text.ZH == "" || r.Text.EN == "", "no text"})
}

// meets checks that each event which a card's event brings to its application
// has a line there, and that each such line has an event that brings it.
func (m *Machine) meets(cards *Machine) error {
	var problems []error
	for _, r := range cards.Rules {
		followed := slices.ContainsFunc(m.Rules, func(f Rule) bool { return f.By == ByCard && f.Event == r.Also })
		if r.Also != "" && !followed {
			problems = append(problems, cards.problem("%s in %s: no application follows with %s", r.Event, r.From, r.Also))
		}
	}
	for _, f := range m.Rules {
		brought := slices.ContainsFunc(cards.Rules, func(r Rule) bool { return r.Also == f.Event })
		if f.By == ByCard && !brought {
			problems = append(problems, m.problem("%s in %s follows no event of a card", f.Event, f.From))
		}
	}
	return errors.Join(problems...)
}
