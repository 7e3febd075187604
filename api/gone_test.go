package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/internal/pgtest"
	"onecard/registry/registrytest"
)

// TestDatabaseGone: while the database is away every operation says so, and
// afterwards it works again without a restart.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t)
	clock := registrytest.NewClock()
	w := newWorld(t, registrytest.Open(t, registrytest.Config(cluster.DSN(t), clock)), clock)
	w.token(clerk)
	calls := []call{
		{method: "GET", path: "/readyz", at: "-"},
		{method: "GET", path: "/v1/me", as: clerk},
		{method: "POST", path: "/v1/persons", as: clerk, key: "gone-00001", body: newPerson()},
	}
	cluster.Stop(t)
	for _, c := range calls {
		got := w.do(c)
		require.Equal(t, http.StatusServiceUnavailable, got.status, got.body)
		require.Equal(t, "database-gone", decode[Problem](t, got).Code)
		require.NotEmpty(t, got.header.Get("Retry-After"))
	}
	require.Equal(t, http.StatusOK, w.do(call{method: "GET", path: "/healthz", at: "-"}).status)
	cluster.Start(t)
	for _, c := range calls {
		got := w.do(c)
		require.Contains(t, []int{http.StatusOK, http.StatusCreated}, got.status, got.body)
	}
	require.NotContains(t, w.log.String(), newcomer)
}
