package api

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance/production"
	"onecard/registry"
)

// TestBatchWork makes a batch of test cards, once for a key, and has two persons
// destroy what was spoiled before a supervisor closes it.
func TestBatchWork(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.batch("20260302-9001", "630000") // with the approval of its supplier
		post := func(as, path, key, body string) answer {
			return w.do(call{method: http.MethodPost, path: "/v1/batches" + path, body: body, key: key, as: as})
		}
		outlook := decode[BatchOutlook](t, w.do(call{method: "GET", path: "/v1/batch-outlook", as: producer}))
		require.Zero(t, outlook.Waiting)
		require.Empty(t, outlook.Banks)
		require.Len(t, outlook.Suppliers, 1)
		require.EqualValues(t, 1000, outlook.Suppliers[0].Left)

		for name, test := range map[string]struct {
			as, body string
			status   int
			code     string
		}{
			"nobody waits":     {producer, `{"supplier": "S-1", "most": 5}`, http.StatusConflict, "empty-batch"},
			"not approved":     {producer, `{"supplier": "S-9", "most": 5, "kind": "test"}`, http.StatusConflict, "supplier-not-approved"},
			"no such bank":     {producer, `{"supplier": "S-1", "most": 5, "bank": "95533"}`, http.StatusUnprocessableEntity, "invalid"},
			"by a supervisor":  {reviewer, `{"supplier": "S-1", "most": 5}`, http.StatusForbidden, "role"},
			"of another place": {producer, `{"supplier": "S-1", "most": 5, "place": "110000"}`, http.StatusForbidden, "other-place"},
		} {
			got := post(test.as, "", "refused-"+uuid.NewString(), test.body)
			require.Equal(t, test.status, got.status, "%s: %s", name, got.body)
			require.Equal(t, test.code, decode[Problem](t, got).Code, name)
		}
		order := `{"supplier": "S-1", "most": 4, "kind": "test"}`
		got := post(producer, "", "batch-0001", order)
		require.Equal(t, http.StatusCreated, got.status, got.body)
		made := decode[ProductionBatch](t, got)
		require.EqualValues(t, 4, made.Size)
		require.Equal(t, got.body, post(producer, "", "batch-0001", order).body, "the same request again is the same batch")

		at := "/" + made.Number
		var b production.Batch
		require.NoError(t, w.db.InTx(t.Context(), registry.Actor{Operator: producer, Place: "630000"}, func(tx *registry.Tx) error { // a maker has returned it, one card spoiled
			if err := tx.DB().Where("number = ?", made.Number).Take(&b).Error; err != nil {
				return err
			}
			for seq := 1; seq <= 4; seq++ {
				atr, chip := fmt.Sprintf("3B%030d", seq), fmt.Sprintf("%032d", seq)
				err := tx.DB().Table("production_chips").Create(map[string]any{"atr": atr, "supplier": "S-1", "chip_prefix": chip[8:], "list_digest": chip + chip, "state": "made", "changed_at": tx.Now()}).Error
				if err != nil {
					return err
				}
				changes := map[string]any{"state": production.ItemMade, "atr": atr, "chip_id": chip, "intention": []byte{1}}
				if seq == 2 {
					changes["state"], changes["reason"] = production.ItemFailed, "印刷污损"
				}
				if err := tx.DB().Table("batch_items").Where("batch_id = ? AND seq = ?", b.ID, seq).Updates(changes).Error; err != nil {
					return err
				}
			}
			return tx.Audit("test.returned", "batch:"+b.ID.String(), nil)
		}))
		rows := decode[BatchRowList](t, w.do(call{method: "GET", path: "/v1/batches" + at + "/rows?state=failed", as: producer})).Rows
		require.Len(t, rows, 1)
		require.Equal(t, "废卡，待销毁 印刷污损", rows[0].Text.Zh+" "+*rows[0].Reason)
		require.True(t, *rows[0].Signable)
		cards := `"cards": ["` + rows[0].CardNumber + `"]`
		require.Equal(t, http.StatusUnprocessableEntity, post(producer, at+"/scraps", "scrap-0000", `{`+cards+`}`).status, "the first says how and why")
		got = post(producer, at+"/scraps", "scrap-0001", `{`+cards+`, "method": "punched", "reason": "废卡"}`)
		require.Equal(t, Scrapped{Signed: 1}, decode[Scrapped](t, got))
		require.Equal(t, got.body, post(producer, at+"/scraps", "scrap-0001", `{`+cards+`, "method": "punched", "reason": "废卡"}`).body)
		require.Equal(t, "same-witness", decode[Problem](t, post(producer, at+"/scraps", "scrap-0002", `{`+cards+`}`)).Code)
		rows = decode[BatchRowList](t, w.do(call{method: "GET", path: "/v1/batches" + at + "/rows?state=failed", as: producer})).Rows
		require.False(t, *rows[0].Signable)
		require.Equal(t, producer, rows[0].Destruction.FirstBy)
		require.Equal(t, http.StatusForbidden, post(reviewer, at+"/scraps", "scrap-0003", `{`+cards+`}`).status, "a county does not touch the province's batch")
		require.Equal(t, Scrapped{Destroyed: 1}, decode[Scrapped](t, post(inspector, at+"/scraps", "scrap-0004", `{`+cards+`}`)))
		rows = decode[BatchRowList](t, w.do(call{method: "GET", path: "/v1/batches" + at + "/rows?after=1&limit=1", as: producer})).Rows
		require.Equal(t, inspector, *rows[0].Destruction.SecondBy)

		require.Equal(t, "not-allowed", decode[Problem](t, post(inspector, at+"/closing", "close-0001", "")).Code)
		story := decode[BatchStory](t, w.do(call{method: "GET", path: "/v1/batches" + at, as: inspector}))
		require.Equal(t, "待生成制卡文件", story.Lacks[len(story.Lacks)-1].Text.Zh)
		require.False(t, story.Closable)
	})
}

// TestOperations: an operator is told what the roles allow, as the table has it.
func TestOperations(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		may := decode[Operator](t, w.do(call{method: "GET", path: "/v1/me", as: producer})).May
		require.Contains(t, may, "createBatch")
		require.NotContains(t, may, "apply")
		require.Contains(t, decode[Operator](t, w.do(call{method: "GET", path: "/v1/me", as: clerk})).May, "takeList")
	})
}
