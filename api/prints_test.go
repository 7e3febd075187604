package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/registry"
)

func init() { openapi3filter.RegisterBodyDecoder("application/pdf", openapi3filter.FileBodyDecoder) }

// madeCard is a card of record for a small child, who needs no photograph.
func (w *world) madeCard(name string) (card uuid.UUID) {
	w.t.Helper()
	card = uuid.New()
	child := w.enter("print-"+card.String()[:8], idNumber("630102", "20240105", 31), name, "13997000009")
	require.NoError(w.t, w.db.InTx(w.t.Context(), registry.Actor{Operator: "test", Place: "630000"}, func(tx *registry.Tx) error {
		err := tx.DB().Table("cards").Create(map[string]any{
			"id": card, "number": "100000008", "chip_id": strings.Repeat("6", 32), "chip_serial": "00000001", "atr": "3B00", "person_id": child.Id,
			"spec_version": "3.00", "key_version": 1, "status": "0", "issued_on": "2026-03-02", "expires_on": "2036-03-02", "created_at": tx.Now(), "changed_at": tx.Now(),
		}).Error
		if err != nil {
			return err
		}
		return tx.Audit("test.noted", "test", nil)
	}))
	return card
}

// TestPrintCard: the face is shown to whoever makes cards; what came of printing
// is told once.
func TestPrintCard(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		path := "/v1/cards/" + w.madeCard("桑杰㛃𠅤").String()
		got := w.do(call{method: "GET", path: path + "/face", as: clerk})
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, "application/pdf", got.header.Get("Content-Type"))
		require.True(t, strings.HasPrefix(got.body, "%PDF-"))
		require.Equal(t, http.StatusForbidden, w.do(call{method: "GET", path: path + "/face", as: reviewer}).status)
		require.Equal(t, http.StatusNotFound, w.do(call{method: "GET", path: "/v1/cards/" + uuid.NewString() + "/face", as: clerk}).status)

		told := call{method: "POST", path: path + "/prints", as: clerk, key: "print-0001", body: `{"printer":"P1","outcome":"failed","cause":"色带用完"}`}
		for range 2 {
			got = w.do(told)
			require.Equal(t, http.StatusCreated, got.status, got.body)
			require.Equal(t, 1, decode[CardPrint](t, got).Attempt)
		}
		got = w.do(call{method: "POST", path: path + "/prints", as: clerk, key: "print-0002", body: `{"printer":"P1","outcome":"printed"}`})
		require.Equal(t, http.StatusCreated, got.status, got.body)
		got = w.do(call{method: "POST", path: path + "/prints", as: clerk, key: "print-0003", body: `{"printer":"P1","outcome":"printed"}`})
		require.Equal(t, http.StatusUnprocessableEntity, got.status)
		require.Contains(t, got.body, "重打须说明原因")
		for who, printable := range map[string]bool{clerk: true, reviewer: false} {
			file := w.do(call{method: "GET", path: "/v1/persons?cardNumber=100000008", as: who})
			found := decode[PersonList](t, file).Persons[0]
			file = w.do(call{method: "GET", path: "/v1/persons/" + found.Id.String(), as: who})
			require.Equal(t, printable, strings.Contains(file.body, `"printable":true`), who)
		}
		state := decode[CardPrints](t, w.do(call{method: "GET", path: path + "/prints", as: reviewer}))
		require.True(t, state.Offered && state.Printed)
		require.Len(t, state.Attempts, 2)
	})
}

// TestNoGlyph: a character that no font has is named before anything is printed.
func TestNoGlyph(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		card := w.madeCard("张\U00031328")
		got := w.do(call{method: "GET", path: "/v1/cards/" + card.String() + "/face", as: clerk})
		require.Equal(t, http.StatusUnprocessableEntity, got.status)
		require.Contains(t, got.body, "U+31328")
		require.NotContains(t, w.log.String(), "\U00031328")
	})
}
