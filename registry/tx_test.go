package registry_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/registry"
	"onecard/registry/registrytest"
)

func TestTransactionLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	refusal := errors.New("refused")
	insert := func(tx *registry.Tx) error {
		return tx.DB().Exec("INSERT INTO counters VALUES ('b', 1)").Error
	}
	cases := map[string]struct {
		change func(tx *registry.Tx) error
		want   error
	}{
		"an error": {func(tx *registry.Tx) error {
			return errors.Join(insert(tx), note(tx), refusal)
		}, refusal},
		"no audit": {insert, registry.ErrNoAudit},
		"an error passed over": {func(tx *registry.Tx) error {
			if err := insert(tx); err != nil {
				return err
			}
			if err := insert(tx); !errors.Is(err, registry.ErrDuplicate) {
				return errors.New("the second row was taken")
			}
			return note(tx)
		}, registry.ErrDuplicate},
		"no action": {func(tx *registry.Tx) error {
			return errors.Join(insert(tx), tx.Audit("", "x", nil))
		}, registry.ErrInvalid},
	}
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		counters(t, db)
		entries := rows(t, db, "audit_entries")
		for name, c := range cases {
			require.ErrorIs(t, db.InTx(t.Context(), clerk, c.change), c.want, name)
		}
		require.PanicsWithValue(t, "broken", func() {
			_ = db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
				require.NoError(t, errors.Join(insert(tx), note(tx)))
				panic("broken")
			})
		})
		require.EqualValues(t, 1, rows(t, db, "counters"))
		require.Equal(t, entries, rows(t, db, "audit_entries"))
		// The connection of the panic went back to its pool.
		require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error { return errors.Join(insert(tx), note(tx)) }))
		require.EqualValues(t, 2, rows(t, db, "counters"))
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

func rows(t *testing.T, db *registry.DB, table string) int64 {
	t.Helper()
	var count int64
	require.NoError(t, db.Read(t.Context()).Table(table).Count(&count).Error)
	return count
}

func TestTransactionRefusesActorsAndNesting(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		for _, actor := range []registry.Actor{{}, {Operator: "a"}, {Operator: "a", Place: "63010"}, {Operator: "a", Place: "63010x"}} {
			require.ErrorIs(t, db.InTx(t.Context(), actor, note), registry.ErrInvalid)
		}
		err := db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
			return db.InTx(tx.Context(), clerk, note)
		})
		require.ErrorContains(t, err, "InTx inside InTx")
	})
}

// TestNoUpdateIsLost lets writers read, add one and write, all at once: with
// the row locked every addition counts.
func TestNoUpdateIsLost(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		counters(t, db)
		const writers, rounds = 8, 10
		together(writers, func(int) {
			for range rounds {
				assert.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
					var value int64
					err := tx.DB().Table("counters").Clauses(clause.Locking{Strength: "UPDATE"}).
						Where("name = 'a'").Select("value").Take(&value).Error
					if err != nil {
						return err
					}
					if err := tx.DB().Exec("UPDATE counters SET value = ? WHERE name = 'a'", value+1).Error; err != nil {
						return err
					}
					return note(tx)
				}))
			}
		})
		require.EqualValues(t, writers*rounds, counter(t, db))
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

// together runs work in n goroutines which begin at the same time.
func together(n int, work func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-start
			work(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

func TestOneOfTwoEqualRowsIsRefused(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		counters(t, db)
		var taken, refused atomic.Int64
		together(8, func(int) {
			err := db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
				if err := tx.DB().Exec("INSERT INTO counters VALUES ('same', 1)").Error; err != nil {
					return err
				}
				return note(tx)
			})
			switch {
			case err == nil:
				taken.Add(1)
			case errors.Is(err, registry.ErrDuplicate) && errors.Is(err, gorm.ErrDuplicatedKey):
				refused.Add(1)
			default:
				t.Errorf("unexpected: %v", err)
			}
		})
		require.EqualValues(t, 1, taken.Load())
		require.EqualValues(t, 7, refused.Load())
	})
}

// TestDeadlockIsTriedAgain makes two transactions take two rows in opposite
// order. PostgreSQL ends one of them (40P01), which then runs again.
func TestDeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		counters(t, db)
		require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
			return errors.Join(tx.DB().Exec("INSERT INTO counters VALUES ('b', 0)").Error, note(tx))
		}))
		var attempts atomic.Int64
		var both sync.WaitGroup
		both.Add(2)
		serial := db.Read(t.Context()).Name() == "sqlite" // one after the other: nobody to wait for
		together(2, func(i int) {
			order := [][]string{{"a", "b"}, {"b", "a"}}[i]
			first := true
			assert.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
				attempts.Add(1)
				for step, name := range order {
					if err := tx.DB().Exec("UPDATE counters SET value = value + 1 WHERE name = ?", name).Error; err != nil {
						return err
					}
					if step == 0 && first && !serial {
						first = false
						both.Done()
						both.Wait()
					}
				}
				return note(tx)
			}))
		})
		require.EqualValues(t, 2, counter(t, db))
		if serial {
			require.EqualValues(t, 2, attempts.Load())
		} else {
			require.GreaterOrEqual(t, attempts.Load(), int64(3)) // the second attempt may lose again
		}
	})
}

func TestReadPoolRefusesWrites(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		counters(t, db)
		require.ErrorIs(t, db.Read(t.Context()).Exec("UPDATE counters SET value = 9").Error, registry.ErrDatabase)
		require.Zero(t, counter(t, db))
	})
}

func TestCancelledTransaction(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		counters(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		err := db.InTx(ctx, clerk, func(tx *registry.Tx) error {
			if err := tx.DB().Exec("UPDATE counters SET value = 7").Error; err != nil {
				return err
			}
			cancel()
			return note(tx)
		})
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, registry.ErrDatabaseGone)
		require.Zero(t, counter(t, db))
	})
}

func TestInstantOfTheChange(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		clock.Advance(1234567891) // nanoseconds: more than PostgreSQL keeps
		require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
			require.Equal(t, db.Now(), tx.Now())
			require.Equal(t, clerk, tx.Actor())
			require.Zero(t, tx.Now().Nanosecond()%1000)
			clock.Advance(1e9)
			require.NotEqual(t, db.Now(), tx.Now())
			return note(tx)
		}))
		trail, err := db.AuditTrail(t.Context(), "test")
		require.NoError(t, err)
		require.Len(t, trail, 1)
		require.True(t, trail[0].At.Equal(db.Now().Add(-1e9)), "an instant survives the database")
	})
}
