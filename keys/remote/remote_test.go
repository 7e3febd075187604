package remote_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/keys"
	"onecard/keys/keystest"
	"onecard/keys/pkcs11/pkcs11test"
	"onecard/keys/remote"
)

// software makes a sealed key file with those keys and opens it.
func software(t testing.TB, fixtures []keystest.Fixture) (*keys.Keeper, error) {
	kek, err := keys.GenerateKEK(zeroes{})
	require.NoError(t, err)
	keeper, err := keys.Create(filepath.Join(t.TempDir(), "keys.json"), kek, nil)
	require.NoError(t, err)
	for _, f := range fixtures {
		if err := keeper.Import(f.Spec, f.Version, strings.NewReader(hex.EncodeToString(f.Value))); err != nil {
			return nil, err
		}
	}
	return keeper, nil
}

// zeroes is no randomness at all; the key-encryption key guards nothing here.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// socketIn returns a path short enough for a socket's name.
func socketIn(t testing.TB) string {
	dir, err := os.MkdirTemp("", "keeper")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "socket")
}

func me() uint32 { return uint32(os.Getuid()) }

// serve serves a backend for those users and returns what ends it.
func serve(t testing.TB, socket string, backend keys.Backend, log io.Writer, callers ...uint32) (stop func()) {
	t.Helper()
	listener, err := remote.Listen(socket, 0o600, -1)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	server := &remote.Server{Backend: backend, Callers: callers, Logger: slog.New(slog.NewJSONHandler(log, nil))}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	return sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
		_ = listener.Close()
	})
}

// served puts a backend behind a socket until the test ends.
func served(t testing.TB, backend keys.Backend, log io.Writer) *remote.Keeper {
	t.Helper()
	socket := socketIn(t)
	stop := serve(t, socket, backend, log, me())
	keeper := remote.New(socket, me())
	t.Cleanup(func() {
		keeper.Close()
		stop()
	})
	return keeper
}

func TestConformanceSoftware(t *testing.T) {
	t.Parallel()
	conformance(t, keystest.Software(), func(t *testing.T, fixtures []keystest.Fixture) (keys.Backend, error) {
		return software(t, fixtures)
	})
}

func TestConformanceToken(t *testing.T) {
	t.Parallel()
	conformance(t, keystest.Token(), func(t *testing.T, fixtures []keystest.Fixture) (keys.Backend, error) {
		return pkcs11test.Keeper(t, fixtures)
	})
}

// conformance runs the suite over the socket, and searches the keeper's log for
// the keys afterwards.
func conformance(t *testing.T, can keystest.Capabilities, open func(*testing.T, []keystest.Fixture) (keys.Backend, error)) {
	var log lines
	var secrets [][]byte
	keystest.Run(t, can.Remote(), func(t *testing.T, fixtures []keystest.Fixture) (keystest.Keeper, error) {
		backend, err := open(t, fixtures)
		if err != nil {
			return nil, err
		}
		for _, f := range fixtures {
			if strings.Trim(string(f.Value), "\x00") != "" {
				secrets = append(secrets, f.Value)
			}
		}
		return served(t, backend, &log), nil
	})
	require.NotEmpty(t, log.String())
	for _, secret := range secrets {
		require.Empty(t, keystest.Find(secret, []byte(log.String())))
	}
}

var flat = keystest.Fixture{Spec: keys.Spec{Name: "FLAT", Usage: keys.Authentication, Algorithm: keys.SM4}, Version: 1, Value: []byte("0123456789abcdef")}

// stk is version 2, so that a log which says 1 or 0 is wrong.
var stk = keystest.Fixture{Spec: keys.Spec{Name: "STK", Usage: keys.Maintenance, Algorithm: keys.SM4}, Version: 2, Value: []byte("fedcba9876543210")}

// Each use is one line that says who used which version of which key for what,
// and nothing of what was asked or answered.
func TestLog(t *testing.T) {
	t.Parallel()
	var log lines
	backend, err := software(t, []keystest.Fixture{flat, stk})
	require.NoError(t, err)
	keeper := served(t, backend, &log)
	r := []byte("challeng")
	data, err := keeper.PINBlock(t.Context(), keys.Key{Name: "STK"}, r, []byte{0x84, 0x24, 0, 1, 0x14}, "314159")
	require.NoError(t, err)
	_, err = keeper.PINBlock(t.Context(), keys.Key{Name: "FLAT", Factors: [][]byte{r}}, r, []byte{0x84, 0x24, 0, 1, 0x14}, "314159")
	require.ErrorIs(t, err, keys.ErrWrongUsage)
	_, err = keeper.Cryptogram(t.Context(), keys.Key{Name: "not a name\n"}, r, r)
	require.ErrorIs(t, err, keys.ErrNoKey)

	type line struct {
		Msg, Purpose, Outcome string
		Keys                  []string
		Caller                struct{ UID, PID int }
	}
	var got []line
	for text := range strings.Lines(log.String()) {
		var l line
		require.NoError(t, json.Unmarshal([]byte(text), &l))
		require.Equal(t, os.Getuid(), l.Caller.UID)
		require.Equal(t, os.Getpid(), l.Caller.PID)
		l.Caller.UID, l.Caller.PID = 0, 0
		got = append(got, l)
	}
	require.Equal(t, []line{
		{Msg: "use", Purpose: "pin-block", Outcome: "ok", Keys: []string{"STK/2"}},
		{Msg: "use", Purpose: "pin-block", Outcome: "wrong-usage", Keys: []string{"FLAT/1"}},
		{Msg: "use", Purpose: "cryptogram", Outcome: "no-key", Keys: []string{"?"}},
	}, got)
	for _, secret := range []string{"314159", "challeng", hex.EncodeToString(data), "Y2hhbGxlbmc", "not a name"} {
		require.NotContains(t, log.String(), secret)
	}
}

// The keeper answers its callers alone, and the client asks its keeper alone.
func TestOtherUser(t *testing.T) {
	t.Parallel()
	var log lines
	backend, err := software(t, []keystest.Fixture{flat})
	require.NoError(t, err)
	socket := socketIn(t)
	stop := serve(t, socket, backend, &log, me()+1)
	defer stop()
	stranger := remote.New(socket, me())
	defer stranger.Close()
	_, err = stranger.Cryptogram(t.Context(), keys.Key{Name: "FLAT"}, make([]byte, 8), make([]byte, 8))
	require.ErrorIs(t, err, remote.ErrCaller)
	require.NotErrorIs(t, err, remote.ErrUnreachable)
	require.Contains(t, log.String(), "refused another user")
	require.NotContains(t, log.String(), `"use"`)

	careful := remote.New(socket, me()+1)
	defer careful.Close()
	before := log.String()
	_, err = careful.Cryptogram(t.Context(), keys.Key{Name: "FLAT"}, make([]byte, 8), make([]byte, 8))
	require.ErrorIs(t, err, remote.ErrOwner)
	require.Equal(t, before, log.String(), "nothing was asked of a stranger")
}

// A keeper that goes is missed at once, and one that comes back is found by
// those who had talked to the first.
func TestRestart(t *testing.T) {
	t.Parallel()
	backend, err := software(t, []keystest.Fixture{flat})
	require.NoError(t, err)
	socket := socketIn(t)
	keeper := remote.New(socket, me())
	defer keeper.Close()
	auth := func() error {
		_, err := keeper.Cryptogram(t.Context(), keys.Key{Name: "FLAT"}, make([]byte, 8), make([]byte, 8))
		return err
	}
	for range 3 {
		err := auth()
		require.ErrorIs(t, err, remote.ErrUnreachable)
		require.ErrorContains(t, err, socket)
		var away interface{ Unreachable() bool }
		require.ErrorAs(t, err, &away)
		require.True(t, away.Unreachable())

		stop := serve(t, socket, backend, io.Discard, me())
		require.NoError(t, auth())
		stop()
		stop = serve(t, socket, backend, io.Discard, me())
		require.NoError(t, auth(), "the connection of before is dead")
		stop()
	}
}

// blocked is a keeper that computes until its caller goes.
type blocked struct {
	keys.Backend
	left chan error
}

func (b blocked) Index(ctx context.Context, _ int, _ string, _ []byte) ([]byte, error) {
	<-ctx.Done()
	b.left <- ctx.Err()
	return nil, ctx.Err()
}

// Current implements keys.Backend.
func (blocked) Current(string) (int, error) { return 1, nil }

func TestCallerGoes(t *testing.T) {
	t.Parallel()
	left := make(chan error, 1)
	keeper := served(t, blocked{left: left}, io.Discard)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := keeper.Index(ctx, 1, "column", nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, remote.ErrUnreachable)
	require.ErrorIs(t, <-left, context.Canceled, "the keeper stops, too")
}

// failing is a keeper whose error might say anything.
type failing struct{ blocked }

func (failing) Seal(context.Context, []byte, []byte) ([]byte, error) {
	return nil, errors.New("disk /secret/path")
}

func TestInternalErrorStaysInside(t *testing.T) {
	t.Parallel()
	var log lines
	keeper := served(t, failing{}, &log)
	_, err := keeper.Seal(t.Context(), nil, nil)
	require.ErrorIs(t, err, remote.ErrInternal)
	require.NotContains(t, err.Error(), "secret")
	require.Contains(t, log.String(), "/secret/path")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	backend, err := software(t, []keystest.Fixture{flat})
	require.NoError(t, err)
	keeper := served(t, backend, io.Discard)
	_, err = keeper.Seal(t.Context(), nil, make([]byte, 8<<20))
	require.ErrorIs(t, err, keys.ErrInput)
	for _, n := range []int{0, 257} {
		_, _, err = keeper.WrapKeys(t.Context(), keys.Key{Name: "FLAT"}, make([]keys.Load, n), nil)
		require.ErrorIs(t, err, keys.ErrInput)
	}
}

// Another version's request is refused as such, and never repeated in the log.
func TestOtherVersion(t *testing.T) {
	t.Parallel()
	var log lines
	backend, err := software(t, []keystest.Fixture{flat})
	require.NoError(t, err)
	socket := socketIn(t)
	stop := serve(t, socket, backend, &log, me())
	defer stop()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for path, body := range map[string]string{
		"/v2/cryptogram": `{}`, "/v1/export": `{}`, "/v1/cryptogram": `{"key":{"name":"FLAT"},"secret":"hunter2"}`, "/v1/seal": `"hunter2"`, "/v1/open": ``,
	} {
		response, err := client.Post("http://keeper"+path, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		answer, err := io.ReadAll(response.Body)
		require.NoError(t, errors.Join(err, response.Body.Close()))
		require.Equal(t, http.StatusBadRequest, response.StatusCode, path)
		require.Contains(t, string(answer), `"protocol"`)
	}
	require.NotContains(t, log.String(), "hunter2")
}

func TestListen(t *testing.T) {
	t.Parallel()
	socket := socketIn(t)
	first, err := remote.Listen(socket, 0o660, -1)
	require.NoError(t, err)
	info, err := os.Stat(socket)
	require.NoError(t, err)
	require.Equal(t, os.ModeSocket|0o660, info.Mode())
	_, err = remote.Listen(socket, 0o600, -1)
	require.ErrorIs(t, err, remote.ErrRunning)
	require.NoError(t, first.Close())

	// What a killed keeper leaves.
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	require.NoError(t, err)
	left.SetUnlinkOnClose(false)
	require.NoError(t, left.Close())
	second, err := remote.Listen(socket, 0o600, -1)
	require.NoError(t, err)
	require.NoError(t, second.Close())

	// A file that is no socket is somebody's.
	require.NoError(t, os.WriteFile(socket, []byte("x"), 0o600))
	_, err = remote.Listen(socket, 0o600, -1)
	require.Error(t, err)
	kept, err := os.ReadFile(socket)
	require.NoError(t, err)
	require.Equal(t, "x", string(kept))
}

// What a call costs beyond the computing itself.
func BenchmarkRoundTrip(b *testing.B) {
	master := keystest.Fixture{Spec: keys.Spec{Name: "MK", Usage: keys.Master, Algorithm: keys.SM4}, Version: 1, Value: flat.Value}
	backend, err := software(b, []keystest.Fixture{flat, master})
	require.NoError(b, err)
	keeper := served(b, backend, io.Discard)
	header, iv := []byte{0x84, 0xD4, 0, 0, 0x24}, make([]byte, 16)
	loads := make([]keys.Load, 40)
	for i := range loads {
		loads[i] = keys.Load{Target: keys.Key{Name: "FLAT", Version: 1}, Header: header}
	}
	under := keys.Key{Name: "MK", Version: 1}
	for name, work := range map[string]func() error{
		"cryptogram": func() error {
			_, err := keeper.Cryptogram(b.Context(), keys.Key{Name: "FLAT"}, iv[:8], iv[:8])
			return err
		},
		"40 keys in one call": func() error {
			_, _, err := keeper.WrapKeys(b.Context(), under, loads, iv)
			return err
		},
		"40 keys one by one": func() error {
			_, _, err := keys.WrapChain(b.Context(), keeper, under, loads, iv)
			return err
		},
		"40 keys in this process": func() error {
			_, _, err := keys.WrapChain(b.Context(), backend, under, loads, iv)
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, work())
			}
		})
	}
}
