package bank_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/issuance/bank"
	"onecard/registry"
)

// TestFees: the first card and a quality fault are free and have a receipt; a
// finished replacement bars another within the month; a failed one carries its
// fee over; a fee is given back once.
func TestFees(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		id, person := w.application(t, "扎西·多杰")
		free := w.charge(t, id, bank.ItemFirst)
		require.Equal(t, "free", free.State)
		require.Regexp(t, `^6320260302\d{8}$`, free.Receipt)
		require.Equal(t, free.ID, w.charge(t, id, bank.ItemFirst).ID, "again is the same")
		w.ended(t, id, "withdrawn")

		paid := w.next(t, person)
		fee := w.charge(t, paid, bank.ItemReplacement)
		require.EqualValues(t, 2000, fee.AmountFen)
		w.settle(t)
		w.ended(t, paid, "withdrawn")
		carried := w.next(t, person)
		again := w.charge(t, carried, bank.ItemReplacement)
		require.Equal(t, []any{"paid", fee.ID}, []any{again.State, *again.CarriedFrom})
		require.Len(t, w.bank.Bookings(), 1)

		refused := func(application uuid.UUID, want error) {
			t.Helper()
			require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error {
				_, err := w.Charge(tx, code, application, bank.ItemReplacement)
				return err
			}), want)
		}
		// A second application of the person is entered as ended, because one
		// runs at a time; it is the first that counts.
		third := w.beside(t, person)
		refused(third, bank.ErrFeeRunning)
		w.card(t, person, carried, "1")
		refused(third, bank.ErrPaidRecently)
		w.clock.Advance(31 * 24 * time.Hour)
		require.Equal(t, "due", w.charge(t, third, bank.ItemReplacement).State)
		w.settle(t)

		w.change(t, func(tx *registry.Tx) error {
			_, err := w.Refund(tx, carried, "制卡错误")
			return err
		})
		w.settle(t)
		require.Equal(t, 1, w.count(t, "bank_fees", "state = 'refunded'"))
		require.ErrorIs(t, w.try(t, func(tx *registry.Tx) error {
			_, err := w.Refund(tx, carried, "制卡错误")
			return err
		}), bank.ErrNotPaid)
		require.Len(t, w.bank.Bookings(), 3)
	})
}

func (w *world) next(t must, person uuid.UUID) (id uuid.UUID) {
	t.Helper()
	w.change(t, func(tx *registry.Tx) (err error) {
		id, err = w.apply(tx, person)
		return err
	})
	return id
}

func (w *world) beside(t must, person uuid.UUID) (id uuid.UUID) {
	t.Helper()
	w.change(t, func(tx *registry.Tx) (err error) {
		if id, err = tx.NewID(); err != nil {
			return err
		}
		return tx.DB().Table("applications").Create(map[string]any{"id": id, "person_id": person, "kind": "first", "place": "632723", "state": "withdrawn",
			"entered_by": "a", "reason": "", "created_at": tx.Now(), "changed_at": tx.Now()}).Error
	})
	return id
}

func (w *world) ended(t must, application uuid.UUID, state string) {
	t.Helper()
	w.change(t, func(tx *registry.Tx) error {
		return tx.DB().Table("applications").Where("id = ?", application).Update("state", state).Error
	})
}

func TestPrices(t *testing.T) {
	t.Parallel()
	const line = "{place: \"630000\", from: 2011-07-01, first: 0, replacement: 2000, exchange: 2000, quality: 0, onceInDays: 30}"
	prices, err := bank.ParsePrices([]byte("- " + line + "\n- {place: \"632700\", from: 2020-01-01, first: 0, replacement: 1600, exchange: 1600, quality: 0, onceInDays: 30}\n"))
	require.NoError(t, err)
	for _, c := range []struct {
		place, day string
		want       int64
	}{{"632723", "2026-01-01", 1600}, {"632723", "2019-12-31", 2000}, {"630121", "2026-01-01", 2000}} {
		on, err := gb.ParseDate(c.day)
		require.NoError(t, err)
		price, err := prices.At(c.place, on)
		require.NoError(t, err)
		require.Equal(t, c.want, price.Replacement, c.place)
	}
	for name, text := range map[string]string{
		"twice": "- " + line + "\n- " + line, "unknown": "- {prize: 1}", "dear": "- {place: \"630000\", from: 2011-07-01, replacement: 10001}", "place": "- {place: \"63\", from: 2011-07-01}", "no list": "x",
	} {
		_, err := bank.ParsePrices([]byte(text))
		require.ErrorIs(t, err, bank.ErrPrices, name)
	}
}
