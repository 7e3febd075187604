package exchange_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/exchange"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// simulation is a few terminals, one exchange that crashes and starts again,
// and one back end behind a bad line, all decided by a seed.
type simulation struct {
	w       *world
	rand    *rand.Rand
	line    *faulty
	process *mortal
	service *exchange.Service
	store   exchange.Store
	persons []uuid.UUID
	// told is what the terminals have seen: the model of what must come out.
	told  map[uuid.UUID]*told
	order []uuid.UUID
}

// told is one transaction as its terminal knows it.
type told struct {
	request  exchange.Request
	terminal string
	sent     bool
	state    exchange.State // of the last answer that arrived
	takeBack bool           // the terminal has asked for a reversal, perhaps without an answer
}

const steps = 24

func newSimulation(w *world, seed uint64, store exchange.Store, backend exchange.Backend) *simulation {
	// Ids come from the seed, too, because recovery walks in their order; serial
	// numbers must not meet those of other seeds on the same database.
	r := rand.New(rand.NewPCG(seed, 0))
	w.serial = int64(seed) * 1000
	w.newID = func() uuid.UUID {
		var id uuid.UUID
		binary.BigEndian.PutUint64(id[:8], r.Uint64())
		binary.BigEndian.PutUint64(id[8:], r.Uint64())
		return id
	}
	s := &simulation{w: w, rand: r, store: store, told: map[uuid.UUID]*told{},
		line: &faulty{inner: backend, rand: r, met: map[string]int{}}}
	for _, kind := range []string{exchange.KindEmployee, exchange.KindEmployee, exchange.KindResident} {
		s.persons = append(s.persons, w.resident(kind))
	}
	s.restart()
	return s
}

// restart begins a new process, which may die after some transactions.
func (s *simulation) restart() {
	s.process = &mortal{Store: s.store, left: s.rand.IntN(12), commit: s.rand.IntN(2) == 0}
	c := s.w.config(s.line)
	c.DB = s.process
	s.service = s.w.serve(c)
}

// run lets the terminals act and faults happen, and then brings everything to
// its end.
func (s *simulation) run(ctx context.Context) error {
	for range steps {
		switch s.rand.IntN(8) {
		case 0, 1, 2:
			s.submit(ctx, s.invent())
		case 3:
			if id, any := s.some(); any {
				s.submit(ctx, s.told[id])
			}
		case 4:
			if id, any := s.some(); any {
				s.reverse(ctx, s.told[id])
			}
		case 5:
			s.reverse(ctx, s.invent()) // its original comes later, or never
		case 6:
			if err := s.line.deliver(ctx); err != nil {
				return err
			}
		case 7:
			s.w.clock.Advance(time.Duration(s.rand.IntN(40)) * time.Second)
			_ = s.service.Recover(ctx) // what is open stays open
		}
		if s.process.dead {
			s.line.met["crash"]++
			s.restart()
		}
	}
	return s.drain(ctx)
}

// drain ends the faults and lets recovery finish; late messages arrive before
// and after it.
func (s *simulation) drain(ctx context.Context) error {
	s.line.calm = true
	for range len(s.line.late) / 2 {
		if err := s.line.deliver(ctx); err != nil {
			return err
		}
	}
	s.w.clock.Advance(time.Minute)
	s.service = s.w.service(s.line)
	if err := s.service.Recover(ctx); err != nil {
		return fmt.Errorf("recovery does not end: %w", err)
	}
	for len(s.line.late) > 0 {
		if err := s.line.deliver(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *simulation) invent() *told {
	terminal := pharmacyDesk
	if s.rand.IntN(2) == 0 {
		terminal = hospitalDesk
	}
	req := s.w.purchase(s.persons[s.rand.IntN(len(s.persons))], terminal)
	if terminal == hospitalDesk {
		req.Business = "outpatient.settle"
	}
	amount := exchange.Fen(1 + s.rand.IntN(60_000))
	req.Items[0].Fen, req.TotalFen = amount, amount+250
	t := &told{request: req, terminal: terminal}
	s.told[req.ID] = t
	s.order = append(s.order, req.ID)
	return t
}

func (s *simulation) some() (uuid.UUID, bool) {
	if len(s.order) == 0 {
		return uuid.Nil, false
	}
	return s.order[s.rand.IntN(len(s.order))], true
}

func (s *simulation) submit(ctx context.Context, t *told) {
	t.sent = true
	done, err := s.service.Submit(ctx, actor(t.terminal), t.request)
	switch {
	case err == nil:
		t.state = done.State
	case errors.Is(err, exchange.ErrBlocked):
		t.state = exchange.StateBlocked
	}
}

func (s *simulation) reverse(ctx context.Context, t *told) {
	t.takeBack = true
	if done, err := s.service.Reverse(ctx, actor(t.terminal), t.request.ID, "模拟冲正"); err == nil {
		t.state = done.State
	}
}

// check holds the journal and the ledger to what the terminals were told.
func (s *simulation) check(ctx context.Context) error {
	spent := map[uuid.UUID]exchange.Fen{}
	for _, id := range s.order {
		t := s.told[id]
		done, err := s.service.Transaction(ctx, id)
		if errors.Is(err, exchange.ErrNotFound) {
			if t.state != "" {
				return fmt.Errorf("%s: told %s, and the journal does not know it", id, t.state)
			}
			continue
		} else if err != nil {
			return err
		}
		if done.State.Open() {
			return fmt.Errorf("%s is still %s", id, done.State)
		}
		s.line.met["ended "+string(done.State)]++
		if err := t.agrees(done.State); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		if err := s.booked(ctx, done); err != nil {
			return fmt.Errorf("%s is %s: %w", id, done.State, err)
		}
		if done.State == exchange.StateConfirmed {
			person := s.personOf(t.request)
			spent[person] += done.Account
		}
	}
	for i, person := range s.persons {
		start := []int64{200_000, 200_000, 0}[i]
		if left := s.w.balance(person); left != start-int64(spent[person]) {
			return fmt.Errorf("the account holds %d, and %d was spent by what is confirmed", left, spent[person])
		}
	}
	if err := s.noneElse(ctx); err != nil {
		return err
	}
	return s.w.insurance.Verify(ctx)
}

func (s *simulation) personOf(r exchange.Request) uuid.UUID {
	return s.w.cards.proofs[r.ProofID].PersonID
}

// agrees compares the end with the last answer that the terminal has seen.
func (t *told) agrees(end exchange.State) error {
	gone := end == exchange.StateReversed || end == exchange.StateBlocked || end == exchange.StateDeclined
	switch {
	case t.state == exchange.StateConfirmed && !t.takeBack && end != exchange.StateConfirmed,
		t.state == exchange.StateDeclined && end != exchange.StateDeclined,
		t.state == exchange.StateBlocked && end != exchange.StateBlocked,
		t.state == exchange.StateUnknown && !gone,
		t.state == exchange.StateReversing && end != exchange.StateReversed,
		t.state == exchange.StateReversed && end != exchange.StateReversed:
		return fmt.Errorf("the terminal was told %s, and it ended %s", t.state, end)
	case end == exchange.StateConfirmed && !t.sent:
		return errors.New("confirmed, and never sent")
	}
	return nil
}

// booked asks the ledger what it moved for a transaction.
func (s *simulation) booked(ctx context.Context, done exchange.Transaction) error {
	var moved exchange.Fen
	err := s.w.db.Read(ctx).Table("insurance_transfers").
		Select("COALESCE(SUM(CASE WHEN reverses IS NULL THEN amount_fen ELSE -amount_fen END), 0)").
		Where("cause = ?", done.ID).Scan(&moved).Error
	if err != nil {
		return err
	}
	want := exchange.Fen(0)
	if done.State == exchange.StateConfirmed {
		want = done.Total
	}
	if moved != want {
		return fmt.Errorf("%d fen moved, %d are due", moved, want)
	}
	return nil
}

// noneElse looks for settlements of the simulation's persons that no terminal
// has asked for.
func (s *simulation) noneElse(ctx context.Context) error {
	var ids []uuid.UUID
	if err := s.w.db.Read(ctx).Table("insurance_settlements").Where("person_id IN ?", s.persons).Pluck("id", &ids).Error; err != nil {
		return err
	}
	for _, id := range ids {
		if _, known := s.told[id]; !known {
			return fmt.Errorf("settlement %s: nobody asked for it", id)
		}
	}
	return nil
}

// seeds is how many simulations run on each database.
const seeds = 50

// TestSimulation is the fault model as a test: whatever is lost, late, doubled
// or crashed, money adds up, every acknowledged transaction exists once, and
// none stays without an end. A failing seed replays: -run TestSimulation/sqlite/17$
func TestSimulation(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		met, ran := map[string]int{}, 0
		for seed := range uint64(seeds) {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				w := newWorld(t, db, clock)
				s := newSimulation(w, seed, db, w.insurance)
				require.NoError(t, s.run(t.Context()))
				require.NoError(t, s.check(t.Context()))
				for name, n := range s.line.met {
					met[name] += n
				}
				ran++
			})
		}
		require.NoError(t, db.VerifyAudit(t.Context()))
		if ran < seeds {
			return // some were left out or have failed
		}
		require.Equal(t, []string{"changed amount", "crash", "doubled request", "doubled reversal",
			"ended blocked", "ended confirmed", "ended declined", "ended reversed", "late request", "lost answer",
			"lost answer to a reversal", "lost query", "lost request", "lost reversal", "panic after", "panic before",
			"panic in a reversal"}, slices.Sorted(maps.Keys(met)), "every fault and every end has happened")
	})
}

// forgetful is a database that acknowledges some commits and loses them.
type forgetful struct {
	exchange.Store
	count int
}

func (f *forgetful) InTx(ctx context.Context, actor registry.Actor, fn func(tx *registry.Tx) error) error {
	f.count++
	if f.count%7 != 0 {
		return f.Store.InTx(ctx, actor, fn)
	}
	errForget := errors.New("not committed")
	err := f.Store.InTx(ctx, actor, func(tx *registry.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errForget
	})
	if errors.Is(err, errForget) {
		return nil
	}
	return err
}

// TestSimulationFindsBrokenPromises runs the simulation over back ends and
// databases that break a promise: the check must say so, or it proves nothing.
func TestSimulationFindsBrokenPromises(t *testing.T) {
	t.Parallel()
	sound := func(db exchange.Store) exchange.Store { return db }
	for _, c := range []struct {
		name    string
		backend func(w *world) exchange.Backend
		store   func(db exchange.Store) exchange.Store
	}{
		{"a commit is acknowledged and lost", func(w *world) exchange.Backend { return w.insurance },
			func(db exchange.Store) exchange.Store { return &forgetful{Store: db} }},
		{"a reversal is acknowledged and not done", func(w *world) exchange.Backend {
			return stub{Backend: w.insurance, reverse: func(context.Context, uuid.UUID) error { return nil }}
		}, sound},
		{"the same message is booked again under another id", func(w *world) exchange.Backend {
			seen := map[uuid.UUID]bool{}
			return stub{Backend: w.insurance, submit: func(ctx context.Context, m exchange.Message) (exchange.Outcome, error) {
				if seen[m.ID] {
					m.ID = uuid.New()
				}
				seen[m.ID] = true
				return w.insurance.Submit(ctx, m)
			}}
		}, sound},
		{"what was booked late is called declined", func(w *world) exchange.Backend {
			return stub{Backend: w.insurance, query: func(context.Context, uuid.UUID) (exchange.Outcome, error) {
				return exchange.Outcome{Result: exchange.Declined, Reason: exchange.ErrNoRoute}, nil
			}}
		}, sound},
		{"a late original is booked after its reversal", func(w *world) exchange.Backend {
			return stub{Backend: w.insurance, reverse: func(ctx context.Context, id uuid.UUID) error {
				if o, err := w.insurance.Query(ctx, id); err != nil || o.Result == exchange.Absent {
					return err // no tombstone
				}
				return w.insurance.Reverse(ctx, id)
			}}
		}, sound},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			clock := registrytest.NewClock()
			db := registrytest.Open(t, registrytest.Config("sqlite:"+t.TempDir()+"/control.db", clock))
			for seed := range uint64(seeds) {
				w := newWorld(t, db, clock)
				s := newSimulation(w, seed, c.store(db), c.backend(w))
				if err := errors.Join(s.run(t.Context()), s.check(t.Context())); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Errorf("%d seeds, and nobody noticed", seeds)
		})
	}
}
