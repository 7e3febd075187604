package issuance_test

import (
	"context"
	"flag"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"onecard/internal/pgtest"
	"onecard/issuance"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// TestQueues: what waits is counted by state for a place and all below it, and
// listed in the order in which it is to be over, page by page.
func TestQueues(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		here, there := w.clerk(), w.at("W-9", "mali", registry.RoleClerk)
		there.actor.Place = "630102"
		var in []uuid.UUID
		for i := range 5 {
			who := here
			if i%2 == 1 {
				who = there
			}
			method := []string{issuance.MethodInstant, issuance.MethodBatch}[i/3]
			a, err := who.request(t, issuance.Request{Person: w.person(t, "扎西", "1981-05-01").ID, Kind: issuance.KindFirst, Method: method})
			require.NoError(t, err)
			in = append(in, a.ID)
			w.clock.Advance(time.Hour)
		}
		w.clock.Advance(70 * time.Hour) // of the 72: the first three are overdue, and the others soon
		applied := func(place string) issuance.Queue {
			queues, err := w.Queues(t.Context(), place)
			require.NoError(t, err)
			require.Len(t, queues, len(issuance.QueueStates()))
			require.Equal(t, issuance.StateApplied, queues[0].State)
			return queues[0]
		}
		for place, want := range map[string][3]int{"630000": {5, 3, 2}, "632723": {3, 2, 1}, "632700": {3, 2, 1}, "630100": {2, 1, 1}, "632221": {}} {
			q := applied(place)
			require.Equal(t, want, [3]int{q.Open, q.Overdue, q.DueSoon}, place)
			require.Equal(t, want[0] == 0, q.Oldest == nil, place)
		}
		require.True(t, applied("630000").Oldest.Equal(registrytest.Start.Add(72*time.Hour)))
		list := func(f issuance.Filter) (ids []uuid.UUID) {
			f.Due, f.State, f.Limit = true, issuance.StateApplied, 2
			for {
				page, err := w.Applications(t.Context(), f)
				require.NoError(t, err)
				if len(page) == 0 {
					return ids
				}
				for _, a := range page {
					ids = append(ids, a.ID)
				}
				f.After, f.AfterDue = page[len(page)-1].ID, page[len(page)-1].Due
			}
		}
		require.Equal(t, in, list(issuance.Filter{Place: "630000"}))
		require.Equal(t, in[:3], list(issuance.Filter{Place: "630000", Overdue: true}))
		require.Equal(t, in[3:], list(issuance.Filter{Place: "630000", Method: issuance.MethodBatch}))
		require.Equal(t, in, list(issuance.Filter{Place: "630000", Kind: issuance.KindFirst}))
		require.Empty(t, list(issuance.Filter{Place: "630000", Kind: issuance.KindTemporary}))
		require.Equal(t, []uuid.UUID{in[0], in[2], in[4]}, list(issuance.Filter{Place: "632723"}))
		require.Equal(t, []uuid.UUID{in[1], in[3]}, list(issuance.Filter{Place: "630100"}))
		for _, wrong := range []issuance.Filter{{Due: true, Place: "630000", State: "draft"}, {Due: true, State: issuance.StateApplied}, {Due: true, State: issuance.StateApplied, Place: "999999"}} {
			_, err := w.Applications(t.Context(), wrong)
			require.ErrorIs(t, err, registry.ErrInvalid)
		}
		_, err := w.reviewer().fire(t, in[0], issuance.EventApprove, "")
		require.NoError(t, err)
		require.Equal(t, in[1:], list(issuance.Filter{Place: "630000"}))
	})
}

var (
	queueOpen  = flag.Int("queue.open", 20_000, "open applications of BenchmarkQueues")
	queueAsked = flag.Int("queue.asked", 200, "questions of each kind in BenchmarkQueues")
)

// fillQueues makes open applications without their persons: what is measured is
// how they are found.
const fillQueues = `INSERT INTO applications (id, person_id, kind, method, place, state, entered_by, reviewed_by, card_number, card_id, reason, created_at, changed_at, stage_since, due_at, previous_id)
SELECT gen_random_uuid(), gen_random_uuid(), k.kind, CASE WHEN n % 3 = 0 THEN 'instant' ELSE 'batch' END, p.codes[1 + n % cardinality(p.codes)], s.state, 'a',
	CASE WHEN s.state <> 'applied' THEN 'b' END, CASE WHEN s.state <> 'applied' THEN upper(lpad(to_hex(n), 9, '0')) END, CASE WHEN s.state = 'made' THEN gen_random_uuid() END,
	'', now(), now(), now(), $2::timestamp + (n % 86400) * interval '1 minute' - interval '10 days', CASE WHEN k.kind IN ('replacement', 'exchange') THEN gen_random_uuid() END
FROM generate_series(1, $1) AS n, (SELECT array_agg(code ORDER BY code) AS codes FROM divisions WHERE level = 'county' AND valid_to IS NULL) AS p,
	LATERAL (SELECT (ARRAY['applied', 'numbered', 'batched', 'made'])[1 + n / 7 % 4] AS state) AS s,
	LATERAL (SELECT (ARRAY['first', 'first', 'first', 'first', 'replacement', 'exchange', 'temporary'])[1 + n % 7] AS kind) AS k`

// BenchmarkQueues measures pages and counts of queues with many open
// applications (-queue.open=1000000 for a province at its worst).
func BenchmarkQueues(b *testing.B) {
	cluster := pgtest.New(b, "shared_buffers=1GB", "max_wal_size=4GB")
	dsn := cluster.DSN(b)
	clock := registrytest.NewClock()
	w := newWorld(b, registrytest.Open(b, registrytest.Config(dsn, clock)), clock)
	conn, err := pgx.Connect(b.Context(), dsn)
	require.NoError(b, err)
	defer func() { require.NoError(b, conn.Close(context.Background())) }()
	_, err = conn.Exec(b.Context(), "SET session_replication_role = replica")
	require.NoError(b, err)
	_, err = conn.Exec(b.Context(), fillQueues, *queueOpen, w.db.Now())
	require.NoError(b, err)
	_, err = conn.Exec(b.Context(), "VACUUM ANALYZE applications")
	require.NoError(b, err)
	page := func(f issuance.Filter) func() error {
		f.Due, f.State = true, issuance.StateApplied
		return func() error {
			found, err := w.Applications(b.Context(), f)
			if err == nil && len(found) > 0 {
				_, err = w.Applications(b.Context(), issuance.Filter{Due: true, State: f.State, Place: f.Place, Kind: f.Kind, Method: f.Method, After: found[len(found)-1].ID, AfterDue: found[len(found)-1].Due})
			}
			return err
		}
	}
	counts := func(place string) func() error {
		return func() error { _, err := w.Queues(b.Context(), place); return err }
	}
	for name, ask := range map[string]func() error{
		"two-pages/province":      page(issuance.Filter{Place: "630000"}),
		"two-pages/prefecture":    page(issuance.Filter{Place: "632700"}),
		"two-pages/county":        page(issuance.Filter{Place: "632723"}),
		"two-pages/province-kind": page(issuance.Filter{Place: "630000", Kind: issuance.KindTemporary}),
		"two-pages/province-both": page(issuance.Filter{Place: "630000", Kind: issuance.KindFirst, Method: issuance.MethodInstant}),
		"counts/province":         counts("630000"),
		"counts/prefecture":       counts("632700"),
		"counts/county":           counts("632723"),
	} {
		b.Run(name, func(b *testing.B) {
			require.NoError(b, ask())
			var took []time.Duration
			for range *queueAsked {
				began := time.Now()
				require.NoError(b, ask())
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}
