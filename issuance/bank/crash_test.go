package bank_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"onecard/issuance"
	"onecard/issuance/bank"
	"onecard/registry"
	"onecard/registry/registrytest"

	sim "onecard/internal/sim/bank"
)

var errDied = errors.New("the process has died")

// mortal is the database of a process that dies at one of its transactions,
// before or after the commit.
type mortal struct {
	*registry.DB
	mu     sync.Mutex
	left   int // transactions until then; below zero: it lives on
	commit bool
	dead   bool
}

func (m *mortal) InTx(ctx context.Context, actor registry.Actor, change func(tx *registry.Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDied
	}
	if m.left != 0 {
		m.left--
		return m.DB.InTx(ctx, actor, change)
	}
	m.dead = true
	if m.commit {
		_ = m.DB.InTx(ctx, actor, change) // nobody hears how it ended
	}
	return errDied
}

// badLine loses messages on the way there or back, doubles them and holds them
// up.
type badLine struct {
	bank.Wire
	mu   sync.Mutex
	next []string // what happens to the next messages
	held []func()
}

func (l *badLine) Carry(ctx context.Context, id uuid.UUID, operation string, body []byte) (bank.Answer, error) {
	l.mu.Lock()
	fate := "good"
	if len(l.next) > 0 {
		fate, l.next = l.next[0], l.next[1:]
	}
	l.mu.Unlock()
	carry := func() (bank.Answer, error) {
		return l.Wire.Carry(context.WithoutCancel(ctx), id, operation, body)
	}
	switch fate {
	case "lost there":
		return bank.Answer{}, bank.ErrNoAnswer
	case "lost back":
		_, _ = carry()
		return bank.Answer{}, bank.ErrNoAnswer
	case "held":
		l.mu.Lock()
		l.held = append(l.held, func() { _, _ = carry() })
		l.mu.Unlock()
		return bank.Answer{}, bank.ErrNoAnswer
	case "twice":
		_, _ = carry()
	}
	return carry()
}

func (l *badLine) deliver() {
	l.mu.Lock()
	held := l.held
	l.held = nil
	l.mu.Unlock()
	for _, late := range held {
		late()
	}
}

// TestCrashes is the property of the journal: whatever is lost, doubled or held
// up on the line, and whenever the process dies, every order comes to its end
// along the lines of the table, and both sides have the same accounts and the
// same money.
func TestCrashes(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		w := newWorld(t, db, clock)
		peer := w.peer
		peer.Code, peer.Timeout = code, 5*time.Second // the line is bad enough
		line := &badLine{Wire: bank.Dial(peer)}
		died := 0
		rapid.Check(t, func(t *rapid.T) { died += w.crashes(t, line) })
		require.NotZero(t, died, "no process died: the test says nothing")
		w.walked(t)
	})
}

func (w *world) process(t must, line *badLine, left int, commit bool) *mortal {
	m := &mortal{DB: w.db, left: left, commit: commit}
	w.Service = w.serve(t, bank.Config{Peers: []bank.Peer{w.peer}, Changes: m, Wire: func(bank.Peer) bank.Wire { return line }})
	return m
}

func (w *world) crashes(t *rapid.T, line *badLine) (died int) {
	var applications []uuid.UUID
	w.process(t, line, -1, false)
	for range rapid.IntRange(4, 14).Draw(t, "steps") {
		switch rapid.SampledFrom([]string{"open", "charge", "turn", "turn", "turn", "reverse", "late", "later", "crash", "crash"}).Draw(t, "step") {
		case "open":
			id, _ := w.application(t, "卓玛")
			applications = append(applications, id)
			w.open(t, "", id)
		case "charge":
			if len(applications) > 0 {
				w.charge(t, rapid.SampledFrom(applications).Draw(t, "application"), bank.ItemReplacement)
			}
		case "turn":
			line.next = rapid.SliceOfN(rapid.SampledFrom([]string{"good", "lost there", "lost back", "held", "twice"}), 0, 4).Draw(t, "fates")
			_, _ = w.Turn(t.Context(), code)
		case "reverse":
			orders, err := w.Orders(t.Context(), bank.Filter{Open: true, Limit: 20})
			require.NoError(t, err)
			if len(orders) > 0 {
				o := rapid.SampledFrom(orders).Draw(t, "order")
				err := w.try(t, func(tx *registry.Tx) error { return w.Reverse(tx, o.ID, "持卡人撤回") })
				require.True(t, err == nil || errors.Is(err, bank.ErrEnded), "%v", err)
			}
		case "late":
			line.deliver()
		case "later":
			w.clock.Advance(time.Duration(rapid.IntRange(0, 1800).Draw(t, "seconds")) * time.Second)
		case "crash":
			id, _ := w.application(t, "才让")
			applications = append(applications, id)
			w.open(t, "", id)
			process := w.process(t, line, rapid.IntRange(0, 2).Draw(t, "transactions"), rapid.Bool().Draw(t, "committed"))
			_, _ = w.Turn(t.Context(), code)
			if process.dead {
				died++
			}
			w.process(t, line, -1, false)
		}
	}
	line.next = nil
	w.settle(t)
	line.deliver()
	w.agrees(t)
	for _, id := range applications {
		require.LessOrEqual(t, w.count(t, "bank_accounts", "application_id = ?", id), 1)
		require.LessOrEqual(t, w.count(t, "bank_orders", "application_id = ? AND operation = 'fee.charge' AND state = 'done'", id), 1)
	}
	return died
}

// walked holds the audit log against the table.
func (w *world) walked(t *testing.T) {
	t.Helper()
	var ids []string
	require.NoError(t, w.db.Read(t.Context()).Table("bank_orders").Order("id").Limit(200).Pluck("CAST(id AS TEXT)", &ids).Error)
	steps := 0
	for _, id := range ids {
		trail, err := w.db.AuditTrail(t.Context(), "bank-order:"+id)
		require.NoError(t, err)
		slices.Reverse(trail)
		at := bank.Begun
		for _, record := range trail {
			to, moved := record.Detail["to"]
			if !moved {
				continue
			}
			from := record.Detail["from"]
			require.True(t, slices.ContainsFunc(bank.Orders.Rules, func(r issuance.Rule) bool { return r.From == from && r.To == to }), "%s: %s → %s", id, from, to)
			at = to
			steps++
		}
		require.Equal(t, 1, w.count(t, "bank_orders", "id = ? AND state = ?", id, at))
	}
	require.Greater(t, steps, 50)
}

// forgetful sends every message under a new id, as a client would that repeats
// without asking.
type forgetful struct{ bank.Wire }

func (f forgetful) Carry(ctx context.Context, _ uuid.UUID, operation string, body []byte) (bank.Answer, error) {
	return f.Wire.Carry(ctx, uuid.New(), operation, body)
}

// TestNegativeControl: without the id that stays, the same line doubles
// accounts, and the comparison of both sides that the other tests rest on says
// so.
func TestNegativeControl(t *testing.T) {
	t.Parallel()
	clock := registrytest.NewClock()
	db := registrytest.Open(t, registrytest.Config("sqlite:"+filepath.Join(t.TempDir(), "registry.db"), clock))
	w := newWorld(t, db, clock)
	peer := w.peer
	peer.Code, peer.Timeout = code, 5*time.Second
	line := &badLine{Wire: forgetful{bank.Dial(peer)}, next: []string{"lost back"}}
	w.process(t, line, -1, false)
	id, _ := w.application(t, "卓玛")
	w.open(t, "", id)
	w.settle(t)
	require.Len(t, w.bank.Accounts(), 2, "the bank opened two")
	var watch watcher
	w.agrees(&watch)
	require.True(t, watch.failed, "the comparison has to notice")
}

// watcher notes that an assertion failed.
type watcher struct{ failed bool }

func (w *watcher) Errorf(string, ...any)    { w.failed = true }
func (w *watcher) FailNow()                 { w.failed = true }
func (w *watcher) Helper()                  {}
func (w *watcher) Context() context.Context { return context.Background() }

// TestTwoPlatforms: two processes that work on the same orders at once send
// each once.
func TestTwoPlatforms(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		other := w.serve(t, bank.Config{Peers: []bank.Peer{w.peer}})
		for range 12 {
			id, _ := w.application(t, "卓玛")
			w.open(t, "", id)
			w.charge(t, id, bank.ItemReplacement)
		}
		w.bank.SetFaults(sim.Faults{Garbage: 30})
		for range 4 {
			var both sync.WaitGroup
			for _, s := range []*bank.Service{w.Service, other} {
				both.Go(func() { _, _ = s.Turn(t.Context(), code) })
			}
			both.Wait()
			w.clock.Advance(5 * time.Minute)
		}
		w.bank.SetFaults(sim.Faults{})
		w.settle(t)
		w.agrees(t)
		require.Equal(t, 12, w.count(t, "bank_accounts", "1 = 1"))
		require.Len(t, w.bank.Accounts(), 12)
		require.Len(t, w.bank.Bookings(), 12)
	})
}
