package issuance

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"onecard/registry"
)

// Text is words for people in both languages.
type Text struct{ ZH, EN string }

// Machine is one dimension of state with its lines of the workflow (状态机).
type Machine struct {
	Name    string
	Title   Text
	Initial string
	States  []State
	Rules   []Rule
}

// State is one state of a machine. Nothing leads out of a final one.
type State struct {
	Name  string
	Text  Text
	Final bool
}

// Rule is one line of the workflow: in this state this event leads to that
// state, for these roles, if the guards hold.
type Rule struct {
	From, Event, To string
	Roles           []string
	// Needs names the guards.
	Needs []string
	// Reason asks for a reason, which is recorded.
	Reason bool
	// Chip is the chip operation whose end fires the event; nobody can fire
	// such an event by hand.
	Chip string
	// Also is the event that happens with it to the card's application.
	Also string
	// Follows says that the event only happens with the card's (Also).
	Follows bool
	// Tell lists who must know.
	Tell []string
	// Sets are the other dimensions of a card's state that change with it, by
	// column: where the card is (custody), how its chip is (chip).
	Sets map[string]any
	Text Text
}

// Rule returns the line for an event in a state.
func (m *Machine) Rule(state, event string) (Rule, bool) {
	i := slices.IndexFunc(m.Rules, func(r Rule) bool { return r.From == state && r.Event == event })
	if i < 0 {
		return Rule{}, false
	}
	return m.Rules[i], true
}

// State returns a state by name, or the zero State.
func (m *Machine) State(name string) State {
	i := slices.IndexFunc(m.States, func(s State) bool { return s.Name == name })
	if i < 0 {
		return State{}
	}
	return m.States[i]
}

// Allows says whether one of the roles may fire the rule.
func (r Rule) Allows(roles []string) bool {
	return slices.ContainsFunc(r.Roles, func(role string) bool { return slices.Contains(roles, role) })
}

// subject is whom an event is about, as far as guards ask.
type subject struct {
	person    uuid.UUID
	enteredBy string
}

// request is an event as somebody asks for it.
type request struct {
	event, reason string
	roles         []string
	chip          bool // a chip operation asks, not a person
}

// find returns the rule for what is asked in a state, or says why there is
// none for whoever asks.
func (m *Machine) find(state string, ask request) (Rule, error) {
	rule, ok := m.Rule(state, ask.event)
	switch {
	case !ok:
		return Rule{}, ErrNotAllowed
	case !rule.Allows(ask.roles):
		return Rule{}, ErrNoRight
	case rule.Chip != "" && !ask.chip:
		return Rule{}, ErrNeedsChip
	case rule.Chip == "" && (ask.chip || rule.Follows):
		return Rule{}, ErrNotAllowed
	case rule.Reason && ask.reason == "":
		return Rule{}, ErrNeedsReason
	}
	return rule, nil
}

// permitted is the engine: it finds the rule for what is asked in a state and
// asks the guards.
func (m *Machine) permitted(tx *registry.Tx, state string, about subject, ask request) (Rule, error) {
	rule, err := m.find(state, ask)
	if err != nil {
		return Rule{}, err
	}
	for _, name := range rule.Needs {
		if err := guards[name].holds(tx, about); err != nil {
			return Rule{}, err
		}
	}
	return rule, nil
}

// possible returns the rules that lead out of a state and that somebody with
// these roles may begin, by hand or with the chip. What follows an event of the
// other machine begins there.
func (m *Machine) possible(state string, roles []string) []Rule {
	return slices.DeleteFunc(slices.Clone(m.Rules), func(r Rule) bool {
		return r.From != state || !r.Allows(roles) || r.Follows
	})
}

// guard is a condition that the table names.
type guard struct {
	text  Text
	holds func(tx *registry.Tx, about subject) error
}

// The guards.
const (
	NeedsOtherPerson = "otherPerson"
	NeedsAlive       = "alive"
)

var guards = map[string]guard{
	NeedsOtherPerson: {Text{"非录入人本人", "not by whoever entered it"}, func(tx *registry.Tx, about subject) error {
		if tx.Actor().Operator == about.enteredBy {
			return ErrSamePerson
		}
		return nil
	}},
	NeedsAlive: {Text{"持卡人健在", "the holder is alive"}, func(tx *registry.Tx, about subject) error {
		person, err := tx.PersonByID(about.person)
		if err != nil {
			return fmt.Errorf("holder: %w", err)
		}
		if !person.Living() {
			return ErrDead
		}
		return nil
	}},
}
