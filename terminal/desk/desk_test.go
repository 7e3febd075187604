package desk_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/terminal"
	"onecard/terminal/desk"
)

// page serves the page with a platform that is out of reach.
func page(t *testing.T) *httptest.Server {
	t.Helper()
	api, err := client.NewClientWithResponses("https://127.0.0.1:1")
	require.NoError(t, err)
	journal, err := terminal.OpenJournal(t.TempDir())
	require.NoError(t, err)
	logger := slog.New(slog.DiscardHandler)
	station := terminal.NewStation(terminal.StationConfig{Kind: "counter", Logger: logger})
	server, err := desk.New(desk.Config{Desk: &terminal.Desk{Station: station, Journal: journal, Invalid: terminal.NewInvalidList(nil), Now: time.Now}, API: api, Logger: logger})
	require.NoError(t, err)
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	return web
}

func ask(t *testing.T, web *httptest.Server, method, path, body string, header map[string]string) (*http.Response, client.Problem) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, web.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	request.Host = header["Host"]
	answer, err := web.Client().Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = answer.Body.Close() })
	var problem client.Problem
	if answer.Header.Get("Content-Type") == client.ProblemType {
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&problem))
	}
	return answer, problem
}

// TestOnlyThisMachine: a page elsewhere cannot work the counter through the
// clerk's browser.
func TestOnlyThisMachine(t *testing.T) {
	t.Parallel()
	web := page(t)
	for name, test := range map[string]struct {
		method, path string
		header       map[string]string
		status       int
	}{
		"the page":                {http.MethodGet, "/", nil, http.StatusOK},
		"its script":              {http.MethodGet, "/static/desk.js", nil, http.StatusOK},
		"by the name localhost":   {http.MethodGet, "/", map[string]string{"Host": "localhost:8480"}, http.StatusOK},
		"by another name":         {http.MethodGet, "/", map[string]string{"Host": "evil.example"}, http.StatusMisdirectedRequest},
		"by an address elsewhere": {http.MethodGet, "/", map[string]string{"Host": "10.0.0.1:8480"}, http.StatusMisdirectedRequest},
		"from another page":       {http.MethodPost, "/api/sign-in", map[string]string{"Origin": "https://evil.example"}, http.StatusForbidden},
		"from another site":       {http.MethodPost, "/api/stop", map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, _ := ask(t, web, test.method, test.path, "{}", test.header)
			require.Equal(t, test.status, answer.StatusCode)
			if test.status == http.StatusOK {
				require.Contains(t, answer.Header.Get("Content-Security-Policy"), "default-src 'self'")
				require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
			}
		})
	}
}

// TestSignInFirst: nothing but the page and its live state without signing in.
func TestSignInFirst(t *testing.T) {
	t.Parallel()
	web := page(t)
	for _, call := range [][2]string{
		{http.MethodGet, "/api/me"}, {http.MethodPost, "/api/chip"}, {http.MethodPost, "/api/visits"}, {http.MethodPost, "/api/stop"}, {http.MethodPost, "/api/pin"}, {http.MethodGet, "/api/areas"}, {http.MethodPost, "/api/bank-number"},
		{http.MethodPost, "/api/sign-out"}, {http.MethodGet, "/platform/v1/persons"}, {http.MethodPost, "/platform/v1/persons"},
	} {
		answer, problem := ask(t, web, call[0], call[1], "{}", map[string]string{"Cookie": "onecard-desk=stolen"})
		require.Equal(t, http.StatusUnauthorized, answer.StatusCode, call)
		require.Equal(t, "not-signed-in", problem.Code)
		require.NotEmpty(t, problem.TitleEn)
	}
}

func TestSignInRefused(t *testing.T) {
	t.Parallel()
	web := page(t)
	for name, test := range map[string]struct {
		body   string
		status int
		field  string
	}{
		"no JSON":           {"login=x", http.StatusBadRequest, "body"},
		"another type":      {`{"login": 7, "password": "x"}`, http.StatusBadRequest, "login"},
		"unknown field":     {`{"login": "x", "passwort": "x"}`, http.StatusBadRequest, "passwort"},
		"platform far away": {`{"login": "x", "password": "x"}`, http.StatusBadGateway, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, problem := ask(t, web, http.MethodPost, "/api/sign-in", test.body, nil)
			require.Equal(t, test.status, answer.StatusCode)
			if test.field != "" {
				require.NotNil(t, problem.Fields)
				require.Equal(t, test.field, (*problem.Fields)[0].Field)
			} else {
				require.Equal(t, terminal.ErrOffline.Code, problem.Code)
			}
		})
	}
}

// TestCodes: the lists hold every group and every county.
func TestCodes(t *testing.T) {
	t.Parallel()
	web := page(t)
	answer, _ := ask(t, web, http.MethodGet, "/api/codes", "", nil)
	var lists map[string][]map[string]string
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&lists))
	require.Len(t, lists["ethnic"], 58)
	require.Contains(t, lists["places"], map[string]string{"code": "632301", "name": "黄南藏族自治州同仁市"})
	require.Greater(t, len(lists["places"]), 40)
}
