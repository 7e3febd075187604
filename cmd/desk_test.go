package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// desk works a counter's page over HTTP as its script does, and knows nothing
// of the product's types: what it reads is what any client reads.
type desk struct {
	t    *testing.T
	base string
	http *http.Client
}

func (s *system) desk(kind, login string) *desk {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	d := &desk{t: s.t, base: s.running.Pages[kind], http: &http.Client{Jar: jar, Timeout: time.Minute}}
	status, answer := d.post("/api/sign-in", map[string]any{"login": login, "password": s.running.Logins[login]})
	require.Equal(s.t, http.StatusOK, status, answer)
	return d
}

type object = map[string]any

func (d *desk) do(method, path string, body any) (int, object) {
	d.t.Helper()
	var payload bytes.Buffer
	if body != nil {
		require.NoError(d.t, json.NewEncoder(&payload).Encode(body))
	}
	request, err := http.NewRequestWithContext(d.t.Context(), method, d.base+path, &payload)
	require.NoError(d.t, err)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", uuid.NewString())
	}
	answer, err := d.http.Do(request)
	require.NoError(d.t, err)
	defer answer.Body.Close()
	var decoded object
	if answer.StatusCode != http.StatusNoContent {
		require.NoError(d.t, json.NewDecoder(answer.Body).Decode(&decoded))
	}
	return answer.StatusCode, decoded
}

func (d *desk) post(path string, body any) (int, object) {
	d.t.Helper()
	return d.do(http.MethodPost, path, body)
}

// must is post where nothing else than success will do.
func (d *desk) must(path string, body any) object {
	d.t.Helper()
	status, answer := d.post(path, body)
	require.Less(d.t, status, http.StatusBadRequest, answer)
	return answer
}

// refused is post where a refusal in words is wanted, in both languages.
func (d *desk) refused(path string, body any, wanted ...string) object {
	d.t.Helper()
	status, problem := d.post(path, body)
	require.GreaterOrEqual(d.t, status, http.StatusBadRequest, problem)
	text, err := json.Marshal(problem)
	require.NoError(d.t, err)
	for _, part := range wanted {
		require.Contains(d.t, string(text), part)
	}
	for _, field := range []string{"title", "titleEn"} {
		require.NotEmpty(d.t, problem[field], "%s is missing in %s", field, text)
	}
	return problem
}

// person finds a sample resident's file by name.
func (d *desk) person(name string) object {
	d.t.Helper()
	status, found := d.do(http.MethodGet, "/platform/v1/persons?name="+url.QueryEscape(name), nil)
	require.Equal(d.t, http.StatusOK, status, found)
	persons := found["persons"].([]any)
	require.Len(d.t, persons, 1)
	status, file := d.do(http.MethodGet, "/platform/v1/persons/"+persons[0].(object)["id"].(string), nil)
	require.Equal(d.t, http.StatusOK, status, file)
	return file
}

// waitFor reads the page's live state until the condition holds.
func (d *desk) waitFor(what string, ok func(state object) bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+"/api/events", nil)
	require.NoError(d.t, err)
	answer, err := d.http.Do(request)
	require.NoError(d.t, err)
	defer answer.Body.Close()
	var last string
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		data, found := strings.CutPrefix(lines.Text(), "data: ")
		if !found {
			continue
		}
		last = data
		var state object
		require.NoError(d.t, json.Unmarshal([]byte(data), &state))
		if ok(state) {
			return
		}
	}
	require.Fail(d.t, "the counter does not show: "+what, last)
}

func (d *desk) waitForCard(kind string) {
	d.t.Helper()
	d.waitFor("card "+kind, func(state object) bool { return state["card"].(object)["kind"] == kind })
}
