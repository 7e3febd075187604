package terminal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/card"
	"onecard/terminal"
)

// TestCompare: what other work refuses at the counter is for the platform to
// judge when a card is compared.
func TestCompare(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	desk := w.at(counter, "counter", clerk)
	made := blank(t)
	desk.bench.insert(made)
	desk.shows(terminal.CardBlank)
	desk.make(w.numbered(holder))
	compare := func() map[string]client.ChipFindingFinding {
		reading, err := desk.station.Perform(t.Context(), desk.platform, terminal.Job{Operation: "compare"})
		require.NoError(t, err)
		found := map[string]client.ChipFindingFinding{}
		for _, f := range *reading.Result.Findings {
			if f.Finding != client.Same {
				found[f.Element] = f.Finding
			}
		}
		return found
	}
	require.Empty(t, compare())

	image := made.image()
	image.Records["SSSE/EF05"][2] = []byte("9.00")
	desk.bench.remove()
	desk.bench.insert(carrying(t, image))
	desk.shows(terminal.CardForeign)
	_, err := desk.station.Perform(t.Context(), desk.platform, terminal.Job{Operation: "read"})
	require.ErrorIs(t, err, card.ErrUnknownVersion)
	require.Equal(t, map[string]client.ChipFindingFinding{"version": client.Suspicious}, compare())
}
