package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"regexp"
	"time"
)

// A request whose connection failed is sent again at most twice, after pauses
// that double from firstPause.
const (
	maxTries   = 3
	firstPause = 100 * time.Millisecond
)

// idempotencyKey is the header by which the platform knows a repeated request.
const idempotencyKey = "Idempotency-Key"

// byID are the paths of requests that the platform knows again by an id of
// their own: a transaction's, a chip session's with the number of the step.
var byID = regexp.MustCompile(`/v1/(transactions|chip-sessions/[^/]+/steps/[0-9]+)$`)

// persistent repeats what is safe to repeat.
type persistent struct {
	next HttpRequestDoer
}

// Do implements HttpRequestDoer. Only a failed connection is tried again: an
// answer, of whatever status, is an answer.
func (p *persistent) Do(request *http.Request) (*http.Response, error) {
	pause := firstPause
	for try := 1; ; try++ {
		answer, err := p.next.Do(request)
		if err == nil || try == maxTries || !repeatable(request) || !connectionFailed(err) {
			return answer, err
		}
		if waitErr := wait(request.Context(), pause); waitErr != nil {
			return nil, err
		}
		pause *= 2
		if request.GetBody != nil {
			body, bodyErr := request.GetBody()
			if bodyErr != nil {
				return nil, err
			}
			request.Body = body
		}
	}
}

// repeatable reports whether sending the request twice does what sending it
// once does.
func repeatable(request *http.Request) bool {
	if request.Body != nil && request.Body != http.NoBody && request.GetBody == nil {
		return false
	}
	return request.Method == http.MethodGet || request.Header.Get(idempotencyKey) != "" ||
		byID.MatchString(request.URL.Path)
}

// connectionFailed tells a broken or refused connection from a caller that
// gave up, an answer that took too long, and a certificate that does not fit:
// these do not get better.
func connectionFailed(err error) bool {
	var (
		timeout     net.Error
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
	)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &certificate), errors.As(err, &alert):
		return false
	case errors.As(err, &timeout) && timeout.Timeout():
		return false
	}
	return true
}

func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
