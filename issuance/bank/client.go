package bank

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// maxReply bounds a bank's reply.
const maxReply = 64 << 10

// Wire carries one message to a bank and returns its answer. Every error leaves
// open what became of the message.
type Wire interface {
	Carry(ctx context.Context, id uuid.UUID, operation string, body []byte) (Answer, error)
}

// Peer is a bank and how it is reached.
type Peer struct {
	Code    string // by the directory, such as 95533
	Inbox   string // as which peer it sends to the exchange store
	Address string // https://host:port
	// Roots is the authority under which the bank's server, signatures and
	// sealing certificate stand; Seal is the one that it is sealed to.
	Roots *x509.CertPool
	Seal  *x509.Certificate
	// Client shows the bank who calls; Sign and Open are the province's keys.
	Client, Sign, Open func() (*tls.Certificate, error)
	// Serves are the places (GB/T 2260) whose approved applications get their
	// account and are charged by this bank by themselves; the nearest place wins.
	Serves  []string
	Timeout time.Duration // of one message; default 10 s
	Now     func() time.Time
}

// messagePath is where a bank takes messages.
const messagePath = "/v1/messages"

// line is the HTTPS client of one bank.
type line struct {
	peer Peer
	http *http.Client
}

// Dial returns the HTTPS client of a bank.
func Dial(p Peer) Wire {
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: p.Roots, Time: p.Now,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.Client() },
	}
	return &line{peer: p, http: &http.Client{
		Timeout:   p.Timeout,
		Transport: &http.Transport{TLSClientConfig: config, MaxConnsPerHost: 8, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

func (p Peer) credentials() credentials {
	return credentials{sign: p.Sign, open: p.Open, seal: p.Seal, roots: p.Roots}
}

// Carry implements Wire.
func (l *line) Carry(ctx context.Context, id uuid.UUID, operation string, body []byte) (Answer, error) {
	token, err := l.peer.credentials().request(l.peer.Code, id, operation, body, l.peer.Now())
	if err != nil {
		return Answer{}, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(l.peer.Address, "/")+messagePath, strings.NewReader(token))
	if err != nil {
		return Answer{}, fmt.Errorf("bank: %w", err)
	}
	post.Header.Set("Content-Type", "application/jose")
	response, err := l.http.Do(post)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	defer func() { _ = response.Body.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(response.Body, maxReply+1))
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	if response.StatusCode != http.StatusOK || len(text) > maxReply {
		return Answer{}, fmt.Errorf("%w: HTTP %d", ErrNoAnswer, response.StatusCode)
	}
	return l.peer.credentials().reply(string(text), l.peer.Code, id, l.peer.Now())
}

func (l *line) close() { l.http.CloseIdleConnections() }
