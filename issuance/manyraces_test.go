package issuance_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/registry"
	"onecard/registry/registrytest"
)

var races = flag.Int("races", 400, "races of counters for one person")

const (
	tables  = 3   // persons about whom there are races at the same time
	perLife = 150 // races about one person
)

// TestManyRaces lets four counters at a time do something for the same person:
// apply, review, make, activate, report and cancel losses, let times end. At no
// instant has a person two cards that work, two of a kind in use or two
// applications that run.
func TestManyRaces(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		n := *races
		if w.db.Read(t.Context()).Name() != "postgres" {
			n = min(n, 400) // one writer at a time
		}
		began := time.Now()
		found, done := w.manyRaces(t, n)
		require.Empty(t, found)
		t.Logf("%d races in %v: %v", n, time.Since(began).Round(time.Millisecond), done)
		for _, event := range []string{"apply", "approve", "activate", "reportLoss", "cancelLoss", "reportTemporaryLoss"} {
			require.NotZero(t, done[event], event)
		}
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// TestManyRacesUnheld is the negative control: without the indexes that hold it,
// what the platform asks before it writes is not enough, and the same races
// find persons with two.
func TestManyRacesUnheld(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		w := newWorld(t, db, clock)
		if db.Read(t.Context()).Name() != "postgres" {
			t.Skip("SQLite has one writer at a time: nothing comes between a question and the write")
		}
		w.change(t, func(tx *registry.Tx) error {
			for _, index := range []string{"cards_working", "cards_in_use", "cards_waiting", "applications_running"} {
				if err := tx.DB().Exec("DROP INDEX " + index).Error; err != nil {
					return err
				}
			}
			return nil
		})
		found, _ := w.manyRaces(t, max(300, *races/100))
		require.NotEmpty(t, found, "the check finds nothing: it proves nothing")
		t.Logf("without the indexes: %d times", len(found))
	})
}

// twice finds the persons who have two of what nobody may have two of.
const twice = `SELECT 'two cards that work' AS what, person_id FROM cards WHERE status = '1' GROUP BY person_id HAVING count(*) > 1
UNION ALL SELECT 'two cards of a kind in use', person_id FROM cards WHERE status IN ('1', '2', '3', '4') GROUP BY person_id, kind HAVING count(*) > 1
UNION ALL SELECT 'two applications that run', person_id FROM applications WHERE state IN ('applied', 'numbered', 'batched', 'personalising', 'made') GROUP BY person_id HAVING count(*) > 1`

// manyRaces lets n races happen and returns what was found, and how often what
// was done. While they run, somebody looks all the time.
func (w world) manyRaces(t *testing.T, n int) (found []string, done map[string]int) {
	t.Helper()
	var mu sync.Mutex
	done = map[string]int{}
	look := func() {
		var rows []struct{ What, PersonID string }
		if err := w.db.Read(t.Context()).Raw(twice).Scan(&rows).Error; err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, row := range rows {
			found = append(found, row.What)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var watch, group sync.WaitGroup
	watch.Go(func() {
		for ctx.Err() == nil {
			look()
			time.Sleep(100 * time.Millisecond) // it reads everything
		}
	})
	var raced atomic.Int64
	for table := range tables {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(table), uint64(n)))
			var r *rivalry
			for i := 0; raced.Add(1) <= int64(n) && !t.Failed(); i++ {
				if i%perLife == 0 {
					r = &rivalry{world: w, person: w.person(t, "马秀兰", "1990-01-01").ID}
				}
				seeds := [rivals]uint64{random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64()}
				var events [rivals]string
				met := race(func(i int) (err error) {
					events[i], err = r.act(t, i, rand.New(rand.NewPCG(seeds[i], 0)))
					return err
				})
				mu.Lock()
				for i, err := range met {
					if err == nil {
						done[events[i]]++
					} else if !expected(err) {
						t.Errorf("%s: %v", events[i], err)
					}
				}
				mu.Unlock()
				if so := raced.Load(); so%10_000 == 0 {
					t.Logf("%d races", so)
				}
			}
		})
	}
	group.Wait()
	cancel()
	watch.Wait()
	look()
	return found, done
}

// expected says whether an error is one that a counter can meet: a refusal in
// words, or that others were faster for too long.
func expected(err error) bool {
	var refusal *issuance.Error
	return errors.As(err, &refusal) || errors.Is(err, registry.ErrBusy) || errors.Is(err, registry.ErrConflict) || errors.Is(err, errNothingToDo)
}

var errNothingToDo = errors.New("nothing to do")

// rivalry is a person for whom several counters work at once.
type rivalry struct {
	world
	person uuid.UUID
}

// act lets a counter do something that may be possible.
func (r *rivalry) act(t *testing.T, rival int, random *rand.Rand) (string, error) {
	who := r.at(fmt.Sprintf("W-%d", rival), fmt.Sprintf("rival%d", random.IntN(100)), everyRole...)
	pick := func(table, in string) (uuid.UUID, string, error) {
		var rows []struct {
			ID    uuid.UUID
			State string
		}
		err := r.db.Read(t.Context()).Table(table).Where("person_id = ? AND "+in, r.person).Select("id, " + map[string]string{"cards": "status", "applications": "state"}[table] + " AS state").Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return uuid.Nil, "", errors.Join(err, errNothingToDo)
		}
		row := rows[random.IntN(len(rows))]
		return row.ID, row.State, nil
	}
	onCard := func(event, in string) (string, error) {
		id, _, err := pick("cards", in)
		if err != nil {
			return event, err
		}
		if event == issuance.EventActivate {
			_, err = who.onChip(t, id, event)
		} else {
			_, err = who.fireCard(t, id, event, "原因")
		}
		return event, err
	}
	switch chance := random.IntN(20); {
	case chance < 5:
		kind := []string{issuance.KindFirst, issuance.KindReplacement, issuance.KindExchange, issuance.KindExchange, issuance.KindTemporary}[random.IntN(5)]
		_, err := who.request(t, issuance.Request{Person: r.person, Kind: kind, Method: issuance.MethodBatch})
		return "apply", err
	case chance < 11:
		return r.forward(t, who, pick)
	case chance < 13:
		return onCard(issuance.EventActivate, "status = '0'")
	case chance < 14:
		return onCard("reportTemporaryLoss", "status = '1'")
	case chance < 16:
		return onCard("reportLoss", "status IN ('1', '4')")
	case chance < 18:
		return onCard("cancelLoss", "status IN ('2', '4')")
	case chance < 19:
		r.clock.Advance(60 * time.Hour)
		happened, err := r.Clock(t.Context(), "630000")
		if happened == 0 && err == nil {
			err = errNothingToDo
		}
		return issuance.EventEndLoss, err
	default:
		id, _, err := pick("applications", "state IN ('applied', 'numbered')")
		if err == nil {
			_, err = who.fire(t, id, "withdraw", "原因")
		}
		return "withdraw", err
	}
}

// forward brings an application one step on.
func (r *rivalry) forward(t *testing.T, who counter, pick func(table, in string) (uuid.UUID, string, error)) (string, error) {
	id, state, err := pick("applications", "state IN ('applied', 'numbered', 'batched')")
	if err != nil {
		return "forward", err
	}
	switch state {
	case issuance.StateApplied:
		_, err = who.fire(t, id, issuance.EventApprove, "")
		return issuance.EventApprove, err
	case issuance.StateNumbered:
		_, err = who.batch(t, id)
		return issuance.EventBatch, err
	default:
		_, err = who.returns(t, id)
		return issuance.EventMake, err
	}
}
