package api

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/registry"
)

// TestStock brings blanks from the maker into the province's store over HTTP: a
// person cannot sign twice, and the same request again is the same act.
func TestStock(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		tokens := map[string]string{}
		for _, login := range []string{"gong", "qian"} {
			w.passwords[login] = "Password-" + login
			require.NoError(t, w.db.InTx(t.Context(), registry.Actor{Operator: "test", Place: "630000"}, func(tx *registry.Tx) error {
				return tx.AddOperator(registry.Operator{Login: login, Name: login, Roles: []string{registry.RoleSupervisor}, Institution: "O630000", Place: "630000"}, w.passwords[login])
			}))
			tokens[login] = w.signIn(login, office)
		}
		keys := 0
		post := func(as, path, body string) answer {
			keys++
			return w.do(call{method: http.MethodPost, path: "/v1/stock/" + path, body: body, key: fmt.Sprintf("stock-%04d", keys), token: tokens[as], at: office})
		}
		witness := func(login, password string) string {
			return `"witness": {"login": "` + login + `", "password": "` + password + `"}`
		}
		list := `{"maker": "M630000001", "kind": "blank", "product": "SSC300", "boxes": [{"label": "29211-5-3", "cards": [{"slot": 1, "card": "A0000001"}, {"slot": 2, "card": "A0000002"}]}]}`
		got := post("gong", "deliveries", list)
		require.Equal(t, http.StatusCreated, got.status, got.body)
		sent := decode[StockConsignment](t, got)
		require.Equal(t, http.StatusConflict, post("gong", "deliveries", list).status)
		accept := "consignments/" + sent.Id.String() + "/acceptance"
		require.Equal(t, http.StatusForbidden, post("gong", accept, "{}").status, "who entered it does not accept it")
		first := post("qian", accept, "{}")
		require.Equal(t, http.StatusOK, first.status, first.body)
		keys--
		again := post("qian", accept, "{}")
		require.Equal(t, first.body, again.body, "the same request again is the same act")
		got = post("qian", accept, "{}")
		require.Equal(t, "stock-received", decode[Problem](t, got).Code)

		for name, test := range map[string]struct {
			signs  string
			status int
		}{
			"by one person":     {witness("qian", w.passwords["qian"]), http.StatusForbidden},
			"a wrong password":  {witness("gong", "Wrong-Password-1"), http.StatusUnprocessableEntity},
			"of another office": {witness(reviewer, w.passwords[reviewer]), http.StatusForbidden},
			"without anybody":   {`"witness": null`, http.StatusBadRequest},
		} {
			require.Equal(t, test.status, post("qian", "openings", `{"label": "29211-5-3", `+test.signs+`}`).status, name)
		}
		got = post("qian", "openings", `{"label": "29211-5-3", `+witness("gong", w.passwords["gong"])+`}`)
		require.Equal(t, http.StatusOK, got.status, got.body)
		got = post("qian", "reports", `{"event": "lose", "kind": "blank", "cards": ["A0000002"], "reason": "盘点", `+witness("gong", w.passwords["gong"])+`}`)
		require.Equal(t, http.StatusNoContent, got.status, got.body)
		day := `{"day": "2026-03-02", "blank": {"good": 1, "waste": 0}, "card": {"good": 0, "waste": 0}, ` + witness("gong", w.passwords["gong"]) + `}`
		got = post("qian", "days", day)
		require.Equal(t, http.StatusCreated, got.status, got.body)
		require.Zero(t, decode[[]StockDay](t, got)[0].Difference)

		look := func(path, as, at string) answer {
			return w.do(call{method: http.MethodGet, path: "/v1/stock" + path, token: as, at: at})
		}
		view := decode[StockView](t, look("?place=O630000", tokens["qian"], office))
		require.Len(t, view.Incidents, 1)
		require.Len(t, view.Days, 4)
		require.Contains(t, view.Counters, office)
		require.Contains(t, view.People, StockPerson{Login: "qian", Name: "qian"})
		cards := decode[StockHoldings](t, look("/holdings?place=O630000&kind=blank", tokens["qian"], office)).Cards
		require.Equal(t, []string{"A0000001 在库", "A0000002 缺失"}, []string{cards[0].Card + " " + cards[0].StateText.Zh, cards[1].Card + " " + cards[1].StateText.Zh})
		require.Len(t, decode[StockHoldings](t, look("/holdings?place=O630000&kind=blank&state=stored", tokens["qian"], office)).Cards, 1)
		require.Empty(t, decode[StockHoldings](t, look("/holdings?place=O630000&kind=blank&after=A0000002", tokens["qian"], office)).Cards)
		consigned := decode[StockConsignmentList](t, look("/consignments/"+sent.Id.String(), tokens["qian"], office))
		require.Equal(t, []StockListed{{Label: "29211-5-3", Kind: "blank", Cards: []string{"A0000001", "A0000002"}}}, consigned.Boxes)
		story := decode[StockStory](t, look("/cards?card=A0000001", tokens["qian"], office))
		require.Len(t, story.Movements, 3)
		county := w.token(reviewer)
		require.Equal(t, http.StatusForbidden, look("?place=O630000", county, counter).status, "a county does not look at the province's stock")
		require.Equal(t, http.StatusOK, look("?place=O630102", county, counter).status)
		require.Equal(t, http.StatusForbidden, look("/holdings?place=O630000&kind=blank", county, counter).status)
		require.Equal(t, http.StatusForbidden, look("/consignments/"+sent.Id.String(), county, counter).status)
		require.Equal(t, http.StatusForbidden, look("/cards?card=A0000001", county, counter).status)
		require.Equal(t, http.StatusOK, look("/unclaimed?place=O630102", county, counter).status)
		for _, secret := range w.passwords {
			require.NotContains(t, w.log.String(), secret)
		}
	})
}
