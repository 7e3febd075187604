package issuance_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/card"
	"onecard/card/chip"
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

// TestAttemptsByKey: a chip whose reading key is another stops at the floor
// however often it is compared, though every comparison goes through to its
// end; a good answer under another of its keys changes nothing in that.
func TestAttemptsByKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c := &comparison{t: t, w: w}
		c.card, c.socket = w.activated(t)
		c.altered(func(i *chip.Image) { i.Keys["RKSSSE"].Key[0] ^= 1 })
		left := func() int {
			image, err := c.socket.Chip.Image()
			require.NoError(t, err)
			return int(image.Keys["RKSSSE"].Tries)
		}
		whole := left()
		compare := func() error {
			c.socket.Chip.PowerOn()
			_, _, err := w.clerk().work(t, c.socket, "compare", uuid.Nil, "")
			return err
		}
		for range 8 {
			require.NoError(t, compare())
			c.socket.Chip.PowerOn()
			_, _, err := w.clerk().work(t, c.socket, issuance.WorkAccess, c.card.ID, "", card.Item{Path: "DF01/EF06/telephone"})
			require.NoError(t, err, "another key is answered well")
		}
		require.Equal(t, whole-8, left())
		for range 7 {
			require.ErrorIs(t, compare(), issuance.ErrAttempts)
		}
		require.Equal(t, whole-8, left())
		_, err := w.supervisor().fireCard(t, c.card.ID, issuance.EventResume, "")
		require.NoError(t, err)
		require.NoError(t, compare())
	})
}
