package issuance_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/issuance"
	"onecard/issuance/session"
	"onecard/registry"
)

func (w world) cashier() counter { return w.at("W-5", "shoukuan", registry.RoleCashier) }

// move asks for a movement and carries it out, with the holder's number; stop
// ends it when that many scripts have been answered, and the last answer is
// lost.
func (c counter) move(t *testing.T, socket *chip.Socket, of issuance.Card, operation string, m card.Movement, stop int) (*issuance.Moved, error) {
	t.Helper()
	o := c.opening(t, socket, operation, of.ID)
	o.Movement = &m
	turn, err := c.OpenSession(t.Context(), c.actor, o)
	for n := 1; err == nil && turn.Script != nil; n++ {
		responses, ran := card.RunWithPIN(t.Context(), apdu.NewChannel(socket), throughJSON(t, turn.Script), pin, nil)
		require.NoError(t, ran)
		if n == stop {
			return nil, nil
		}
		var next session.Turn
		next, err = c.Step(t.Context(), c.actor, turn.Session, turn.Seq, responses, "")
		turn = next
	}
	if err != nil {
		return nil, err
	}
	return result(t, turn).Account, nil
}

// TestMovements loads the account on a card and pays from it. A payment whose
// answer was lost is found out about before anything else happens.
func TestMovements(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		of, socket := w.activated(t)
		load := card.Movement{Amount: 10000, Total: 10000, Terminal: "632723000001", TerminalSerial: 1}
		loaded, err := w.clerk().move(t, socket, of, issuance.WorkCredit, load, 0)
		require.NoError(t, err)
		require.True(t, loaded.Done)
		require.Equal(t, card.Fen(10000), loaded.After)
		_, err = w.cashier().move(t, socket, of, issuance.WorkCredit, load, 0)
		require.ErrorIs(t, err, issuance.ErrNoRight)
		_, err = w.clerk().move(t, socket, of, issuance.WorkCredit, load, 0)
		require.ErrorIs(t, err, issuance.ErrMovementKnown)
		_, err = w.cashier().move(t, socket, of, issuance.WorkDebit, card.Movement{Amount: 2, Total: 1, Terminal: "632723000002", TerminalSerial: 1}, 0)
		require.ErrorIs(t, err, card.ErrMovement)

		pay := card.Movement{Amount: 4580, Total: 5840, Terminal: "632723000002", TerminalSerial: 7}
		// The line breaks after the chip has opened the account: nothing was
		// asked of it yet, and the same payment is asked for again.
		_, err = w.cashier().move(t, socket, of, issuance.WorkDebit, pay, 1)
		require.NoError(t, err)
		// The line breaks after the chip has paid.
		_, err = w.cashier().move(t, socket, of, issuance.WorkDebit, pay, 2)
		require.NoError(t, err)
		require.Equal(t, 1, w.count(t, "account_movements", "state = ? AND operation IS NOT NULL", "begun"))
		next := card.Movement{Amount: 100, Total: 100, Terminal: "632723000003", TerminalSerial: 1}
		settled, err := w.cashier().move(t, socket, of, issuance.WorkDebit, next, 0)
		require.NoError(t, err)
		require.True(t, settled.Settled)
		require.True(t, settled.Done)
		require.Equal(t, uint32(7), settled.TerminalSerial)
		require.Equal(t, card.Fen(5420), settled.After)
		paid, err := w.cashier().move(t, socket, of, issuance.WorkDebit, next, 0)
		require.NoError(t, err)
		require.False(t, paid.Settled)
		require.Equal(t, card.Fen(5320), paid.After)
		require.Equal(t, 3, w.count(t, "account_movements", "state = ?", "done"))
		require.Zero(t, w.count(t, "account_movements", "state = ?", "begun"))
		require.Equal(t, 3, w.count(t, "audit_entries", "action = ?", "card.moved"))
	})
}
