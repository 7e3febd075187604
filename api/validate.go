package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"
)

// maxBody bounds a request's body, in bytes, where the contract does not say
// otherwise by x-max-body.
const maxBody = 1 << 20

func bodyLimit(operation *openapi3.Operation) int64 {
	if limit, ok := operation.Extensions["x-max-body"].(float64); ok {
		return int64(limit)
	}
	return maxBody
}

// uuidForm is the form of ids, of any version (RFC 9562, clause 4).
const uuidForm = `^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`

// filterOptions is how requests, and in tests answers, are compared with the
// contract: all faults at once, nothing filled in.
func filterOptions() *openapi3filter.Options {
	return &openapi3filter.Options{
		MultiError:          true,
		SkipSettingDefaults: true,
		AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc, // identify has done it
		SchemaValidationOptions: []openapi3.SchemaValidationOption{
			openapi3.WithStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator(uuidForm)),
		},
	}
}

// validate lets a request pass that the contract allows.
func (s *Server) validate(route *routers.Route) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			body, err := readBody(c, route.Operation.RequestBody != nil, bodyLimit(route.Operation))
			if err != nil {
				return err
			}
			request := c.Request()
			if err := checkQuery(request.URL, route.Operation.Parameters); err != nil {
				return err
			}
			params := map[string]string{}
			for _, name := range c.ParamNames() {
				params[name] = c.Param(name)
			}
			err = openapi3filter.ValidateRequest(request.Context(), &openapi3filter.RequestValidationInput{
				Request: request, PathParams: params, Route: route, Options: filterOptions(),
			})
			if err != nil {
				return invalidRequest(err)
			}
			request.Body = io.NopCloser(bytes.NewReader(body))
			who := callerOf(request.Context())
			who.request = slices.Concat([]byte(request.Method+" "+request.URL.Path+"\n"), body)
			withCaller(c, who)
			return next(c)
		}
	}
}

// readBody reads the whole body, once, and puts it back for those that follow.
func readBody(c echo.Context, wanted bool, limit int64) ([]byte, error) {
	request := c.Request()
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), request.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, errUnreadable // the client hung up, or its transfer coding is wrong
	case !wanted && len(body) > 0:
		return nil, errNoBody
	case !wanted:
		return nil, nil
	}
	media, _, err := mime.ParseMediaType(request.Header.Get("Content-Type"))
	if err != nil || media != echo.MIMEApplicationJSON {
		return nil, errMediaType
	}
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, errUnreadable
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	request.ContentLength = int64(len(body))
	return body, nil
}

// checkQuery refuses parameters that the operation does not have, or twice.
func checkQuery(address *url.URL, parameters openapi3.Parameters) error {
	values, err := url.ParseQuery(address.RawQuery)
	if err != nil {
		return errUnreadable
	}
	var fields []FieldProblem
	for name, given := range values {
		switch {
		case parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil:
			fields = append(fields, FieldProblem{Field: nameable(name), Zh: unknownField.zh, En: unknownField.en})
		case len(given) > 1:
			fields = append(fields, FieldProblem{Field: name, Zh: "只能给出一次", En: "may be given once only"})
		}
	}
	if len(fields) > 0 {
		return &fieldsError{fields: sorted(fields)}
	}
	return nil
}

// fieldsError names what of a request is not as the contract wants it.
type fieldsError struct{ fields []FieldProblem }

func (e *fieldsError) Error() string {
	words := make([]string, len(e.fields))
	for i, f := range e.fields {
		words[i] = f.Field + ": " + f.En
	}
	return "api: invalid request: " + strings.Join(words, "; ")
}

func sorted(fields []FieldProblem) []FieldProblem {
	slices.SortStableFunc(fields, func(a, b FieldProblem) int { return strings.Compare(a.Field, b.Field) })
	return slices.CompactFunc(fields, func(a, b FieldProblem) bool { return a == b })
}
