package exchange

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var allEvents = []event{eventConfirm, eventDecline, eventLose, eventReverse, eventUndo}

// TestEveryStateAndEvent lists what happens for each pair: a change of the
// table shows here.
func TestEveryStateAndEvent(t *testing.T) {
	t.Parallel()
	want := map[State]map[event]State{
		StatePending:   {eventConfirm: StateConfirmed, eventDecline: StateDeclined, eventLose: StateUnknown, eventReverse: StateReversing},
		StateUnknown:   {eventDecline: StateDeclined, eventReverse: StateReversing},
		StateConfirmed: {eventReverse: StateReversing},
		StateReversing: {eventUndo: StateReversed},
	}
	for _, s := range states {
		for _, e := range allEvents {
			to, applies := next(s.state, e)
			expected, listed := want[s.state][e]
			require.Equal(t, listed, applies, "%s %s", s.state, e)
			require.Equal(t, expected, to, "%s %s", s.state, e)
		}
	}
}

// TestStatesAreSound holds what the engine relies on: an open state has a way
// to an end, the others have words, and nothing goes in circles, so that
// recovery and the repetition in takeBack end.
func TestStatesAreSound(t *testing.T) {
	t.Parallel()
	var depth func(s State, path []State) int
	depth = func(s State, path []State) int {
		require.NotContains(t, path, s, "a circle")
		longest := 0
		for _, tr := range transitions {
			if tr.from == s {
				longest = max(longest, 1+depth(tr.to, append(path, s)))
			}
		}
		if longest == 0 {
			require.False(t, s.Open(), "%s is open and has no way out", s)
		}
		return longest
	}
	for _, s := range states {
		require.LessOrEqual(t, depth(s.state, nil), len(transitions))
		require.NotEmpty(t, s.state.Text().ZH)
		require.NotEmpty(t, s.state.Text().EN)
	}
	require.Contains(t, State("odd").Text().EN, "unknown")
	require.False(t, State("odd").Open())
}

// TestSchemaKnowsTheStates holds the CHECK and the index of the journal to the
// table of states.
func TestSchemaKnowsTheStates(t *testing.T) {
	t.Parallel()
	sql, err := os.ReadFile("../registry/migrations/0003_exchange.sql")
	require.NoError(t, err)
	var all, open []string
	for _, s := range states {
		all = append(all, string(s.state))
		if s.open {
			open = append(open, string(s.state))
		}
	}
	list := func(pattern string) []string {
		match := regexp.MustCompile(pattern).FindSubmatch(sql)
		require.NotNil(t, match, pattern)
		return strings.Split(strings.NewReplacer("'", "", " ", "").Replace(string(match[1])), ",")
	}
	require.ElementsMatch(t, all, list(`CREATE TABLE transactions \([^;]*?state IN \(([^)]*)\)`))
	require.ElementsMatch(t, open, list(`transactions_open[^;]*state IN \(([^)]*)\)`))
}
