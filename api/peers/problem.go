package peers

import (
	"errors"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"onecard/registry"
	"onecard/registry/stores"
)

// problem is an error as the caller is told of it (RFC 9457).
type problem struct {
	Type     string  `json:"type"`
	Title    string  `json:"title"`
	TitleEN  string  `json:"titleEn"`
	Status   int     `json:"status"`
	Code     string  `json:"code"`
	Instance string  `json:"instance,omitempty"`
	Fields   []field `json:"fields,omitempty"`
}

type field struct {
	Field string `json:"field"`
	ZH    string `json:"zh"`
	EN    string `json:"en"`
}

// kinds is the map from errors to problems; the text of each is Chinese, then
// English.
var kinds = []struct {
	is     error
	status int
	code   string
}{
	{stores.ErrPeer, http.StatusForbidden, "peer-unknown"},
	{stores.ErrTopic, http.StatusForbidden, "topic"},
	{stores.ErrReused, http.StatusConflict, "id-reused"},
	{errUnreadable, http.StatusBadRequest, "unreadable"},
	{registry.ErrNotFound, http.StatusNotFound, "not-found"},
	{registry.ErrDatabaseGone, http.StatusServiceUnavailable, "database-gone"},
	{registry.ErrBusy, http.StatusServiceUnavailable, "busy"},
	{errUnexpected, http.StatusInternalServerError, "unexpected"},
}

func problemOf(err error) (p problem, known bool) {
	var invalid *registry.FieldError
	var other *echo.HTTPError
	switch {
	case errors.As(err, &invalid):
		p = problem{Status: http.StatusBadRequest, Code: "invalid", Title: "内容不符合要求", TitleEN: "not of the form asked for"}
		p.Fields = []field{{invalid.Field, invalid.ZH, invalid.EN}}
		return p, true
	case errors.As(err, &other) && other.Code < http.StatusInternalServerError:
		return problem{Status: other.Code, Code: "no-operation", Title: "没有这样的操作", TitleEN: "no such operation"}, true
	}
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			zh, en, _ := strings.Cut(k.is.Error(), " ")
			return problem{Status: k.status, Code: k.code, Title: zh, TitleEN: en}, k.is != errUnexpected
		}
	}
	p, _ = problemOf(errUnexpected)
	return p, false
}

func (s *server) problem(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p, known := problemOf(err)
	p.Type = "urn:onecard:problem:" + p.Code
	if !known {
		p.Instance = uuid.NewString()
		s.logger.ErrorContext(c.Request().Context(), "未预料的错误 unexpected", "instance", p.Instance, "error", err)
	}
	c.Response().Header().Set(echo.HeaderContentType, "application/problem+json")
	if err := c.JSON(p.Status, p); err != nil {
		s.logger.DebugContext(c.Request().Context(), "answer not sent", "error", err)
	}
}
