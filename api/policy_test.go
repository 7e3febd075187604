package api

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/routers"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/registry"
	"onecard/registry/registrytest"
)

// request makes a call of an operation, well formed as to its address.
func request(route *routers.Route) call {
	path := strings.NewReplacer("{id}", uuid.NewString(), "{attachment}", uuid.NewString(), "{seq}", "0").Replace(route.Path)
	c := call{method: route.Method, path: path}
	if route.Method == http.MethodPost {
		c.key = "policy-0001"
	}
	if route.Operation.RequestBody != nil {
		c.body = "{}"
	}
	return c
}

// byRole is an operator of each role and the workstation where the operator works.
var byRole = map[string]string{
	registry.RoleClerk: clerk, registry.RoleIssuer: clerk, registry.RoleReviewer: reviewer,
	registry.RoleSupervisor: reviewer, registry.RoleCashier: cashier, registry.RoleAdmin: admin,
}

// TestAccess asks every operation as nobody, from a machine without a
// certificate, with a wrong token and as every operator.
func TestAccess(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		t.Parallel()
		w := newWorld(t, db, clock)
		routes, err := operations()
		require.NoError(t, err)
		for _, id := range slices.Sorted(maps.Keys(routes)) {
			t.Run(id, func(t *testing.T) { w.in(t).access(routes[id], policy[id]) })
		}
	})
}

func (w *world) access(route *routers.Route, rule access) {
	refused := func(c call, status int, code string) {
		w.t.Helper()
		got := w.do(c)
		require.Equal(w.t, status, got.status, got.body)
		require.Equal(w.t, code, decode[Problem](w.t, got).Code)
	}
	ask := request(route)
	if rule.level == anonymous {
		ask.at = "-"
		require.Equal(w.t, http.StatusOK, w.do(ask).status)
		return
	}
	for _, without := range []string{"", "-"} {
		ask.at = without
		refused(ask, http.StatusUnauthorized, "no-certificate")
	}
	ask.at = counter
	if rule.level == workstation {
		require.Equal(w.t, http.StatusBadRequest, w.do(ask).status) // it gets as far as the body
		return
	}
	if rule.level == terminal {
		require.Equal(w.t, http.StatusBadRequest, w.do(ask).status, "without a token")
	} else {
		refused(ask, http.StatusUnauthorized, "session")
	}
	ask.token = "not-a-token"
	refused(ask, http.StatusUnauthorized, "session")
	ask.token, ask.at = w.token(clerk), second
	refused(ask, http.StatusUnauthorized, "session")
	for role, login := range byRole {
		operator, err := w.db.Operator(w.t.Context(), login)
		require.NoError(w.t, err)
		if route.Operation.OperationID == "signOut" {
			continue // it would succeed
		}
		ask := request(route)
		ask.as = login
		got := w.do(ask)
		if rule.level == terminal || slices.ContainsFunc(rule.roles, operator.Has) {
			require.NotContains(w.t, []int{http.StatusUnauthorized, http.StatusForbidden}, got.status, "%s: %s", role, got.body)
			require.Less(w.t, got.status, http.StatusInternalServerError, "%s: %s", role, got.body)
		} else {
			refused(ask, http.StatusForbidden, "role")
		}
	}
}

func TestCheckPolicy(t *testing.T) {
	t.Parallel()
	routes, err := operations()
	require.NoError(t, err)
	require.NoError(t, checkPolicy(policy, routes))
	for name, spoil := range map[string]func(map[string]access){
		"an operation without a line":      func(p map[string]access) { delete(p, "me") },
		"a line without an operation":      func(p map[string]access) { p["gone"] = access{level: anonymous} },
		"a line that says nothing":         func(p map[string]access) { p["me"] = access{} },
		"an operator without roles":        func(p map[string]access) { p["me"] = access{level: operator} },
		"roles without an operator":        func(p map[string]access) { p["signIn"] = access{workstation, anyone} },
		"open, though the contract is not": func(p map[string]access) { p["me"] = access{level: anonymous} },
		"closed, though the contract is":   func(p map[string]access) { p["health"] = access{operator, anyone} },
		"a token where none is needed":     func(p map[string]access) { p["authenticate"] = access{operator, anyone} },
		"none where one is welcome":        func(p map[string]access) { p["authenticate"] = access{level: workstation} },
		"a role that nobody has":           func(p map[string]access) { p["me"] = access{operator, []string{"king"}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := maps.Clone(policy)
			spoil(table)
			require.Error(t, checkPolicy(table, routes))
			require.Error(t, (&Server{}).route(table), "the server is not made")
		})
	}
}

func TestWorkstation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		me := call{method: "GET", path: "/v1/me", as: clerk}
		require.Equal(t, http.StatusOK, w.do(me).status)

		// The authority made it, but the registry has another one by now.
		old := w.chains[counter]
		w.enrol(counter)
		require.Equal(t, http.StatusOK, w.do(me).status)
		fresh := w.chains[counter]
		w.chains[counter] = old
		got := w.do(me)
		require.Equal(t, http.StatusForbidden, got.status)
		require.Equal(t, "workstation-unknown", decode[Problem](t, got).Code)

		// The certificate of the authority itself is not a workstation's.
		w.chains[counter] = fresh[1:]
		require.Equal(t, http.StatusForbidden, w.do(me).status)

		// Taken out of use.
		w.chains[counter] = fresh
		require.NoError(t, w.db.InTx(t.Context(), registry.Actor{Operator: "test", Place: "630000"}, func(tx *registry.Tx) error {
			return tx.DisableWorkstation(counter)
		}))
		require.Equal(t, http.StatusForbidden, w.do(me).status)
		require.Equal(t, http.StatusForbidden, w.do(call{method: "POST", path: "/v1/sign-in", at: counter, body: `{"login":"a","password":"b"}`}).status)
	})
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		signIn := func(login, password, at string) answer {
			return w.do(call{method: "POST", path: "/v1/sign-in", at: at, body: `{"login":"` + login + `","password":"` + password + `"}`})
		}
		for name, test := range map[string]struct {
			login, password, at string
			status              int
			code                string
		}{
			"wrong password":      {clerk, "Wrong-Password-1", counter, 401, "sign-in"},
			"nobody of this name": {"nobody", "Wrong-Password-1", counter, 401, "sign-in"},
			"of another place":    {cashier, w.passwords[cashier], counter, 403, "elsewhere"},
		} {
			got := signIn(test.login, test.password, test.at)
			require.Equal(t, test.status, got.status, name)
			require.Equal(t, test.code, decode[Problem](t, got).Code, name)
			require.NotContains(t, got.body, test.password)
		}
		got := signIn(clerk, w.passwords[clerk], counter)
		require.Equal(t, http.StatusOK, got.status)
		signed := decode[SignedIn](t, got)
		me := call{method: "GET", path: "/v1/me", at: counter, token: signed.Token}
		require.Equal(t, http.StatusOK, w.do(me).status)
		require.Equal(t, http.StatusNoContent, w.do(call{method: "POST", path: "/v1/sign-out", at: counter, token: signed.Token}).status)
		got = w.do(me)
		require.Equal(t, http.StatusUnauthorized, got.status)
		require.Equal(t, "Bearer", got.header.Get("WWW-Authenticate"))
		for range 6 {
			got = signIn(reviewer, "Wrong-Password-1", counter)
		}
		require.Equal(t, http.StatusTooManyRequests, got.status)
		require.Equal(t, http.StatusTooManyRequests, signIn(reviewer, w.passwords[reviewer], counter).status)
		for _, secret := range []string{signed.Token, "Wrong-Password-1", w.passwords[clerk]} {
			require.NotContains(t, w.log.String(), secret)
		}
	})
}
