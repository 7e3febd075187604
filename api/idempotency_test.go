package api

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIdempotency(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		add := call{method: "POST", path: "/v1/persons", as: clerk, key: "person-0001", body: newPerson()}
		first := w.do(add)
		require.Equal(t, http.StatusCreated, first.status, first.body)
		require.Equal(t, first.body, w.do(add).body, "the stored answer")

		other := add
		other.body = newPerson("name", "李测试")
		got := w.do(other)
		require.Equal(t, http.StatusConflict, got.status)
		require.Equal(t, "key-reused", decode[Problem](t, got).Code)

		other = call{method: "POST", path: "/v1/applications", as: clerk, key: add.key, body: `{"personId":"` + decode[Person](t, first).Id.String() + `","kind":"first"}`}
		require.Equal(t, "key-reused", decode[Problem](t, w.do(other)).Code, "the same key for another operation")

		again := add
		again.key = "person-0002"
		got = w.do(again)
		require.Equal(t, http.StatusConflict, got.status)
		require.Equal(t, "duplicate", decode[Problem](t, got).Code)

		// A request that failed leaves its key free.
		again.body = newPerson("idNumber", idNumber("630102", "19600101", 7))
		require.Equal(t, http.StatusCreated, w.do(again).status)
	})
}

func TestIdempotencyTogether(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.token(clerk)
		add := call{method: "POST", path: "/v1/persons", as: clerk, key: "together-01", body: newPerson()}
		answers := make([]answer, 8)
		var wait sync.WaitGroup
		for i := range answers {
			wait.Go(func() { answers[i] = w.do(add) })
		}
		wait.Wait()
		for _, got := range answers {
			require.Equal(t, http.StatusCreated, got.status, got.body)
			require.Equal(t, answers[0].body, got.body)
		}
	})
}
