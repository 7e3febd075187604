package production_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/internal/signed"
	"onecard/internal/sim/maker"
	"onecard/issuance"
	"onecard/issuance/production"
	"onecard/registry"
)

// maker12 spoils one card in twelve.
var maker12 = maker.Faults{SpoilOneIn: 12, Seed: 7}

// TestReturnRefused: a return that is cut off, of wrong counts, with a row
// twice, of another maker, or altered changes nothing.
func TestReturnRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		path := w.sent(t, "B-1", 3)
		refused := func(name, back string, want error) {
			t.Helper()
			_, err := w.Take(t.Context(), producer, back)
			require.ErrorIs(t, err, want, name)
			require.Equal(t, map[string]int64{production.ItemMaking: 3}, w.rows(t, "B-1"), name)
		}
		for name, faults := range map[string]maker.Faults{"half": {Half: true}, "duplicate": {Duplicate: true}, "counts": {Counts: true}} {
			w.plant.Faults = faults
			back, err := w.plant.Make(t.Context(), path)
			require.NoError(t, err)
			refused(name, back, production.ErrReturn)
		}
		w.plant.Faults = maker.Faults{}
		right, err := w.plant.Make(t.Context(), path)
		require.NoError(t, err)

		text, err := os.ReadFile(right)
		require.NoError(t, err)
		altered := filepath.Join(t.TempDir(), filepath.Base(right))
		text[len(text)-20] ^= 1
		require.NoError(t, os.WriteFile(altered, text, 0o600))
		manifest, err := os.ReadFile(filepath.Join(filepath.Dir(right), signed.ManifestName(filepath.Base(right))))
		require.NoError(t, err)
		beside := filepath.Join(filepath.Dir(altered), signed.ManifestName(filepath.Base(altered)))
		require.NoError(t, os.WriteFile(beside, manifest, 0o600))
		refused("altered", altered, production.ErrReturn)
		require.NoError(t, os.Remove(beside))
		refused("unsigned", altered, production.ErrSigner)

		foreign := *w.plant
		foreign.Pair, foreign.Dir = province.other, t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(foreign.Dir, "out"), 0o700))
		back, err := foreign.Return("B-1", map[string]string{}, nil)
		require.NoError(t, err)
		refused("another maker", back, production.ErrSigner)

		_, err = w.Take(t.Context(), clerk, right)
		require.ErrorIs(t, err, issuance.ErrNoRight)
		taken, err := w.Take(t.Context(), producer, right)
		require.NoError(t, err)
		require.EqualValues(t, 3, taken.Return.Accepted)
	})
}

// TestOthersFile: a maker whom a production file is not for cannot open it, and
// one without the key of delivery can use no key in it.
func TestOthersFile(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		path := w.sent(t, "B-1", 2)
		other := *w.plant
		other.Pair, other.Dir = province.other, t.TempDir()
		_, err := other.Make(t.Context(), path)
		require.ErrorIs(t, err, signed.ErrSealed)
		w.plant.Delivery = make([]byte, 32)
		back, err := w.plant.Make(t.Context(), path)
		require.NoError(t, err)
		_, err = w.Take(t.Context(), producer, back)
		require.NoError(t, err)
		require.Equal(t, map[string]int64{production.ItemKeyError: 2}, w.rows(t, "B-1"))
		for _, item := range w.items(t, "B-1", production.ItemKeyError) {
			a, err := w.issuance.Application(t.Context(), *item.ApplicationID)
			require.NoError(t, err)
			require.Equal(t, issuance.StateNumbered, a.State)
			require.NotEqual(t, item.CardNumber, a.CardNumber, "a chip may say the old one")
		}
	})
}

// TestResumed: work that was broken off goes on, whoever goes on with it; the
// lease keeps a second one away until it ends.
func TestResumed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.chips(t, 7)
		w.waiting(t, 7)
		// The first process stops while it binds and never gives the lease back.
		_, err := w.Create(t.Context(), producer, order("B-1", 7))
		require.NoError(t, err)
		w.change(t, func(tx *registry.Tx) error {
			return tx.DB().Exec("UPDATE batches SET lease_owner = 'gone', lease_until = ?", tx.Now().Add(5*time.Minute)).Error
		})
		_, err = w.Send(t.Context(), producer, "B-1")
		require.ErrorIs(t, err, production.ErrLocked)
		w.clock.Advance(6 * time.Minute)
		file, err := w.Send(t.Context(), producer, "B-1")
		require.NoError(t, err)

		// The file is lost with its disk: the same cards are written again.
		require.NoError(t, os.Remove(filepath.Join(w.config.Dir, file.Name)))
		again, err := w.Send(t.Context(), producer, "B-1")
		require.NoError(t, err)
		require.NotEqual(t, file.Digest, again.Digest)
		path := filepath.Join(w.config.Dir, again.Name)

		// The plant stops, and goes on.
		w.plant.Faults.StopAfter = 3
		_, err = w.plant.Make(t.Context(), path)
		require.Error(t, err)
		w.plant.Faults.StopAfter = 0
		back, err := w.plant.Make(t.Context(), path)
		require.NoError(t, err)

		// Taking stops after the first of its transactions.
		small := w.config
		small.Rows = 2
		s, err := production.New(small)
		require.NoError(t, err)
		_, err = s.Take(untilTaken{t.Context(), w.db}, producer, back)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, map[string]int64{production.ItemMade: 2, production.ItemMaking: 5}, w.rows(t, "B-1"))
		taken, err := s.Take(t.Context(), producer, back)
		require.NoError(t, err)
		require.Equal(t, production.StateReturned, taken.State)
		require.EqualValues(t, 7, taken.Return.Taken)
		require.EqualValues(t, 7, taken.Return.Accepted+taken.Return.Repeated)
		require.Equal(t, map[string]int64{production.ItemMade: 7}, w.rows(t, "B-1"))
	})
}

// TestSupplier: nothing is ordered beyond what was approved, in code and in the
// database.
func TestSupplier(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.waiting(t, 3)
		_, err := w.Create(t.Context(), producer, order("B-0", 101))
		require.ErrorIs(t, err, production.ErrQuota)
		unknown := order("B-0", 3)
		unknown.Supplier = "nobody"
		_, err = w.Create(t.Context(), producer, unknown)
		require.ErrorIs(t, err, production.ErrSupplier)
		_, err = w.Create(t.Context(), supervisor, order("B-0", 3))
		require.ErrorIs(t, err, issuance.ErrNoRight)

		b, err := w.Create(t.Context(), producer, order("", 50))
		require.NoError(t, err)
		require.Equal(t, "20260302-0001", b.Number)
		require.EqualValues(t, 3, b.Size)
		require.EqualValues(t, 3, w.ordered(t), "what was reserved and not needed went back")
		require.ErrorIs(t, w.Approve(t.Context(), supervisor, supplier(2), "减量"), registry.ErrConflict, "below what is ordered")
		_, err = w.Send(t.Context(), producer, b.Number)
		require.ErrorIs(t, err, production.ErrChips)

		same, err := w.Create(t.Context(), producer, order(b.Number, 50))
		require.NoError(t, err)
		require.Equal(t, b.ID, same.ID)
		_, err = w.Create(t.Context(), producer, order(b.Number, 49))
		require.ErrorIs(t, err, production.ErrOther)

		require.ErrorIs(t, w.Cancel(t.Context(), producer, b.Number, "试"), issuance.ErrNoRight)
		require.NoError(t, w.Cancel(t.Context(), supervisor, b.Number, "卡商停产"))
		require.Equal(t, map[string]int64{production.ItemCancelled: 3}, w.rows(t, b.Number))
		require.NoError(t, w.Suspend(t.Context(), supervisor, "lab-300", "停产"))
		_, err = w.Create(t.Context(), producer, order("B-2", 3))
		require.ErrorIs(t, err, production.ErrSupplier)
		require.NoError(t, w.Approve(t.Context(), supervisor, supplier(3), "恢复"))
		w.clock.Advance(365 * 24 * time.Hour)
		_, err = w.Create(t.Context(), producer, order("B-2", 3))
		require.ErrorIs(t, err, production.ErrSupplier, "expired")
	})
}

// TestTestCards: test cards are made like any other, and are never cards of
// record.
func TestTestCards(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.chips(t, 2)
		o := order("T-1", 2)
		o.Kind = production.KindTest
		_, err := w.Create(t.Context(), producer, o)
		require.NoError(t, err)
		file, err := w.Send(t.Context(), producer, "T-1")
		require.NoError(t, err)
		back, err := w.plant.Make(t.Context(), filepath.Join(w.config.Dir, file.Name))
		require.NoError(t, err)
		_, err = w.Take(t.Context(), producer, back)
		require.NoError(t, err)
		require.NoError(t, w.Pass(t.Context(), inspector, "T-1"))
		require.NoError(t, w.close(t, supervisor, "T-1"))
		var cards int64
		require.NoError(t, w.db.Read(t.Context()).Table("cards").Count(&cards).Error)
		require.Zero(t, cards)
		require.Zero(t, w.ordered(t), "no quota is used")
	})
}
