package issuance

import (
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
	// Also lists further states in which a row may begin.
	Also   []string
	States []State
	Rules  []Rule
	// Guards are words for guards that the machine's own package asks.
	Guards map[string]Text
	// Table and Column are where the database keeps the state.
	Table, Column string
	// Refusals are what the database refuses besides.
	Refusals []registry.Refusal
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
	// Reasons names the list of reason codes of which one is asked for, with
	// words (原因代码).
	Reasons string
	// Chip is the chip operation whose end fires the event; nobody can fire
	// such an event by hand.
	Chip string
	// By is what fires the event if neither a hand nor a chip does: one of the By….
	By string
	// Also is the event that happens with it to the card's application.
	Also string
	// Tell lists who must know.
	Tell []string
	// Sets are the other dimensions of a card's state that change with it, by
	// column: where the card is (custody), how its chip is (chip).
	Sets map[string]any
	Text Text
}

// What fires an event besides hands and chips.
const (
	ByCard  = "card"  // an event of the application's card, or of the card that takes this one's place
	ByBatch = "batch" // a batch: its making, the bank's and the maker's return
	ByTimer = "timer" // the platform, when a time is over
	ByFact  = "fact"  // a fact that was recorded of the holder

	ByApplication = "application" // an application that is submitted, or whose holder's data change
	ByMinistry    = "ministry"    // the ministry's answer
)

var firedBy = map[string]Text{
	ByCard: {"随卡变化", "follows a card"}, ByBatch: {"由批次办理", "by a batch"},
	ByTimer: {"到期自动", "by itself, in time"}, ByFact: {"因持卡人登记事项", "by a fact of the holder"},
	ByApplication: {"随申领提交、人员更正或重新查重", "with an application, its holder's correction or on request"}, ByMinistry: {"由部级答复", "by the ministry's answer"},
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

// Moves is what the database is to hold of the machine.
func (m *Machine) Moves() registry.Moves {
	moves := registry.Moves{Table: m.Table, Column: m.Column, Initial: append([]string{m.Initial}, m.Also...), Refusals: m.Refusals}
	for _, r := range m.Rules {
		moves.Pairs = append(moves.Pairs, [2]string{r.From, r.To})
	}
	return moves
}

// Allows says whether one of the roles may fire the rule.
func (r Rule) Allows(roles []string) bool {
	return slices.ContainsFunc(r.Roles, func(role string) bool { return slices.Contains(roles, role) })
}

// Asked is an event as somebody asks for it.
type Asked struct {
	Event   string
	Code    string // of the reason; empty: other
	Reason  string // in words
	Channel string // where it was asked for: counter, phone, web, kiosk, …; empty: counter
	Roles   []string
	by      string // what fires it, where it is no hand
	chip    bool   // a chip operation asks, not a person
}

// subject is whom an event is about, as far as guards ask.
type subject struct {
	person    uuid.UUID
	enteredBy string
	place     string // where it was applied for; empty: not known
	row       any    // *applicationRow or *cardRow
	// life is what of the holder says whether there may be a card; nil: ask.
	life *registry.Person
}

// find returns the rule for what is asked in a state, with the reason, or says
// why there is none for whoever asks.
func (m *Machine) find(state string, ask Asked) (Rule, Reason, error) {
	rule, ok := m.Rule(state, ask.Event)
	switch {
	case !ok:
		return Rule{}, Reason{}, ErrNotAllowed
	case rule.By != ask.by:
		return Rule{}, Reason{}, ErrNotAllowed
	case rule.By == "" && !rule.Allows(ask.Roles):
		return Rule{}, Reason{}, ErrNoRight
	case rule.Chip != "" && !ask.chip:
		return Rule{}, Reason{}, ErrNeedsChip
	case rule.Chip == "" && ask.chip:
		return Rule{}, Reason{}, ErrNotAllowed
	case rule.Reasons == "":
		return rule, Reason{}, nil
	case ask.Reason == "" && (ask.Code == "" || ask.Code == ReasonOther):
		return Rule{}, Reason{}, ErrNeedsReason
	}
	reason, ok := reasonOf(rule.Reasons, ask.Code)
	if !ok {
		return Rule{}, Reason{}, noSuchReason(rule.Reasons)
	}
	return rule, reason, nil
}

// permitted is the engine: it finds the rule for what is asked in a state and
// asks the guards.
func (s *Service) permitted(m *Machine, tx *registry.Tx, state string, about subject, ask Asked) (Rule, Reason, error) {
	rule, reason, err := m.find(state, ask)
	if err != nil {
		return Rule{}, Reason{}, err
	}
	if err := s.throughChannel(tx, ask); err != nil {
		return Rule{}, Reason{}, err
	}
	if err := s.guarded(tx, rule, about); err != nil {
		return Rule{}, Reason{}, err
	}
	if reason.Has(ThenTwoSources) {
		if err := recordedByAnother(tx, about); err != nil {
			return Rule{}, Reason{}, err
		}
	}
	return rule, reason, nil
}

// guarded asks the guards of a rule.
func (s *Service) guarded(tx *registry.Tx, rule Rule, about subject) error {
	for _, name := range rule.Needs {
		if err := guards[name].holds(s, tx, about); err != nil {
			return err
		}
	}
	return nil
}

// possible returns the rules that lead out of a state and that somebody with
// these roles may begin, by hand or with the chip.
func (m *Machine) possible(state string, roles []string) []Rule {
	return slices.DeleteFunc(slices.Clone(m.Rules), func(r Rule) bool {
		return r.From != state || !r.Allows(roles) || r.By != ""
	})
}
