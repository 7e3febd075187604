package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// requestTimeout is how long a request may take. A client waits a little longer
// (api/client), so that it hears why.
const requestTimeout = 40 * time.Second

// headers are set on every answer. Nothing of the interface is for a browser or
// for a cache.
var headers = map[string]string{
	"Cache-Control":             "no-store",
	"Content-Security-Policy":   "default-src 'none'; frame-ancestors 'none'",
	"Referrer-Policy":           "no-referrer",
	"Strict-Transport-Security": "max-age=31536000",
	"X-Content-Type-Options":    "nosniff",
}

// headerRequestID carries the reference number of a request.
const headerRequestID = "X-Request-Id"

// observe gives the request its reference number and its time, answers errors
// as problems and writes the log's line. Neither query nor body reach the log.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		reference, err := uuid.NewRandomFromReader(s.rand)
		if err != nil {
			return fmt.Errorf("api: reference number: %w", err)
		}
		for name, value := range headers {
			c.Response().Header().Set(name, value)
		}
		c.Response().Header().Set(headerRequestID, reference.String())
		ctx, cancel := context.WithTimeout(c.Request().Context(), requestTimeout)
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))

		code := ""
		if err := s.recovered(next)(c); err != nil {
			code = s.answerError(c, err, reference.String())
		}
		route := c.Path()
		if route == "" {
			route = "-"
		}
		s.logger.LogAttrs(ctx, slog.LevelInfo, "请求 request",
			slog.String("request", reference.String()), slog.String("method", method(c.Request().Method)),
			slog.String("route", route), slog.Int("status", c.Response().Status), slog.String("code", code),
			slog.String("workstation", callerOf(c.Request().Context()).workstation.ID),
			slog.Duration("duration", time.Since(began)))
		return nil
	}
}

// method keeps what a client may write as a method out of the log.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodPost, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions:
		return name
	default:
		return "other"
	}
}

// panicked is a panic that became an error. It tells where, not what the
// panicking code said: that may hold a value.
type panicked struct {
	kind  string
	stack []byte
}

func (p *panicked) Error() string { return "api: panic: " + p.kind }

// recovered turns a panic of the handler into an error.
func (s *Server) recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if cause, ok := p.(error); ok && errors.Is(cause, http.ErrAbortHandler) {
				panic(p)
			}
			kind := fmt.Sprintf("%T", p)
			var fault runtime.Error
			if cause, ok := p.(error); ok && errors.As(cause, &fault) {
				kind = fault.Error()
			}
			err = &panicked{kind: kind, stack: debug.Stack()}
		}()
		return next(c)
	}
}

// answerError writes the problem that an error is, unless the answer has begun,
// and returns its code. What nobody foresaw is logged here, once, under the
// reference number that the caller is given.
func (s *Server) answerError(c echo.Context, err error, reference string) string {
	problem := problemOf(err)
	problem.Instance = &reference
	ctx := context.WithoutCancel(c.Request().Context())
	if problem.Status >= http.StatusInternalServerError {
		level := slog.LevelWarn // foreseen: the database is gone, for example
		if problem.Code == unexpected.code {
			level = slog.LevelError
		}
		attributes := []slog.Attr{slog.String("request", reference), slog.String("code", problem.Code), slog.Any("error", err)}
		var fault *panicked
		if errors.As(err, &fault) {
			attributes = append(attributes, slog.String("stack", string(fault.stack)))
		}
		s.logger.LogAttrs(ctx, level, "请求失败 request failed", attributes...)
	}
	if c.Response().Committed {
		return problem.Code
	}
	var limited interface{ RetryAfter() time.Duration }
	if errors.As(err, &limited) && limited.RetryAfter() > 0 {
		seconds := int64(math.Ceil(limited.RetryAfter().Seconds()))
		c.Response().Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if err := writeProblem(c.Response(), problem); err != nil {
		s.logger.LogAttrs(ctx, slog.LevelInfo, "应答未送达 answer not delivered", slog.String("request", reference))
	}
	return problem.Code
}
