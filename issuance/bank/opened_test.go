package bank_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance/bank"
	"onecard/registry"

	sim "onecard/internal/sim/bank"
)

// listener notes what it is told last of each application.
type listener struct{ last map[uuid.UUID]bank.Opened }

func (l *listener) take(_ *registry.Tx, from string, opened []bank.Opened) error {
	for _, o := range opened {
		if from == code {
			l.last[o.Application] = o
		}
	}
	return nil
}

// heard is the world in which somebody waits for accounts.
func (w *world) heard(t *testing.T) *listener {
	t.Helper()
	l := &listener{map[uuid.UUID]bank.Opened{}}
	w.Service = w.serve(t, bank.Config{Peers: []bank.Peer{w.peer}, Opened: l.take})
	return l
}

// TestOpenedIsTold: whoever waits for accounts is told of each application, by
// file and by message: at once when the bank refuses or mixes it up, and late of
// a row that the bank has left out.
func TestOpenedIsTold(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		l := w.heard(t)
		out, back := t.TempDir(), t.TempDir()
		path, ids := w.batch(t, "B1", out, 6)
		w.bank.Forge(func(_ *string, rows [][]string) [][]string {
			rows[1][2] = "别人"
			copy(rows[2][4:], []string{"", "refused", "1002", "证件过期"})
			rows[5] = rows[0] // one is left out, another stands twice
			return rows
		})
		answer, err := w.bank.OpenFile(path, back)
		require.NoError(t, err)
		w.bank.Forge(nil)
		taken, err := w.TakeFile(t.Context(), answer)
		require.NoError(t, err)
		require.EqualValues(t, 3, taken.Done)
		require.Len(t, l.last, 5, "nothing is known of the one that was left out")
		require.ErrorContains(t, l.last[ids[1]].Refused, "姓名与申请不符")
		require.ErrorContains(t, l.last[ids[2]].Refused, "证件过期")

		w.change(t, func(tx *registry.Tx) error { // while the bank still has to undo one
			_, known, err := w.AskAccounts(tx, code, "B2", ids)
			require.NoError(t, err)
			require.Len(t, known, 4)
			for _, o := range known {
				require.Equal(t, o.Application == ids[1], o.Refused != nil)
				require.True(t, o.Refused != nil || o.Account == l.last[o.Application].Account && o.Account != uuid.Nil)
			}
			return err
		})
		w.settle(t)
		require.NotEqual(t, uuid.Nil, l.last[ids[5]].Account, "asked about, and there")
		require.Equal(t, 1, w.count(t, "bank_orders", "batch = 'B2' AND state = 'begun'"), "who was refused is asked for again")

		single, _ := w.application(t, "卓玛")
		w.open(t, "", single)
		w.settle(t)
		require.NotEqual(t, uuid.Nil, l.last[single].Account)
		refused, _ := w.application(t, "卓玛")
		w.bank.SetFaults(sim.Faults{Refuse: 100})
		w.open(t, "", refused)
		w.settle(t)
		require.ErrorContains(t, l.last[refused].Refused, "证件过期")
		w.bank.SetFaults(sim.Faults{})
		w.open(t, "", refused)
		orders, err := w.Orders(t.Context(), bank.Filter{Open: true, Subject: "application:" + refused.String(), Limit: 2})
		require.NoError(t, err)
		w.change(t, func(tx *registry.Tx) error { return w.Reverse(tx, orders[0].ID, "撤回") })
		require.ErrorContains(t, l.last[refused].Refused, "撤回")
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// TestMovedToAnotherBatch: an order whose file was not made goes with the batch
// that asks last; one whose account was closed has none.
func TestMovedToAnotherBatch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		first, _ := w.application(t, "卓玛")
		other, _ := w.application(t, "才让")
		w.open(t, "B1", first, other)
		w.open(t, "B2", first)
		waiting, err := w.Waiting(t.Context(), "105", "B2")
		require.NoError(t, err)
		require.EqualValues(t, 1, waiting)
		out, back := t.TempDir(), t.TempDir()
		for _, name := range []string{"B1", "B2"} {
			made, err := w.MakeFile(t.Context(), clerk, code, name, out)
			require.NoError(t, err)
			require.EqualValues(t, 1, made.Rows)
			answer, err := w.bank.OpenFile(made.Path, back)
			require.NoError(t, err)
			_, err = w.TakeFile(t.Context(), answer)
			require.NoError(t, err)
		}
		require.Equal(t, registry.OutcomeTaken, w.tell(t, w.bank.Accounts()[0].Number, "close"))
		var refused, opened int
		w.change(t, func(tx *registry.Tx) error {
			ordered, known, err := w.AskAccounts(tx, code, "B3", []uuid.UUID{first, other})
			require.Zero(t, ordered)
			for _, o := range known {
				if o.Refused != nil {
					require.ErrorIs(t, o.Refused, bank.ErrNoAccount)
					refused++
				} else {
					opened++
				}
			}
			return err
		})
		require.Equal(t, []int{1, 1}, []int{refused, opened})
		require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error {
			_, err := w.OpenAccounts(tx, code, "", uuid.New())
			return err
		}), registry.ErrNotFound)
	})
}

// TestGivenUp: of accounts that were asked for long ago and of which the bank says
// nothing the orders are reversed, whoever waits is told at once, and an answer
// that comes after all is too late.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		l := w.heard(t)
		out, back := t.TempDir(), t.TempDir()
		asked := w.clock.Now()
		path, ids := w.batch(t, "B1", out, 3)
		w.clock.Advance(time.Hour)
		late, _ := w.application(t, "卓玛")
		w.open(t, "B2", late)
		giveUp := func(at time.Time, want int, ids ...uuid.UUID) {
			t.Helper()
			w.change(t, func(tx *registry.Tx) error {
				n, err := w.GiveUp(tx, "105", ids, at, "逾期未答复")
				require.Equal(t, want, n)
				return err
			})
		}
		giveUp(asked.Add(-time.Second), 0, ids...)
		require.Empty(t, l.last)
		giveUp(asked.Add(time.Minute), 2, ids[0], ids[1], late)
		require.Len(t, l.last, 2)
		require.ErrorContains(t, l.last[ids[0]].Refused, "逾期未答复")
		giveUp(asked.Add(time.Minute), 0, ids[0], ids[1])

		answer, err := w.bank.OpenFile(path, back)
		require.NoError(t, err)
		taken, err := w.TakeFile(t.Context(), answer)
		require.NoError(t, err)
		require.EqualValues(t, 1, taken.Done)
		require.EqualValues(t, 2, taken.Bad)
		outcomes, err := w.Outcomes(t.Context(), code, "B1")
		require.NoError(t, err)
		require.Contains(t, outcomes[0].Reason, "冲正")
		require.ErrorContains(t, l.last[ids[0]].Refused, "逾期未答复")
		require.NotEqual(t, uuid.Nil, l.last[ids[2]].Account)
		w.settle(t)
		require.Equal(t, 2, w.count(t, "bank_orders", "batch = 'B1' AND state = 'reversed'"))
		for i, a := range w.bank.Accounts() {
			require.Equal(t, []string{bank.Closed, bank.Closed, bank.Preopened}[i], a.State, "the bank has undone what it did after all")
		}
		giveUp(w.clock.Now(), 0, ids...)
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}
