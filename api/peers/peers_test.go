package peers_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/api/peers"
	"onecard/api/pki"
	"onecard/internal/signed"
	"onecard/registry"
	"onecard/registry/stores"
)

// TestPeers: a peer is known by its certificate alone, fetches what is its own,
// and is told what is wrong in the problem form.
func TestPeers(t *testing.T) {
	t.Parallel()
	authority, err := pki.Open(filepath.Join(t.TempDir(), "pki"), nil, time.Now)
	require.NoError(t, err)
	exchange, err := stores.OpenExchange(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "x.db"), time.Now)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, exchange.Close()) })
	client := func(name string) (*http.Client, *x509.Certificate) {
		enrolment, err := authority.Enrol(name)
		require.NoError(t, err)
		pair, err := tls.X509KeyPair(enrolment.Certificate, enrolment.Key)
		require.NoError(t, err)
		roots := x509.NewCertPool()
		require.True(t, roots.AppendCertsFromPEM(enrolment.CA))
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}, pair.Leaf
	}
	police, certificate := client("peer.police")
	stranger, _ := client("peer.stranger")
	require.NoError(t, exchange.PutPeer(t.Context(), stores.Peer{
		Name: "police", Certificate: certificate, Topics: []string{registry.TopicPoliceCheck}, Sends: []string{registry.TopicPoliceResult},
	}))
	sealing, err := authority.Exchange()
	require.NoError(t, err)
	config, err := authority.TLS()
	require.NoError(t, err)
	server := peers.New(exchange, sealing.Leaf, config, slog.New(slog.DiscardHandler))
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	call := func(c *http.Client, method, path, body string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "https://"+listener.Addr().String()+path, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		answer, err := c.Do(request)
		require.NoError(t, err)
		defer func() { require.NoError(t, answer.Body.Close()) }()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		if answer.StatusCode >= 400 {
			require.Equal(t, "application/problem+json", answer.Header.Get("Content-Type"), path)
		}
		return answer.StatusCode, string(text)
	}

	status, text := call(police, "GET", "/v1/certificate", "")
	require.Equal(t, http.StatusOK, status)
	block, _ := pem.Decode([]byte(text))
	province, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	status, text = call(police, "GET", "/v1/messages", "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"messages":[],"after":0}`, text)

	sealed, err := signed.Seal([]byte(`{}`), province)
	require.NoError(t, err)
	id := uuid.NewString()
	letter, err := json.Marshal(map[string]string{"id": id, "topic": registry.TopicPoliceResult, "body": sealed})
	require.NoError(t, err)
	for range 2 {
		status, _ = call(police, "POST", "/v1/messages", string(letter))
		require.Equal(t, http.StatusAccepted, status, "again is the same")
	}
	status, text = call(police, "GET", "/v1/messages/"+id, "")
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, text, sealed)

	for _, c := range []struct {
		who                      *http.Client
		method, path, body, want string
		status                   int
	}{
		{stranger, "GET", "/v1/messages", "", "peer-unknown", 403},
		{police, "GET", "/v1/messages?after=x", "", `"field":"after"`, 400},
		{police, "GET", "/v1/messages?limit=1001", "", `"field":"limit"`, 400},
		{police, "POST", "/v1/messages", "{", "unreadable", 400},
		{police, "POST", "/v1/messages", string(bytes.Repeat([]byte("x"), 300<<10)), "unreadable", 400},
		{police, "POST", "/v1/messages", `{"topic":"police.result","body":"x"}`, `"field":"id"`, 400},
		{police, "POST", "/v1/messages", `{"id":"` + id + `","topic":"police.result"}`, `"field":"body"`, 400},
		{police, "POST", "/v1/messages", `{"id":"` + id + `","topic":"police.result","body":"other"}`, "id-reused", 409},
		{police, "POST", "/v1/messages", `{"id":"` + uuid.NewString() + `","topic":"ministry.result","body":"x"}`, `"code":"topic"`, 403},
		{police, "GET", "/v1/messages/" + uuid.NewString(), "", "not-found", 404},
		{police, "GET", "/v1/messages/x", "", `"field":"id"`, 400},
		{police, "GET", "/v1/persons", "", "no-operation", 404},
	} {
		status, text := call(c.who, c.method, c.path, c.body)
		require.Equal(t, c.status, status, c.path)
		require.Contains(t, text, c.want, c.path)
	}
}
