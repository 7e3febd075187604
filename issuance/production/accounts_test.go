package production_test

import (
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/issuance/production"
	"onecard/registry"
)

// bank notes what it is asked, and answers at once what it knows.
type bank struct {
	asked []uuid.UUID
	known []production.Answer
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
