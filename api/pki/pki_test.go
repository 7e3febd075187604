package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/api/pki"
)

var start = time.Date(2026, time.March, 2, 1, 0, 0, 0, time.UTC)

func fixed(t time.Time) func() time.Time { return func() time.Time { return t } }

func open(t *testing.T, dir string, now time.Time, names ...string) *pki.Authority {
	t.Helper()
	authority, err := pki.Open(dir, names, fixed(now))
	require.NoError(t, err)
	return authority
}

// handshake connects with a client certificate, or with none, and returns what
// the server saw of the client and what the client saw of the server.
func handshake(t *testing.T, server *tls.Config, client *tls.Config) (seen, shown tls.ConnectionState, err error) {
	t.Helper()
	left, right := net.Pipe()
	t.Cleanup(func() { _, _ = left.Close(), right.Close() })
	var wait sync.WaitGroup
	var serverErr error
	wait.Go(func() {
		connection := tls.Server(left, server)
		serverErr = connection.HandshakeContext(t.Context())
		seen = connection.ConnectionState()
		if serverErr == nil { // tickets and alerts only travel with data
			_, _ = connection.Write([]byte{0})
		}
		_ = left.Close()
	})
	connection := tls.Client(right, client)
	err = connection.HandshakeContext(t.Context())
	shown = connection.ConnectionState()
	if err == nil {
		_, err = connection.Read(make([]byte, 1))
	}
	_ = right.Close()
	wait.Wait()
	if err == nil {
		err = serverErr
	}
	return seen, shown, err
}

func clientConfig(t *testing.T, authority *pki.Authority, name string, enrolment *pki.Enrolment) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(authority.CA()))
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: name, Time: fixed(start)}
	if enrolment != nil {
		pair, err := tls.X509KeyPair(enrolment.Certificate, enrolment.Key)
		require.NoError(t, err)
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

func TestConnection(t *testing.T) {
	t.Parallel()
	authority := open(t, filepath.Join(t.TempDir(), "pki"), start, "platform.example", "10.1.2.3", "0.0.0.0")
	server, err := authority.TLS()
	require.NoError(t, err)
	enrolment, err := authority.Enrol("W-O630102-01")
	require.NoError(t, err)
	stranger := open(t, filepath.Join(t.TempDir(), "pki"), start)
	foreign, err := stranger.Enrol("W-O630102-01")
	require.NoError(t, err)

	for name, test := range map[string]struct {
		client *tls.Config
		fails  bool
		id     string
	}{
		"workstation":          {client: clientConfig(t, authority, "platform.example", &enrolment), id: "W-O630102-01"},
		"by address":           {client: clientConfig(t, authority, "10.1.2.3", &enrolment), id: "W-O630102-01"},
		"on the same machine":  {client: clientConfig(t, authority, "127.0.0.1", &enrolment), id: "W-O630102-01"},
		"without certificate":  {client: clientConfig(t, authority, "localhost", nil)},
		"of another authority": {client: clientConfig(t, authority, "localhost", &foreign), fails: true},
		"another name":         {client: clientConfig(t, authority, "other.example", &enrolment), fails: true},
		"server of another":    {client: clientConfig(t, stranger, "localhost", &foreign), fails: true},
		"no older TLS than 1.3": {client: func() *tls.Config {
			c := clientConfig(t, authority, "localhost", &enrolment)
			c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
			return c
		}(), fails: true},
		"listening everywhere is": {client: clientConfig(t, authority, "0.0.0.0", &enrolment), fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen, _, err := handshake(t, server, test.client)
			if test.fails {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			if test.id == "" {
				require.Empty(t, seen.VerifiedChains)
				return
			}
			leaf := seen.VerifiedChains[0][0]
			id, err := pki.Workstation(leaf)
			require.NoError(t, err)
			require.Equal(t, test.id, id)
			require.Equal(t, enrolment.Fingerprint, pki.Fingerprint(leaf))
		})
	}
}

func TestExpiredWorkstation(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pki")
	enrolment, err := open(t, dir, start).Enrol("W-1")
	require.NoError(t, err)
	later := open(t, dir, enrolment.NotAfter.Add(time.Hour))
	server, err := later.TLS()
	require.NoError(t, err)
	client := clientConfig(t, later, "localhost", &enrolment)
	client.Time = fixed(enrolment.NotAfter.Add(time.Hour))
	_, _, err = handshake(t, server, client)
	require.Error(t, err)
}

// TestServerRenewed: the server's certificate is made anew before its end and
// for another name, while the authority stays.
func TestServerRenewed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pki")
	shown := func(now time.Time, names ...string) *x509.Certificate {
		authority := open(t, dir, now, names...)
		server, err := authority.TLS()
		require.NoError(t, err)
		pair, err := server.GetCertificate(nil)
		require.NoError(t, err)
		return pair.Leaf
	}
	first := shown(start)
	require.True(t, first.Equal(shown(start.AddDate(0, 6, 0))), "good for another six months")
	require.False(t, first.Equal(shown(start.AddDate(1, 1, 0))), "soon ends")
	require.NoError(t, shown(start, "other.example").VerifyHostname("other.example"))
}

// TestRenewedWhileServing: a platform that runs for a year needs no restart.
func TestRenewedWhileServing(t *testing.T) {
	t.Parallel()
	now := start
	authority, err := pki.Open(filepath.Join(t.TempDir(), "pki"), nil, func() time.Time { return now })
	require.NoError(t, err)
	server, err := authority.TLS()
	require.NoError(t, err)
	first, err := server.GetCertificate(nil)
	require.NoError(t, err)
	now = start.AddDate(1, 1, 0)
	second, err := server.GetCertificate(nil)
	require.NoError(t, err)
	require.False(t, first.Leaf.Equal(second.Leaf))
	require.True(t, second.Leaf.NotAfter.After(now.AddDate(1, 0, 0)))
}

func TestOpenTogether(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data", "pki")
	var wait sync.WaitGroup
	authorities := make([]*pki.Authority, 8)
	for i := range authorities {
		wait.Go(func() {
			authority, err := pki.Open(dir, nil, fixed(start))
			if err == nil {
				authorities[i] = authority
			}
		})
	}
	wait.Wait()
	for _, authority := range authorities {
		require.NotNil(t, authority)
		require.Equal(t, authorities[0].CA(), authority.CA())
	}
	left, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Len(t, left, 1, "no half-made directory stays")
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pki")
	authority := open(t, dir, start)
	_, err := authority.TLS()
	require.NoError(t, err)
	for name, mode := range map[string]os.FileMode{"ca.key": 0o600, "server.key": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
	out := filepath.Join(t.TempDir(), "w1")
	enrolment, err := authority.Enrol("W-1")
	require.NoError(t, err)
	require.NoError(t, enrolment.WriteFiles(out))
	info, err := os.Stat(filepath.Join(out, pki.FileKey))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.ErrorIs(t, enrolment.WriteFiles(out), pki.ErrExists)
	_, err = tls.LoadX509KeyPair(filepath.Join(out, pki.FileCertificate), filepath.Join(out, pki.FileKey))
	require.NoError(t, err)
}

func TestDamage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		harm func(t *testing.T, dir string)
		want error
	}{
		"key readable by others": {func(t *testing.T, dir string) { require.NoError(t, os.Chmod(filepath.Join(dir, "ca.key"), 0o644)) }, pki.ErrPermissions},
		"key cut off":            {func(t *testing.T, dir string) { require.NoError(t, os.Truncate(filepath.Join(dir, "ca.key"), 40)) }, pki.ErrFormat},
		"key empty":              {func(t *testing.T, dir string) { require.NoError(t, os.Truncate(filepath.Join(dir, "ca.key"), 0)) }, pki.ErrFormat},
		"certificate cut off":    {func(t *testing.T, dir string) { require.NoError(t, os.Truncate(filepath.Join(dir, "ca.pem"), 40)) }, pki.ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "pki")
			open(t, dir, start)
			test.harm(t, dir)
			_, err := pki.Open(dir, nil, fixed(start))
			require.ErrorIs(t, err, test.want)
		})
	}
}

// TestKeyElsewhere: without the authority's key the platform serves with the
// certificate it has, and nothing can be enrolled.
func TestKeyElsewhere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pki")
	_, err := open(t, dir, start).TLS()
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "ca.key")))
	authority := open(t, dir, start)
	_, err = authority.TLS()
	require.NoError(t, err)
	_, err = authority.Enrol("W-1")
	require.ErrorIs(t, err, pki.ErrNoKey)
}

func TestWorkstationID(t *testing.T) {
	t.Parallel()
	authority := open(t, filepath.Join(t.TempDir(), "pki"), start)
	for _, id := range []string{"", "a b", "../x", "W/1", "工作站", string(make([]byte, 65))} {
		_, err := authority.Enrol(id)
		require.ErrorIs(t, err, pki.ErrID)
	}
	block, _ := pem.Decode(authority.CA())
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	_, err = pki.Workstation(cert)
	require.ErrorIs(t, err, pki.ErrNotWorkstation)
}
