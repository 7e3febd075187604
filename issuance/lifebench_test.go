package issuance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"onecard/internal/pgtest"
	"onecard/issuance"
	"onecard/registry/registrytest"
)

const (
	lifeRound  = 4 * time.Second
	lifePeople = 800 // of a round, which ends with them
)

// BenchmarkLife takes cards from the application over review, batch and the
// maker's return to the activation: five changes of a card's life, each a
// transaction of its own with its audit record and its messages, that reaches
// the disk. Beside it pgbench writes as many rows in as many commits.
func BenchmarkLife(b *testing.B) {
	cluster := pgtest.New(b, "fsync=on", "full_page_writes=on", "shared_buffers=1GB", "max_wal_size=4GB")
	dsn := cluster.DSN(b)
	clock := registrytest.NewClock()
	w := newWorld(b, registrytest.Open(b, registrytest.Config(dsn, clock)), clock)
	conn, err := pgx.Connect(b.Context(), dsn)
	require.NoError(b, err)
	defer func() { require.NoError(b, conn.Close(b.Context())) }()
	for _, statement := range lifeTables {
		_, err := conn.Exec(b.Context(), statement)
		require.NoError(b, err, statement)
	}
	script := filepath.Join(b.TempDir(), "life.sql")
	require.NoError(b, os.Chmod(filepath.Dir(script), 0o755))
	require.NoError(b, os.WriteFile(script, []byte(lifeScript), 0o644))
	for _, sides := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("sides=%d", sides), func(b *testing.B) {
			var ours, theirs []float64
			for range 3 {
				ours = append(ours, lifeRate(b, w, sides))
				theirs = append(theirs, statusPgbench(b, dsn, sides, script))
			}
			slices.Sort(ours)
			slices.Sort(theirs)
			b.ReportMetric(ours[1], "cards/s")
			b.ReportMetric(theirs[1], "pgbench/s")
			b.ReportMetric(ours[1]/theirs[1], "of-pgbench")
			b.ReportMetric(0, "ns/op")
		})
	}
	require.NoError(b, w.db.VerifyAudit(b.Context()))
}

// lifeRate leads cards through their life from several sides.
func lifeRate(b *testing.B, w world, sides int) float64 {
	people := make(chan uuid.UUID, lifePeople)
	var register sync.WaitGroup
	for range 20 {
		register.Go(func() {
			for range lifePeople / 20 {
				// Of different days, so that nobody is taken for anybody else.
				n := born.Load()
				people <- w.person(b, "扎西·多杰", fmt.Sprintf("%d-%02d-%02d", 1950+n/336%50, n/28%12+1, n%28+1)).ID
			}
		})
	}
	register.Wait()
	close(people)
	var done atomic.Int64
	began := time.Now()
	var group sync.WaitGroup
	for side := range sides {
		group.Go(func() {
			place := func(c counter) counter {
				c.actor.Place = counties[side%len(counties)]
				return c
			}
			clerk, reviewer, producer := place(w.clerk()), place(w.reviewer()), place(w.producer())
			for person := range people {
				a, err := clerk.request(b, issuance.Request{Person: person, Kind: issuance.KindFirst, Method: issuance.MethodBatch})
				if err == nil {
					_, err = reviewer.fire(b, a.ID, issuance.EventApprove, "")
				}
				if err == nil {
					_, err = producer.batch(b, a.ID)
				}
				var c issuance.Card
				if err == nil {
					c, err = producer.returns(b, a.ID)
				}
				if err == nil {
					_, err = clerk.onChip(b, c.ID, issuance.EventActivate)
				}
				if err != nil {
					b.Error(err)
					return
				}
				if done.Add(1); time.Since(began) > lifeRound {
					return
				}
			}
		})
	}
	group.Wait()
	return float64(done.Load()) / time.Since(began).Seconds()
}

// lifeTables are like those that a life writes, with their indexes and without
// triggers and references.
var lifeTables = []string{
	"CREATE TABLE l_applications (LIKE applications INCLUDING ALL)", "CREATE TABLE l_cards (LIKE cards INCLUDING ALL)",
	"CREATE TABLE l_history (LIKE cards_history INCLUDING ALL)", "CREATE TABLE l_log (LIKE card_status_log INCLUDING ALL)",
	"CREATE TABLE l_outbox (LIKE outbox INCLUDING ALL)", "CREATE TABLE l_deliveries (LIKE deliveries INCLUDING ALL)",
	"CREATE TABLE l_audit (LIKE audit_entries INCLUDING ALL)", "ALTER TABLE l_audit DROP CONSTRAINT audit_entries_gapless",
	"CREATE TABLE l_heads (LIKE audit_heads INCLUDING ALL)", "INSERT INTO l_heads SELECT lpad(n::text, 6, '0'), 1, '', '' FROM generate_series(1, 8) n",
	"CREATE TABLE l_sequence (LIKE card_number_sequence INCLUDING ALL)", "INSERT INTO l_sequence SELECT * FROM card_number_sequence",
	"CREATE SEQUENCE l_number START 10000000",
	`CREATE FUNCTION l_note(chain_ text, action_ text) RETURNS void LANGUAGE sql AS $$
		INSERT INTO l_audit SELECT chain, seq + 1, now(), 'caiwang', 'W-1', '630102', action_, 'application:018f6f6e-7c1a-7e3f-8a5b-000000000000', '{"from":"1","to":"4"}', seq, sha256('1'), sha256('2') FROM l_heads WHERE chain = chain_ FOR UPDATE;
		UPDATE l_heads SET seq = seq + 1, hash = sha256('2'), proof = sha256('3') WHERE chain = chain_ $$`,
	`CREATE FUNCTION l_tell(peer_ text) RETURNS void LANGUAGE sql AS $$
		INSERT INTO l_deliveries (id, peer, rank, topic, place, subject, body, state, at, next_at) VALUES (gen_random_uuid(), peer_, 3, 'card.status', '630102', 'card:018f6f6e-7c1a-7e3f-8a5b-000000000000', '{"cardNumber":"X00000001","chipId":"00000000000000000000000000000001","status":"4"}', 'waiting', now(), now()) $$`,
}

// lifeScript writes the rows of one card's life in its five commits.
const lifeScript = `\set chain :client_id % 8 + 1
SELECT gen_random_uuid() AS a, gen_random_uuid() AS c, gen_random_uuid() AS p, nextval('l_number') AS n \gset
BEGIN;
INSERT INTO l_applications (id, person_id, kind, place, state, entered_by, reason, created_at, changed_at) VALUES (:a, :p, 'first', '630102', 'applied', 'caiwang', '', now(), now());
SELECT l_note(lpad((:chain)::text, 6, '0'), 'application.apply');
COMMIT;
BEGIN;
UPDATE l_sequence SET next = next + 1 WHERE name = 'card';
UPDATE l_applications SET state = 'numbered', reviewed_by = 'lihong', card_number = 'Y' || (:n)::text, holder_index = substr(sha256('1'), 1, 16), changed_at = now() WHERE id = :a;
SELECT l_tell('holder');
SELECT l_note(lpad((:chain)::text, 6, '0'), 'application.approve');
COMMIT;
BEGIN;
UPDATE l_applications SET state = 'batched', changed_at = now() WHERE id = :a;
SELECT l_note(lpad((:chain)::text, 6, '0'), 'application.batch');
COMMIT;
BEGIN;
INSERT INTO l_cards (id, number, chip_id, chip_serial, atr, person_id, spec_version, key_version, status, issued_on, expires_on, created_at, changed_at, application_id)
	VALUES (:c, 'Y' || (:n)::text, lpad((:n)::text, 32, '0'), (:n)::text, 'ATR' || (:n)::text, :p, '3.00', 1, '0', '2026-01-01', '2036-01-01', now(), now(), :a);
UPDATE l_applications SET state = 'made', card_id = :c, made_by = 'M-1', changed_at = now() WHERE id = :a;
SELECT l_tell('holder');
SELECT l_note(lpad((:chain)::text, 6, '0'), 'application.make');
SELECT l_note(lpad((:chain)::text, 6, '0'), 'card.made');
COMMIT;
BEGIN;
INSERT INTO l_history (id, number, chip_id, chip_serial, atr, person_id, spec_version, key_version, status, issued_on, expires_on, created_at, changed_at, production, custody, chip, ministry_state, version, changed_by, changed_on, change_reason, kind, application_id, replaced_at)
	SELECT id, number, chip_id, chip_serial, atr, person_id, spec_version, key_version, status, issued_on, expires_on, created_at, changed_at, production, custody, chip, ministry_state, version, changed_by, changed_on, change_reason, kind, application_id, now() FROM l_cards WHERE id = :c FOR UPDATE;
UPDATE l_cards SET status = '1', custody = 'holder', chip = 'in-use', version = version + 1, changed_at = now(), changed_by = 'caiwang', changed_on = 'W-1' WHERE id = :c;
INSERT INTO l_log (id, card_id, event, from_status, to_status, reason, operator, workstation, at) VALUES (gen_random_uuid(), :c, 'activate', '0', '1', '', 'caiwang', 'W-1', now());
UPDATE l_applications SET state = 'handed', handed_by = 'caiwang', changed_at = now() WHERE id = :a;
INSERT INTO l_outbox VALUES (gen_random_uuid(), now(), 'card.status', '630102', 'card:018f6f6e-7c1a-7e3f-8a5b-000000000000', '{"cardNumber":"X00000001","status":"1"}', NULL);
SELECT l_tell('bank'), l_tell('ministry'), l_tell('holder');
SELECT l_note(lpad((:chain)::text, 6, '0'), 'application.activate');
SELECT l_note(lpad((:chain)::text, 6, '0'), 'card.activate');
COMMIT;
`
