package ministry_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"onecard/api/pki"
	"onecard/internal/gb"
	"onecard/internal/signed"
	sim "onecard/internal/sim/ministry"
	"onecard/issuance/ministry"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// identity is the province's certificates, made once for all tests.
var identity struct {
	authority *pki.Authority
	pair      tls.Certificate
	roots     *x509.CertPool
}

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "6"); err != nil {
		panic(err)
	}
	os.Exit(withIdentity(m.Run))
}

func withIdentity(run func() int) int {
	dir, err := os.MkdirTemp("", "ministry")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	identity.authority, err = pki.Open(dir+"/pki", nil, time.Now)
	if err != nil {
		panic(err)
	}
	enrolment, err := identity.authority.Enrol("ministry")
	if err != nil {
		panic(err)
	}
	if identity.pair, err = tls.X509KeyPair(enrolment.Certificate, enrolment.Key); err != nil {
		panic(err)
	}
	identity.roots = x509.NewCertPool()
	identity.roots.AppendCertsFromPEM(identity.authority.CA())
	return run()
}

// world is the province on one database and a ministry over loopback TLS.
type world struct {
	*ministry.Service
	t      *testing.T
	db     *registry.DB
	clock  *registrytest.Clock
	sim    *sim.Server
	server *httptest.Server
}

func newWorld(t *testing.T, db *registry.DB, clock *registrytest.Clock) *world {
	schema, err := ministry.BuiltIn()
	require.NoError(t, err)
	store, err := sim.OpenStore("")
	require.NoError(t, err)
	w := &world{t: t, db: db, clock: clock, sim: sim.NewServer(store, identity.roots, sim.Faults{})}
	config, certificate, err := sim.TLS(identity.roots, time.Now())
	require.NoError(t, err)
	w.server = httptest.NewUnstartedServer(w.sim)
	w.server.TLS = config
	w.server.StartTLS()
	t.Cleanup(w.server.Close)
	theirs := x509.NewCertPool()
	theirs.AppendCertsFromPEM(certificate)
	client := &http.Client{Timeout: 400 * time.Millisecond, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: theirs, Certificates: []tls.Certificate{identity.pair},
	}}}
	t.Cleanup(client.CloseIdleConnections)
	w.Service = &ministry.Service{DB: db, Place: "630000", Line: &ministry.Line{Schema: schema, URL: w.server.URL, Client: client, Now: time.Now, Sign: sign}}
	return w
}

func sign(payload any) (string, error) {
	with, err := identity.authority.Orders()
	if err != nil {
		return "", err
	}
	return signed.Sign(payload, with)
}

func each(t *testing.T, test func(w *world)) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) { test(newWorld(t, db, clock)) })
}

func (w *world) change(change func(tx *registry.Tx) error) {
	w.t.Helper()
	require.NoError(w.t, w.db.InTx(w.t.Context(), registry.Actor{Operator: "op-1", Workstation: "ws-1", Place: "630102"}, func(tx *registry.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		return tx.Audit("test.noted", "test", nil)
	}))
}

func (w *world) person(n int) registry.Person {
	w.t.Helper()
	number, err := gb.NewIDNumber("632723", gb.DateOf(time.Date(1980, 1, 1+n%28, 0, 0, 0, 0, time.UTC)), n)
	require.NoError(w.t, err)
	var person registry.Person
	w.change(func(tx *registry.Tx) (err error) {
		person, err = tx.AddPerson(registry.NewPerson{IDNumber: number.String(), Name: "扎西·多杰", Ethnic: "04", Place: "632723"})
		return err
	})
	return person
}

// card makes the n-th card of record.
func (w *world) card(n int) uuid.UUID {
	w.t.Helper()
	person, id := w.person(n), uuid.New()
	w.change(func(tx *registry.Tx) error {
		return tx.DB().Table("cards").Create(map[string]any{
			"id": id, "number": number(n), "chip_id": fmt.Sprintf("%032d", n), "chip_serial": fmt.Sprintf("%08d", n), "atr": fmt.Sprint(n), "person_id": person.ID,
			"spec_version": "3.00", "key_version": 1, "status": "0", "issued_on": "2026-03-02", "expires_on": "2036-03-02", "created_at": tx.Now(), "changed_at": tx.Now(),
		}).Error
	})
	return id
}

func number(n int) string { return fmt.Sprintf("1%08d", n) }

// becomes changes a card's status, as the workflow does.
func (w *world) becomes(card uuid.UUID, status string) {
	w.t.Helper()
	w.change(func(tx *registry.Tx) error {
		var from string
		if err := tx.DB().Table("cards").Where("id = ?", card).Select("status").Take(&from).Error; err != nil || from == status {
			return err
		}
		id, err := tx.NewID()
		if err != nil {
			return err
		}
		err = tx.DB().Table("card_status_log").Create(map[string]any{
			"id": id, "card_id": card, "event": "test", "from_status": from, "to_status": status, "reason": "", "operator": "op-1", "workstation": "ws-1", "at": tx.Now(),
		}).Error
		if err != nil {
			return err
		}
		return tx.DB().Table("cards").Where("id = ?", card).Updates(tx.Change(map[string]any{"status": status}, "")).Error
	})
}

func (w *world) state(card uuid.UUID) (state string) {
	w.t.Helper()
	require.NoError(w.t, w.db.Read(w.t.Context()).Table("cards").Where("id = ?", card).Select("ministry_state").Take(&state).Error)
	return state
}

// theirs is the ministry's copy of the n-th card.
func (w *world) theirs(n int) sim.Card {
	w.t.Helper()
	cards := w.sim.Store.Cards(number(n-1), number(n))
	require.Len(w.t, cards, 1)
	return cards[0]
}

// settle tells until nothing is due.
func (w *world) settle() {
	w.t.Helper()
	for range 60 {
		_, err := w.Resend(w.t.Context())
		require.NoError(w.t, err)
		w.clock.Advance(3 * time.Minute)
		due, err := w.Due(w.t.Context(), uuid.Nil, 10)
		require.NoError(w.t, err)
		if len(due) == 0 {
			return
		}
	}
	w.t.Fatal("the ministry was never told")
}

func delivery(subject string) ministry.Delivery {
	return ministry.Delivery{ID: uuid.New(), Peer: "ministry", Topic: "card.status", Place: "632723", Subject: subject}
}

// TestTell: a card is registered when it is made, its status goes after it, and
// the same told again is the same.
func TestTell(t *testing.T) {
	each(t, func(w *world) {
		card := w.card(1)
		require.Equal(w.t, ministry.Unsent, w.state(card))
		for range 3 {
			answer, err := w.Deliver(w.t.Context(), delivery("card:"+card.String()))
			require.NoError(w.t, err)
			require.Equal(w.t, ministry.Answer{Code: "00", Text: "成功", Acknowledged: true}, answer)
		}
		require.Equal(w.t, ministry.Accepted, w.state(card))
		first := w.theirs(1)
		require.EqualValues(w.t, 1, first.Version)
		require.Equal(w.t, "20260302", first.Items["AAZ503"])
		require.Equal(w.t, "扎西·多杰", first.Items["AAC003"])
		require.Equal(w.t, "01", first.Items["AAC058"], "by the ministry's table")

		w.becomes(card, "1")
		w.becomes(card, "4")
		_, err := w.Tell(w.t.Context(), card)
		require.NoError(w.t, err)
		require.Equal(w.t, "4", w.theirs(1).Status)
		require.EqualValues(w.t, 2, w.theirs(1).Version)
		require.NotContains(w.t, w.theirs(1).Items, "AAZ503", "the status alone")

		var holders []uuid.UUID
		require.NoError(w.t, w.db.Read(w.t.Context()).Table("cards").Where("id = ?", card).Pluck("person_id", &holders).Error)
		holder := holders[0]
		w.change(func(tx *registry.Tx) error {
			_, err := tx.CorrectPerson(holder, 0, "更名", func(told *registry.NewPerson) { told.Name = "扎西·罗布" })
			return err
		})
		answer, err := w.Deliver(w.t.Context(), delivery("person:"+holder.String()))
		require.NoError(w.t, err)
		require.True(w.t, answer.Acknowledged)
		require.Equal(w.t, "扎西·罗布", w.theirs(1).Items["AAC003"])
		require.Len(w.t, w.sim.Store.History(number(1)), 3)

		answer, err = w.Deliver(w.t.Context(), delivery("batch:1"))
		require.NoError(w.t, err)
		require.False(w.t, answer.Acknowledged)
		_, err = w.Deliver(w.t.Context(), delivery("card:"+uuid.NewString()))
		require.ErrorIs(w.t, err, registry.ErrNotFound)
	})
}

// TestFaults: whatever goes wrong on the way, in the end the ministry has every
// card as we have it, and no message had two effects.
func TestFaults(t *testing.T) {
	each(t, func(w *world) {
		n := 0
		for _, test := range []struct {
			name   string
			faults sim.Faults
		}{
			{"slow", sim.Faults{Slow: 5 * time.Millisecond}}, {"down", sim.Faults{Down: 0.5}}, {"hang", sim.Faults{Hang: 0.2}}, {"garbage", sim.Faults{Garbage: 0.5}},
			{"late", sim.Faults{Late: 0.5}}, {"unknown", sim.Faults{Unknown: 0.5}}, {"another", sim.Faults{Another: 0.5}},
			{"all", sim.Faults{Down: 0.1, Garbage: 0.1, Late: 0.2, Unknown: 0.1, Another: 0.1}},
		} {
			test.faults.Seed = 7
			w.sim.SetFaults(test.faults)
			statuses := []string{"1", "2", "4", "9"}
			first, ids := n+1, make([]uuid.UUID, len(statuses))
			for i := range ids {
				n++
				ids[i] = w.card(n)
			}
			w.settle()
			for i, id := range ids {
				w.becomes(id, statuses[i])
			}
			w.settle()
			for i, id := range ids {
				require.Equal(w.t, ministry.Accepted, w.state(id), test.name)
				require.Equal(w.t, statuses[i], w.theirs(first+i).Status, test.name)
				require.Len(w.t, w.sim.Store.History(number(first+i)), 2, "%s: each change once", test.name)
			}
			require.Empty(w.t, w.sim.Store.Doubled(), test.name)
		}
	})
}

// TestGone: with nobody there nothing is lost, and the ministry is left alone
// after a few.
func TestGone(t *testing.T) {
	each(t, func(w *world) {
		card := w.card(1)
		w.server.Close()
		answer, err := w.Tell(w.t.Context(), card)
		require.ErrorIs(w.t, err, ministry.ErrNoAnswer)
		require.False(w.t, answer.Acknowledged)
		require.Equal(w.t, ministry.Unknown, w.state(card))
		due, err := w.Due(w.t.Context(), uuid.Nil, 10)
		require.NoError(w.t, err)
		require.Equal(w.t, []uuid.UUID{card}, due)
	})
}

// TestVersionOrder: while cards change, several tell at once and answers are lost,
// an older state never takes the place of a newer one at the ministry.
func TestVersionOrder(t *testing.T) {
	each(t, func(w *world) {
		n := 0
		rapid.Check(w.t, func(r *rapid.T) {
			n++
			w.sim.SetFaults(sim.Faults{Seed: rapid.Uint64().Draw(r, "seed"), Late: 0.3, Down: 0.2, Slow: time.Millisecond})
			card := w.card(n)
			status := ""
			for _, status = range rapid.SliceOfN(rapid.SampledFrom([]string{"0", "1", "2", "4"}), 1, 5).Draw(r, "statuses") {
				w.becomes(card, status)
				var group errgroup.Group
				for range rapid.IntRange(1, 3).Draw(r, "tellers") {
					group.Go(func() error {
						_, _ = w.Tell(context.WithoutCancel(w.t.Context()), card) // lost ones are told again
						return nil
					})
				}
				require.NoError(r, group.Wait())
			}
			w.sim.SetFaults(sim.Faults{})
			w.settle()
			before := int64(0)
			for _, state := range w.sim.Store.History(number(n)) {
				require.Greater(r, state.Version, before)
				before = state.Version
			}
			require.Equal(r, status, w.theirs(n).Status)
			require.Equal(r, ministry.Accepted, w.state(card))
			require.Empty(r, w.sim.Store.Doubled())
		})
	})
}

// TestRefusals: a card that the ministry does not take waits for a person, and is
// not sent again by itself.
func TestRefusals(t *testing.T) {
	each(t, func(w *world) {
		w.sim.SetFaults(sim.Faults{DuplicateEvery: 1})
		card := w.card(1)
		answer, err := w.Tell(w.t.Context(), card)
		require.NoError(w.t, err)
		require.Equal(w.t, ministry.Answer{Code: "02", Text: "他省已有卡（540000）"}, answer)
		require.Equal(w.t, ministry.Duplicate, w.state(card))

		w.sim.SetFaults(sim.Faults{})
		other := w.card(2)
		schema := *w.Line.Schema
		schema.Tables = map[string]map[string]string{"statuses": schema.Tables["statuses"], "documents": {}}
		line := *w.Line
		line.Schema = &schema
		answer, err = (&ministry.Service{DB: w.db, Place: "630000", Line: &line}).Tell(w.t.Context(), other)
		require.NoError(w.t, err)
		require.Equal(w.t, "local", answer.Code)
		require.Contains(w.t, answer.Text, "idType")
		require.Equal(w.t, ministry.Rejected, w.state(other))

		due, err := w.Due(w.t.Context(), uuid.Nil, 10)
		require.NoError(w.t, err)
		require.Empty(w.t, due)
		troubles, err := w.Troubles(w.t.Context(), "", 10)
		require.NoError(w.t, err)
		require.Len(w.t, troubles, 2)
		require.Equal(w.t, ministry.Duplicate, troubles[0].State)
		counts, err := w.State(w.t.Context())
		require.NoError(w.t, err)
		require.Equal(w.t, map[string]int64{"duplicate": 1, "rejected": 1}, counts)

		_, err = w.Tell(w.t.Context(), other) // a person has put the reason right
		require.NoError(w.t, err)
		require.Equal(w.t, ministry.Accepted, w.state(other))
	})
}

// TestOutdated: when the ministry has a later version than we (ours came back from
// a copy of the database), we go on after it.
func TestOutdated(t *testing.T) {
	each(t, func(w *world) {
		card := w.card(1)
		w.sim.Store.Put(sim.Card{Number: number(1), Status: "1", Version: 9})
		_, err := w.Tell(w.t.Context(), card)
		require.ErrorIs(w.t, err, ministry.ErrNoAnswer)
		require.Equal(w.t, ministry.Stale, w.state(card))
		w.settle()
		require.EqualValues(w.t, 10, w.theirs(1).Version)
		require.Equal(w.t, "0", w.theirs(1).Status)
	})
}

// TestCompare: what the ministry lacks or has otherwise is found and sent again.
func TestCompare(t *testing.T) {
	each(t, func(w *world) {
		for n := range 4 {
			w.card(n + 1)
		}
		w.settle()
		found, err := w.Compare(w.t.Context())
		require.NoError(w.t, err)
		require.Equal(w.t, ministry.Differences{Compared: 4}, found)

		w.sim.Store.Put(sim.Card{Number: number(2)}) // lost there
		old := w.theirs(3)
		old.Status = "9"
		w.sim.Store.Put(old)
		w.sim.Store.Put(sim.Card{Number: number(9), Status: "1", Version: 1})
		found, err = w.Compare(w.t.Context())
		require.NoError(w.t, err)
		require.Equal(w.t, ministry.Differences{Compared: 4, Missing: 1, Older: 1, Foreign: []string{number(9)}}, found)
		counts, err := w.State(w.t.Context())
		require.NoError(w.t, err)
		require.EqualValues(w.t, 2, counts[ministry.Stale])
		w.settle()
		require.Equal(w.t, "0", w.theirs(3).Status)
		found, err = w.Compare(w.t.Context())
		require.NoError(w.t, err)
		require.Equal(w.t, 0, found.Missing+found.Older)
		done, err := w.Done(w.t.Context(), "compare", "2026-03-02")
		require.NoError(w.t, err)
		require.True(w.t, done)
	})
}

// TestQuery: the three answers to the question for other cards.
func TestQuery(t *testing.T) {
	each(t, func(w *world) {
		person := w.person(1)
		recorded := func() string {
			again, err := w.db.PersonByID(w.t.Context(), person.ID)
			require.NoError(w.t, err)
			return again.Ministry
		}
		w.sim.SetFaults(sim.Faults{Unknown: 1})
		found, err := w.Query(w.t.Context(), person.ID)
		require.NoError(w.t, err)
		require.Equal(w.t, ministry.Found{State: ministry.Unknown}, found)
		w.sim.SetFaults(sim.Faults{Down: 1})
		found, err = w.Query(w.t.Context(), person.ID)
		require.ErrorIs(w.t, err, ministry.ErrNoAnswer)
		require.Equal(w.t, ministry.Unknown, found.State)
		require.Equal(w.t, ministry.Unknown, recorded())
		w.sim.SetFaults(sim.Faults{DuplicateEvery: 1})
		found, err = w.Query(w.t.Context(), person.ID)
		require.NoError(w.t, err)
		require.Equal(w.t, ministry.Found{State: ministry.Duplicate, Province: "540000"}, found)
		require.Equal(w.t, ministry.Duplicate, recorded())

		w.person(2)
		w.sim.SetFaults(sim.Faults{})
		answered, err := w.QueryWaiting(w.t.Context(), 10)
		require.NoError(w.t, err)
		require.Equal(w.t, 1, answered, "who was answered for is not asked about again")
	})
}

func TestStatistics(t *testing.T) {
	each(t, func(w *world) {
		facts := []ministry.Fact{{"630102", "1", "3.00", 120}, {"630102", "*", "*", 7}}
		for range 2 {
			require.NoError(w.t, w.Statistics(w.t.Context(), "2026-02", facts))
		}
		rows := w.sim.Store.Statistics("2026-02")
		require.Len(w.t, rows, 2)
		require.Equal(w.t, "120", rows[0]["NUM"])
		require.Empty(w.t, w.sim.Store.Doubled())
		done, err := w.Done(w.t.Context(), "statistics", "2026-02")
		require.NoError(w.t, err)
		require.True(w.t, done)
		require.ErrorIs(w.t, w.Statistics(w.t.Context(), "2026-2", facts), registry.ErrInvalid)
		require.ErrorIs(w.t, w.Statistics(w.t.Context(), "2026-01", nil), registry.ErrInvalid)
	})
}

// TestStranger: the ministry takes nothing from whom it does not know, nor what
// the province did not sign.
func TestStranger(t *testing.T) {
	each(t, func(w *world) {
		card := w.card(1)
		right := w.Line.Sign
		w.Line.Sign = func(payload any) (string, error) {
			token, err := right(payload)
			return strings.Replace(token, ".", ".A", 1), err
		}
		_, err := w.Tell(w.t.Context(), card)
		require.ErrorIs(w.t, err, ministry.ErrNoAnswer)
		require.Empty(w.t, w.sim.Store.Cards("", ""))
		w.Line.Sign = right
		w.Line.Client.Transport.(*http.Transport).TLSClientConfig.Certificates = nil
		w.Line.Client.CloseIdleConnections()
		_, err = w.Tell(w.t.Context(), card)
		require.ErrorIs(w.t, err, ministry.ErrNoAnswer)
		require.Empty(w.t, w.sim.Store.Cards("", ""))
	})
}

// TestStoreFile: the simulator knows after a restart what it knew.
func TestStoreFile(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/ministry.jsonl"
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		if strings.HasSuffix(t.Name(), "postgres") {
			return // the file is the simulator's own
		}
		w := newWorld(t, db, clock)
		store, err := sim.OpenStore(path)
		require.NoError(t, err)
		w.sim.Store = store
		w.card(1)
		w.settle()
		require.NoError(t, store.Close())
		again, err := sim.OpenStore(path)
		require.NoError(t, err)
		require.Len(t, again.Cards("", ""), 1)
		require.NoError(t, again.Close())
	})
}

// TestMachine: every state can be stored and left, every event of the schema is a
// line.
func TestMachine(t *testing.T) {
	t.Parallel()
	for _, state := range ministry.Copies.States {
		_, ok := ministry.Copies.Rule(state.Name, "send")
		require.True(t, ok, state.Name)
	}
	seen := map[[2]string]bool{}
	for _, rule := range ministry.Copies.Rules {
		require.NotEmpty(t, ministry.Copies.State(rule.From).Name)
		require.NotEmpty(t, ministry.Copies.State(rule.To).Name)
		require.False(t, seen[[2]string{rule.From, rule.Event}])
		seen[[2]string{rule.From, rule.Event}] = true
	}
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("schema.yaml")
	require.NoError(t, err)
	for _, test := range []struct{ what, old, new string }{
		{"an unknown key", "assumed:", "asumed:"},
		{"a message that lacks", "  query: #", "  qery: #"},
		{"a code twice", "code: AAZ501", "code: AAZ500"},
		{"no length", "length: 32", "length: 0"},
		{"a table that is none", "table: statuses", "table: statusses"},
		{"an event that is none", `"10": refuse`, `"10": refuze`},
	} {
		changed := strings.Replace(string(text), test.old, test.new, 1)
		require.NotEqual(t, string(text), changed, test.what)
		_, err := ministry.ParseSchema([]byte(changed))
		require.ErrorIs(t, err, ministry.ErrSchema, test.what)
	}
}

func FuzzSchema(f *testing.F) {
	text, err := os.ReadFile("schema.yaml")
	require.NoError(f, err)
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		if schema, err := ministry.ParseSchema(text); err == nil {
			require.NotEmpty(t, schema.Messages)
		}
	})
}

// answers is a line whose ministry answers what it is told to.
type answers struct {
	mu   sync.Mutex
	body []byte
}

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	recorder := httptest.NewRecorder()
	_, _ = recorder.Write(a.body)
	return recorder.Result(), nil
}

func FuzzReply(f *testing.F) {
	schema, err := ministry.BuiltIn()
	require.NoError(f, err)
	for _, seed := range []string{`{"id":"00000000-0000-0000-0000-000000000000","code":"00"}`, `{"cards":[{"version":-1}]}`, "\x00", `[]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		line := ministry.Line{Schema: schema, URL: "https://m", Client: &http.Client{Transport: &answers{body: body}}, Now: time.Now, Sign: func(any) (string, error) { return "", nil }}
		require.ErrorIs(t, line.Ping(t.Context()), ministry.ErrNoAnswer, "no answer that was made up is one")
	})
}
