package desk

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"regexp"
	"strings"

	"github.com/google/uuid"

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
	var size *http.MaxBytesError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		zh, en := typeWords(kind.Type.Kind())
		return badField(kind.Field, zh, en)
	case errors.As(err, &size):
		return badField("body", "不能超过 1 MiB", "must not exceed 1 MiB")
	}
	// The library has no type for this error; its text is all there is.
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return badField(strings.Trim(name, `"`), "没有这个字段", "no such field")
	}
	return badField("body", "应为 JSON 对象", "must be a JSON object")
}

func typeWords(kind reflect.Kind) (zh, en string) {
	switch kind {
	case reflect.String:
		return "应为文字", "must be text"
	case reflect.Int64:
		return "应为整数", "must be a whole number"
	case reflect.Slice:
		return "应为列表", "must be a list"
	}
	return "应为对象", "must be an object"
}

// badID refuses an id that is none; an empty one is left out.
func badID(field, id string) *client.Problem {
	if _, err := uuid.Parse(id); id != "" && err != nil {
		return badField(field, "应为 UUID", "must be a UUID")
	}
	return nil
}

var pinForm = regexp.MustCompile(`^[0-9]{6}$`)

// badPIN refuses a number that no chip would take, before the chip is touched.
func badPIN(field, pin string) *client.Problem {
	if !pinForm.MatchString(pin) {
		return badField(field, "社保密码应为六位数字", "the PIN has six digits")
	}
	return nil
}

// fail answers a problem. A problem of the platform is passed on as it is,
// unless this terminal says what came of it.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var problem *client.Problem
	if fault := terminal.Explain(err); !errors.As(err, &problem) || fault.Code != problem.Code {
		if status(fault) == http.StatusInternalServerError {
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
	case terminal.ErrNoRight.Code:
		return http.StatusForbidden
	case terminal.ErrOffline.Code:
		return http.StatusBadGateway
	case terminal.ErrUnknownEnd.Code:
		return http.StatusGatewayTimeout
	case terminal.Unexpected, terminal.ErrJournal.Code:
		return http.StatusInternalServerError
	}
	return http.StatusConflict
}
