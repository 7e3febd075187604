package exchange_test

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/exchange"
	"onecard/registry"
)

// errLine is what a caller sees when a message or its answer is lost.
var errLine = errors.New("the line is broken")

// faulty stands between the exchange and a back end and lets go wrong what can:
// lost requests and answers, late and doubled messages, changed amounts,
// panics. The seed decides, so that a failing run replays exactly.
type faulty struct {
	inner exchange.Backend
	rand  *rand.Rand
	calm  bool // no faults
	// late holds messages that are still on their way.
	late []exchange.Message
	// met counts the faults by name.
	met map[string]int
}

func (f *faulty) pick(names ...string) string {
	if f.calm || f.rand.IntN(2) == 0 {
		return ""
	}
	name := names[f.rand.IntN(len(names))]
	f.met[name]++
	return name
}

func (f *faulty) Submit(ctx context.Context, m exchange.Message) (exchange.Outcome, error) {
	fault := f.pick("lost request", "lost answer", "late request", "doubled request", "changed amount", "panic before", "panic after")
	switch fault {
	case "lost request":
		return exchange.Outcome{}, errLine
	case "late request":
		f.late = append(f.late, m)
		return exchange.Outcome{}, context.DeadlineExceeded
	case "panic before":
		panic(fault)
	}
	o, err := f.inner.Submit(ctx, m)
	switch fault {
	case "doubled request":
		return f.inner.Submit(ctx, m)
	case "changed amount":
		o.Account += 100
	case "lost answer":
		return exchange.Outcome{}, errLine
	case "panic after":
		panic(fault)
	}
	return o, err
}

func (f *faulty) Query(ctx context.Context, id uuid.UUID) (exchange.Outcome, error) {
	if f.pick("lost query") != "" {
		return exchange.Outcome{}, errLine
	}
	return f.inner.Query(ctx, id)
}

func (f *faulty) Reverse(ctx context.Context, id uuid.UUID) error {
	fault := f.pick("lost reversal", "lost answer to a reversal", "doubled reversal", "panic in a reversal")
	if fault == "lost reversal" {
		return errLine
	}
	err := f.inner.Reverse(ctx, id)
	switch fault {
	case "doubled reversal":
		return f.inner.Reverse(ctx, id)
	case "lost answer to a reversal":
		return errLine
	case "panic in a reversal":
		panic(fault)
	}
	return err
}

// deliver lets one late message arrive; nobody waits for its answer.
func (f *faulty) deliver(ctx context.Context) error {
	if len(f.late) == 0 {
		return nil
	}
	i := f.rand.IntN(len(f.late))
	m := f.late[i]
	f.late = append(f.late[:i], f.late[i+1:]...)
	_, err := f.inner.Submit(ctx, m)
	return err
}

// errCrash is what a process sees that is dying.
var errCrash = errors.New("the process has crashed")

// mortal is the database as seen by one process, which dies at a given
// transaction, before it or just after its commit: from then on nothing that it
// does has an effect, and nobody gets its answers.
type mortal struct {
	exchange.Store
	left   int // transactions until it dies; below zero: never
	commit bool
	dead   bool
}

func (m *mortal) InTx(ctx context.Context, actor registry.Actor, fn func(tx *registry.Tx) error) error {
	if m.dead {
		return errCrash
	}
	m.left--
	if m.left != 0 {
		return m.Store.InTx(ctx, actor, fn)
	}
	m.dead = true
	if m.commit {
		if err := m.Store.InTx(ctx, actor, fn); err != nil {
			return errors.Join(errCrash, err)
		}
	}
	return errCrash
}

func (m *mortal) Read(ctx context.Context) *gorm.DB {
	if m.dead {
		gone, cancel := context.WithCancel(ctx)
		cancel()
		return m.Store.Read(gone)
	}
	return m.Store.Read(ctx)
}
