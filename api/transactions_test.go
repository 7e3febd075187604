package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/exchange"
)

// prove lets a finished chip session have shown a person's card at a workstation.
func (w *world) prove(name, station string) uuid.UUID {
	w.t.Helper()
	person := w.person(name)
	w.insure(person)
	id := uuid.New()
	w.proofs.mu.Lock()
	defer w.proofs.mu.Unlock()
	w.proofs.proofs[id] = exchange.Proof{
		CardID: uuid.New(), PersonID: person.ID, CardNumber: "000000018", Workstation: station, At: w.clock.Now(), Genuine: true,
	}
	return id
}

func TestTransaction(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		proof, id := w.prove("扎西·多杰", pharmacy), uuid.New()
		submit := call{method: "POST", path: "/v1/transactions", as: druggist, body: transaction(id, proof, 1, 4580)}
		got := w.do(submit)
		require.Equal(t, http.StatusOK, got.status, got.body)
		done := decode[Transaction](t, got)
		require.Equal(t, "confirmed", done.State)
		require.Equal(t, int64(4580), *done.FundFen+*done.AccountFen+*done.CashFen)
		sum := int64(0)
		for _, line := range done.Lines {
			sum += line.Fen
		}
		require.Equal(t, int64(4580), sum, "every fen is explained")
		require.Contains(t, strings.Join(*done.Receipt, "\n"), "45.80")
		require.NotContains(t, got.body, "扎西")
		require.NotContains(t, got.body, "000000018")

		require.Equal(t, got.body, w.do(submit).body, "the same id gives the same answer")
		reused := submit
		reused.body = transaction(id, proof, 1, 4581)
		require.Equal(t, "id-reused", decode[Problem](t, w.do(reused)).Code)
		reused.body = transaction(uuid.New(), proof, 1, 4580)
		require.Equal(t, "serial-reused", decode[Problem](t, w.do(reused)).Code)

		found := call{method: "GET", path: "/v1/transactions/" + id.String(), as: druggist}
		require.Equal(t, got.body, w.do(found).body)
		elsewhere := found
		elsewhere.as = cashier
		require.Equal(t, "not-yours", decode[Problem](t, w.do(elsewhere)).Code)
		elsewhere.as = reviewer // a supervisor
		require.Equal(t, http.StatusOK, w.do(elsewhere).status)

		reverse := call{method: "POST", path: found.path + "/reversal", as: cashier, key: "reversal-01", body: `{"reason":"退货"}`}
		require.Equal(t, "not-yours", decode[Problem](t, w.do(reverse)).Code)
		reverse.as = druggist
		for range 2 {
			require.Equal(t, "reversed", decode[Transaction](t, w.do(reverse)).State)
		}
	})
}

func TestTransactionRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		proof := w.prove("扎西·多杰", pharmacy)
		ask := func(login, body string) (int, string) {
			got := w.do(call{method: "POST", path: "/v1/transactions", as: login, body: body})
			p := decode[Problem](t, got)
			require.NotEmpty(t, p.Title)
			return got.status, p.Code
		}
		status, code := ask(cashier, transaction(uuid.New(), proof, 1, 100))
		require.Equal(t, http.StatusConflict, status)
		require.Equal(t, "proof-unknown", code, "proven at another terminal")
		_, code = ask(cashier, transaction(uuid.New(), w.prove("扎西·多杰", hospital), 1, 100))
		require.Equal(t, "wrong-site", code, "a hospital is no pharmacy")
		w.proofs.mu.Lock()
		w.proofs.status = "2"
		w.proofs.mu.Unlock()
		_, code = ask(druggist, transaction(uuid.New(), proof, 1, 100))
		require.Equal(t, "card-not-normal", code, "reported lost")
	})
}
