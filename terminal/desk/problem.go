package desk

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"onecard/api/client"
	"onecard/terminal"
)

var errNotSignedIn = &terminal.Fault{Code: "not-signed-in", ZH: "请先登录", EN: "sign in first", RemedyZH: "请用工号和密码登录。", RemedyEN: "Sign in with login and password."}

// badField is a request in which one field is not as it must be.
func badField(field, zh, en string) *client.Problem {
	title, detail := "the request is not of the expected form", field+": "+en
	return &client.Problem{
		Type: "urn:onecard:problem:bad-request", Code: "bad-request", Status: http.StatusBadRequest,
		Title: "请求格式不正确", TitleEn: &title, Detail: new(field + "：" + zh), DetailEn: &detail,
		Fields: &[]client.FieldProblem{{Field: field, Zh: zh, En: en}},
	}
}

// badBody names the field at which a body could not be read.
func badBody(err error) *client.Problem {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return badField(kind.Field, "类型应为 "+kind.Type.String(), "must be of type "+kind.Type.String())
	}
	// The library has no type for this error; its text is all there is.
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return badField(strings.Trim(name, `"`), "没有这个字段", "no such field")
	}
	return badField("body", "应为 JSON 对象", "must be a JSON object")
}

// fail answers a problem. A problem of the platform is passed on as it is.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var problem *client.Problem
	if !errors.As(err, &problem) {
		fault := terminal.Explain(err)
		if fault.Code == terminal.Unexpected {
			s.config.Logger.ErrorContext(r.Context(), "unexpected", "error", err)
		}
		problem = &client.Problem{Type: "urn:onecard:problem:" + fault.Code, Code: fault.Code, Status: status(fault),
			Title: fault.ZH, TitleEn: &fault.EN, Detail: &fault.RemedyZH, DetailEn: &fault.RemedyEN}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(problem.Status)
	if err := json.NewEncoder(w).Encode(problem); err != nil {
		s.config.Logger.InfoContext(r.Context(), "problem not delivered", "error", err)
	}
}

func status(fault *terminal.Fault) int {
	switch fault.Code {
	case errNotSignedIn.Code:
		return http.StatusUnauthorized
	case terminal.ErrOffline.Code:
		return http.StatusBadGateway
	case terminal.ErrUnknownEnd.Code:
		return http.StatusGatewayTimeout
	case terminal.Unexpected:
		return http.StatusInternalServerError
	}
	return http.StatusConflict
}
