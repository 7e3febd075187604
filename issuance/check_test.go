package issuance_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/registry"
)

// shipped returns copies of the tables that a test may spoil.
func shipped() (applications, cards issuance.Machine) {
	deep := func(m issuance.Machine) issuance.Machine {
		m.States, m.Rules = slices.Clone(m.States), slices.Clone(m.Rules)
		return m
	}
	return deep(issuance.Applications), deep(issuance.Cards)
}

// edit returns a change of the rule for an event in a state.
func edit(state, event string, change func(r *issuance.Rule)) func(m *issuance.Machine) {
	return func(m *issuance.Machine) {
		for i := range m.Rules {
			if m.Rules[i].From == state && m.Rules[i].Event == event {
				change(&m.Rules[i])
				return
			}
		}
		panic("no rule " + event + " in " + state)
	}
}

// drop takes rules out.
func drop(which func(r issuance.Rule) bool) func(m *issuance.Machine) {
	return func(m *issuance.Machine) { m.Rules = slices.DeleteFunc(m.Rules, which) }
}

// TestCheck spoils the shipped tables in each way that Check claims to find.
func TestCheck(t *testing.T) {
	t.Parallel()
	applications, cards := shipped()
	require.NoError(t, issuance.Check(&applications, &cards))
	clerks := []string{registry.RoleClerk}
	words := issuance.Text{ZH: "字", EN: "word"}
	for name, test := range map[string]struct {
		applications, cards func(m *issuance.Machine)
		text                string
	}{
		"two lines for one event": {applications: func(m *issuance.Machine) { m.Rules = append(m.Rules, m.Rules[0]) }, text: "submit in draft: stands twice"},
		"unknown from": {applications: func(m *issuance.Machine) {
			m.Rules = append(m.Rules, issuance.Rule{From: "nowhere", Event: "x", To: "handed", Roles: clerks, Text: words})
		}, text: "x in nowhere: unknown state"},
		"unknown to":      {cards: edit("1", "cancel", func(r *issuance.Rule) { r.To = "8" }), text: "cancel in 1: unknown state"},
		"unknown initial": {cards: func(m *issuance.Machine) { m.Initial = "7" }, text: "unknown initial state 7"},
		"no way in": {applications: func(m *issuance.Machine) {
			m.States = append(m.States, issuance.State{Name: "lonely", Text: words, Final: true})
		}, text: "state lonely: never reached"},
		"a state twice":         {cards: func(m *issuance.Machine) { m.States = append(m.States, m.States[0]) }, text: "state 0: stands twice"},
		"dead end":              {cards: drop(func(r issuance.Rule) bool { return r.From == "2" }), text: "state 2: a dead end"},
		"circle without an end": {cards: drop(func(r issuance.Rule) bool { return r.To == "9" }), text: "state 1: a dead end"},
		"way out of the end": {cards: func(m *issuance.Machine) {
			m.Rules = append(m.Rules, issuance.Rule{From: "9", Event: "x", To: "1", Roles: clerks, Text: words})
		}, text: "state 9: final and has a way out"},
		"leads nowhere":          {cards: edit("4", "cancelLoss", func(r *issuance.Rule) { r.To = "4" }), text: "cancelLoss in 4: leads nowhere"},
		"nobody may":             {cards: edit("4", "cancelLoss", func(r *issuance.Rule) { r.Roles = nil }), text: "a right that nobody has"},
		"unknown role":           {cards: edit("4", "cancelLoss", func(r *issuance.Rule) { r.Roles = []string{"clerk", "king"} }), text: "a right that nobody has"},
		"unknown guard":          {applications: edit("applied", "approve", func(r *issuance.Rule) { r.Needs = []string{"sunshine"} }), text: "unknown guard"},
		"unknown addressee":      {applications: edit("applied", "approve", func(r *issuance.Rule) { r.Tell = []string{"everybody"} }), text: "nobody of that name to tell"},
		"unknown operation":      {cards: edit("1", "lock", func(r *issuance.Rule) { r.Chip = "burn" }), text: "unknown chip operation"},
		"reason of a chip":       {cards: edit("1", "lock", func(r *issuance.Rule) { r.Reasons = "loss" }), text: "a chip operation gives no reason"},
		"fired by nobody":        {cards: edit("4", "endLoss", func(r *issuance.Rule) { r.By = "magic" }), text: "fired by what does not exist"},
		"unknown reasons":        {cards: edit("1", "cancel", func(r *issuance.Rule) { r.Reasons = "whim" }), text: "no such list of reasons"},
		"rule without words":     {cards: edit("1", "lock", func(r *issuance.Rule) { r.Text.EN = "" }), text: "lock in 1: no text"},
		"state without words":    {cards: func(m *issuance.Machine) { m.States[1].Text.ZH = "" }, text: "state 1: no text"},
		"machine without words":  {cards: func(m *issuance.Machine) { m.Title.ZH = "" }, text: "machine: no text"},
		"no application follows": {applications: drop(func(r issuance.Rule) bool { return r.From == "made" && r.Event == "cancel" }), text: "no application follows with cancel"},
		"follows nothing":        {cards: edit("0", "cancel", func(r *issuance.Rule) { r.Also = "" }), text: "cancel in made follows no event of a card"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			applications, cards := shipped()
			if test.applications != nil {
				test.applications(&applications)
			}
			if test.cards != nil {
				test.cards(&cards)
			}
			err := issuance.Check(&applications, &cards)
			require.ErrorIs(t, err, issuance.ErrWorkflow)
			require.ErrorContains(t, err, test.text)
		})
	}
}

// TestCheckReasons: every reason has words and a consequence.
func TestCheckReasons(t *testing.T) {
	t.Parallel()
	require.NoError(t, issuance.CheckReasons(issuance.Reasons))
	words := issuance.Text{ZH: "字", EN: "word"}
	whole := issuance.Reason{Code: issuance.ReasonOther, Text: words, Then: []string{issuance.ThenNoted}}
	for text, list := range map[string][]issuance.Reason{
		"no reason in words":                 {{Code: "lost", Text: words, Then: []string{issuance.ThenNoted}}},
		"lost: no text":                      {whole, {Code: "lost", Then: []string{issuance.ThenNoted}}},
		"lost: no consequence":               {whole, {Code: "lost", Text: words}},
		"no consequence of the name thunder": {whole, {Code: "lost", Text: words, Then: []string{"thunder"}}},
		"other: stands twice":                {whole, whole},
	} {
		err := issuance.CheckReasons(map[string][]issuance.Reason{"list": list})
		require.ErrorIs(t, err, issuance.ErrWorkflow)
		require.ErrorContains(t, err, text)
	}
}

// TestCheckNamesAll: what is wrong in one place does not hide what is wrong in
// another, or in the same.
func TestCheckNamesAll(t *testing.T) {
	t.Parallel()
	applications, cards := shipped()
	cards.States = append(cards.States, issuance.State{Name: "5"})
	edit("1", "lock", func(r *issuance.Rule) { r.Roles, r.Chip = nil, "burn" })(&cards)
	err := issuance.Check(&applications, &cards)
	for _, text := range []string{"state 5: no text", "state 5: never reached", "state 5: a dead end", "a right that nobody has", "unknown chip operation"} {
		require.ErrorContains(t, err, text)
	}
}
