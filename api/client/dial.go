package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// Config says how a workstation reaches the platform.
type Config struct {
	URL  string // https://host:port
	CA   string // file: the platform's certificate authority, PEM
	Cert string // file: the workstation's certificate, PEM
	Key  string // file: and its key
}

// What is wrong with a configuration.
var (
	ErrAddress     = errors.New("平台地址应为 https://主机:端口 the platform's address must be https://host:port")
	ErrCertificate = errors.New("证书或私钥文件不可用 the certificate or key file cannot be used")
)

// Times for a county's line. The platform answers within 30 seconds or tells
// that it cannot.
const (
	dialTimeout   = 5 * time.Second
	answerTimeout = 45 * time.Second
	idleTimeout   = 90 * time.Second
)

// Dial makes a client for the platform with the workstation's certificate. It
// reads the files and opens no connection yet.
func Dial(c Config) (*ClientWithResponses, error) {
	address, err := url.Parse(c.URL)
	if err != nil || address.Scheme != "https" || address.Host == "" {
		return nil, fmt.Errorf("client: %w", ErrAddress)
	}
	certificates, err := c.tls()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{
		DialContext:           dialer.DialContext,
		TLSClientConfig:       certificates,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: answerTimeout,
		IdleConnTimeout:       idleTimeout,
		MaxIdleConnsPerHost:   4,
		ForceAttemptHTTP2:     true,
	}
	doer := &persistent{next: &http.Client{Transport: transport, CheckRedirect: noRedirect}}
	return NewClientWithResponses(c.URL, WithHTTPClient(doer))
}

// noRedirect: the platform never redirects; the token goes nowhere else.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Roots returns the platform's certificate authority.
func (c Config) Roots() (*x509.CertPool, error) {
	authority, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("client: %w: %w", ErrCertificate, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("client: %w: %s", ErrCertificate, c.CA)
	}
	return roots, nil
}

func (c Config) tls() (*tls.Config, error) {
	roots, err := c.Roots()
	if err != nil {
		return nil, err
	}
	own, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("client: %w: %w", ErrCertificate, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{own}}, nil
}
