package registry_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/registry"
	"onecard/registry/registrytest"
)

type paid struct {
	Fen  int64  `json:"fen"`
	Text string `json:"text"`
}

// add adds one to the counter and answers with something that needs care.
func add(tx *registry.Tx) (any, error) {
	if err := tx.DB().Exec("UPDATE counters SET value = value + 1 WHERE name = 'a'").Error; err != nil {
		return nil, err
	}
	return paid{Fen: 1250, Text: "扎西·多杰 <ok>"}, note(tx)
}

func TestOnce(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		config := registrytest.Config(dsn, registrytest.NewClock())
		db := registrytest.Open(t, config)
		counters(t, db)
		first, replayed, err := db.Once(t.Context(), clerk, "key-1", []byte(`{"a":1}`), add)
		require.NoError(t, err)
		require.False(t, replayed)
		require.JSONEq(t, `{"fen":1250,"text":"扎西·多杰 <ok>"}`, string(first))

		again, replayed, err := registrytest.Open(t, config).Once(t.Context(), clerk, "key-1", []byte(`{"a":1}`), add)
		require.NoError(t, err)
		require.True(t, replayed, "also by another instance")
		require.Equal(t, first, again, "to the byte")

		_, _, err = db.Once(t.Context(), clerk, "key-1", []byte(`{"a":2}`), add)
		require.ErrorIs(t, err, registry.ErrKeyReused)
		require.EqualValues(t, 1, counter(t, db))

		_, replayed, err = db.Once(t.Context(), herder, "key-1", []byte(`{"a":2}`), add)
		require.NoError(t, err)
		require.False(t, replayed, "the key of another operator is another key")
		require.EqualValues(t, 2, counter(t, db))

		for _, key := range []string{"", strings.Repeat("k", 256)} {
			_, _, err = db.Once(t.Context(), clerk, key, nil, add)
			require.ErrorIs(t, err, registry.ErrInvalid)
		}
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

func TestOnceAfterAFailure(t *testing.T) {
	t.Parallel()
	refusal := errors.New("refused")
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		counters(t, db)
		for _, c := range []struct {
			change func(tx *registry.Tx) (any, error)
			want   error
		}{
			{func(tx *registry.Tx) (any, error) { _, err := add(tx); return nil, errors.Join(err, refusal) }, refusal},
			{func(tx *registry.Tx) (any, error) { return 1, nil }, registry.ErrNoAudit},
		} {
			_, _, err := db.Once(t.Context(), clerk, "key", []byte("r"), c.change)
			require.ErrorIs(t, err, c.want)
		}
		_, _, err := db.Once(t.Context(), clerk, "key", []byte("r"), func(tx *registry.Tx) (any, error) { return make(chan int), note(tx) })
		require.ErrorContains(t, err, "answer")
		require.Zero(t, rows(t, db, "idempotency"))

		_, replayed, err := db.Once(t.Context(), clerk, "key", []byte("r"), add)
		require.NoError(t, err)
		require.False(t, replayed)
		require.EqualValues(t, 1, counter(t, db))
	})
}

func TestOnceAtTheSameTime(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		counters(t, db)
		var fresh, replays, reused atomic.Int64
		together(12, func(i int) {
			request := []byte("same")
			if i%3 == 2 {
				request = []byte("other")
			}
			answer, replayed, err := db.Once(t.Context(), clerk, "key", request, add)
			switch {
			case errors.Is(err, registry.ErrKeyReused):
				reused.Add(1)
			case err != nil:
				t.Errorf("unexpected: %v", err)
			case replayed:
				replays.Add(1)
			default:
				fresh.Add(1)
			}
			if err == nil && !strings.Contains(string(answer), "1250") {
				t.Errorf("an answer without content")
			}
		})
		require.EqualValues(t, 1, fresh.Load())
		require.EqualValues(t, 12, fresh.Load()+replays.Load()+reused.Load())
		require.Contains(t, []int64{4, 8}, reused.Load(), "whoever came first, the others differ from it or not")
		require.EqualValues(t, 1, counter(t, db))
	})
}
