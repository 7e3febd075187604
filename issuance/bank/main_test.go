package bank_test

import (
	"context"
	"crypto/x509"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/api/pki"
	"onecard/internal/gb"
	"onecard/issuance/bank"
	"onecard/registry"
	"onecard/registry/registrytest"

	sim "onecard/internal/sim/bank"
)

// code is the bank that all tests speak with.
const code = "95533"

// authorities are the certificates of both sides, made once for all tests.
var authorities struct{ province, bank *pki.Authority }

func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.checks": "12", "test.parallel": "4"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(func() int {
		directory, err := os.MkdirTemp("", "bank")
		if err == nil {
			defer func() { _ = os.RemoveAll(directory) }()
			// The clocks of tests begin at Start and go on by hand.
			now := func() time.Time { return registrytest.Start }
			authorities.province, err = pki.Open(filepath.Join(directory, "province"), nil, now)
			if err == nil {
				authorities.bank, err = pki.Open(filepath.Join(directory, "bank"), nil, now)
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func roots(t must, a *pki.Authority) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(a.CA()))
	return pool
}

// must is the assertions that testing.TB and rapid.T share.
type must interface {
	require.TestingT
	Helper()
	Context() context.Context
}

// world is a province on one database, and a bank.
type world struct {
	*bank.Service
	db      *registry.DB
	clock   *registrytest.Clock
	bank    *sim.Bank
	peer    bank.Peer
	address string
}

// newBank starts a simulated bank on loopback.
func newBank(t *testing.T, clock *registrytest.Clock) (*sim.Bank, string) {
	t.Helper()
	seal, err := authorities.province.Exchange()
	require.NoError(t, err)
	b, err := sim.New(sim.Config{Code: code, BIN: "621467", Now: clock.Now, Sign: authorities.bank.Orders, Open: authorities.bank.Exchange,
		ProvinceRoots: roots(t, authorities.province), ProvinceSeal: seal.Leaf, State: filepath.Join(t.TempDir(), "books.json"), Seed: 1})
	require.NoError(t, err)
	config, err := authorities.bank.TLS()
	require.NoError(t, err)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := b.Server(config, slog.New(slog.DiscardHandler))
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return b, "https://" + listener.Addr().String()
}

func peerOf(t must, address string, clock *registrytest.Clock) bank.Peer {
	t.Helper()
	seal, err := authorities.bank.Exchange()
	require.NoError(t, err)
	return bank.Peer{Code: "105", Inbox: "bank.95533", Address: address, Roots: roots(t, authorities.bank), Seal: seal.Leaf,
		Client: authorities.province.Client, Sign: authorities.province.Orders, Open: authorities.province.Exchange,
		Timeout: 10 * time.Second, Now: clock.Now}
}

func newWorld(t *testing.T, db *registry.DB, clock *registrytest.Clock) *world {
	t.Helper()
	b, address := newBank(t, clock)
	peer := peerOf(t, address, clock)
	w := &world{db: db, clock: clock, bank: b, peer: peer, address: address}
	w.Service = w.serve(t, bank.Config{Peers: []bank.Peer{peer}})
	return w
}

func (w *world) serve(t must, c bank.Config) *bank.Service {
	t.Helper()
	c.DB, c.Province, c.Logger = w.db, "630000", slog.New(slog.DiscardHandler)
	s, err := bank.New(c)
	require.NoError(t, err)
	if cleaner, ok := t.(interface{ Cleanup(func()) }); ok {
		cleaner.Cleanup(s.Close)
	}
	return s
}

// hasty gives the bank little time to answer.
func (w *world) hasty(t must) {
	t.Helper()
	w.peer.Timeout = 150 * time.Millisecond
	w.Service = w.serve(t, bank.Config{Peers: []bank.Peer{w.peer}})
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) { test(t, newWorld(t, db, clock)) })
}

var clerk = registry.Actor{Operator: "zhangying", Workstation: "ws-1", Place: "632723"}

func (w *world) change(t must, change func(tx *registry.Tx) error) {
	t.Helper()
	require.NoError(t, w.try(t, change))
}

func (w *world) try(t must, change func(tx *registry.Tx) error) error {
	return w.db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		return tx.Audit("test.noted", "test", nil)
	})
}

var born atomic.Int64

// application enters a person with a reviewed application.
func (w *world) application(t must, name string) (id, person uuid.UUID) {
	t.Helper()
	n := born.Add(1)
	birth, err := gb.ParseDate("1990-03-04")
	require.NoError(t, err)
	number, err := gb.NewIDNumber([]string{"632723", "632221", "630121", "632523", "632801"}[n/900%5], birth, int(n%900)+1)
	require.NoError(t, err)
	w.change(t, func(tx *registry.Tx) error {
		added, err := tx.AddPerson(registry.NewPerson{IDNumber: number.String(), Name: name, Ethnic: "04", Place: "632723", Phone: "13997000001"})
		if err != nil {
			return err
		}
		person = added.ID
		id, err = w.apply(tx, person)
		return err
	})
	return id, person
}

func (w *world) apply(tx *registry.Tx, person uuid.UUID) (uuid.UUID, error) {
	id, err := tx.NewID()
	if err != nil {
		return id, err
	}
	n := born.Add(1)
	return id, tx.DB().Table("applications").Create(map[string]any{"id": id, "person_id": person, "kind": "first", "place": "632723", "state": "numbered",
		"card_number": fmt.Sprintf("%09d", n), "entered_by": "a", "reviewed_by": "b", "reason": "", "created_at": tx.Now(), "changed_at": tx.Now()}).Error
}

// settle lets time pass and the worker go on until nothing is open.
func (w *world) settle(t must) {
	t.Helper()
	var last error
	for range 60 {
		_, last = w.Turn(t.Context(), code) // silence is what the tests are about
		if w.count(t, "bank_orders", "batch IS NULL AND state IN ('begun','sent','unknown')") == 0 {
			return
		}
		w.clock.Advance(20 * time.Minute)
	}
	require.Fail(t, "orders stay open", "%v", last)
}

func (w *world) count(t must, table, condition string, values ...any) int {
	t.Helper()
	var n int64
	require.NoError(t, w.db.Read(t.Context()).Table(table).Where(condition, values...).Count(&n).Error)
	return int(n)
}

func (w *world) open(t must, batch string, applications ...uuid.UUID) {
	t.Helper()
	w.change(t, func(tx *registry.Tx) error {
		_, err := w.OpenAccounts(tx, code, batch, applications...)
		return err
	})
}

// tell has the bank change an account and the province take its notice.
func (w *world) tell(t must, number, change string) string {
	t.Helper()
	notice, err := w.bank.Notice(number, change)
	require.NoError(t, err)
	return w.take(t, uuid.New(), "bank.95533", notice)
}

func (w *world) take(t must, id uuid.UUID, peer, notice string) string {
	t.Helper()
	outcome, err := w.db.Take(t.Context(), "630000", registry.Incoming{Peer: peer, ID: id, Topic: bank.TopicAccount, Body: []byte(notice)},
		map[string]registry.Taker{bank.TopicAccount: w.Take})
	require.NoError(t, err)
	return outcome
}
