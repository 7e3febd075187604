package terminal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/card/chip"
	"onecard/terminal"
)

// TestHostileCard: a card that has the data and not the keys, or tells keys that
// nobody has, is refused by name for all work, and loses no attempt by it.
func TestHostileCard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	desk := w.at(counter, "counter", clerk)
	made := blank(t)
	desk.bench.insert(made)
	desk.shows(terminal.CardBlank)
	desk.make(w.numbered(holder))
	genuine, err := desk.station.Perform(t.Context(), desk.platform, terminal.Job{Operation: "read"})
	require.NoError(t, err)
	for code, change := range map[string]func(*chip.Slot){
		"not-genuine":  func(s *chip.Slot) { s.Key[0] ^= 1 },
		"unknown-keys": func(s *chip.Slot) { s.Version = 200 },
	} {
		for _, operation := range []string{"read", "activate"} {
			image := made.image()
			for _, slot := range image.Keys {
				change(slot)
			}
			copied := carrying(t, image)
			desk.bench.remove()
			desk.bench.insert(copied)
			desk.shows(terminal.CardPersonalised)
			_, err := desk.station.Perform(t.Context(), desk.platform, terminal.Job{Operation: operation, CardID: genuine.Result.CardId, PIN: pin})
			var problem *client.Problem
			require.ErrorAs(t, err, &problem, "%s %s", code, operation)
			require.Equal(t, code, problem.Code, operation)
			require.NotEmpty(t, *problem.TitleEn)
			for name, slot := range copied.image().Keys {
				require.Equal(t, slot.Most, slot.Tries, name)
			}
		}
	}
}
