package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"onecard/card"
	"onecard/exchange"
	"onecard/issuance"
	"onecard/registry"
)

func TestProblems(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
		code   string
		field  string
	}{
		{registry.ErrNotFound, 404, "not-found", ""},
		{&registry.Error{Kind: registry.ErrDuplicate, Table: "persons"}, 409, "duplicate", ""},
		{&registry.FieldError{Field: "place", ZH: "现行代码", EN: "valid today"}, 422, "invalid", "place"},
		{registry.ErrBusy, 503, "busy", ""},
		{registry.ErrDatabaseGone, 503, "database-gone", ""},
		{fmt.Errorf("commit: %w: %w", registry.ErrOutcomeUnknown, registry.ErrDatabaseGone), 503, "outcome-unknown", ""},
		{registry.ErrKeyReused, 409, "key-reused", ""},
		{registry.ErrNoAudit, 500, "unexpected", ""},
		{registry.ErrDatabase, 500, "unexpected", ""},
		{exchange.ErrNotFound, 404, "not-found", ""},
		{exchange.ErrRunning, 409, "running", ""},
		{fmt.Errorf("status: %w", &exchange.Refusal{Code: "cardNotNormal", Text: exchange.Text{ZH: "挂失", EN: "lost"}}), 409, "card-not-normal", ""},
		{errors.Join(exchange.ErrNotInsured, registry.ErrBusy), 409, "not-insured", ""},
		{&exchange.Invalid{Fields: []exchange.InvalidField{{Field: "items[2].fen", Text: exchange.Text{ZH: "零", EN: "zero"}}}}, 422, "invalid", "items[2].fen"},
		{issuance.ErrNoRight, 403, "no-right", ""},
		{issuance.ErrSamePerson, 403, "same-person", ""},
		{issuance.ErrHasCard, 409, "has-card", ""},
		{card.ErrNotGenuine, 409, "not-genuine", ""},
		{&card.PINError{Left: 3}, 409, "chip", ""},
		{context.DeadlineExceeded, 504, "timeout", ""},
		{context.Canceled, 400, "cancelled", ""},
		{errTooLarge, 413, "too-large", ""},
		{echo.ErrNotFound, 404, "no-route", ""},
		{echo.ErrMethodNotAllowed, 405, "method", ""},
		{echo.NewHTTPError(http.StatusBadRequest, "secret").SetInternal(&json.UnmarshalTypeError{Value: "secret", Field: "totalFen"}), 400, "invalid", "totalFen"},
		{echo.NewHTTPError(http.StatusBadRequest, "secret"), 400, "unreadable", ""},
		{errors.New("secret"), 500, "unexpected", ""},
	} {
		t.Run(test.code+" "+fmt.Sprintf("%T", test.err), func(t *testing.T) {
			t.Parallel()
			p := problemOf(fmt.Errorf("wrapped: %w", test.err))
			require.Equal(t, test.status, p.Status)
			require.Equal(t, test.code, p.Code)
			require.NotEmpty(t, p.Title)
			require.NotEmpty(t, *p.TitleEn)
			if test.field != "" {
				require.Equal(t, test.field, (*p.Fields)[0].Field)
			}
			text, err := json.Marshal(p)
			require.NoError(t, err)
			require.NotContains(t, string(text), "secret")
			require.NotContains(t, string(text), "wrapped")
		})
	}
}

// TestKinds holds the table to its form: both languages, a code, a sensible status.
func TestKinds(t *testing.T) {
	t.Parallel()
	for _, k := range append(kinds, unexpected) {
		require.NotEmpty(t, k.title.zh, k.code)
		require.NotEmpty(t, k.title.en, k.code)
		require.Equal(t, k.detail.zh == "", k.detail.en == "", k.code)
		require.Regexp(t, `^[a-z]+(-[a-z]+)*$`, k.code)
		require.True(t, k.status >= 400 && k.status < 600, k.code)
	}
}

// TestUnforeseen: an error and a panic that nobody foresaw are told with a
// reference number only, and logged once under it.
func TestUnforeseen(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	s := bare(t, log)
	s.echo.GET("/error", func(echo.Context) error { return errors.New("the cause") })
	s.echo.GET("/panic", func(echo.Context) error { panic("630102199001011234") })
	s.echo.GET("/runtime", func(echo.Context) error { return errors.New([]string{}[len(s.echo.Routes())]) })
	s.echo.GET("/late", func(c echo.Context) error {
		c.Response().WriteHeader(http.StatusOK)
		return errors.New("after the answer")
	})
	for path, inLog := range map[string]string{"/error": "the cause", "/panic": "panic: string", "/runtime": "index out of range"} {
		recorder := get(s, path)
		require.Equal(t, http.StatusInternalServerError, recorder.Code)
		var p Problem
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &p))
		require.Equal(t, "unexpected", p.Code)
		require.NotContains(t, recorder.Body.String(), "cause")
		var errorLines []string
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, `"level":"ERROR"`) && strings.Contains(line, *p.Instance) {
				errorLines = append(errorLines, line)
			}
		}
		require.Len(t, errorLines, 1, "logged once")
		require.Contains(t, errorLines[0], inLog)
		require.NotContains(t, log.String(), "630102199001011234")
	}
	require.Equal(t, http.StatusOK, get(s, "/late").Code)
	require.Contains(t, log.String(), "after the answer")
}
