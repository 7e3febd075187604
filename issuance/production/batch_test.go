package production_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/issuance/production"
	"onecard/registry"
)

// TestBatch takes sixty cards through a maker who spoils some: each row of the
// order becomes one card or a destroyed one, the cards that were made prove
// themselves to the product and say what the records say, and nothing that is
// done twice counts twice.
func TestBatch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.plant.Faults = maker12
		path := w.sent(t, "B-1", 60)
		again, err := w.Send(t.Context(), producer, "B-1")
		require.NoError(t, err)
		require.Contains(t, path, again.Digest, "sent twice: the same file")

		back, err := w.plant.Make(t.Context(), path)
		require.NoError(t, err)
		taken, err := w.Take(t.Context(), producer, back)
		require.NoError(t, err)
		require.Equal(t, production.StateReturned, taken.State)
		require.EqualValues(t, 60, taken.Return.Accepted)
		counts := w.rows(t, "B-1")
		spoiled := counts[production.ItemFailed]
		require.Positive(t, spoiled, "the seed spoils some")
		require.EqualValues(t, 60-spoiled, counts[production.ItemMade])

		second, err := w.Take(t.Context(), producer, back)
		require.NoError(t, err)
		require.Equal(t, taken.Return, second.Return, "taken twice: nothing new")
		require.Equal(t, counts, w.rows(t, "B-1"))
		var cards int64
		require.NoError(t, w.db.Read(t.Context()).Table("cards").Where("custody = 'maker' AND production = 'made' AND chip = 'personalised'").Count(&cards).Error)
		require.Equal(t, counts[production.ItemMade], cards)

		w.inspectAll(t, "B-1")
		w.closeAll(t, "B-1", spoiled)
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// inspectAll inspects a batch: the sample passes, one card is rejected.
func (w *world) inspectAll(t *testing.T, number string) {
	items := w.items(t, number, production.ItemMade)
	read, _ := w.atCounter(t, inspector, w.made(t, items[0].CardNumber), "read")
	require.True(t, read.Genuine)
	require.Equal(t, items[0].CardNumber, read.CardNumber)
	require.ErrorIs(t, w.Pass(t.Context(), inspector, number), production.ErrSample)
	for i, item := range items[:5] {
		result, session := w.atCounter(t, inspector, w.made(t, item.CardNumber), "compare")
		require.True(t, result.Genuine)
		for _, finding := range result.Findings {
			require.Equal(t, issuance.FoundSame, finding.Kind, "%+v", finding)
		}
		passed := production.Inspection{Number: item.CardNumber, Session: session}
		if i == 0 {
			require.ErrorIs(t, w.Inspect(t.Context(), producer, number, passed), production.ErrInspector, "who ordered")
			require.ErrorIs(t, w.Inspect(t.Context(), supervisor, number, passed), production.ErrCompared, "compared by another")
			require.ErrorIs(t, w.Inspect(t.Context(), inspector, number, production.Inspection{Number: items[1].CardNumber, Session: session}), production.ErrCompared, "another card")
		}
		require.NoError(t, w.Inspect(t.Context(), inspector, number, passed))
	}
	require.NoError(t, w.Inspect(t.Context(), inspector, number, production.Inspection{Number: items[5].CardNumber, Reject: "照片偏色"}))
	a, err := w.issuance.Application(t.Context(), *items[5].ApplicationID)
	require.NoError(t, err)
	require.Equal(t, issuance.StateNumbered, a.State, "the row returns to production")
	require.ErrorIs(t, w.Pass(t.Context(), producer, number), production.ErrInspector)
	require.NoError(t, w.Pass(t.Context(), inspector, number))
}

// closeAll destroys what is spoiled and closes the batch.
func (w *world) closeAll(t *testing.T, number string, spoiled int64) {
	require.ErrorIs(t, w.close(t, supervisor, number), production.ErrUndestroyed)
	failed := w.items(t, number, production.ItemFailed)
	require.Len(t, failed, int(spoiled)+1)
	for i, item := range failed {
		done, err := w.scrap(t, producer, number, item.CardNumber, "shredded", "废卡")
		require.NoError(t, err)
		require.False(t, done)
		if i == 0 {
			_, err := w.scrap(t, producer, number, item.CardNumber, "shredded", "废卡")
			require.ErrorIs(t, err, production.ErrWitness)
		}
		done, err = w.scrap(t, supervisor, number, item.CardNumber, "", "")
		require.NoError(t, err)
		require.True(t, done)
	}
	require.ErrorIs(t, w.close(t, producer, number), issuance.ErrNoRight)
	require.NoError(t, w.close(t, supervisor, number))
	b, err := w.Batch(t.Context(), number)
	require.NoError(t, err)
	require.Equal(t, production.StateClosed, b.State)
	require.Equal(t, b.Size, *b.Made+*b.Scrapped+*b.Unmade)
	require.Equal(t, spoiled+1, *b.Scrapped)
}

func (w *world) scrap(t *testing.T, who production.Who, number, card, method, reason string) (done bool, err error) {
	err = w.db.InTx(t.Context(), who.Actor, func(tx *registry.Tx) (err error) {
		done, err = w.Scrap(tx, who, number, card, method, reason)
		return err
	})
	return done, err
}

func (w *world) close(t *testing.T, who production.Who, number string) error {
	return w.db.InTx(t.Context(), who.Actor, func(tx *registry.Tx) error {
		_, err := w.Close(tx, who, number)
		return err
	})
}
