package issuance_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/memory"
	"onecard/internal/pgtest"
	"onecard/issuance"
	"onecard/registry"
	"onecard/registry/registrytest"
)

const (
	lifePeople = 6000
	lifeSet    = 200 // applications of one transaction, where many go together
)

// BenchmarkLife takes cards through their life, with audit and messages, on
// PostgreSQL with everything on the disk. The steps are those of the programs:
//
//   - review: a page of the queue at a time
//   - order: a batch for each county, with the orders to the bank for its
//     holders' accounts, and the bank's file
//   - bank: the bank's return
//   - bind: chips and intentions; the production file has a benchmark of its own
//   - make: the maker's return
//   - custody: the maker's boxes, from office to office down to the county
//   - hand: who takes the card, with the signature, under an idempotency key, as
//     a place may ask for
//   - activate: the card, handed over with it, and the message that has the bank
//     activate its account
//   - day: the county's book, in which what was handed over leaves the stock
//
// cards/s is of review, bank, production, handing over and activation by the
// rules that are shipped; with-custody/s also of boxes, signatures and the
// county's book. account is what follows behind everybody's back, the bank's
// activation of the account. Maker and bank are simulated: their own work is not
// counted. simple-update/s is what pgbench does of its own on the same server, a
// yardstick of the machine at that hour.
//
//	go test ./issuance -run xxx -bench Life -benchtime 1x
func BenchmarkLife(b *testing.B) {
	memory.Relax(0)
	cluster := pgtest.New(b, "fsync=on", "full_page_writes=on", "shared_buffers=1GB", "max_wal_size=4GB")
	clock, dsn := registrytest.NewClock(), cluster.DSN(b)
	l := newLife(b, registrytest.Open(b, registrytest.Config(dsn, clock)), clock)
	l.blanks(b)
	l.enter(b)
	var made, all time.Duration
	stage := func(name string, took time.Duration) {
		b.ReportMetric(lifePeople/took.Seconds(), name+"/s")
		all += took
		if !slices.Contains([]string{"custody", "hand", "day"}, name) {
			made += took
		}
	}
	stage("review", inSets(b, lifePeople, 4, lifeSet, l.review))
	stage("order", l.inCounties(b, l.order))
	l.inCounties(b, l.bankAnswers)
	stage("bank", l.inCounties(b, l.takeAccounts))
	stage("bind", l.send(b))
	l.inCounties(b, l.makerAnswers)
	stage("make", l.inCounties(b, l.takeCards))
	stage("custody", l.inCounties(b, l.custody))
	l.read(b)
	l.sign(b)
	stage("hand", inSets(b, lifePeople, 16, 1, l.hand))
	stage("activate", inSets(b, lifePeople, 16, 1, l.activate))
	stage("day", l.inCounties(b, l.closeDay))
	b.ReportMetric(lifePeople/made.Seconds(), "cards/s")
	b.ReportMetric(lifePeople/all.Seconds(), "with-custody/s")
	b.ReportMetric(lifePeople/l.tell(b).Seconds(), "account/s")
	b.ReportMetric(0, "ns/op")
	l.check(b)
	b.ReportMetric(yardstick(b, dsn), "simple-update/s")
}

// yardstick is how many of its simple updates (an account, a row of history)
// pgbench commits in a second.
func yardstick(b *testing.B, dsn string) float64 {
	out, err := exec.CommandContext(b.Context(), "pgbench", "-i", "-q", "-s", "10", dsn).CombinedOutput()
	require.NoError(b, err, string(out))
	return pgbenchRate(b, "-n", "-N", "-M", "prepared", "-c", "16", "-j", "2", "-T", strconv.Itoa(int(statusRound.Seconds())), dsn)
}

// review approves a page of the queue.
func (l *life) review(side, from, to int) error {
	c := l.reviewer()
	c.actor.Place = lifeCounties[side]
	return c.in(l.t, func(tx *registry.Tx) error {
		scope, err := l.db.Scope(tx.Context(), "630000")
		if err != nil {
			return err
		}
		outcomes, err := c.FireAll(tx, l.applications[from:to], issuance.Asked{Event: issuance.EventApprove, Roles: c.roles}, scope, issuance.ErrNoRight)
		for _, o := range outcomes {
			if o.Refused != nil {
				return o.Refused
			}
		}
		return err
	})
}

// hand puts on record who takes a card.
func (l *life) hand(side, at, _ int) error {
	c := l.clerkOf(side)
	_, _, err := l.db.Once(l.t.Context(), c.actor, "hand-"+l.cards[at].String(), l.cards[at][:], func(tx *registry.Tx) (any, error) {
		return c.HandOver(tx, l.cards[at], issuance.Taker{}, l.signatures[at])
	})
	return err
}

// activate activates a card, with what the end of the chip's session does.
func (l *life) activate(side, at, _ int) error {
	return l.clerkOf(side).in(l.t, func(tx *registry.Tx) error {
		return l.ChipDone(tx, l.cards[at], issuance.EventActivate)
	})
}

func (l *life) clerkOf(side int) counter {
	c := l.clerk()
	c.actor.Place = counties[side%len(counties)]
	return c
}

// check holds what has become of everything against the other books.
func (l *life) check(b *testing.B) {
	require.Equal(b, lifePeople, l.count(b, "cards", "status = ? AND custody = 'holder'", issuance.StatusNormal))
	require.Equal(b, lifePeople, l.count(b, "handovers", "signature IS NOT NULL"))
	require.Equal(b, lifePeople, l.count(b, "bank_accounts", "state = 'active' AND application_id IS NOT NULL"))
	require.Equal(b, lifePeople, l.count(b, "stock_cards", "state = 'handed'"))
	found, err := l.stock.Verify(b.Context())
	require.NoError(b, err)
	require.Empty(b, found)
	require.NoError(b, l.db.VerifyAudit(b.Context()))
}

// enter registers the people and enters their applications, as many in each
// county as in the others.
func (l *life) enter(b *testing.B) {
	l.applications = make([]uuid.UUID, lifePeople)
	inSets(b, lifePeople, 4, lifePeople/len(lifeCounties)/6, func(_, from, to int) error {
		c, county := l.clerk(), lifeCounties[from*len(lifeCounties)/lifePeople]
		c.actor.Place = county
		return c.in(b, func(tx *registry.Tx) error {
			for i := from; i < to; i++ {
				// Of different days, so that nobody is taken for anybody else.
				told, err := newcomer(i, fmt.Sprintf("%d-%02d-%02d", 1950+i/336%50, i/28%12+1, i%28+1), county)
				if err != nil {
					return err
				}
				person, err := tx.AddPerson(told)
				if err != nil {
					return err
				}
				a, err := l.Apply(tx, issuance.Request{Person: person.ID, Kind: issuance.KindFirst, Method: issuance.MethodBatch})
				if err != nil {
					return err
				}
				l.applications[i] = a.ID
			}
			return nil
		})
	})
}

// inCounties does something in each county at once and returns how long it took.
func (l *life) inCounties(b *testing.B, step func(county int) error) time.Duration {
	return inSets(b, len(lifeCounties), len(lifeCounties), 1, func(_, county, _ int) error { return step(county) })
}

// inSets works through n things in sets, from several sides, and returns how
// long it took.
func inSets(b *testing.B, n, sides, set int, step func(side, from, to int) error) time.Duration {
	b.Helper()
	next := make(chan int, n)
	for from := range slices.Values(steps(n, set)) {
		next <- from
	}
	close(next)
	began := time.Now()
	var group sync.WaitGroup
	for side := range sides {
		group.Go(func() {
			for from := range next {
				if err := step(side, from, min(from+set, n)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	require.False(b, b.Failed())
	return time.Since(began)
}

func steps(n, set int) (from []int) {
	for at := 0; at < n; at += set {
		from = append(from, at)
	}
	return from
}
