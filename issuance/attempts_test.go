package issuance_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/card"
	"onecard/issuance"
	"onecard/registry"
)

// TestAttempts: a chip whose answers never come is asked eight times and no
// more, until a supervisor has looked at it. What needs no counted attempt goes
// on, and a good answer begins the count anew.
func TestAttempts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.activated(t)
		telephone := card.Item{Path: "DF01/EF06/telephone"}
		ask := func() error {
			socket.Chip.PowerOn()
			_, err := w.clerk().open(t, socket, issuance.WorkAccess, c.ID, telephone)
			return err
		}
		for range 7 {
			require.NoError(t, ask())
		}
		socket.Chip.PowerOn()
		_, _, err := w.clerk().work(t, socket, issuance.WorkAccess, c.ID, "", telephone)
		require.NoError(t, err, "the eighth is answered")
		for range 8 {
			require.NoError(t, ask())
		}
		require.ErrorIs(t, ask(), issuance.ErrAttempts)
		require.ErrorIs(t, ask(), issuance.ErrAttempts)

		offered := func(roles ...string) (found []string) {
			cards, err := w.CardsOf(t.Context(), c.PersonID)
			require.NoError(t, err)
			for _, rule := range w.CardEvents(cards[0], roles) {
				if rule.Event == issuance.EventResume {
					found = append(found, rule.Event)
				}
			}
			return found
		}
		require.Empty(t, offered(registry.RoleClerk))
		require.Equal(t, []string{issuance.EventResume}, offered(registry.RoleSupervisor))
		_, err = w.clerk().fireCard(t, c.ID, issuance.EventResume, "")
		require.ErrorIs(t, err, issuance.ErrNoRight)
		_, err = w.supervisor().fireCard(t, c.ID, issuance.EventResume, "")
		require.NoError(t, err)
		require.Empty(t, offered(registry.RoleSupervisor))
		require.NoError(t, ask())
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}
