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

// statement has the bank end a day and the province take its statement.
func (w *world) statement(t *testing.T, day string) (bank.Taken, error) {
	t.Helper()
	path, err := w.bank.Statement(day, t.TempDir())
	require.NoError(t, err)
	return w.TakeFile(t.Context(), path)
}

func (w *world) today() string {
	return w.clock.Now().In(time.FixedZone("CST", 8*3600)).Format(time.DateOnly)
}

// TestReconciliation: a day on which both sides have the same has no difference;
// each planted difference is found, in its class and with an owner; what comes
// late meets on the next day; a reconciled day is frozen.
func TestReconciliation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		var applications []uuid.UUID
		for range 4 {
			id, _ := w.application(t, "完么·吉")
			applications = append(applications, id)
			w.charge(t, id, bank.ItemReplacement)
		}
		w.open(t, "", applications...)
		for range 2 {
			_, err := w.Turn(t.Context(), code)
			require.NoError(t, err)
		}
		first := w.today()
		w.clock.Advance(16 * time.Hour)
		taken, err := w.statement(t, first)
		require.NoError(t, err)
		day := taken.Day
		require.EqualValues(t, 8, day.Agreed)
		require.Zero(t, day.OnlyOurs+day.OnlyBank+day.Differing)
		require.Equal(t, day.Ours, day.Theirs)
		require.EqualValues(t, 8000, day.Ours.ChargedFen)
		_, err = w.statement(t, first)
		require.ErrorIs(t, err, bank.ErrDay, "another statement of a day that is frozen")
		require.Error(t, w.try(t, func(tx *registry.Tx) error {
			return tx.DB().Table("bank_days").Where("day = ?", first).Update("agreed", 9).Error
		}))
		require.Error(t, w.try(t, func(tx *registry.Tx) error {
			return tx.DB().Table("bank_orders").Where("business_day = ?", first).Update("amount_fen", 1).Error
		}))

		w.plant(t)
		second := w.today()
		w.clock.Advance(24 * time.Hour)
		taken, err = w.statement(t, second)
		require.NoError(t, err)
		day = taken.Day
		require.EqualValues(t, []int64{1, 3, 2}, []int64{day.OnlyOurs, day.OnlyBank, day.Differing})
		items, err := w.Items(t.Context(), code, 50)
		require.NoError(t, err)
		require.Len(t, items, 6)
		seen := map[string]int{}
		for _, item := range items {
			require.NotEmpty(t, item.Owner)
			seen[item.Kind+" "+item.Class]++
		}
		require.Equal(t, map[string]int{"account only-ours": 1, "account only-bank": 1, "account differ": 1, "fee only-bank": 2, "fee differ": 1}, seen)

		w.clearUp(t, items)
	})
}

// plant makes the two sides differ, in each way once, and has one charge late:
// the bank books it today, and its answer is lost until tomorrow.
func (w *world) plant(t *testing.T) {
	t.Helper()
	late, _ := w.application(t, "旦增·曲珍")
	wrong, _ := w.application(t, "才旦·措毛")
	w.charge(t, wrong, bank.ItemReplacement)
	_, err := w.Turn(t.Context(), code)
	require.NoError(t, err)
	w.charge(t, late, bank.ItemReplacement)
	w.bank.SetFaults(sim.Faults{Garbage: 100})
	_, err = w.Turn(t.Context(), code)
	require.NoError(t, err, "one silence is the order's own")
	require.Equal(t, 1, w.count(t, "bank_orders", "state = 'unknown'"))
	w.bank.SetFaults(sim.Faults{})
	var paid string
	require.NoError(t, w.db.Read(t.Context()).Table("bank_orders").Where("application_id = ? AND state = 'done'", wrong).Select("CAST(id AS TEXT)").Scan(&paid).Error)
	accounts := w.bank.Accounts()
	w.bank.Plant(func(known map[string]*sim.Account, bookings map[string]*sim.Booking) {
		delete(known, accounts[0].Number)
		known[accounts[1].Number].State = "frozen"
		known["6214670000000000999"] = &sim.Account{Number: "6214670000000000999", State: "active"}
		bookings[paid].AmountFen++
		ghost := uuid.NewString()
		bookings[ghost] = &sim.Booking{Order: ghost, Operation: "fee.charge", Receipt: "1", AmountFen: 5, Day: w.today()}
	})
}

// clearUp: the late answer is known on the next day and meets the bank's entry
// of the day before; the bank corrects an account; the rest is given to
// somebody and settled with a reason.
func (w *world) clearUp(t *testing.T, items []bank.Item) {
	t.Helper()
	w.settle(t)
	require.Equal(t, 1, w.count(t, "bank_orders", "operation = 'fee.charge' AND business_day = ?", w.today()), "late: in the books of today")
	w.bank.Plant(func(known map[string]*sim.Account, _ map[string]*sim.Booking) {
		for _, a := range known {
			if a.State == "frozen" {
				a.State = "preopened"
			}
		}
	})
	third := w.today()
	w.clock.Advance(24 * time.Hour)
	_, err := w.statement(t, third)
	require.NoError(t, err)
	left, err := w.Items(t.Context(), code, 50)
	require.NoError(t, err)
	require.Len(t, left, len(items)-2, "the late charge and the corrected account")
	for _, item := range left {
		w.change(t, func(tx *registry.Tx) error { return w.Assign(tx, item.ID, "limin") })
		require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error { return w.Settle(tx, item.ID, " ") }), registry.ErrInvalid)
		w.change(t, func(tx *registry.Tx) error { return w.Settle(tx, item.ID, "银行已更正") })
		require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error { return w.Settle(tx, item.ID, "银行已更正") }), registry.ErrNotFound)
	}
}

// TestStatementRefused: sums that do not add up, half a statement and an item
// that stands twice are refused whole.
func TestStatementRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		id, _ := w.application(t, "李生·福")
		w.charge(t, id, bank.ItemReplacement)
		w.settle(t)
		for name, faults := range map[string]sim.Faults{"amounts": {WrongAmounts: 100}, "half": {HalfFile: 100}} {
			w.bank.SetFaults(faults)
			_, err := w.statement(t, w.today())
			require.ErrorIs(t, err, bank.ErrFile, name)
		}
		w.bank.SetFaults(sim.Faults{})
		w.bank.Forge(func(_ *string, rows [][]string) [][]string {
			return append(rows, []string{"A", "1", "active"}, []string{"A", "1", "active"})
		})
		_, err := w.statement(t, w.today())
		require.ErrorIs(t, err, bank.ErrFile)
		w.bank.Forge(func(day *string, rows [][]string) [][]string { *day = "2099-01-01"; return rows })
		_, err = w.statement(t, w.today())
		require.ErrorIs(t, err, bank.ErrDay)
		require.Zero(t, w.count(t, "bank_days", "1 = 1"))
		w.bank.Forge(nil)
		_, err = w.statement(t, w.today())
		require.NoError(t, err)
	})
}
