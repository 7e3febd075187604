package issuance_test

import (
	"fmt"
	"slices"
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

// BenchmarkLife takes cards from the review over batch and the maker's return to
// the activation, with the audit record and the messages of each, on PostgreSQL
// with everything on the disk. Reviewers decide a page of a queue at a time,
// batches and returns are taken in sets; each holder's activation is a
// transaction of its own.
//
//	go test ./issuance -run xxx -bench Life -benchtime 1x
func BenchmarkLife(b *testing.B) {
	memory.Relax(0)
	cluster := pgtest.New(b, "fsync=on", "full_page_writes=on", "shared_buffers=1GB", "max_wal_size=4GB")
	clock := registrytest.NewClock()
	w := newWorld(b, registrytest.Open(b, registrytest.Config(cluster.DSN(b), clock)), clock)
	applications := entered(b, w)
	cards := make([]uuid.UUID, len(applications))
	began := time.Now()
	for _, stage := range []struct {
		name       string
		sides, set int
		role       func() counter
		step       func(c counter, from, to int) error
	}{
		{"review", 4, lifeSet, w.reviewer, func(c counter, from, to int) error {
			return c.in(b, func(tx *registry.Tx) error {
				scope, err := w.db.Scope(tx.Context(), "630000")
				if err != nil {
					return err
				}
				outcomes, err := c.FireAll(tx, idsOf(applications[from:to]), issuance.Asked{Event: issuance.EventApprove, Roles: c.roles}, scope, issuance.ErrNoRight)
				for i, o := range outcomes {
					if o.Refused != nil {
						return o.Refused
					}
					applications[from+i] = o.Application
				}
				return err
			})
		}},
		{"batch", 4, lifeSet, w.producer, func(c counter, from, to int) error {
			return c.in(b, func(tx *registry.Tx) error {
				ids := idsOf(applications[from:to])
				if err := c.Hold(tx, ids); err != nil {
					return err
				}
				for _, id := range ids {
					if _, _, err := c.Batch(tx, id, c.roles); err != nil {
						return err
					}
				}
				return nil
			})
		}},
		{"make", 4, lifeSet, w.producer, func(c counter, from, to int) error {
			return c.in(b, func(tx *registry.Tx) error {
				if err := c.Hold(tx, idsOf(applications[from:to])); err != nil {
					return err
				}
				for i, a := range applications[from:to] {
					made, err := c.Make(tx, a.ID, chipOf(a), "M-1", c.roles)
					if err != nil {
						return err
					}
					cards[from+i] = made.ID
				}
				return nil
			})
		}},
		{"activate", 16, 1, w.clerk, func(c counter, from, _ int) error {
			_, err := c.onChip(b, cards[from], issuance.EventActivate)
			return err
		}},
	} {
		took := inSets(b, len(applications), stage.sides, stage.set, func(side, from, to int) error {
			c := stage.role()
			c.actor.Place = counties[side%len(counties)]
			return stage.step(c, from, to)
		})
		b.ReportMetric(float64(len(applications))/took.Seconds(), stage.name+"/s")
	}
	b.ReportMetric(float64(len(applications))/time.Since(began).Seconds(), "cards/s")
	b.ReportMetric(0, "ns/op")
	require.Equal(b, len(cards), w.count(b, "cards", "status = ?", issuance.StatusNormal))
	require.NoError(b, w.db.VerifyAudit(b.Context()))
}

// entered enters as many applications as there are people.
func entered(b *testing.B, w world) []issuance.Application {
	applications := make([]issuance.Application, lifePeople)
	inSets(b, lifePeople, 8, 1, func(_, from, _ int) (err error) {
		// Of different days, so that nobody is taken for anybody else.
		person := w.person(b, "扎西·多杰", fmt.Sprintf("%d-%02d-%02d", 1950+from/336%50, from/28%12+1, from%28+1))
		applications[from], err = w.clerk().request(b, issuance.Request{Person: person.ID, Kind: issuance.KindFirst, Method: issuance.MethodBatch})
		return err
	})
	return applications
}

func idsOf(applications []issuance.Application) []uuid.UUID {
	ids := make([]uuid.UUID, len(applications))
	for i, a := range applications {
		ids[i] = a.ID
	}
	return ids
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
