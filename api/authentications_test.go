package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/exchange"
	"onecard/exchange/authentication"
)

// vendorChip is the vendor's test card of the contract's examples.
const vendorChip = "542600D1560000050002814109FCC0B2"

func (w *world) vendorCard(status string, words exchange.Text) {
	w.chips[vendorChip] = authentication.Card{ID: uuid.New(), ATR: "3B6D00000096DF21018649542600028141", Status: status, StatusText: words, KeyVersion: 1}
}

// TestAuthenticationExamples sends the contract's own examples: they are true.
func TestAuthenticationExamples(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.vendorCard("1", exchange.Text{ZH: "正常", EN: "normal"})
		routes, err := operations()
		require.NoError(t, err)
		media := routes["authenticate"].Operation.RequestBody.Value.Content["application/json"]
		example := func(value any) string {
			t.Helper()
			text, err := json.Marshal(value)
			require.NoError(t, err)
			return string(text)
		}
		reading := call{method: "POST", path: "/v1/authentications", at: hospital, key: "example-01", body: example(media.Examples["reading"].Value.Value)}
		got := w.do(reading)
		require.Equal(t, http.StatusOK, got.status, got.body)
		want := routes["authenticate"].Operation.Responses.Status(200).Value.Content["application/json"].Example
		require.JSONEq(t, example(want), got.body)
		require.Equal(t, got.body, w.do(reading).body, "the same again")

		external := call{method: "POST", path: "/v1/authentications", as: clerk, key: "example-02", body: example(media.Examples["external"].Value.Value)}
		got = w.do(external)
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, "31F5BF0F1B4332846EA56ED80C12C399", *decode[Authentication](t, got).External)

		line := routes["authenticateMessage"].Operation.RequestBody.Value.Content["application/json"].Example
		message := call{method: "POST", path: "/v1/authentications/messages", at: pharmacy, key: "example-03", body: example(line)}
		got = w.do(message)
		require.Equal(t, http.StatusConflict, got.status, "its challenges were answered above")
		require.Equal(t, "challenge-used", decode[Problem](t, got).Code)
		fresh := strings.Replace(message.body, "ACD2B737EB592356|CEEC03C01AFD4974|A93C621824F093B2|8E18CF183BED0E13", "0B0375FD364ACE7D|4259BD052859AB09|552AC0A2B28C30D0|7FF7D50ED7F3991E", 1)
		got = w.do(call{method: "POST", path: "/v1/authentications/messages", at: pharmacy, key: "example-04", body: fresh})
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, "A08F320C7F3071074259BD052859AB09|C49B6CD0732CA2B67FF7D50ED7F3991E|", decode[Authentication](t, got).Message)

		var records int64
		require.NoError(t, w.db.Read(t.Context()).Table("audit_entries").Where("action LIKE ?", "authentication.%").Count(&records).Error)
		require.EqualValues(t, 4, records, "one for each request but the repeated one")
		require.NotContains(t, w.log.String(), "7BD79AFBF9AAABD7")
	})
}

// TestAuthenticationRefused: each refusal as a problem, in both languages.
func TestAuthenticationRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.vendorCard("2", exchange.Text{ZH: "正式挂失", EN: "reported lost"})
		ask := func(as, at, message string) answer {
			t.Helper()
			return w.do(call{method: "POST", path: "/v1/authentications/messages", as: as, at: at, key: uuid.NewString(), body: `{"message":"` + message + `"}`})
		}
		const card = "542600|0096DF21018649542600028141|03|" + vendorChip
		for name, test := range map[string]struct {
			as, at, message string
			status          int
			code, says      string
		}{
			"role":       {"", pharmacy, "02|" + card + "|0094|0000000000000001|0000000000000001|", 403, "no-right", "may not"},
			"status":     {clerk, "", "02|" + card + "|0094|0000000000000001|0000000000000001|", 409, "card-status", "lost"},
			"address":    {clerk, "", "02|" + card + "|UK6DF01|0000000000000001|0000000000000001|", 422, "no-key-address", "UK6DF01"},
			"algorithm":  {"", pharmacy, "01|542600|0096DF21018649542600028141|02|" + vendorChip + "|0000000000000001|0000000000000001|", 422, "ssf33", "SSF33"},
			"wrong form": {"", pharmacy, "01|5426|0096DF21018649542600028141|03|" + vendorChip + "|0000000000000001|0000000000000001|", 422, "invalid", ""},
		} {
			got := ask(test.as, test.at, test.message)
			require.Equal(t, test.status, got.status, "%s: %s", name, got.body)
			problem := decode[Problem](t, got)
			require.Equal(t, test.code, problem.Code, name)
			require.Contains(t, *problem.TitleEn, test.says, name)
			require.NotContains(t, got.body, vendorChip, name)
		}
		got := ask("", pharmacy, "01|5426|0096DF21018649542600028141|03|"+vendorChip+"|0000000000000001|0000000000000001|")
		require.Equal(t, "area", (*decode[Problem](t, got).Fields)[0].Field)
		got = ask("", pharmacy, "01|"+card+"|0000000000000001|0000000000000001|")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, "2", *decode[Authentication](t, got).CardStatus)
	})
}

// TestAuthenticationLimit: the 121st request of a minute is refused, and told
// when to come again.
func TestAuthenticationLimit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ask := func(n int) answer {
			chip := fmt.Sprintf("542600D156000005%08XFFFFFFFF", n)
			message := fmt.Sprintf("01|542600|0096DF21018649542600028141|03|%s|0000000000000001|0000000000000001|", chip)
			return w.do(call{method: "POST", path: "/v1/authentications/messages", at: pharmacy, key: uuid.NewString(), body: `{"message":"` + message + `"}`})
		}
		for n := range 120 {
			require.Equal(t, http.StatusOK, ask(n).status)
		}
		w.clock.Advance(12500 * time.Millisecond)
		got := ask(120)
		require.Equal(t, http.StatusTooManyRequests, got.status, got.body)
		require.Equal(t, "authentication-limit", decode[Problem](t, got).Code)
		require.Equal(t, "48", got.header.Get("Retry-After"))
	})
}
