package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/api/pki"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// listen serves the world over real HTTPS and returns the address.
func (w *world) listen() string {
	w.t.Helper()
	certificates, err := w.authority.TLS()
	require.NoError(w.t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	server := w.server.HTTP(certificates)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.ServeTLS(listener, "", "")
	}()
	w.t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return "https://" + listener.Addr().String()
}

// dial enrols a workstation and connects as it, with the system's clock.
func (w *world) dial(address, station string) *client.ClientWithResponses {
	w.t.Helper()
	dir := w.t.TempDir()
	enrolment, err := w.authority.Enrol(station)
	require.NoError(w.t, err)
	require.NoError(w.t, enrolment.WriteFiles(dir))
	require.NoError(w.t, w.db.InTx(w.t.Context(), registry.Actor{Operator: "test", Place: "630000"}, func(tx *registry.Tx) error {
		return tx.EnrolWorkstation(station, enrolment.Fingerprint)
	}))
	api, err := client.Dial(client.Config{
		URL: address, CA: filepath.Join(dir, pki.FileCA),
		Cert: filepath.Join(dir, pki.FileCertificate), Key: filepath.Join(dir, pki.FileKey),
	})
	require.NoError(w.t, err)
	return api
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		t.Parallel()
		clock.Advance(time.Since(registrytest.Start)) // certificates are checked by the system's clock
		w := newWorld(t, db, clock)
		address := w.listen()
		api := w.dial(address, counter)

		signed, err := api.SignInWithResponse(t.Context(), client.SignIn{Login: clerk, Password: w.passwords[clerk]})
		require.NoError(t, err)
		require.NotNil(t, signed.JSON200, string(signed.Body))
		token := func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+signed.JSON200.Token)
			return nil
		}
		me, err := api.MeWithResponse(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, counter, me.JSON200.Workstation)

		person, err := api.PersonWithResponse(t.Context(), uuid.New(), token)
		require.NoError(t, err)
		require.ErrorIs(t, person.ApplicationproblemJSONDefault, &client.Problem{Code: "not-found"})

		other := w.dial(address, second)
		stolen, err := other.MeWithResponse(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, stolen.StatusCode(), "the token is good at its workstation only")

		w.withoutCertificate(address)
	})
}

// withoutCertificate reaches what is open, and nothing else.
func (w *world) withoutCertificate(address string) {
	roots := x509.NewCertPool()
	require.True(w.t, roots.AppendCertsFromPEM(w.authority.CA()))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}
	defer transport.CloseIdleConnections()
	stranger := &http.Client{Transport: transport}
	for path, status := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/openapi.yaml": 200, "/v1/me": 401, "/v1/persons?name=x": 401,
	} {
		request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address+path, nil)
		require.NoError(w.t, err)
		got, err := stranger.Do(request)
		require.NoError(w.t, err)
		require.NoError(w.t, got.Body.Close())
		require.Equal(w.t, status, got.StatusCode, path)
	}
}
