package authentication_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"onecard/exchange"
	"onecard/exchange/authentication"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// TestMain lets a property be tried on fewer sequences, since each is work for
// two databases; the command line may say otherwise.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// records counts the audit records of authentications.
func (w *world) records() (n int64) {
	w.t.Helper()
	require.NoError(w.t, w.db.Read(w.t.Context()).Table("audit_entries").Where("action LIKE ?", "authentication.%").Count(&n).Error)
	return n
}

// TestOneRecord: whatever terminals ask for, in whatever order, each request
// that is answered or refused adds exactly one record, a repeated one none and
// gets the same answer; and of no key is a challenge answered twice.
func TestOneRecord(t *testing.T) {
	t.Parallel()
	keeper := newKeeper(t, zeroes{}, 0, "")
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		w := newWorld(t, db, clock, flat{keeper}, nil)
		callers := []authentication.Caller{w.at(pharmacy), w.at(counter, registry.RoleClerk), w.at(hospital, registry.RoleCashier)}
		round := 0
		rapid.Check(t, func(t *rapid.T) {
			round++
			clock.Advance(25 * time.Hour) // limits and challenges of the round before are forgotten
			answers, records, used := map[string]authentication.Answer{}, w.records(), map[string]string{}
			for range rapid.IntRange(1, 8).Draw(t, "requests") {
				who := rapid.IntRange(0, len(callers)-1).Draw(t, "who")
				n := 100*round + rapid.IntRange(0, 3).Draw(t, "challenge")
				m := reading(n)
				m.InternalOriginal = fmt.Sprintf("%016X", who)
				switch rapid.SampledFrom([]string{"read", "external", "puk", "pin", "broken"}).Draw(t, "kind") {
				case "external":
					m = authentication.Message{Service: "02", Area: m.Area, ATR: m.ATR, Algorithm: "03", CardID: m.CardID, Key: "004F", ExternalFactor: challenge(n), ExternalOriginal: challenge(n)}
				case "puk":
					m = authentication.Message{Service: "03", Area: m.Area, ATR: m.ATR, Algorithm: "03", CardID: m.CardID, Key: "0090", ExternalFactor: challenge(n), ExternalOriginal: challenge(n)}
				case "pin":
					m = authentication.Message{Service: "03", Area: m.Area, ATR: m.ATR, Algorithm: "03", CardID: m.CardID, Key: "0173", Factor: challenge(n), Command: "8424000004"}
				case "broken":
					m.Area = "54"
				}
				raw := fmt.Sprintf("%+v", m)
				key := fmt.Sprintf("key-%d-%d", round, rapid.IntRange(0, 3).Draw(t, "key"))
				answer, err := w.Authenticate(w.t.Context(), callers[who], key, []byte(raw), m)
				before, repeated := answers[fmt.Sprint(who)+key+raw]
				var refusal *authentication.Error
				var invalid *exchange.Invalid
				switch {
				case err == nil && repeated:
					require.Equal(t, before, answer)
				case err == nil:
					records++
					answers[fmt.Sprint(who)+key+raw] = answer
					for _, k := range []string{answer.External, answer.Command} {
						if k != "" {
							id := m.Key + m.ExternalFactor + m.Factor
							require.Empty(t, used[id], "answered twice")
							used[id] = k
						}
					}
				case errors.As(err, &refusal), errors.As(err, &invalid):
					records++
				default:
					require.ErrorIs(t, err, registry.ErrKeyReused)
				}
				require.EqualValues(t, records, w.records())
			}
		})
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}
