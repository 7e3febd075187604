package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/api/pki"
	"onecard/internal/pgtest"
	"onecard/issuance"
	"onecard/keys"
	"onecard/registry"
)

// trialSettings are the flags of a trial in a directory of its own.
func trialSettings(t *testing.T) settings {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	return settings{Data: &data, Trial: true}
}

func terminalWith(in string) (streams, *bytes.Buffer) {
	var out bytes.Buffer
	return streams{In: strings.NewReader(in), Out: &out, Err: &bytes.Buffer{}}, &out
}

// prepared makes keys and the sample province and enrols a workstation.
func prepared(t *testing.T, s settings) client.Config {
	t.Helper()
	out, printed := terminalWith("")
	transport := filepath.Join(t.TempDir(), "transport.key")
	require.NoError(t, os.WriteFile(transport, []byte(transportKey(t)), 0o600))
	require.NoError(t, (&keysInitCommand{settings: s, Transport: transport}).Run(out))
	require.NoError(t, (&sampleLoadCommand{s}).Run(t.Context(), out))
	require.NoError(t, (&sampleLoadCommand{s}).Run(t.Context(), out), "loading again changes nothing")
	require.Contains(t, printed.String(), "zhangying")
	dir := t.TempDir()
	require.NoError(t, (&enrolCommand{settings: s, ID: "W-O630102-01", Out: dir}).Run(t.Context(), out))
	return client.Config{
		CA: filepath.Join(dir, pki.FileCA), Cert: filepath.Join(dir, pki.FileCertificate), Key: filepath.Join(dir, pki.FileKey),
	}
}

func transportKey(t *testing.T) string {
	t.Helper()
	key := make([]byte, 16)
	_, err := rand.Read(key)
	require.NoError(t, err)
	return hex.EncodeToString(key)
}

// serving starts the platform and returns its address and what ends it.
func serving(t *testing.T, s settings) (address string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	listen := "127.0.0.1:0"
	out, _ := terminalWith("")
	ended := make(chan error, 1)
	go func() { ended <- (&serveCommand{settings: s, Listen: &listen}).Run(ctx, out) }()
	file := filepath.Join(*s.Data, addressFile)
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(file)
		address = strings.TrimSpace(string(text))
		return err == nil && address != ""
	}, 30*time.Second, 20*time.Millisecond)
	return "https://" + address, func() error {
		cancel()
		return <-ended
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(*testing.T) *string{
		"SQLite":     func(*testing.T) *string { return nil },
		"PostgreSQL": func(t *testing.T) *string { return new(pgtest.DSN(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := trialSettings(t)
			s.Database = dsn(t)
			c := prepared(t, s)
			address, stop := serving(t, s)
			c.URL = address
			api, err := client.Dial(c)
			require.NoError(t, err)
			signed, err := api.SignInWithResponse(t.Context(), client.SignIn{Login: "zhangying", Password: "Zhangying-2026"})
			require.NoError(t, err)
			require.NotNil(t, signed.JSON200, string(signed.Body))
			require.Equal(t, "W-O630102-01", signed.JSON200.Operator.Workstation)
			require.NoError(t, stop())
			_, err = os.Stat(filepath.Join(*s.Data, addressFile))
			require.ErrorIs(t, err, os.ErrNotExist)
			out, printed := terminalWith("")
			require.NoError(t, (&auditVerifyCommand{settings: s}).Run(t.Context(), out))
			require.Contains(t, printed.String(), "审计记录完整")
			out, printed = terminalWith("")
			require.NoError(t, (&rulesListCommand{s}).Run(t.Context(), out))
			require.Equal(t, 7, strings.Count(printed.String(), "平台启动"), "each rule once")
			out, printed = terminalWith("")
			require.NoError(t, (&rulesAtCommand{settings: s, Name: "issuance", Instant: time.Now()}).Run(t.Context(), out))
			require.Equal(t, string(issuance.DefaultPolicies()), printed.String())
			before := &rulesAtCommand{settings: s, Name: "issuance", Instant: time.Now().Add(-24 * time.Hour)}
			require.ErrorIs(t, before.Run(t.Context(), out), registry.ErrNotFound)
		})
	}
}

func TestOperatorAdd(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	prepared(t, s)
	out, _ := terminalWith("Chushi-Mima-1\n")
	add := &operatorAddCommand{settings: s, Login: "wangwu", Name: "王五", Roles: []string{"clerk"}, Institution: "O630102", Place: "630102"}
	require.NoError(t, add.Run(t.Context(), out))
	out, _ = terminalWith("short\n")
	require.ErrorIs(t, add.Run(t.Context(), out), registry.ErrInvalid)
	out, _ = terminalWith("Chushi-Mima-1\n")
	require.ErrorIs(t, add.Run(t.Context(), out), registry.ErrDuplicate)
}

func TestEnrolUnknown(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	prepared(t, s)
	out, _ := terminalWith("")
	dir := filepath.Join(t.TempDir(), "w")
	require.ErrorIs(t, (&enrolCommand{settings: s, ID: "W-none", Out: dir}).Run(t.Context(), out), registry.ErrNotFound)
	_, err := os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist, "nothing was written")
}

// TestShares: with two shares neither file alone opens the keys.
func TestShares(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	dir := t.TempDir()
	s.Shares = []string{filepath.Join(dir, "first"), filepath.Join(dir, "second")}
	out, _ := terminalWith("")
	require.NoError(t, (&keysInitCommand{settings: s}).Run(out))
	require.NoError(t, (&migrateCommand{s}).Run(t.Context(), out))
	s.Shares = []string{filepath.Join(dir, "first"), filepath.Join(dir, "first")}
	require.ErrorIs(t, (&migrateCommand{s}).Run(t.Context(), out), keys.ErrShares)
	_, err := os.Stat(filepath.Join(*s.Data, "keys", "kek"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestStart says for everything that keeps the platform from starting what it
// is and what to do.
func TestStart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		harm func(t *testing.T, s *settings) (listen string)
		want error
		says string
	}{
		"port taken": {func(t *testing.T, _ *settings) string {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { _ = listener.Close() })
			return listener.Addr().String()
		}, syscall.EADDRINUSE, "占用"},
		"database gone": {func(_ *testing.T, s *settings) string {
			s.Database = new("postgres://user:secret@127.0.0.1:1/none")
			return "127.0.0.1:0"
		}, registry.ErrDatabaseGone, "127.0.0.1:1/none"},
		"key file open to others": {func(t *testing.T, s *settings) string {
			require.NoError(t, os.Chmod(filepath.Join(*s.Data, "keys", "keys.json"), 0o644))
			return "127.0.0.1:0"
		}, keys.ErrPermissions, "chmod 600"},
		"certificate's key open to others": {func(t *testing.T, s *settings) string {
			require.NoError(t, os.Chmod(filepath.Join(*s.Data, "pki", "ca.key"), 0o644))
			return "127.0.0.1:0"
		}, pki.ErrPermissions, "chmod 600"},
		"no keys": {func(t *testing.T, s *settings) string {
			require.NoError(t, os.RemoveAll(filepath.Join(*s.Data, "keys")))
			return "127.0.0.1:0"
		}, errNoKeys, "onecard keys init"},
		"keys of another database": {func(t *testing.T, s *settings) string {
			require.NoError(t, os.RemoveAll(filepath.Join(*s.Data, "keys")))
			out, _ := terminalWith("")
			require.NoError(t, (&keysInitCommand{settings: *s}).Run(out))
			return "127.0.0.1:0"
		}, registry.ErrWrongVault, "密钥与数据库不符"},
		"production": {func(_ *testing.T, s *settings) string {
			s.Trial = false
			return "127.0.0.1:0"
		}, errProduction, "--trial"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := trialSettings(t)
			prepared(t, s)
			listen := test.harm(t, &s)
			out, _ := terminalWith("")
			err := (&serveCommand{settings: s, Listen: &listen}).Run(t.Context(), out)
			require.ErrorIs(t, err, test.want)
			said := explain(err)
			require.Contains(t, said, test.says)
			require.NotContains(t, said, "secret")
			if errors.Is(err, syscall.EADDRINUSE) {
				require.Contains(t, said, listen)
			}
		})
	}
}

func TestKeysInitTwice(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	out, _ := terminalWith("")
	require.NoError(t, (&keysInitCommand{settings: s}).Run(out))
	require.ErrorIs(t, (&keysInitCommand{settings: s}).Run(out), keys.ErrExists)
	require.NoError(t, (&migrateCommand{s}).Run(t.Context(), out), "the first keys are as they were")
}
