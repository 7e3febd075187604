package api

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance/production"
	"onecard/registry"
)

// batch enters a batch as production would, with what is on record of it.
func (w *world) batch(number, place string) {
	w.t.Helper()
	require.NoError(w.t, w.db.InTx(w.t.Context(), registry.Actor{Operator: producer, Workstation: office, Place: "630000"}, func(tx *registry.Tx) error {
		stamp := tx.Stamp("test")
		var known int64
		if err := tx.DB().Table("suppliers").Count(&known).Error; err != nil {
			return err
		}
		if known == 0 {
			maker := production.Supplier{ID: "S-1", Institution: "O630000", Product: "P", Approval: "A", SpecVersion: "3.00", Quota: 1000, ValidFrom: "2026-01-01",
				ValidTo: "2027-01-01", State: "approved", DeliveryKey: "K", Certificate: "PEM", Stamp: stamp}
			if err := tx.DB().Create(&maker).Error; err != nil {
				return err
			}
		}
		b := production.Batch{ID: uuid.Must(uuid.NewV7()), Number: number, Kind: production.KindNormal, Supplier: "S-1", CardType: "3", Place: place, Most: 500,
			State: production.StateOpen, OrderedBy: producer, LeaseUntil: tx.Now(), CreatedAt: tx.Now(), Stamp: stamp}
		if err := tx.DB().Create(&b).Error; err != nil {
			return err
		}
		subject := "batch:" + b.ID.String()
		for _, entry := range []struct {
			action string
			detail map[string]string
		}{
			{"batch.opened", map[string]string{"number": number}}, {"batch.begun", nil},
			{"batch.order", map[string]string{"from": production.StateOpen, "to": production.StateOrdered}},
		} {
			if err := tx.Audit(entry.action, subject, entry.detail); err != nil {
				return err
			}
		}
		return nil
	}))
}

// TestBatches: the province's offices see all batches, others those of their
// place; nobody else any.
func TestBatches(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.batch("20260302-0001", "630000")
		w.batch("20260302-0002", "630102")
		got := w.do(call{method: "GET", path: "/v1/batches", as: producer})
		require.Equal(t, http.StatusOK, got.status, got.body)
		list := decode[BatchList](t, got).Batches
		require.Len(t, list, 2)
		require.Equal(t, "20260302-0002 组批中", list[0].Number+" "+list[0].StateText.Zh)
		require.Empty(t, decode[BatchList](t, w.do(call{method: "GET", path: "/v1/batches?state=closed", as: producer})).Batches)
		require.Len(t, decode[BatchList](t, w.do(call{method: "GET", path: "/v1/batches?limit=1", as: producer})).Batches, 1)
		require.Equal(t, http.StatusBadRequest, w.do(call{method: "GET", path: "/v1/batches?state=lost", as: producer}).status)

		got = w.do(call{method: "GET", path: "/v1/batches/20260302-0001", as: producer})
		require.Equal(t, http.StatusOK, got.status, got.body)
		story := decode[BatchStory](t, got)
		require.Len(t, story.Story, 2, "how the work was shared out is no story")
		require.Equal(t, "开始组批", story.Story[0].Text.Zh)
		require.Equal(t, "组批：组批中 → 已组批，待银行开户", story.Story[1].Text.Zh)

		// A county's supervisor.
		list = decode[BatchList](t, w.do(call{method: "GET", path: "/v1/batches", as: reviewer})).Batches
		require.Len(t, list, 1)
		require.Equal(t, "20260302-0002", list[0].Number)
		got = w.do(call{method: "GET", path: "/v1/batches/20260302-0001", as: reviewer})
		require.Equal(t, http.StatusForbidden, got.status)
		require.Contains(t, got.body, "此批次不属于您的辖区")
		require.Equal(t, http.StatusOK, w.do(call{method: "GET", path: "/v1/batches/20260302-0002", as: reviewer}).status)
		require.Equal(t, http.StatusNotFound, w.do(call{method: "GET", path: "/v1/batches/20260302-0009", as: producer}).status)
		require.Equal(t, http.StatusForbidden, w.do(call{method: "GET", path: "/v1/batches", as: clerk}).status)
	})
}

// TestBatchWords: every state of a row has words.
func TestBatchWords(t *testing.T) {
	t.Parallel()
	for _, state := range []string{
		production.ItemOrdered, production.ItemAccounted, production.ItemNoAccount, production.ItemCancelled, production.ItemMaking, production.ItemMade,
		production.ItemInspected, production.ItemKeyError, production.ItemFailed, production.ItemScrapped,
	} {
		require.NotEmpty(t, rowTexts[state].ZH, state)
		require.NotEmpty(t, rowTexts[state].EN, state)
	}
}
