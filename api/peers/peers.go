// Package peers is the interface of the exchange store (交换库) for other
// authorities, banks and back ends: what they are told they fetch, what they
// answer they send. It reaches the exchange store and nothing else. The caller
// is known by its certificate; bodies are sealed to whom they are for. The
// interface is described in docs/exchange-store.md.
package peers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"onecard/registry"
	"onecard/registry/stores"
)

// Limits of a request.
const (
	maxFetch   = 1000
	usualFetch = 100
	timeout    = 30 * time.Second
)

// Exchange is what the interface needs of the exchange store.
type Exchange interface {
	PeerOf(ctx context.Context, certificate *x509.Certificate) (stores.Peer, error)
	Fetch(ctx context.Context, peer string, after int64, most int) ([]stores.Message, error)
	Receive(ctx context.Context, peer stores.Peer, letter stores.Letter) (stores.Letter, error)
	Sent(ctx context.Context, peer string, id uuid.UUID) (stores.Letter, error)
}

type server struct {
	exchange    Exchange
	certificate *x509.Certificate
	logger      *slog.Logger
}

// New returns the interface's HTTP server. certificate is the one that peers
// seal to what they send.
func New(exchange Exchange, certificate *x509.Certificate, config *tls.Config, logger *slog.Logger) *http.Server {
	s := &server{exchange, certificate, logger}
	e := echo.New()
	e.HTTPErrorHandler = s.problem
	e.Use(s.limit)
	e.GET("/v1/certificate", s.province)
	e.GET("/v1/messages", s.fetch)
	e.POST("/v1/messages", s.receive)
	e.GET("/v1/messages/:id", s.sent)
	return &http.Server{
		Handler: e, TLSConfig: config, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: timeout, WriteTimeout: timeout,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// limit bounds a request in size and time, and keeps a panic from its caller.
func (s *server) limit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if r := recover(); r != nil {
				// Not what the panicking code said: that may hold a value.
				s.logger.ErrorContext(c.Request().Context(), "panic", "kind", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
				err = errUnexpected
			}
		}()
		ctx, cancel := context.WithTimeout(c.Request().Context(), timeout)
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, maxBytes)
		return next(c)
	}
}

const maxBytes = 256 << 10

// caller returns the peer whose certificate the connection shows.
func (s *server) caller(c echo.Context) (stores.Peer, error) {
	state := c.Request().TLS
	if state == nil || len(state.PeerCertificates) == 0 {
		return stores.Peer{}, stores.ErrPeer
	}
	return s.exchange.PeerOf(c.Request().Context(), state.PeerCertificates[0])
}

func (s *server) province(c echo.Context) error {
	if _, err := s.caller(c); err != nil {
		return err
	}
	return c.Blob(http.StatusOK, "application/x-pem-file", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate.Raw}))
}

// fetched is a page of messages; after is where the next one begins.
type fetched struct {
	Messages []stores.Message `json:"messages"`
	After    int64            `json:"after"`
}

func (s *server) fetch(c echo.Context) error {
	peer, err := s.caller(c)
	if err != nil {
		return err
	}
	after, err := number(c, "after", 0, 1<<62)
	if err != nil {
		return err
	}
	most, err := number(c, "limit", usualFetch, maxFetch)
	if err != nil {
		return err
	}
	messages, err := s.exchange.Fetch(c.Request().Context(), peer.Name, after, int(most))
	if err != nil {
		return err
	}
	page := fetched{Messages: messages, After: after}
	if n := len(messages); n > 0 {
		page.After = messages[n-1].Seq
	} else {
		page.Messages = []stores.Message{}
	}
	return c.JSON(http.StatusOK, page)
}

func number(c echo.Context, name string, usual, most int64) (int64, error) {
	text := c.QueryParam(name)
	if text == "" {
		return usual, nil
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value < 0 || value > most {
		limit := strconv.FormatInt(most, 10)
		return 0, &registry.FieldError{Field: name, ZH: "应为 0 至 " + limit + " 的整数", EN: "a whole number from 0 to " + limit}
	}
	return value, nil
}

func (s *server) receive(c echo.Context) error {
	peer, err := s.caller(c)
	if err != nil {
		return err
	}
	var letter struct {
		ID    uuid.UUID `json:"id"`
		Topic string    `json:"topic"`
		Body  string    `json:"body"`
	}
	if err := c.Bind(&letter); err != nil {
		return errUnreadable
	}
	switch {
	case letter.ID == uuid.Nil:
		return &registry.FieldError{Field: "id", ZH: "应为 UUID，同一消息重发时不变", EN: "a UUID, the same when the message is sent again"}
	case letter.Body == "":
		return &registry.FieldError{Field: "body", ZH: "应为 JWE", EN: "a JWE"}
	}
	kept, err := s.exchange.Receive(c.Request().Context(), peer, stores.Letter{ID: letter.ID, Topic: letter.Topic, Body: letter.Body})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, kept)
}

func (s *server) sent(c echo.Context) error {
	peer, err := s.caller(c)
	if err != nil {
		return err
	}
	id, err := uuid.Parse(c.Param("id"))
	if err != nil {
		return &registry.FieldError{Field: "id", ZH: "应为 UUID", EN: "a UUID"}
	}
	letter, err := s.exchange.Sent(c.Request().Context(), peer.Name, id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, letter)
}

var (
	errUnexpected = errors.New("出现未预料的错误 something unexpected happened")
	errUnreadable = errors.New("请求应为不超过 256 KiB 的 JSON the request must be JSON of at most 256 KiB")
)
