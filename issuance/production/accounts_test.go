package production_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/issuance/production"
	"onecard/registry"
)

// bank notes what it is asked, and answers at once what it knows. It may see to
// something when it is asked.
type bank struct {
	asked []uuid.UUID
	known []production.Answer
	sees  func() error
}

// Bank implements production.Accounts.
func (b *bank) Bank(code, _ string) (string, error) {
	if code != "105" {
		return "", &registry.FieldError{Field: "bank", ZH: "没有此银行", EN: "no such bank"}
	}
	return "95533", nil
}

// Banks implements production.Accounts.
func (b *bank) Banks() []production.Bank {
	return []production.Bank{{Code: "95533", Name: "中国建设银行"}}
}

// Ask implements production.Accounts.
func (b *bank) Ask(_ *registry.Tx, _ production.Batch, applications []uuid.UUID) ([]production.Answer, error) {
	if b.sees != nil {
		if err := b.sees(); err != nil {
			return nil, err
		}
	}
	b.asked = append(b.asked, applications...)
	return b.known, nil
}

// withBank is the world with such a bank, and chunks of two rows.
func (w *world) withBank(t *testing.T) *bank {
	t.Helper()
	there := &bank{}
	w.config.Accounts, w.config.Rows = there, 2
	var err error
	w.Service, err = production.New(w.config)
	require.NoError(t, err)
	return there
}

// opened enters an account for an application.
func (w *world) opened(t *testing.T, id uuid.UUID, n int) production.Answer {
	t.Helper()
	a, err := w.issuance.Application(t.Context(), id)
	require.NoError(t, err)
	return production.Answer{Application: id, Account: w.account(t, a.PersonID, n)}
}

func (w *world) answer(t *testing.T, bank string, answers ...production.Answer) {
	t.Helper()
	w.change(t, func(tx *registry.Tx) error { return production.Answers{Issuance: w.issuance}.Take(tx, bank, answers) })
}

func (w *world) stands(t *testing.T, number, state string, rows map[string]int64) {
	t.Helper()
	b, err := w.Batch(t.Context(), number)
	require.NoError(t, err)
	require.Equal(t, state, b.State)
	require.Equal(t, rows, w.rows(t, number))
}

// TestAccounts: a batch with accounts waits for the bank; who got none leaves,
// and a correction after the review does as well.
func TestAccounts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		there := w.withBank(t)
		ids := w.waiting(t, 5)
		w.chips(t, 5)
		o := order("B-1", 5)
		o.Bank = "999"
		_, err := w.Create(t.Context(), producer, o)
		require.ErrorIs(t, err, registry.ErrInvalid)
		o.Bank = "105"
		there.known = []production.Answer{w.opened(t, ids[3], 3), {Application: ids[4], Reason: "他行已开户"}}
		b, err := w.Create(t.Context(), producer, o)
		require.NoError(t, err)
		require.Equal(t, production.StateOrdered, b.State)
		require.Equal(t, "95533", *b.Bank)
		require.Equal(t, ids, there.asked, "each once")
		again, err := w.Create(t.Context(), producer, o)
		require.NoError(t, err)
		require.Equal(t, b.ID, again.ID)
		require.Len(t, there.asked, 5, "the same batch asks once")
		w.stands(t, "B-1", production.StateOrdered, map[string]int64{production.ItemOrdered: 3, production.ItemAccounted: 1, production.ItemNoAccount: 1})
		require.EqualValues(t, 4, w.ordered(t), "what leaves goes back to the quota")
		_, err = w.Send(t.Context(), producer, "B-1")
		require.ErrorIs(t, err, production.ErrBankWaits)

		first, last := w.opened(t, ids[0], 0), w.opened(t, ids[2], 2)
		for range 2 { // told twice
			w.answer(t, "95533", first, production.Answer{Application: ids[1], Reason: "证件已过期"}, production.Answer{Application: uuid.New(), Reason: "无关"})
		}
		w.answer(t, "95599", last)
		w.stands(t, "B-1", production.StateOrdered, map[string]int64{production.ItemOrdered: 1, production.ItemAccounted: 2, production.ItemNoAccount: 2})
		w.answer(t, "95533", last)
		w.stands(t, "B-1", production.StateBanked, map[string]int64{production.ItemAccounted: 3, production.ItemNoAccount: 2})
		left := w.items(t, "B-1", production.ItemNoAccount)
		require.Equal(t, "证件已过期", left[0].Reason)
		a, err := w.issuance.Application(t.Context(), ids[1])
		require.NoError(t, err)
		require.Equal(t, issuance.StateNumbered, a.State)
		require.EqualValues(t, 3, w.ordered(t))

		a, err = w.issuance.Application(t.Context(), ids[2])
		require.NoError(t, err)
		w.change(t, func(tx *registry.Tx) error {
			_, err := tx.CorrectPerson(a.PersonID, 0, "更名", func(told *registry.NewPerson) { told.Name = "扎西" })
			return err
		})
		file, err := w.Send(t.Context(), producer, "B-1")
		require.NoError(t, err)
		require.EqualValues(t, 2, file.Records)
		back, err := w.plant.Make(t.Context(), filepath.Join(w.config.Dir, file.Name))
		require.NoError(t, err)
		taken, err := w.Take(t.Context(), producer, back)
		require.NoError(t, err)
		require.Equal(t, production.StateReturned, taken.State)
	})
}

// TestAccountsKnown: a batch whose accounts are all known is ready at once; an
// answer for a batch that is not ordered yet counts when it is.
func TestAccountsKnown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		there := w.withBank(t)
		ids := w.waiting(t, 3)
		for i, id := range ids {
			there.known = append(there.known, w.opened(t, id, i))
		}
		o := order("B-1", 3)
		o.Bank = "105"
		b, err := w.Create(t.Context(), producer, o)
		require.NoError(t, err)
		require.Equal(t, production.StateBanked, b.State)
		for i, item := range w.items(t, "B-1", production.ItemAccounted) {
			require.Equal(t, there.known[i].Account, *item.BankAccount)
		}
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// TestAccountsInSteps: the bank is asked for the accounts of rows in the
// transaction that adds them, so that none is longer than a step; what it answers
// while the batch is filled counts, and whoever left is not added again when an
// interrupted batch is filled further.
func TestAccountsInSteps(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		there := w.withBank(t)
		ids := w.waiting(t, 7)
		o := order("B-1", 7)
		o.Bank = "105"
		stopped := errors.New("stopped")
		there.sees = func() error {
			var rows int64
			require.NoError(t, w.db.Read(t.Context()).Model(&production.Item{}).Count(&rows).Error)
			require.EqualValues(t, len(there.asked), rows, "the steps before stand already")
			if len(there.asked) == 4 {
				return stopped
			}
			return nil
		}
		_, err := w.Create(t.Context(), producer, o)
		require.ErrorIs(t, err, stopped)
		w.stands(t, "B-1", production.StateOpen, map[string]int64{production.ItemOrdered: 4})
		w.answer(t, "95533", w.opened(t, ids[0], 0), production.Answer{Application: ids[1], Reason: "证件已过期"})
		w.stands(t, "B-1", production.StateOpen, map[string]int64{production.ItemOrdered: 2, production.ItemAccounted: 1, production.ItemNoAccount: 1})

		there.sees = nil
		b, err := w.Create(t.Context(), producer, o)
		require.NoError(t, err)
		require.Equal(t, ids, there.asked, "each once")
		require.EqualValues(t, 7, b.Size)
		w.stands(t, "B-1", production.StateOrdered, map[string]int64{production.ItemOrdered: 5, production.ItemAccounted: 1, production.ItemNoAccount: 1})
		require.EqualValues(t, 6, w.ordered(t))
		var rest []production.Answer
		for i, id := range ids[2:] {
			rest = append(rest, w.opened(t, id, i+2))
		}
		w.answer(t, "95533", rest...)
		w.stands(t, "B-1", production.StateBanked, map[string]int64{production.ItemAccounted: 6, production.ItemNoAccount: 1})
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// TestSilence: a row for which the bank has not answered within the days of the
// policy leaves its batch, and one that was answered stays.
func TestSilence(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.withBank(t)
		ids := w.waiting(t, 4)
		o := order("B-1", 4)
		o.Bank = "105"
		b, err := w.Create(t.Context(), producer, o)
		require.NoError(t, err)
		asked := w.clock.Now()
		w.answer(t, "95533", w.opened(t, ids[0], 0))
		silence := production.Silence{DB: w.db, Logger: slog.New(slog.DiscardHandler), Withdraw: func(tx *registry.Tx, bank string, silent []uuid.UUID, begunBy time.Time, reason string) (int, error) {
			require.Equal(t, "95533", bank)
			require.Equal(t, ids[1:], silent)
			require.Equal(t, asked, begunBy)
			// The bank answers for the last of them meanwhile.
			return 2, production.Answers{Issuance: w.issuance}.Take(tx, bank, []production.Answer{{Application: ids[1], Reason: reason}, {Application: ids[2], Reason: reason}})
		}}
		days, err := w.BankDays(b)
		require.NoError(t, err)
		w.clock.Advance(time.Duration(days)*24*time.Hour - time.Second)
		turn := func(want int) {
			t.Helper()
			n, err := silence.Turn(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		turn(0)
		w.clock.Advance(time.Second)
		turn(2)
		w.stands(t, "B-1", production.StateOrdered, map[string]int64{production.ItemOrdered: 1, production.ItemAccounted: 1, production.ItemNoAccount: 2})
		require.Contains(t, w.items(t, "B-1", production.ItemNoAccount)[0].Reason, fmt.Sprintf("银行 %d 天未答复", days))
		require.EqualValues(t, 2, w.ordered(t))
		a, err := w.issuance.Application(t.Context(), ids[1])
		require.NoError(t, err)
		require.Equal(t, issuance.StateNumbered, a.State)
		w.answer(t, "95533", w.opened(t, ids[3], 3))
		w.stands(t, "B-1", production.StateBanked, map[string]int64{production.ItemAccounted: 2, production.ItemNoAccount: 2})
		turn(0)
		story, err := w.Story(t.Context(), b.ID)
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(story, func(r registry.AuditRecord) bool { return r.Action == "batch.silent" && r.Detail["rows"] == "2" }))
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}
