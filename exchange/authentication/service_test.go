package authentication_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/exchange"
	"onecard/exchange/authentication"
	"onecard/keys"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// The authentication values of the vendor's document (TECSUN, V1.0.0.5, test
// card 542600D1560000050002814109FCC0B2, undiversified key of zeroes).
var vendor = []struct{ factor, original, auth, key string }{
	{"ACD2B737EB592356", "CEEC03C01AFD4974", "7BD79AFBF9AAABD7", "IRK"},
	{"0B0375FD364ACE7D", "4259BD052859AB09", "A08F320C7F307107", "IRK"},
	{"A93C621824F093B2", "8E18CF183BED0E13", "0FA0893931E4BEB6", "RKSSSE"},
	{"552AC0A2B28C30D0", "7FF7D50ED7F3991E", "C49B6CD0732CA2B6", "RKSSSE"},
	{"C36E6C9A4EF56625", "6EA56ED80C12C399", "31F5BF0F1B433284", "0094"},
	{"DE5C2EE8201F213C", "4552E58B04E0CEAF", "0D0B53A227399997", "0094"},
}

// TestVendorVectors: the strings of the vendor's document go in, its results
// come out, with the pairs of one reading together as its program sends them.
func TestVendorVectors(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for i := range 2 {
			internal, external := vendor[i], vendor[i+2]
			got := w.must(w.line(w.at(hospital), join("01", vendorArea, vendorATR, "03", vendorCard,
				internal.factor, internal.original, external.factor, external.original, "")))
			require.Equal(t, join(internal.auth+internal.original, external.auth+external.original, ""), got.Line)
			require.Equal(t, "1", got.Status)
		}
		for _, v := range vendor[4:] {
			got := w.must(w.line(w.at(counter, registry.RoleIssuer), join("02", vendorArea, vendorATR, "03", vendorCard, v.key, v.factor, v.original, "")))
			require.Equal(t, v.auth+v.original+"|", got.Line)
		}
	})
}

// TestKeyByName: a key that is named answers as its address does.
func TestKeyByName(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		v := vendor[4]
		got := w.must(w.ask(w.at(counter, registry.RoleIssuer), authentication.Message{Service: "02", Area: vendorArea, ATR: vendorATR,
			Algorithm: "03", CardID: vendorCard, Key: "UKSSSE", ExternalFactor: v.factor, ExternalOriginal: v.original}))
		require.Equal(t, v.auth+v.original, got.External)
	})
}

// TestDES: a card of specification 1.0 or 2.0 leaves the external pair empty.
// The value was computed from the definition: K of zeroes,
// r1 1122334455667788, r2 0102030405060708.
func TestDES(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		got := w.must(w.line(w.at(pharmacy), join("01", vendorArea, vendorATR, "01", vendorCard, "1122334455667788", "0102030405060708", "", "", "")))
		require.Equal(t, "6BB4AF7B7EFE51940102030405060708||", got.Line)
	})
}

// TestDiversified: area and the last eight historical bytes lead to the card's
// key, in the version on record.
func TestDiversified(t *testing.T) {
	t.Parallel()
	keeper := newKeeper(t, zeroes{}, 2, "")
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		w := newWorld(t, db, clock, keeper, nil)
		got := w.must(w.ask(w.at(pharmacy), reading(1)))
		want, err := keeper.Cryptogram(t.Context(), keys.Key{Name: "IRK", Version: 1, Factors: [][]byte{[]byte("542600sx"), unhex(t, "8649542600028141")}},
			unhex(t, challenge(1)), unhex(t, challenge(1)))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%X", want)+challenge(1), got.Internal)
	})
}

// TestReload: the two rounds of a PIN reload and of an unblock, SM4 and DES: the
// header with what the keeper makes under STK.
func TestReload(t *testing.T) {
	t.Parallel()
	keeper := newKeeper(t, zeroes{}, 0, "")
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		w := newWorld(t, db, clock, flat{keeper}, nil)
		who := w.at(counter, registry.RoleClerk)
		first := func(n int, algorithm string) string {
			return join("03", vendorArea, vendorATR, algorithm, vendorCard, "0090", challenge(n), challenge(n), "")
		}
		for i, test := range []struct {
			algorithm, key, command, pin string
		}{{"03", "STK", "8424000114", "123456"}, {"03", "STK", "8424000004", ""}, {"01", "STK_3DES", "842400010C", "123456"}, {"01", "STK_3DES", "8424000004", ""}} {
			w.must(w.line(who, first(i, test.algorithm)))
			got := w.must(w.line(who, join("03", vendorArea, vendorATR, test.algorithm, vendorCard, "0173", challenge(100+i), test.command, test.pin)))
			header, r := unhex(t, test.command), unhex(t, challenge(100+i))
			data, err := keeper.CommandMAC(t.Context(), keys.Key{Name: test.key}, r, header)
			if test.pin != "" {
				data, err = keeper.PINBlock(t.Context(), keys.Key{Name: test.key}, r, header, test.pin)
			}
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("%s%X", test.command, data), got.Command)
			require.Equal(t, got.Command+"|", got.Line)
		}
	})
}

// TestReloadRounds: round two is answered only after round one, once, for the
// same card, terminal and operator, and in time.
func TestReloadRounds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		n := 0
		other := "542600D156000005000281420000ABCD"
		w.record(other, "0096DF21018649542600028142", "1")
		first := func(who authentication.Caller) {
			n++
			w.must(w.line(who, join("03", vendorArea, vendorATR, "03", vendorCard, "0090", challenge(n), challenge(n))))
		}
		round := func(who authentication.Caller, card string) error {
			n++
			m := authentication.Message{Service: "03", Area: vendorArea, ATR: vendorATR, Algorithm: "03", CardID: card, Key: "STK", Factor: challenge(n), Command: "8424000114", PIN: "314159"}
			if card == other {
				m.ATR = "0096DF21018649542600028142"
			}
			_, err := w.ask(who, m)
			return err
		}
		clerk := w.at(counter, registry.RoleClerk)
		require.ErrorIs(t, round(clerk, vendorCard), authentication.ErrNoRound, "without round one")
		first(clerk)
		require.ErrorIs(t, round(clerk, other), authentication.ErrNoRound, "another card")
		require.ErrorIs(t, round(w.at(second, registry.RoleClerk), vendorCard), authentication.ErrNoRound, "another terminal")
		require.ErrorIs(t, round(w.at(counter, registry.RoleSupervisor), vendorCard), authentication.ErrNoRound, "another operator")
		w.clock.Advance(5*time.Minute + time.Second)
		require.ErrorIs(t, round(clerk, vendorCard), authentication.ErrNoRound, "too late")
		first(clerk)
		require.NoError(t, round(clerk, vendorCard))
		require.ErrorIs(t, round(clerk, vendorCard), authentication.ErrNoRound, "once")
	})
}

// debitMessage is the example of a city's service (BINZHOU-API): its keys are
// not known, so only the form is taken from it.
func debitMessage() authentication.Message {
	return authentication.Message{Service: "04", Area: vendorArea, ATR: vendorATR, Algorithm: "01", CardID: vendorCard, Key: "017F",
		TerminalSerial: "00000005", Random: "F962FAD6", CardSerial: "0007", Amounts: "0000000A00000014", TradeType: "32",
		TerminalNumber: "449900810027", Time: "20150624183211"}
}

// TestDebit compares the three codes with the keeper's over the bytes that the
// forms say, put together by hand.
func TestDebit(t *testing.T) {
	t.Parallel()
	keeper := newKeeper(t, zeroes{}, 0, "")
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		w := newWorld(t, db, clock, flat{keeper}, nil)
		got := w.must(w.ask(w.at(pharmacy, registry.RoleCashier), debitMessage()))
		mac := func(message string) string {
			t.Helper()
			code, err := keeper.TransactionMAC(t.Context(), keys.Key{Name: "DPK_3DES"}, unhex(t, "F962FAD600070005"), unhex(t, message))
			require.NoError(t, err)
			return fmt.Sprintf("%X", code)
		}
		mac1 := mac("0000000A00000014" + "32" + "449900810027" + "20150624183211")
		mac2 := mac("0000000A00000014")
		tac := mac("00000000" + "0000000A00000014" + "32" + "449900810027" + "00000005" + "20150624183211")
		require.Equal(t, join("00000005", "20150624183211", mac1, mac2, tac, ""), got.Line)
		require.Len(t, map[string]bool{mac1: true, mac2: true, tac: true}, 3)
	})
}

// TestNoDebitKey: the refusal names the key that the keeper lacks.
func TestNoDebitKey(t *testing.T) {
	t.Parallel()
	keeper := newKeeper(t, zeroes{}, 0, "DPK")
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		w := newWorld(t, db, clock, flat{keeper}, nil)
		_, err := w.ask(w.at(pharmacy, registry.RoleCashier), debitMessage())
		require.ErrorIs(t, err, authentication.ErrNoKey)
		require.ErrorContains(t, err, "DPK_3DES")
	})
}

// TestRights: each line of the table, and what is just beside it.
func TestRights(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		external := func(key string) func(int) authentication.Message {
			return func(n int) authentication.Message {
				m := reading(n)
				return authentication.Message{Service: "02", Area: m.Area, ATR: m.ATR, Algorithm: "03", CardID: m.CardID, Key: key, ExternalFactor: m.ExternalFactor, ExternalOriginal: m.ExternalOriginal}
			}
		}
		pin := func(n int) authentication.Message {
			m := external("PUK")(n)
			m.Service = "03"
			return m
		}
		debit := func(n int) authentication.Message {
			m := debitMessage()
			m.Random = challenge(n)[8:]
			return m
		}
		for i, test := range []struct {
			name, at string
			roles    []string
			make     func(int) authentication.Message
			allowed  bool
		}{
			{"pharmacy reads", pharmacy, nil, reading, true},
			{"pharmacy debits", pharmacy, []string{registry.RoleCashier}, debit, true},
			{"pharmacy debits, nobody signed in", pharmacy, nil, debit, false},
			{"pharmacy with a key for updates", pharmacy, []string{registry.RoleCashier}, external("UKSSSE"), false},
			{"pharmacy with a key for reading", pharmacy, []string{registry.RoleCashier}, external("004F"), false},
			{"pharmacy reloads", pharmacy, []string{registry.RoleCashier}, pin, false},
			{"hospital reads more", hospital, []string{registry.RoleCashier}, external("004F"), true},
			{"hospital with a key for updates", hospital, []string{registry.RoleCashier}, external("0094"), false},
			{"counter updates", counter, []string{registry.RoleIssuer}, external("0094"), true},
			{"counter with PUK outside a reload", counter, []string{registry.RoleClerk}, external("PUK"), false},
			{"counter reloads", counter, []string{registry.RoleClerk}, pin, true},
			{"counter reloads as cashier", counter, []string{registry.RoleCashier}, pin, false},
			{"counter debits", counter, []string{registry.RoleClerk}, debit, false},
		} {
			_, err := w.ask(w.at(test.at, test.roles...), test.make(i))
			if test.allowed {
				require.NoError(t, err, test.name)
			} else {
				require.ErrorIs(t, err, authentication.ErrNoRight, test.name)
			}
		}
	})
}

// TestCardStatus: a lost or cancelled card is read, and says so; nothing else.
func TestCardStatus(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for i, status := range []string{"2", "9", ""} {
			delete(w.cards, vendorCard)
			if status != "" {
				w.record(vendorCard, vendorATR, status)
			}
			got := w.must(w.ask(w.at(hospital), reading(i)))
			require.Equal(t, status, got.Status)
			m := authentication.Message{Service: "02", Area: vendorArea, ATR: vendorATR, Algorithm: "03", CardID: vendorCard, Key: "RKSSSE", ExternalFactor: challenge(50 + i), ExternalOriginal: challenge(0)}
			_, err := w.ask(w.at(hospital, registry.RoleCashier), m)
			require.ErrorIs(t, err, authentication.ErrCardStatus)
			m.Service, m.Key = "03", "PUK"
			_, err = w.ask(w.at(counter, registry.RoleClerk), m)
			require.ErrorIs(t, err, authentication.ErrCardStatus)
			_, err = w.ask(w.at(pharmacy, registry.RoleCashier), debitMessage())
			require.ErrorIs(t, err, authentication.ErrCardStatus)
			if status != "" {
				require.ErrorContains(t, err, w.cards[vendorCard].StatusText.EN)
			}
		}
		w.record(vendorCard, "0096DF21018649542600028199", "1")
		_, err := w.ask(w.at(hospital), reading(9))
		require.ErrorIs(t, err, authentication.ErrOtherATR)
	})
}

// TestReplay: a challenge is answered once; the same request under the same
// idempotency key gets the same answer and is not done again.
func TestReplay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		m := reading(1)
		first, err := w.Authenticate(t.Context(), w.at(hospital), "same-key", []byte("request"), m)
		require.NoError(t, err)
		again, err := w.Authenticate(t.Context(), w.at(hospital), "same-key", []byte("request"), m)
		require.NoError(t, err)
		require.Equal(t, first, again)
		require.Len(t, w.entries(), 1)
		_, err = w.Authenticate(t.Context(), w.at(hospital), "same-key", []byte("another"), reading(2))
		require.ErrorIs(t, err, registry.ErrKeyReused)

		for name, change := range map[string]func(*authentication.Message){
			"the same":              func(*authentication.Message) {},
			"another original":      func(m *authentication.Message) { m.ExternalOriginal = challenge(7) },
			"the external one only": func(m *authentication.Message) { m.InternalFactor = challenge(8) },
		} {
			m := reading(1)
			change(&m)
			_, err = w.ask(w.at(pharmacy), m)
			require.ErrorIs(t, err, authentication.ErrChallengeUsed, name)
		}
		w.clock.Advance(25 * time.Hour)
		w.must(w.ask(w.at(pharmacy), reading(1)))
	})
}

// TestAudit: each request that was answered, or refused, has exactly one
// record, which holds no cryptogram, no challenge and no number of the holder.
func TestAudit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		clerk := w.at(counter, registry.RoleClerk)
		reload := join("03", vendorArea, vendorATR, "03", vendorCard, "0173", challenge(4), "8424000114", "314159")
		broken := reading(3)
		broken.ATR = "12"
		var secrets []string
		for i, send := range []func() (authentication.Answer, error){
			func() (authentication.Answer, error) { return w.ask(clerk, reading(1)) },
			func() (authentication.Answer, error) { return w.ask(clerk, reading(1)) },
			func() (authentication.Answer, error) { return w.ask(clerk, broken) },
			func() (authentication.Answer, error) { return w.line(clerk, reload) },
			func() (authentication.Answer, error) {
				return w.line(clerk, join("03", vendorArea, vendorATR, "03", vendorCard, "0090", challenge(3), challenge(3)))
			},
			func() (authentication.Answer, error) { return w.line(clerk, reload) },
			func() (authentication.Answer, error) {
				return w.ask(w.at(pharmacy), authentication.Message{Service: "09"})
			},
		} {
			answer, _ := send()
			require.Len(t, w.entries(), i+1)
			for _, part := range strings.Split(answer.Line, "|") {
				if part != "" {
					secrets = append(secrets, part)
				}
			}
		}
		var outcomes []string
		for _, e := range w.entries() {
			var detail map[string]string
			require.NoError(t, json.Unmarshal([]byte(e.Detail), &detail))
			outcomes = append(outcomes, detail["outcome"])
			require.NotEmpty(t, e.Workstation)
			for _, secret := range append(secrets, "314159", challenge(1), challenge(3), challenge(4), vendorCard) {
				require.NotContains(t, e.Detail+e.Subject, secret)
			}
		}
		require.Equal(t, []string{"answered", "challenge-used", "invalid", "no-first-round", "answered", "answered", "invalid"}, outcomes)
		require.NoError(t, w.db.VerifyAudit(t.Context()))
		require.Equal(t, "terminal:"+pharmacy, w.entries()[6].Operator)
		for _, table := range []string{"authentication_counts", "authentication_challenges", "authentication_reloads"} {
			var rows []map[string]any
			require.NoError(t, w.db.Read(t.Context()).Table(table).Find(&rows).Error)
			require.NotContains(t, fmt.Sprint(rows), "314159")
		}
	})
}

// limits is a policy with one limit.
func limits(t *testing.T, limit string) authentication.Policies {
	t.Helper()
	policies, err := authentication.ParsePolicies([]byte(`
- place: "630000"
  from: 2020-01-01
  replayHours: 24
  reloadMinutes: 5
  statuses: {"01": ["-", "1"]}
  rights: [{kinds: [counter, hospital, pharmacy], services: ["01"], keys: ["*"]}]
  limits: [` + limit + `]
`))
	require.NoError(t, err)
	return policies
}

// TestLimits: what is counted, by card or by terminal, until when; a restarted
// service counts on.
func TestLimits(t *testing.T) {
	t.Parallel()
	keeper := newKeeper(t, zeroes{}, 0, "")
	for of, elsewhere := range map[string]bool{"card": false, "terminal": true} {
		policies := limits(t, `{name: one, of: `+of+`, services: ["01"], count: 2, minutes: 10}`)
		registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
			w := newWorld(t, db, clock, flat{keeper}, policies)
			w.must(w.ask(w.at(pharmacy), reading(1)))
			clock.Advance(4 * time.Minute)
			w.Service = w.service(flat{keeper}, policies)
			w.must(w.ask(w.at(pharmacy), reading(2)))
			_, err := w.ask(w.at(pharmacy), reading(3))
			var refusal *authentication.Error
			require.ErrorIs(t, err, authentication.ErrLimit)
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, 6*time.Minute, refusal.RetryAfter())
			_, err = w.ask(w.at(hospital), reading(4))
			require.Equal(t, elsewhere, err == nil, "%v", err)
			clock.Advance(6 * time.Minute)
			w.must(w.ask(w.at(pharmacy), reading(5)))
		})
	}
}

// TestLimitRace: two terminals and many requests at once get exactly as many
// answers as the limit allows.
func TestLimitRace(t *testing.T) {
	t.Parallel()
	const allowed, asked = 5, 16
	keeper := newKeeper(t, zeroes{}, 0, "")
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		w := newWorld(t, db, clock, flat{keeper}, limits(t, fmt.Sprintf(`{name: one, of: card, services: ["01"], count: %d, minutes: 10}`, allowed)))
		terminals := []authentication.Caller{w.at(pharmacy), w.at(hospital)}
		results := make([]error, asked)
		var group sync.WaitGroup
		for i := range results {
			group.Go(func() { _, results[i] = w.ask(terminals[i%2], reading(i)) })
		}
		group.Wait()
		answered := 0
		for _, err := range results {
			if err == nil {
				answered++
			} else {
				require.ErrorIs(t, err, authentication.ErrLimit)
			}
		}
		require.Equal(t, allowed, answered)
		require.Len(t, w.entries(), asked)
	})
}

// TestReplayRace: of one challenge sent by two terminals at once one is answered.
func TestReplayRace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		terminals := []authentication.Caller{w.at(pharmacy), w.at(hospital)}
		results := make([]error, 8)
		var group sync.WaitGroup
		for i := range results {
			group.Go(func() { _, results[i] = w.ask(terminals[i%2], reading(1)) })
		}
		group.Wait()
		answered := 0
		for _, err := range results {
			if err == nil {
				answered++
			} else {
				require.ErrorIs(t, err, authentication.ErrChallengeUsed)
			}
		}
		require.Equal(t, 1, answered)
	})
}

// TestInvalid: what is wrong is named by its field, and never repeated.
func TestInvalid(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		good := reading(1)
		for name, test := range map[string]struct {
			change func(m *authentication.Message)
			field  string
		}{
			"service":           {func(m *authentication.Message) { m.Service = "05" }, "service"},
			"no area":           {func(m *authentication.Message) { m.Area = "" }, "area"},
			"area of another":   {func(m *authentication.Message) { m.Area = "542601" }, "area"},
			"whole ATR":         {func(m *authentication.Message) { m.ATR = "3B6D0000" + m.ATR }, "atr"},
			"algorithm":         {func(m *authentication.Message) { m.Algorithm = "04" }, "algorithm"},
			"card":              {func(m *authentication.Message) { m.CardID = "X" }, "cardId"},
			"factor":            {func(m *authentication.Message) { m.InternalFactor = "00" }, "internalFactor"},
			"half a pair":       {func(m *authentication.Message) { m.ExternalOriginal = "" }, "externalOriginal"},
			"of another":        {func(m *authentication.Message) { m.PIN = "314159" }, "pin"},
			"unknown key":       {func(m *authentication.Message) { m.Service, m.Key = "02", "FFFF" }, "key"},
			"key of another":    {func(m *authentication.Message) { m.Service, m.Key = "03", "0094" }, "key"},
			"PIN for an unlock": {func(m *authentication.Message) { *m = secure(); m.Command = "8424000004" }, "pin"},
			"no PIN":            {func(m *authentication.Message) { *m = secure(); m.PIN = "" }, "pin"},
			"odd PIN":           {func(m *authentication.Message) { *m = secure(); m.PIN = "12345" }, "pin"},
			"other command":     {func(m *authentication.Message) { *m = secure(); m.Command = "841E000004" }, "command"},
		} {
			m := good
			test.change(&m)
			_, err := w.ask(w.at(counter, registry.RoleClerk), m)
			var wrong *exchange.Invalid
			require.ErrorAs(t, err, &wrong, name)
			require.Equal(t, test.field, wrong.Fields[0].Field, name)
			require.NotContains(t, err.Error(), "314159", name)
		}
		m := reading(2)
		m.Algorithm = "02"
		_, err := w.ask(w.at(hospital), m)
		require.ErrorIs(t, err, authentication.ErrSSF33)
		m = authentication.Message{Service: "02", Area: vendorArea, ATR: vendorATR, Algorithm: "03", CardID: vendorCard, Key: "UK6DF01", ExternalFactor: challenge(1), ExternalOriginal: challenge(1)}
		_, err = w.ask(w.at(counter, registry.RoleClerk), m)
		require.ErrorIs(t, err, authentication.ErrNoAddress)
		require.ErrorContains(t, err, "UK6DF01")
	})
}

// secure is round two of a reload.
func secure() authentication.Message {
	return authentication.Message{Service: "03", Area: vendorArea, ATR: vendorATR, Algorithm: "03", CardID: vendorCard, Key: "0173", Factor: challenge(1), Command: "8424000114", PIN: "314159"}
}
