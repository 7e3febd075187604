package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// How long certificates are valid, and how long before its end the server's
// own is made anew.
const (
	authorityYears = 20
	serverLife     = 397 * 24 * time.Hour
	stationLife    = 2 * 365 * 24 * time.Hour
	renewBefore    = 30 * 24 * time.Hour
	clockSkew      = 5 * time.Minute
)

// Authority is the platform's certificate authority. It is safe for concurrent
// use.
type Authority struct {
	dir   string
	names []string
	now   func() time.Time
	cert  *x509.Certificate
	key   crypto.Signer // nil when it is kept elsewhere

	mu                               sync.Mutex
	server, orders, exchange, client *own
}

// Open opens the authority in dir and makes it when there is none. names are
// the DNS names and IP addresses by which the platform is reached; the names of
// this machine's loopback interface are always added.
func Open(dir string, names []string, now func() time.Time) (*Authority, error) {
	a := &Authority{dir: dir, names: withLoopback(names), now: now, server: serverPair(), orders: ordersPair(), exchange: exchangePair(), client: clientPair()}
	if _, err := os.Stat(a.path("ca.pem")); errors.Is(err, fs.ErrNotExist) {
		if err := a.create(); err != nil {
			return nil, err
		}
	}
	var err error
	if a.cert, err = readCertificate(a.path("ca.pem")); err != nil {
		return nil, err
	}
	a.key, err = readKey(a.path("ca.key"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return a, nil
}

func withLoopback(names []string) []string {
	all := slices.Concat([]string{"localhost", "127.0.0.1", "::1"}, names)
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(name string) bool {
		address := net.ParseIP(name)
		return name == "" || (address != nil && address.IsUnspecified())
	})
}

func (a *Authority) path(name string) string { return filepath.Join(a.dir, name) }

// create makes the authority in a directory of its own and puts it in place
// whole, so that of two programs that start at once one makes it and the other
// finds it.
func (a *Authority) create() error {
	parent := filepath.Dir(a.dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	fresh, err := os.MkdirTemp(parent, ".pki")
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	defer func() { _ = os.RemoveAll(fresh) }()
	key, err := newKey()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "OneCard 平台根证书"},
		NotBefore:             a.now().Add(-clockSkew),
		NotAfter:              a.now().AddDate(authorityYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("pki: sign: %w", err)
	}
	if err := writePair(filepath.Join(fresh, "ca.pem"), filepath.Join(fresh, "ca.key"), der, key); err != nil {
		return err
	}
	err = os.Rename(fresh, a.dir)
	if _, there := os.Stat(a.path("ca.pem")); there == nil {
		return nil // ours or the other program's
	}
	if err == nil {
		err = ErrFormat
	}
	return fmt.Errorf("pki: %s: %w", a.dir, err)
}

// sign issues a leaf with the authority's key.
func (a *Authority) sign(template *x509.Certificate, public crypto.PublicKey) ([]byte, error) {
	if a.key == nil {
		return nil, fmt.Errorf("pki: %w", ErrNoKey)
	}
	template.NotBefore = a.now().Add(-clockSkew)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("pki: sign: %w", err)
	}
	return der, nil
}

// TLS returns the platform's side of connections: TLS 1.3 only, with the
// server's certificate, renewed while the program runs, and client certificates
// of this authority alone. A connection without one is accepted, so that
// whether the platform is alive can be asked; package api refuses it anything
// else. One program at a time serves from a directory.
func (a *Authority) TLS() (*tls.Config, error) {
	if _, err := a.current(a.server); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientAuth:     tls.VerifyClientCertIfGiven,
		ClientCAs:      pool,
		Time:           a.now,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.current(a.server) },
	}, nil
}

// CA returns the authority's certificate, PEM, for those who connect.
func (a *Authority) CA() []byte { return encodeCertificate(a.cert.Raw) }
