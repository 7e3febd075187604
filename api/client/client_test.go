package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/api/pki"
)

// platform is a TLS server with the platform's certificates whose handler the
// test gives, and the files with which a workstation reaches it.
func platform(t *testing.T, handler http.Handler) client.Config {
	t.Helper()
	authority, err := pki.Open(filepath.Join(t.TempDir(), "pki"), nil, time.Now)
	require.NoError(t, err)
	certificates, err := authority.TLS()
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: handler, TLSConfig: certificates, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	enrolment, err := authority.Enrol("W-1")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, enrolment.WriteFiles(dir))
	return client.Config{
		URL: "https://" + listener.Addr().String(), CA: filepath.Join(dir, pki.FileCA),
		Cert: filepath.Join(dir, pki.FileCertificate), Key: filepath.Join(dir, pki.FileKey),
	}
}

func TestDial(t *testing.T) {
	t.Parallel()
	good := platform(t, http.NotFoundHandler())
	for name, test := range map[string]struct {
		spoil func(*client.Config)
		want  error
	}{
		"plain HTTP":     {func(c *client.Config) { c.URL = "http://127.0.0.1:1" }, client.ErrAddress},
		"no host":        {func(c *client.Config) { c.URL = "https://" }, client.ErrAddress},
		"no authority":   {func(c *client.Config) { c.CA = "missing.pem" }, client.ErrCertificate},
		"no certificate": {func(c *client.Config) { c.Cert = "missing.pem" }, client.ErrCertificate},
		"not a key":      {func(c *client.Config) { c.Key = c.CA }, client.ErrCertificate},
		"not PEM": {func(c *client.Config) {
			c.CA = filepath.Join(t.TempDir(), "ca.pem")
			require.NoError(t, os.WriteFile(c.CA, []byte("none"), 0o600))
		}, client.ErrCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := good
			test.spoil(&config)
			_, err := client.Dial(config)
			require.ErrorIs(t, err, test.want)
		})
	}
}

func TestCertificateIsShown(t *testing.T) {
	t.Parallel()
	api, err := client.Dial(platform(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := pki.Workstation(r.TLS.VerifiedChains[0][0])
		if err != nil {
			id = err.Error()
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(client.Operator{Workstation: id, Roles: []string{}})
	})))
	require.NoError(t, err)
	answer, err := api.MeWithResponse(t.Context())
	require.NoError(t, err)
	require.NotNil(t, answer.JSON200)
	require.Equal(t, "W-1", answer.JSON200.Workstation)
}

func TestProblem(t *testing.T) {
	t.Parallel()
	api, err := client.Dial(platform(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", client.ProblemType)
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"type":"urn:onecard:problem:duplicate","status":409,"code":"duplicate","title":"已经存在","titleEn":"exists","fields":[{"field":"name","zh":"必填","en":"required"}],"instance":"42"}`)
	})))
	require.NoError(t, err)
	answer, err := api.MeWithResponse(t.Context())
	require.NoError(t, err)
	var refused error = answer.ApplicationproblemJSONDefault
	require.ErrorIs(t, refused, &client.Problem{Code: "duplicate"})
	require.NotErrorIs(t, refused, &client.Problem{Code: "busy"})
	require.Equal(t, "已经存在 exists name：必填 required (duplicate 42)", refused.Error())
}

// hangUp is a handler that breaks the first connections and then answers.
func hangUp(t *testing.T, breaks int32, calls *atomic.Int32, bodies chan<- string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && bodies != nil {
			bodies <- string(body)
		}
		if calls.Add(1) <= breaks {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{}`)
	})
}

func TestRepeat(t *testing.T) {
	t.Parallel()
	ctx := t.Context
	transaction := client.NewTransaction{Id: uuid.New(), Business: client.PharmacyPurchase}
	for name, test := range map[string]struct {
		call   func(*client.ClientWithResponses) error
		breaks int32
		calls  int32
		fails  bool
	}{
		"a reading":    {func(c *client.ClientWithResponses) error { _, err := c.MeWithResponse(ctx()); return err }, 2, 3, false},
		"not for ever": {func(c *client.ClientWithResponses) error { _, err := c.MeWithResponse(ctx()); return err }, 9, 3, true},
		"with an idempotency key": {func(c *client.ClientWithResponses) error {
			_, err := c.ApplyWithResponse(ctx(), &client.ApplyParams{IdempotencyKey: "key-00001"}, client.NewApplication{})
			return err
		}, 1, 2, false},
		"a transaction": {func(c *client.ClientWithResponses) error {
			_, err := c.SubmitTransactionWithResponse(ctx(), transaction)
			return err
		}, 1, 2, false},
		"a step": {func(c *client.ClientWithResponses) error {
			_, err := c.StepChipSessionWithResponse(ctx(), uuid.New(), 3, client.ChipAnswers{})
			return err
		}, 1, 2, false},
		"a sign-in is sent once": {func(c *client.ClientWithResponses) error {
			_, err := c.SignInWithResponse(ctx(), client.SignIn{})
			return err
		}, 1, 1, true},
		"a sign-out is sent once": {func(c *client.ClientWithResponses) error { _, err := c.SignOutWithResponse(ctx()); return err }, 1, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			bodies := make(chan string, 8)
			api, err := client.Dial(platform(t, hangUp(t, test.breaks, &calls, bodies)))
			require.NoError(t, err)
			err = test.call(api)
			require.Equal(t, test.fails, err != nil, "%v", err)
			require.Equal(t, test.calls, calls.Load())
			close(bodies)
			first := <-bodies
			for body := range bodies {
				require.Equal(t, first, body, "the same body is sent again")
			}
		})
	}
}

func TestAnswersAreNotRepeated(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	api, err := client.Dial(platform(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})))
	require.NoError(t, err)
	answer, err := api.MeWithResponse(t.Context())
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode())
	require.Equal(t, int32(1), calls.Load())
}

func TestGivenUp(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	api, err := client.Dial(platform(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		calls.Add(1)
		cancel()
		panic(http.ErrAbortHandler)
	})))
	require.NoError(t, err)
	_, err = api.MeWithResponse(ctx)
	require.Error(t, err)
	require.Equal(t, int32(1), calls.Load())
}

// TestStranger: a platform with another authority's certificate is not tried
// again, and hears nothing.
func TestStranger(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	ours, theirs := platform(t, http.NotFoundHandler()), platform(t, hangUp(t, 0, &calls, nil))
	ours.URL = theirs.URL
	api, err := client.Dial(ours)
	require.NoError(t, err)
	_, err = api.MeWithResponse(t.Context())
	require.Error(t, err)
	require.Zero(t, calls.Load())
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	config := platform(t, http.NotFoundHandler())
	config.URL = "https://" + listener.Addr().String()
	api, err := client.Dial(config)
	require.NoError(t, err)
	_, err = api.MeWithResponse(t.Context())
	var operation *net.OpError
	require.True(t, errors.As(err, &operation), "%v", err)
}
