package pki

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// own is a certificate of the platform itself, in two files of its name.
type own struct {
	name     string
	template func(*Authority) *x509.Certificate
	pair     *tls.Certificate
}

// The platform's own certificates.
func serverPair() *own {
	return &own{name: "server", template: func(a *Authority) *x509.Certificate {
		template := &x509.Certificate{Subject: pkix.Name{CommonName: "OneCard 平台"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		for _, name := range a.names {
			if address := net.ParseIP(name); address != nil {
				template.IPAddresses = append(template.IPAddresses, address)
			} else {
				template.DNSNames = append(template.DNSNames, name)
			}
		}
		return template
	}}
}

func ordersPair() *own {
	return &own{name: "orders", template: func(*Authority) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: "OneCard 指令单"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}
	}}
}

func exchangePair() *own {
	return &own{name: "exchange", template: func(*Authority) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: "OneCard 数据交换"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}
	}}
}

// clientURI tells the platform's own connections from those of workstations.
const clientURI = "onecard:platform"

func clientPair() *own {
	return &own{name: "client", template: func(*Authority) *x509.Certificate {
		return &x509.Certificate{
			Subject: pkix.Name{CommonName: "OneCard 平台对外连接"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			URIs: []*url.URL{{Scheme: "onecard", Opaque: "platform"}},
		}
	}}
}

// Client returns the certificate and key that the platform shows where it
// connects to others (对外连接), bearing the URI onecard:platform.
func (a *Authority) Client() (*tls.Certificate, error) { return a.current(a.client) }

// Platform says whether a certificate is the one of [Authority.Client].
func Platform(cert *x509.Certificate) bool {
	return len(cert.URIs) == 1 && cert.URIs[0].String() == clientURI
}

// Exchange returns the certificate and key to which other authorities seal what
// they send the province (数据交换).
func (a *Authority) Exchange() (*tls.Certificate, error) { return a.current(a.exchange) }

// Orders returns the certificate and key with which the province signs what a
// counter is to do with a chip (指令单).
func (a *Authority) Orders() (*tls.Certificate, error) { return a.current(a.orders) }

// current returns a certificate of the platform's own and makes a new one when
// there is none, when it soon ends, or when it does not bear all names. When it
// cannot be made anew because the authority's key is elsewhere, the old one
// serves while it is valid.
func (a *Authority) current(o *own) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if o.pair == nil {
		pair, err := readPair(a.path(o.name+".pem"), a.path(o.name+".key"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		o.pair = pair
	}
	template := o.template(a)
	if o.pair != nil && (a.fits(o.pair.Leaf, template) || a.key == nil) {
		return o.pair, nil
	}
	fresh, err := a.renew(o.name, template)
	if err != nil {
		return nil, err
	}
	o.pair = fresh
	return fresh, nil
}

func (a *Authority) fits(leaf, template *x509.Certificate) bool {
	if a.now().Add(renewBefore).After(leaf.NotAfter) || leaf.CheckSignatureFrom(a.cert) != nil {
		return false
	}
	for _, name := range template.DNSNames {
		if leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	for _, address := range template.IPAddresses {
		if leaf.VerifyHostname(address.String()) != nil {
			return false
		}
	}
	return true
}

func (a *Authority) renew(name string, template *x509.Certificate) (*tls.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template.NotAfter = a.now().Add(serverLife)
	der, err := a.sign(template, key.Public())
	if err != nil {
		return nil, err
	}
	if err := replacePair(a.path(name+".pem"), a.path(name+".key"), der, key); err != nil {
		return nil, err
	}
	return readPair(a.path(name+".pem"), a.path(name+".key"))
}

// workstationScheme begins the URI in a workstation's certificate.
const workstationScheme = "onecard:workstation:"

var idForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Enrolment is what a workstation is given: its certificate and key. The key
// exists nowhere else.
type Enrolment struct {
	CA          []byte    // the platform's authority, PEM
	Certificate []byte    // PEM
	Key         []byte    // PEM
	Fingerprint string    // SHA-256 of the certificate in hex, lower case
	NotAfter    time.Time // the last instant at which the certificate is good
}

// Enrol makes a certificate for a workstation, bearing the URI
// onecard:workstation:<id>. It is good only once the registry has stored its
// fingerprint.
func (a *Authority) Enrol(id string) (Enrolment, error) {
	if !idForm.MatchString(id) {
		return Enrolment{}, fmt.Errorf("pki: %w", ErrID)
	}
	key, err := newKey()
	if err != nil {
		return Enrolment{}, err
	}
	der, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: id},
		NotAfter:    a.now().Add(stationLife),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{{Scheme: "onecard", Opaque: "workstation:" + id}},
	}, key.Public())
	if err != nil {
		return Enrolment{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return Enrolment{}, fmt.Errorf("pki: %w", err)
	}
	private, err := encodeKey(key)
	if err != nil {
		return Enrolment{}, err
	}
	return Enrolment{
		CA: a.CA(), Certificate: encodeCertificate(der), Key: private,
		Fingerprint: Fingerprint(leaf), NotAfter: leaf.NotAfter,
	}, nil
}

// Names of the files that WriteFiles writes.
const (
	FileCA          = "ca.pem"
	FileCertificate = "workstation.pem"
	FileKey         = "workstation.key"
)

// WriteFiles writes the three files for the workstation into a directory, which
// is made when there is none. The key has mode 0600. Files that exist are left
// alone (ErrExists).
func (e Enrolment) WriteFiles(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	for _, name := range []string{FileCA, FileCertificate, FileKey} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("pki: %s: %w", filepath.Join(dir, name), ErrExists)
		}
	}
	if err := writeNew(filepath.Join(dir, FileKey), e.Key, 0o600); err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, FileCertificate), e.Certificate, 0o644); err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, FileCA), e.CA, 0o644)
}

// Workstation returns the id of the workstation that a certificate was made
// for, or ErrNotWorkstation. It does not check who signed the certificate: the
// TLS connection has.
func Workstation(cert *x509.Certificate) (string, error) {
	if len(cert.URIs) == 1 {
		id, ours := strings.CutPrefix(cert.URIs[0].String(), workstationScheme)
		if ours && idForm.MatchString(id) {
			return id, nil
		}
	}
	return "", fmt.Errorf("pki: %w", ErrNotWorkstation)
}

// Fingerprint returns the SHA-256 of a certificate in hex, lower case.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}
