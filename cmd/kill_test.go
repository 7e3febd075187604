package cmd_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"onecard/internal/pgtest"
)

var (
	kills    = flag.Int("kills", 3, "how often the platform is killed")
	killSeed = flag.Uint64("killseed", 20111207, "chooses the instants")
)

// platform is `onecard serve`, which is killed and started again.
type platform struct {
	t       *testing.T
	bin     string
	data    string
	dsn     string
	conn    *pgx.Conn
	log     *syncBuffer
	process *exec.Cmd
	address atomic.Value // string; where it listens, or listened last
	heard   atomic.Int64 // answers
	http    *http.Client
}

// newPlatform sets a platform up with the sample province and a workstation.
func newPlatform(t *testing.T) *platform {
	t.Helper()
	bin, err := programs()
	require.NoError(t, err)
	p := &platform{t: t, bin: bin, data: filepath.Join(t.TempDir(), "data"), dsn: pgtest.DSN(t), log: &syncBuffer{}}
	key := filepath.Join(t.TempDir(), "transport.key")
	writeFile(t, key, "404142434445464748494a4b4c4d4e4f")
	enrolled := t.TempDir()
	for _, args := range [][]string{
		{"keys", "init", "--transport", key}, {"sample", "load"}, {"workstation", "enrol", "W-O630102-01", "--out", enrolled},
	} {
		out, err := runOnce(t, bin, []string{"ONECARD_DATABASE=" + p.dsn}, append(args, "--data", p.data, "--trial")...)
		require.NoError(t, err, "%v: %s", args, out)
	}
	ca, err := os.ReadFile(filepath.Join(enrolled, "ca.pem"))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca))
	certificate, err := tls.LoadX509KeyPair(filepath.Join(enrolled, "workstation.pem"), filepath.Join(enrolled, "workstation.key"))
	require.NoError(t, err)
	p.http = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13},
	}}
	p.conn, err = pgx.Connect(t.Context(), p.dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.conn.Close(context.Background()) })
	return p
}

// start starts the platform and waits until it answers.
func (p *platform) start() {
	p.t.Helper()
	file := filepath.Join(p.data, "platform.address")
	_ = os.Remove(file) // of one that was killed
	p.process = exec.Command(filepath.Join(p.bin, "onecard"), "serve", "--data", p.data, "--trial", "--listen", "127.0.0.1:0")
	p.process.Env = append(os.Environ(), "ONECARD_DATABASE="+p.dsn)
	p.process.Stdout, p.process.Stderr = p.log, p.log
	p.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(p.t, p.process.Start())
	require.Eventually(p.t, func() bool {
		text, err := os.ReadFile(file)
		if err != nil || len(text) == 0 {
			return false
		}
		p.address.Store("https://" + strings.TrimSpace(string(text)))
		return true
	}, time.Minute, 20*time.Millisecond, "%s", p.log)
}

// kill ends the platform as a power cut would.
func (p *platform) kill() {
	p.t.Helper()
	require.NoError(p.t, p.process.Process.Kill())
	_ = p.process.Wait()
}

// ask sends a request until there is an answer, with the same key each time,
// whatever becomes of the platform meanwhile.
func (p *platform) ask(ctx context.Context, token, key, path string, body any) (int, object, error) {
	payload, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	for ctx.Err() == nil {
		status, answer, err := p.try(ctx, token, key, path, payload)
		if err == nil && status < http.StatusInternalServerError && status != http.StatusTooManyRequests {
			return status, answer, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return 0, nil, ctx.Err()
}

func (p *platform) try(ctx context.Context, token, key, path string, payload []byte) (int, object, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.address.Load().(string)+path, bytes.NewReader(payload))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := p.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, nil, err
	}
	var decoded object
	err = json.Unmarshal(text, &decoded) // half an answer is none
	return answer.StatusCode, decoded, err
}

// client is somebody who works with the platform, and what was acknowledged to
// him.
type client struct {
	*platform
	random *rand.Rand
	newKey bool // repeats with a new key: wrong
	clerk  string
	boss   string
	done   map[string]int // acknowledged, by the name in the audit log
}

// must asks for something, sometimes again although it was acknowledged, for the
// answer was lost.
func (c *client) must(ctx context.Context, token, action, path string, body any) (object, error) {
	key := uuid.NewString()
	status, answer, err := c.ask(ctx, token, key, path, body)
	if err != nil {
		return nil, err
	}
	if status >= http.StatusBadRequest {
		return nil, fmt.Errorf("%s: %d %v", action, status, answer)
	}
	c.done[action]++
	c.heard.Add(1)
	if c.random.IntN(4) == 0 {
		if c.newKey {
			key = uuid.NewString()
		}
		again, repeated, err := c.ask(ctx, token, key, path, body)
		if err != nil {
			return nil, err
		}
		if !c.newKey && (again != status || fmt.Sprint(repeated["id"]) != fmt.Sprint(answer["id"])) {
			return nil, fmt.Errorf("%s: another answer for the same key: %d %v", action, again, repeated)
		}
	}
	return answer, nil
}

// live lets a client work until stop: losses and their ends of a card, drafts,
// and applications that are reviewed and withdrawn.
func (c *client) live(ctx context.Context, card, holder, applicant string, stop func() bool) error {
	event := func(token, action, path, name, reason string) error {
		body := object{"event": name}
		if reason != "" {
			body["reason"] = reason
		}
		_, err := c.must(ctx, token, action, path, body)
		return err
	}
	for !stop() {
		cards := "/v1/cards/" + card + "/events"
		if err := event(c.clerk, "card.reportTemporaryLoss", cards, "reportTemporaryLoss", ""); err != nil {
			return err
		}
		if _, err := c.must(ctx, c.clerk, "application.apply", "/v1/applications", object{"personId": applicant, "kind": "first", "draft": true}); err != nil {
			return err
		}
		if err := event(c.clerk, "card.cancelLoss", cards, "cancelLoss", ""); err != nil {
			return err
		}
		if c.newKey {
			continue
		}
		made, err := c.must(ctx, c.clerk, "application.apply", "/v1/applications", object{"personId": applicant, "kind": "first"})
		if err != nil {
			return err
		}
		path := "/v1/applications/" + fmt.Sprint(made["id"]) + "/events"
		for _, step := range [][2]string{{"approve", ""}, {"reopen", "资料有变"}, {"approve", ""}, {"withdraw", "本人要求"}} {
			if err := event(c.boss, "application."+step[0], path, step[0], step[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// works lets clients work, each with a card and a person of its own, and kills
// the platform meanwhile. It returns what was acknowledged.
func (p *platform) works(random *rand.Rand, times int, newKey bool) map[string]int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Minute)
	defer cancel()
	clerk, boss := p.signIn("zhangying", "Zhangying-2026"), p.signIn("limin", "Limin-2026")
	cards := p.rows("SELECT c.id::text, c.person_id::text, a.id::text FROM cards c, LATERAL (SELECT id FROM persons WHERE id NOT IN (SELECT person_id FROM cards) ORDER BY id OFFSET (SELECT count(*) FROM cards b WHERE b.id < c.id) LIMIT 1) a ORDER BY c.id")
	var stopped atomic.Bool
	var group sync.WaitGroup
	clients := make([]*client, len(cards))
	for i, row := range cards {
		c := &client{platform: p, random: rand.New(rand.NewPCG(random.Uint64(), 0)), newKey: newKey, clerk: clerk, boss: boss, done: map[string]int{}}
		clients[i] = c
		group.Go(func() {
			if err := c.live(ctx, row[0], row[1], row[2], stopped.Load); err != nil {
				p.t.Error(err)
			}
		})
	}
	await := func(n int) {
		for until := p.heard.Load() + int64(n); p.heard.Load() < until && ctx.Err() == nil && !p.t.Failed(); {
			time.Sleep(time.Millisecond)
		}
	}
	for range times {
		await(5 + random.IntN(30))
		time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
		p.kill()
		p.start()
	}
	await(30)
	stopped.Store(true)
	group.Wait()
	done := map[string]int{}
	for _, c := range clients {
		for action, n := range c.done {
			done[action] += n
		}
	}
	return done
}

func (p *platform) signIn(login, password string) string {
	p.t.Helper()
	status, answer, err := p.ask(p.t.Context(), "", uuid.NewString(), "/v1/sign-in", object{"login": login, "password": password})
	require.NoError(p.t, err)
	require.Equal(p.t, http.StatusOK, status, answer)
	return answer["token"].(string)
}

// rows reads rows of texts.
func (p *platform) rows(query string) (all [][]string) {
	p.t.Helper()
	rows, err := p.conn.Query(p.t.Context(), query)
	require.NoError(p.t, err)
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		require.NoError(p.t, err)
		var row []string
		for _, v := range values {
			row = append(row, fmt.Sprint(v))
		}
		all = append(all, row)
	}
	require.NoError(p.t, rows.Err())
	return all
}

// recorded counts what the audit log says was done; what was so already was not
// done again.
func (p *platform) recorded() map[string]int {
	p.t.Helper()
	counts := map[string]int{}
	for _, row := range p.rows("SELECT action, count(*) FROM audit_entries WHERE (action LIKE 'card.%' OR action LIKE 'application.%') AND detail NOT LIKE '%already%' GROUP BY action") {
		var n int
		_, err := fmt.Sscan(row[1], &n)
		require.NoError(p.t, err)
		counts[row[0]] = n
	}
	return counts
}

// takenOver gives some residents a card from before the platform was there.
const takenOver = `INSERT INTO cards (id, number, chip_id, chip_serial, atr, person_id, spec_version, key_version, status, issued_on, expires_on, created_at, changed_at)
	SELECT gen_random_uuid(), 'X' || lpad(n::text, 8, '0'), '639900D1560000FF' || lpad(n::text, 16, '0'), lpad(n::text, 8, '0'), '3B' || lpad(n::text, 16, '0'), id, '3.00', 1, '1', '2024-01-01', '2034-01-01', now(), now()
	FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM persons WHERE place LIKE '6301%') p WHERE n <= 4`

// TestKill kills the platform at instants that a seed chooses, while clients
// work and repeat what was not acknowledged. Nothing that was acknowledged is
// lost, nothing happened twice, the audit log is whole, and what was under way
// goes on: each holder's message lies there once. A client that repeats with a
// new key does things twice, and the same count finds it.
func TestKill(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	_, err := p.conn.Exec(t.Context(), takenOver)
	require.NoError(t, err)
	p.start()
	t.Cleanup(func() {
		if p.process.ProcessState == nil {
			p.kill()
		}
	})
	t.Logf("seed %d", *killSeed)
	random := rand.New(rand.NewPCG(*killSeed, 0))
	done := p.works(random, *kills, false)
	require.Equal(t, done, p.recorded())
	total := 0
	for _, n := range done {
		total += n
	}
	t.Logf("%d kills, %d acknowledged: %v", *kills, total, done)
	require.Greater(t, total, 5**kills)

	// Each card's log is the chain of what was acknowledged, and leads to where it is.
	require.Empty(t, p.rows(`SELECT id FROM (SELECT c.id, c.status, c.version, (SELECT count(*) FROM card_status_log l WHERE l.card_id = c.id) AS steps,
		(SELECT count(*) FROM cards_history h WHERE h.id = c.id) AS past FROM cards c) x WHERE version <> steps + 1 OR past <> steps OR (status = '1') <> (steps % 2 = 0)`))
	require.Empty(t, p.rows("SELECT subject FROM (SELECT count(*) AS entries, subject FROM audit_entries WHERE action = 'application.apply' GROUP BY subject) x WHERE entries <> 1"))
	// What a killed platform had taken is free after a minute: let it be over.
	_, err = p.conn.Exec(t.Context(), "UPDATE deliveries SET next_at = at WHERE state = 'waiting'")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return len(p.rows("SELECT id FROM deliveries WHERE peer = 'holder' AND state = 'waiting'")) == 0
	}, 90*time.Second, 100*time.Millisecond, "messages that were under way go on")
	sent := p.rows("SELECT id::text FROM deliveries WHERE peer = 'holder' AND state = 'acknowledged' ORDER BY 1")
	files, err := filepath.Glob(filepath.Join(p.data, "sms", "*.jwe"))
	require.NoError(t, err)
	require.Len(t, files, len(sent), "each message once")
	require.NotEmpty(t, files)
	verified, err := runOnce(t, p.bin, []string{"ONECARD_DATABASE=" + p.dsn}, "audit", "verify", "--data", p.data, "--trial")
	require.NoError(t, err, verified)
	require.Contains(t, verified, "审计记录完整")

	// The negative control.
	before := p.recorded()
	wrong := p.works(random, 0, true)
	after := p.recorded()
	require.Greater(t, after["application.apply"]-before["application.apply"], wrong["application.apply"], "with new keys it happens twice")
}
