package bank_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
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
// late meets on the next day; a reconciled day is frozen. It is the same when the
// key of blind indexes changes between the days.
func TestReconciliation(t *testing.T) {
	t.Parallel()
	t.Run("one key", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, w *world) { w.reconcile(t, func(int) {}) })
	})
	t.Run("keys", func(t *testing.T) {
		t.Parallel()
		each(t, func(t *testing.T, w *world) {
			w.reconcile(t, func(version int) {
				_, err := w.rekey(version).Do(t.Context())
				require.NoError(t, err)
				require.NoError(t, w.db.VerifyAudit(t.Context()))
			})
		})
	})
}

// rekey is a change to a version of the key of blind indexes.
func (w *world) rekey(version int) *registry.Reindexing {
	return &registry.Reindexing{DB: w.db, Actor: registry.Actor{Operator: "limin", Place: "630000"}, Version: version}
}

func (w *world) reconcile(t *testing.T, between func(version int)) {
	t.Helper()
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

	between(2)
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

	between(3)
	w.clearUp(t, items)
}

// TestAccountsWhileKeyChanges: in the middle of a change of the key a bank's
// notice finds its account, an account that is somebody's already is not entered
// again, and no statement is compared.
func TestAccountsWhileKeyChanges(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		id, _ := w.application(t, "完么·吉")
		w.open(t, "", id)
		w.settle(t)
		number := w.bank.Accounts()[0].Number
		w.others(t, number)
		stopping, stop := context.WithCancel(t.Context())
		run := w.rekey(2)
		run.Batch, run.Report = 1, func(registry.ReindexProgress) { stop() }
		_, err := run.Do(stopping)
		require.ErrorIs(t, err, context.Canceled)

		require.Equal(t, registry.OutcomeTaken, w.tell(t, number, "activate"))
		require.Equal(t, 1, w.count(t, "bank_accounts", "state = 'active'"))
		second, person := w.application(t, "才旦·措毛")
		w.open(t, "", second)
		_, err = w.Turn(t.Context(), code)
		require.NoError(t, err)
		require.Len(t, w.bank.Accounts(), 2, "the bank has opened it")
		require.Zero(t, w.count(t, "bank_accounts", "person_id = ?", person), "under a number that is another's here")
		day := w.today()
		w.clock.Advance(16 * time.Hour)
		_, err = w.statement(t, day)
		require.ErrorIs(t, err, registry.ErrReindexing)

		_, err = w.rekey(2).Do(t.Context())
		require.NoError(t, err)
		_, err = w.statement(t, day)
		require.NoError(t, err)
	})
}

// others records the number that the bank will give next as somebody's.
func (w *world) others(t *testing.T, number string) {
	t.Helper()
	body, err := strconv.Atoi(number[:18])
	require.NoError(t, err)
	birth, err := gb.ParseDate("1890-01-01")
	require.NoError(t, err)
	citizen, err := gb.NewIDNumber("632723", birth, 7)
	require.NoError(t, err)
	person, err := registry.NewPerson{IDNumber: citizen.String(), Name: "李生·福", Ethnic: "04", Place: "632723"}.Check()
	require.NoError(t, err)
	row := registry.LoadRow{Person: person}
	for digit := range 10 {
		row.Accounts = append(row.Accounts, registry.BankAccount{Bank: code, Account: fmt.Sprintf("%d%d", body+1, digit), State: "preopened"})
	}
	_, err = w.db.Load(t.Context(), registry.Actor{Operator: "limin", Place: "630000"}, "file", []registry.LoadRow{row}, nil)
	require.NoError(t, err)
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
		require.True(t, slices.ContainsFunc(items, func(before bank.Item) bool { return before.ID == item.ID }), "%s %s is the same still", item.Kind, item.Class)
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
