package issuance_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"onecard/internal/memory"
	"onecard/internal/pgtest"
	"onecard/issuance"
	"onecard/registry"
	"onecard/registry/registrytest"
)

const (
	statusCards = 4000
	statusRound = 4 * time.Second
)

// counties are the places of the operators: each has an audit chain.
var counties = []string{"630102", "630103", "630104", "630105", "630121", "630122", "630123", "632723"}

// BenchmarkStatus reports and cancels temporary losses, each with the card's
// history, its log, the terminals' list, the message for peers and the audit
// record; and beside it lets pgbench write as many rows of the same tables'
// columns and indexes, with one commit. Everything reaches the disk.
func BenchmarkStatus(b *testing.B) {
	memory.Relax(0)
	cluster := pgtest.New(b, "fsync=on", "full_page_writes=on", "shared_buffers=1GB", "max_wal_size=4GB")
	dsn := cluster.DSN(b)
	clock := registrytest.NewClock()
	w := newWorld(b, registrytest.Open(b, registrytest.Config(dsn, clock)), clock)
	c, _ := w.activated(b)
	conn, err := pgx.Connect(b.Context(), dsn)
	require.NoError(b, err)
	defer func() { require.NoError(b, conn.Close(context.Background())) }()
	for _, statement := range statusTables {
		_, err := conn.Exec(b.Context(), statement)
		require.NoError(b, err, statement)
	}
	var cards []uuid.UUID
	require.NoError(b, w.db.Read(b.Context()).Table("cards").Where("id <> ?", c.ID).Order("chip_id").Pluck("id", &cards).Error)
	require.Len(b, cards, statusCards)
	script := filepath.Join(b.TempDir(), "status.sql")
	require.NoError(b, os.Chmod(filepath.Dir(script), 0o755))
	require.NoError(b, os.WriteFile(script, []byte(statusScript), 0o644))
	for _, sides := range []int{1, 8, 16} {
		b.Run(fmt.Sprintf("sides=%d", sides), func(b *testing.B) {
			var ours, theirs []float64
			for range 3 {
				ours = append(ours, statusRate(b, w, cards, sides))
				theirs = append(theirs, statusPgbench(b, dsn, sides, script))
			}
			slices.Sort(ours)
			slices.Sort(theirs)
			b.ReportMetric(ours[1], "changes/s")
			b.ReportMetric(theirs[1], "pgbench/s")
			b.ReportMetric(ours[1]/theirs[1], "of-pgbench")
			b.ReportMetric(0, "ns/op")
		})
	}
	require.NoError(b, w.db.VerifyAudit(b.Context()))
}

// statusRate changes cards from several sides, each its own cards, from status
// 1 to 4 and back.
func statusRate(b *testing.B, w world, cards []uuid.UUID, sides int) float64 {
	var done atomic.Int64
	began := time.Now()
	var group sync.WaitGroup
	for side := range sides {
		group.Go(func() {
			operator := w.clerk()
			operator.actor.Place = counties[side%len(counties)]
			for i := side; time.Since(began) < statusRound; i += sides {
				id := cards[i%len(cards)]
				for _, event := range []string{"reportTemporaryLoss", "cancelLoss"} {
					err := operator.db.InTx(b.Context(), operator.actor, func(tx *registry.Tx) error {
						_, err := operator.FireCard(tx, id, issuance.Asked{Event: event, Roles: operator.roles})
						return err
					})
					if err != nil {
						b.Error(err)
						return
					}
					done.Add(1)
				}
			}
		})
	}
	group.Wait()
	return float64(done.Load()) / time.Since(began).Seconds()
}

func statusPgbench(b *testing.B, dsn string, sides int, script string) float64 {
	return pgbenchRate(b, "-n", "-M", "prepared", "-c", strconv.Itoa(sides), "-j", "2", "-T", strconv.Itoa(int(statusRound.Seconds())), "-f", script, dsn)
}

// pgbenchRate runs pgbench and returns transactions per second.
func pgbenchRate(b *testing.B, arguments ...string) float64 {
	pgbench := exec.CommandContext(b.Context(), "pgbench", arguments...)
	pgbench.Env = append(os.Environ(), "PGOPTIONS=-c plan_cache_mode=force_generic_plan") // as ours
	out, err := pgbench.CombinedOutput()
	require.NoError(b, err, string(out))
	match := regexp.MustCompile(`tps = ([0-9.]+) \(without`).FindSubmatch(out)
	require.NotNil(b, match, string(out))
	rate, err := strconv.ParseFloat(string(match[1]), 64)
	require.NoError(b, err)
	return rate
}

// statusTables make cards like the one that there is, and tables like those
// that a change writes, with their indexes and without triggers and references.
var statusTables = []string{
	// The cards are as if taken over from before the platform was there.
	"SET session_replication_role = replica",
	`INSERT INTO persons (id, id_number_sealed, id_number_index, name_sealed, name_index, sex, ethnic, birth, place, created_at, created_by, changed_at)
	 SELECT gen_random_uuid(), id_number_sealed, int8send(n), name_sealed, name_index, sex, ethnic, birth, place, created_at, created_by, changed_at FROM (SELECT * FROM persons LIMIT 1) p, generate_series(1, 4000) n`,
	`INSERT INTO cards (id, number, chip_id, chip_serial, atr, person_id, spec_version, key_version, status, issued_on, expires_on, created_at, changed_at)
	 SELECT gen_random_uuid(), 'X' || lpad(n::text, 8, '0'), lpad(n::text, 32, '0'), lpad(n::text, 8, '0'), lpad(n::text, 20, '0'), p.id, c.spec_version, c.key_version, '0', c.issued_on, c.expires_on, c.created_at, c.changed_at
	 FROM (SELECT * FROM cards LIMIT 1) c, (SELECT id, row_number() OVER () AS n FROM persons WHERE octet_length(id_number_index) = 8) p`,
	"UPDATE cards SET status = '1' WHERE number LIKE 'X%'",
	"SET session_replication_role = DEFAULT",
	"CREATE TABLE b_cards (LIKE cards INCLUDING ALL)", "ALTER TABLE b_cards ADD COLUMN n INTEGER",
	"INSERT INTO b_cards SELECT *, row_number() OVER () FROM cards WHERE number LIKE 'X%'", "CREATE UNIQUE INDEX ON b_cards (n)",
	"CREATE TABLE b_history (LIKE cards_history INCLUDING ALL)", "CREATE TABLE b_log (LIKE card_status_log INCLUDING ALL)",
	"CREATE TABLE b_sequence (LIKE card_number_sequence INCLUDING ALL)", "INSERT INTO b_sequence SELECT * FROM card_number_sequence",
	"CREATE TABLE b_invalid (LIKE invalid_cards INCLUDING ALL)", "CREATE TABLE b_outbox (LIKE outbox INCLUDING ALL)", "CREATE TABLE b_deliveries (LIKE deliveries INCLUDING ALL)",
	"CREATE TABLE b_audit (LIKE audit_entries INCLUDING ALL)", "ALTER TABLE b_audit DROP CONSTRAINT audit_entries_gapless",
	"CREATE TABLE b_heads (LIKE audit_heads INCLUDING ALL)", "INSERT INTO b_heads SELECT lpad(n::text, 6, '0'), 1, '', '' FROM generate_series(1, 8) n",
	// Not the journals, which are nearly empty now: for a table that is known to
	// be small the server would keep a plan that reads all of it.
	"ANALYZE persons, cards, b_cards, b_heads, b_sequence",
}

// statusScript writes the rows of one change, in the product's order: the card,
// its history, its log, the messages, the audit record and the head of its
// chain, the number and the row of the terminals' list.
const statusScript = `\set n random(1, 4000)
\set chain :client_id % 8 + 1
BEGIN;
INSERT INTO b_history SELECT id, number, chip_id, chip_serial, atr, person_id, spec_version, key_version, status, issued_on, expires_on, created_at, changed_at, production, custody, chip, bank_account, ministry_state, version, changed_by, changed_on, change_reason, kind, application_id, loss_ends_at, loss_warned_at, now()::timestamp FROM b_cards WHERE n = :n FOR UPDATE;
UPDATE b_cards SET status = CASE status WHEN '1' THEN '4' ELSE '1' END, version = version + 1, changed_at = now(), changed_by = 'caiwang', changed_on = 'W-1' WHERE n = :n;
INSERT INTO b_log VALUES (gen_random_uuid(), gen_random_uuid(), 'reportTemporaryLoss', '1', '4', '', 'caiwang', 'W-1', now());
INSERT INTO b_outbox VALUES (gen_random_uuid(), now(), 'card.status', '630102', 'card:018f6f6e-7c1a-7e3f-8a5b-000000000000', '{"cardNumber":"X00000001","chipId":"00000000000000000000000000000001","cardStatus":"4","event":"reportTemporaryLoss","at":"2026-03-02T01:00:00Z"}', NULL);
INSERT INTO b_deliveries (id, peer, rank, topic, place, subject, body, state, at, next_at)
  SELECT gen_random_uuid(), peer, rank, 'card.status', '630102', 'card:018f6f6e-7c1a-7e3f-8a5b-000000000000', '{"cardNumber":"X00000001","chipId":"00000000000000000000000000000001","cardStatus":"4","event":"reportTemporaryLoss","version":3,"at":"2026-03-02T01:00:00Z"}', 'waiting', now(), now()
  FROM (VALUES ('bank', 3), ('ministry', 4), ('holder', 5)) peers (peer, rank);
INSERT INTO b_audit SELECT chain, seq + 1, now(), 'caiwang', 'W-1', '630102', 'card.reportTemporaryLoss', 'card:018f6f6e-7c1a-7e3f-8a5b-000000000000', '{"from":"1","to":"4"}', seq, sha256('1'), sha256('2') FROM b_heads WHERE chain = lpad((:chain)::text, 6, '0') FOR UPDATE;
UPDATE b_heads SET seq = seq + 1, hash = sha256('2'), proof = sha256('3') WHERE chain = lpad((:chain)::text, 6, '0');
UPDATE b_sequence SET next = next + 1 WHERE name = 'invalid';
INSERT INTO b_invalid SELECT next, gen_random_uuid(), '00000000000000000000000000000001', 'X00000001', '4', now() FROM b_sequence WHERE name = 'invalid';
COMMIT;
`
