package stock_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/issuance/stock"
	"onecard/registry"
)

// TestJourney takes blanks from the maker to a township, and one to its end.
func TestJourney(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		cards := serials("A", 6)
		w.at(t, township, cards...)
		story, err := w.Story(t.Context(), cards[0])
		require.NoError(t, err)
		require.Equal(t, township, story.Place)
		require.Len(t, story.Movements, 9, "order, send, receive, and three times send and receive")
		require.Len(t, story.Positions, 2)

		require.NoError(t, w.report(t, hands(township, "a", "b"), "spoil", stock.Blank, cards[0]))
		require.NoError(t, w.destroy(t, hands(township, "a", "b"), stock.Blank, cards[0]))
		require.NoError(t, w.report(t, hands(township, "a", "b"), "lose", stock.Blank, cards[1]))
		days, err := w.close(t, hands(township, "a", "b"), "2026-03-02", 4, 0)
		require.NoError(t, err)
		require.Equal(t, stock.Day{Place: township, Kind: stock.Blank, Bin: stock.Good, Day: "2026-03-02", Received: 6, Spoiled: 1, Missing: 1, Closing: 4,
			Counted: 4, CountedBy: login(township, "a"), WitnessedBy: login(township, "b"), ClosedAt: days[0].ClosedAt}, days[0])
		require.Equal(t, []int64{1, 1, 0}, []int64{days[1].Received, days[1].Destroyed, days[1].Closing})
		view, err := w.View(t.Context(), township)
		require.NoError(t, err)
		require.Len(t, view.Incidents, 1)
		w.whole(t)
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

func TestMachines(t *testing.T) {
	t.Parallel()
	for _, m := range stock.Machines {
		require.NoError(t, issuance.CheckMachine(m))
		broken := *m
		broken.Rules = append(broken.Rules[:len(broken.Rules):len(broken.Rules)], broken.Rules[0])
		require.Error(t, issuance.CheckMachine(&broken))
		broken.Rules = m.Rules[1:]
		require.Error(t, issuance.CheckMachine(&broken), "the first line leads out of the beginning")
	}
}

// TestSideBySide: consignments of a place are written beside each other, and
// nobody closes its day or lends of its store meanwhile.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		if w.db.Read(t.Context()).Name() != "postgres" {
			t.Skip("the embedded database has one writer")
		}
		cards := serials("A", 3)
		w.at(t, city, "B0001") // the first time of a place is one at a time
		w.stored(t, cards...)
		first, second := hands(province, "a", "b"), hands(province, "b", "a")
		for i, label := range []string{"63-91", "63-92"} {
			require.NoError(t, w.pack(t, first, stock.Blank, label, cards[i]))
		}
		require.NoError(t, w.do(t, first, func(tx *registry.Tx) error {
			_, err := w.Send(tx, first, city, []string{"63-91"})
			require.NoError(t, err)
			_, err = w.send(t, second, city, "63-92")
			require.NoError(t, err)
			for what, waits := range map[string]func(tx *registry.Tx) error{
				"close": func(tx *registry.Tx) error {
					_, err := w.Close(tx, second, stock.Count{Day: "2026-03-02"})
					return err
				},
				"lend": func(tx *registry.Tx) error {
					_, _, err := w.Lend(tx, second, stock.NewLease{Workstation: "W-" + province, Holder: login(province, "c"), Days: 1, Cards: cards[2:]})
					return err
				},
			} {
				short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				require.ErrorIs(t, w.db.InTx(short, second.By.Actor("W-"+province), waits), context.DeadlineExceeded, what)
				cancel()
			}
			return nil
		}))
		_, err := w.close(t, second, "2026-03-02", 1, 0)
		require.NoError(t, err)
		w.whole(t)
	})
}
