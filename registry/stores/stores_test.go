package stores_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/api/pki"
	"onecard/internal/gb"
	"onecard/internal/pgtest"
	"onecard/internal/signed"
	"onecard/registry"
	"onecard/registry/indicator"
	"onecard/registry/registrytest"
	"onecard/registry/stores"
)

var clerk = registry.Actor{Operator: "op-1", Workstation: "ws-1", Place: "630102"}

// side is a peer with its key.
type side struct {
	stores.Peer
	pair tls.Certificate
}

// world is production, the exchange store and two peers.
type world struct {
	production   *registry.DB
	exchange     *stores.Exchange
	flow         *stores.Flow
	police, bank side
	authority    *pki.Authority
}

func newWorld(t *testing.T, dsn string) *world {
	clock := registrytest.NewClock()
	w := &world{production: registrytest.Open(t, registrytest.Config(dsn, clock))}
	other := "sqlite:" + filepath.Join(t.TempDir(), "exchange.db")
	if strings.HasPrefix(dsn, "postgres") {
		other = pgtest.DSN(t)
	}
	tables, err := indicator.All()
	require.NoError(t, err)
	w.exchange, err = stores.OpenExchange(t.Context(), other, clock.Now)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.exchange.Close()) })
	w.authority, err = pki.Open(filepath.Join(t.TempDir(), "pki"), nil, clock.Now)
	require.NoError(t, err)
	w.flow = &stores.Flow{
		Production: w.production, Exchange: w.exchange, Province: "630000", Certificate: w.authority.Exchange, Logger: slog.New(slog.DiscardHandler),
		Tables: tables,
		Bodies: map[string]stores.Compose{
			registry.TopicPoliceCheck: func(ctx context.Context, _ string, table *indicator.Table, m registry.Outgoing) ([]byte, error) {
				_, id, _ := strings.Cut(m.Subject, ":")
				person, err := w.production.PersonByID(ctx, uuid.MustParse(id))
				if err != nil {
					return nil, err
				}
				return table.Encode(m.Topic, indicator.OfPerson(person))
			},
		},
	}
	w.police = w.peer(t, stores.Peer{Name: "police", Topics: []string{registry.TopicPoliceCheck}, Sends: []string{registry.TopicPoliceResult}})
	w.bank = w.peer(t, stores.Peer{Name: "bank", Topics: []string{registry.TopicCardStatus}, Places: []string{"630100"}})
	return w
}

func (w *world) peer(t *testing.T, p stores.Peer) side {
	enrolment, err := w.authority.Enrol("peer." + p.Name)
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(enrolment.Certificate, enrolment.Key)
	require.NoError(t, err)
	block, _ := pem.Decode(enrolment.Certificate)
	p.Certificate, err = x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	require.NoError(t, w.exchange.PutPeer(t.Context(), p))
	return side{p, pair}
}

func (w *world) person(t *testing.T, name string, sequence int) registry.Person {
	id, err := gb.NewIDNumber("630102", gb.DateOf(time.Date(1990, 1, 1+sequence, 0, 0, 0, 0, time.UTC)), 1+2*sequence)
	require.NoError(t, err)
	var person registry.Person
	require.NoError(t, w.production.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
		var err error
		person, err = tx.AddPerson(registry.NewPerson{IDNumber: id.String(), Name: name, Ethnic: "04", Place: "630102"})
		return err
	}))
	return person
}

func (w *world) tell(t *testing.T, place string) {
	require.NoError(t, w.production.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
		if err := tx.Tell(registry.TopicCardStatus, place, "card:1", status("2")); err != nil {
			return err
		}
		return tx.Audit("card.lost", "card:1", nil)
	}))
}

func (w *world) letter(t *testing.T, topic, body string) stores.Letter {
	certificate, err := w.authority.Exchange()
	require.NoError(t, err)
	sealed, err := signed.Seal([]byte(body), certificate.Leaf)
	require.NoError(t, err)
	return stores.Letter{ID: uuid.New(), Topic: topic, Body: sealed}
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) { test(t, newWorld(t, dsn)) })
}

// TestHandOver: what concerns a peer reaches it once, in order, sealed to it; what
// does not, does not; and interruptions change nothing in that.
func TestHandOver(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		person := w.person(t, "扎西", 1)
		w.tell(t, "630102")
		w.tell(t, "632723") // not the bank's
		w.tell(t, "630121")
		n, err := w.flow.HandOver(t.Context())
		require.NoError(t, err)
		require.Equal(t, 5, n)
		n, err = w.flow.HandOver(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
		// Interrupted before production knew of it: once more, to no effect.
		_, err = rawExec(t, w, "UPDATE outbox SET handed_at = NULL")
		require.NoError(t, err)
		n, err = w.flow.HandOver(t.Context())
		require.NoError(t, err)
		require.Equal(t, 5, n)

		messages, err := w.exchange.Fetch(t.Context(), "bank", 0, 100)
		require.NoError(t, err)
		require.Len(t, messages, 2)
		require.EqualValues(t, 1, messages[0].Seq)
		require.EqualValues(t, 2, messages[1].Seq)
		body, err := signed.Unseal(messages[0].Body, &w.bank.pair)
		require.NoError(t, err)
		require.Equal(t, "100000008|63|2|20260302090000", string(body))
		_, err = signed.Unseal(messages[0].Body, &w.police.pair)
		require.ErrorIs(t, err, signed.ErrSealed)

		messages, err = w.exchange.Fetch(t.Context(), "police", 0, 100)
		require.NoError(t, err)
		require.Len(t, messages, 1)
		require.NotContains(t, messages[0].Body, "扎西")
		body, err = signed.Unseal(messages[0].Body, &w.police.pair)
		require.NoError(t, err)
		// 扎西 in GB 18030, day and kind of document as the police have them.
		require.Equal(t, person.ID.String()+"|111|"+person.Number()+"|\xd4\xfa\xce\xf7|1|19900102|630102", string(body))
		messages, err = w.exchange.Fetch(t.Context(), "bank", 2, 100)
		require.NoError(t, err)
		require.Empty(t, messages)
	})
}

// TestFetch: an answer is taken once and its sender is told; one that says
// nothing sensible changes nothing, and its sender is told why.
func TestFetch(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		person := w.person(t, "扎西", 1)
		answer := func(id uuid.UUID, state string) string {
			return id.String() + "|" + state
		}
		good := w.letter(t, registry.TopicPoliceResult, answer(person.ID, "02"))
		cases := []struct {
			letter stores.Letter
			want   string
		}{
			{good, registry.OutcomeTaken},
			{w.letter(t, registry.TopicPoliceResult, answer(person.ID, "99")), "policeState (GONGANSTATUS)"},
			{w.letter(t, registry.TopicPoliceResult, answer(uuid.New(), "02")), "not found"},
			{w.letter(t, registry.TopicPoliceResult, "?"), "body"},
			{stores.Letter{ID: uuid.New(), Topic: registry.TopicPoliceResult, Body: "x.y.z"}, "not sealed"},
		}
		for _, c := range cases {
			_, err := w.exchange.Receive(t.Context(), w.police.Peer, c.letter)
			require.NoError(t, err)
		}
		_, err := w.exchange.Receive(t.Context(), w.bank.Peer, good)
		require.ErrorIs(t, err, stores.ErrTopic)
		again := good
		again.Body = "another"
		_, err = w.exchange.Receive(t.Context(), w.police.Peer, again)
		require.ErrorIs(t, err, stores.ErrReused)

		n, err := w.flow.Fetch(t.Context())
		require.NoError(t, err)
		require.Equal(t, len(cases), n)
		for _, c := range cases {
			sent, err := w.exchange.Sent(t.Context(), "police", c.letter.ID)
			require.NoError(t, err)
			require.NotNil(t, sent.TakenAt)
			require.Contains(t, sent.Outcome, c.want)
		}
		changed, err := w.production.PersonByID(t.Context(), person.ID)
		require.NoError(t, err)
		require.Equal(t, "02", changed.Police)
		require.Equal(t, "peer:police", changed.Stamp.By)

		// Taken again, as after an interruption: the outcome is the first one's.
		outcome, err := w.production.Take(t.Context(), "630000", registry.Incoming{Peer: "police", ID: good.ID, Topic: good.Topic, Record: indicator.Record{"person": person.ID.String(), "policeState": "03"}}, nil)
		require.NoError(t, err)
		require.Equal(t, registry.OutcomeTaken, outcome)
		changed, err = w.production.PersonByID(t.Context(), person.ID)
		require.NoError(t, err)
		require.Equal(t, "02", changed.Police)
		require.NoError(t, w.production.VerifyAudit(t.Context()))
	})
}

// TestDecision: the facts of a day tell of no person and of no few persons.
func TestDecision(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dsn := "sqlite:" + filepath.Join(t.TempDir(), "decision.db")
		decision, err := stores.OpenDecision(t.Context(), dsn, w.production.Now)
		require.NoError(t, err)
		defer func() { require.NoError(t, decision.Close()) }()
		for i := range 12 {
			w.person(t, "才让", i)
		}
		day := registrytest.Start
		for range 2 { // again: the same
			_, err = decision.Take(t.Context(), w.production, day)
			require.NoError(t, err)
		}
		taken, err := decision.Taken(t.Context(), day)
		require.NoError(t, err)
		require.True(t, taken)
		facts, err := decision.Facts(t.Context(), day, "persons", "630000")
		require.NoError(t, err)
		require.Equal(t, []stores.Fact{{Day: "2026-03-02", Measure: "persons", Place: "630102", First: facts[0].First, Second: "30-39", Third: "04", Number: 12}}, facts)
		checks, err := decision.Facts(t.Context(), day, "checks", "630100")
		require.NoError(t, err)
		require.EqualValues(t, 12, checks[0].Number)
	})
}

// status is what is told of a card's status.
func status(value string) map[string]string {
	return map[string]string{"cardNumber": "100000008", "chipId": "63", "cardStatus": value, "event": "x", "at": "2026-03-02T01:00:00Z"}
}

// TestTwoCodes: one change of a card reaches two peers each in its own codes; what
// a peer's table cannot say is withheld from that peer alone, on record, and told
// when it can be; a peer without a table stops the flow.
func TestTwoCodes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		shandong := w.peer(t, stores.Peer{Name: "jinan", Mapping: "shandong", Topics: []string{registry.TopicCardStatus}})
		tell := func(value string) {
			require.NoError(t, w.production.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
				if err := tx.Tell(registry.TopicCardStatus, "630102", "card:1", status(value)); err != nil {
					return err
				}
				return tx.Audit("card.lost", "card:1", nil)
			}))
		}
		tell("4")
		tell("7") // no status of ours
		_, err := w.flow.HandOver(t.Context())
		require.NoError(t, err)
		read := func(s side, after int64) []string {
			messages, err := w.exchange.Fetch(t.Context(), s.Name, after, 100)
			require.NoError(t, err)
			var bodies []string
			for _, m := range messages {
				body, err := signed.Unseal(m.Body, &s.pair)
				require.NoError(t, err)
				bodies = append(bodies, string(body))
			}
			return bodies
		}
		require.Equal(t, []string{"100000008|63|4|20260302090000"}, read(w.bank, 0))
		require.Equal(t, []string{"100000008|63|B|20260302090000"}, read(shandong, 0))
		withheld, err := w.production.Withheld(t.Context())
		require.NoError(t, err)
		require.Len(t, withheld, 2)
		require.Contains(t, withheld[0].Why, "cardStatus (AAZ502)")
		require.Contains(t, withheld[1].Why, "cardStatus (sfzt)")

		// The message is put right (as a corrected table would): told again.
		_, err = rawExec(t, w, `UPDATE outbox SET body = replace(body, '"cardStatus":"7"', '"cardStatus":"9"')`)
		require.NoError(t, err)
		again, err := w.production.TellAgain(t.Context(), clerk)
		require.NoError(t, err)
		require.EqualValues(t, 1, again)
		_, err = w.flow.HandOver(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"100000008|63|9|20260302090000"}, read(w.bank, 1))
		require.Equal(t, []string{"100000008|63|4|20260302090000"}, read(shandong, 1))
		withheld, err = w.production.Withheld(t.Context())
		require.NoError(t, err)
		require.Empty(t, withheld)

		w.peer(t, stores.Peer{Name: "nobody", Topics: []string{registry.TopicCardStatus}})
		tell("2")
		_, err = w.flow.HandOver(t.Context())
		require.ErrorIs(t, err, stores.ErrMapping)
		require.NoError(t, w.production.VerifyAudit(t.Context()))
	})
}

func rawExec(t *testing.T, w *world, statement string) (int64, error) {
	t.Helper()
	var changed int64
	err := w.production.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
		result := tx.DB().Exec(statement)
		changed = result.RowsAffected
		if result.Error != nil {
			return result.Error
		}
		return tx.Audit("test", "outbox", nil)
	})
	return changed, err
}
