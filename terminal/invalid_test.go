package terminal_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/api/pki"
	"onecard/internal/signed"
	"onecard/terminal"
)

// TestInvalidListIsSigned: a terminal takes a page of the list that the
// province signed as the next one, and no other: not altered, not somebody
// else's, not an earlier one again, not one that leaves out changes.
func TestInvalidListIsSigned(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, time.March, 2, 1, 0, 0, 0, time.UTC)
	authority := func(name string) *pki.Authority {
		a, err := pki.Open(filepath.Join(t.TempDir(), name), nil, func() time.Time { return start })
		require.NoError(t, err)
		return a
	}
	province, thief := authority("province"), authority("thief")
	type entry map[string]string
	sign := func(who *pki.Authority, since, latest int64, at time.Time, entries ...entry) string {
		certificate, err := who.Orders()
		require.NoError(t, err)
		token, err := signed.Sign(map[string]any{"issuedAt": at, "since": since, "latest": latest, "entries": entries}, certificate)
		require.NoError(t, err)
		return token
	}
	lost := entry{"chipId": "AA", "status": "2", "grade": "refuse-and-report"}
	found := entry{"chipId": "AA", "status": "1"}
	first := sign(province, 0, 4, start, lost)
	second := sign(province, 4, 5, start.Add(time.Minute), found)
	var answer string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"latest": 9, "entries": [], "signed": "` + answer + `"}`))
	}))
	defer server.Close()
	api, err := client.NewClientWithResponses(server.URL)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(province.CA()))
	list := terminal.NewInvalidList(roots)
	// Each page is followed by one that brings nothing new.
	take := func(token string) error {
		answer = token
		return list.Refresh(context.Background(), terminal.Platform{API: api})
	}
	for name, token := range map[string]string{
		"another's": sign(thief, 0, 4, start, lost), "altered": first[:len(first)-4] + "AAAA", "not the next": second, "nothing": "",
	} {
		require.ErrorIs(t, take(token), terminal.ErrList, name)
		cards, at := list.Known()
		require.Zero(t, cards, name)
		require.True(t, at.IsZero(), name)
	}
	require.ErrorIs(t, take(first), terminal.ErrList, "the first page again is no second one")
	cards, at := list.Known()
	require.Equal(t, 1, cards)
	require.Equal(t, start, at)
	require.True(t, list.Contains("AA"))
	require.ErrorIs(t, take(sign(province, 4, 5, start.Add(-time.Second), found)), terminal.ErrList, "older than what is known")
	require.ErrorIs(t, take(second), terminal.ErrList)
	require.False(t, list.Contains("AA"))
	require.NoError(t, take(sign(province, 5, 5, start.Add(2*time.Minute))))
	_, at = list.Known()
	require.Equal(t, start.Add(2*time.Minute), at)
}
