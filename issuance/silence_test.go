package issuance_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/issuance/production"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// TestSilentBank: a bank says nothing of a batch. After the days of the policy its
// orders are reversed, the applicants wait again, and another batch asks anew
// when the bank has undone what it may have done; its late return changes nothing.
func TestSilentBank(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		l := newLife(t, db, clock)
		var applications []uuid.UUID
		for range 3 {
			a, err := l.clerk().request(t, issuance.Request{Person: l.person(t, "扎西·多杰", "1981-05-01").ID, Kind: issuance.KindFirst, Method: issuance.MethodBatch})
			require.NoError(t, err)
			_, err = l.reviewer().fire(t, a.ID, issuance.EventApprove, "")
			require.NoError(t, err)
			applications = append(applications, a.ID)
		}
		ordered := func(number string) production.Batch {
			b, err := l.makes.Create(t.Context(), makes("zhoujun", registry.RoleProducer), production.Order{
				Number: number, Kind: production.KindNormal, Supplier: "lab-300", Bank: lifeBank, CardType: "3", Place: "632723", Most: 3})
			require.NoError(t, err)
			return b
		}
		stands := func(b production.Batch, state, rows string) {
			t.Helper()
			now, err := l.makes.Batch(t.Context(), b.Number)
			require.NoError(t, err)
			require.Equal(t, state, now.State)
			counts, err := l.makes.Counts(t.Context(), b.ID)
			require.NoError(t, err)
			require.Equal(t, map[string]int64{rows: 3}, counts)
		}
		b := ordered("B-1")
		stands(b, production.StateOrdered, production.ItemOrdered)
		made, err := l.banks.MakeFile(t.Context(), l.producer().actor, lifeBank, b.Number, filepath.Join(l.dir, "out"))
		require.NoError(t, err)
		days, err := l.makes.BankDays(b)
		require.NoError(t, err)
		clock.Advance(time.Duration(days) * 24 * time.Hour)
		left, err := (production.Silence{DB: db, Withdraw: l.banks.GiveUp, Logger: slog.New(slog.DiscardHandler)}).Turn(t.Context())
		require.NoError(t, err)
		require.Equal(t, 3, left)
		stands(b, production.StateBanked, production.ItemNoAccount)
		for _, id := range applications {
			a, err := l.Application(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, issuance.StateNumbered, a.State)
			require.Contains(t, a.Reason, "天未答复")
		}

		stands(ordered("B-2"), production.StateBanked, production.ItemNoAccount)
		require.Equal(t, 3, l.count(t, "bank_orders", "operation = 'account.open'"), "the bank may still open them: none is asked for twice")
		file, err := l.bank.OpenFile(made.Path, l.dir)
		require.NoError(t, err)
		taken, err := l.banks.TakeFile(t.Context(), file)
		require.NoError(t, err)
		require.EqualValues(t, 3, taken.Bad)
		_, err = l.banks.Turn(t.Context(), lifeBank)
		require.NoError(t, err)
		require.Equal(t, 3, l.count(t, "bank_orders", "operation = 'account.open' AND state = 'reversed'"))
		stands(ordered("B-3"), production.StateOrdered, production.ItemOrdered)
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}
