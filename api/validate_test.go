package api

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"crypto/rand"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

// bare is a server with the middleware of all requests and no operations.
func bare(t testing.TB, log *lockedBuffer) *Server {
	t.Helper()
	s := &Server{logger: slog.New(slog.NewJSONHandler(log, nil)), rand: rand.Reader, echo: echo.New()}
	s.echo.Use(s.observe)
	return s
}

func get(s *Server, path string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	s.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	recorder := get(bare(t, log), "/nowhere?name=secret")
	for name := range headers {
		require.NotEmpty(t, recorder.Header().Get(name))
	}
	require.Contains(t, log.String(), recorder.Header().Get(headerRequestID))
	require.NotContains(t, log.String(), "secret")
	require.NotContains(t, log.String(), "nowhere", "an address that is no route may be anything")
}

// TestContract holds the contract to the house's rules: what a client sends is
// closed, bounded and has words for its patterns.
func TestContract(t *testing.T) {
	t.Parallel()
	routes, err := operations()
	require.NoError(t, err)
	for id, route := range routes {
		for _, parameter := range route.Operation.Parameters {
			checkSchema(t, id+" "+parameter.Value.Name, parameter.Value.Schema)
		}
		if route.Operation.RequestBody == nil {
			continue
		}
		content := route.Operation.RequestBody.Value.Content
		require.Len(t, content, 1, id)
		checkSchema(t, id, content["application/json"].Schema)
	}
}

func checkSchema(t *testing.T, place string, ref *openapi3.SchemaRef) {
	t.Helper()
	schema := ref.Value
	require.Empty(t, schema.Extensions["GB/T"], place)
	switch {
	case schema.Type.Is(openapi3.TypeObject):
		require.NotNil(t, schema.AdditionalProperties.Has, "%s must refuse unknown fields", place)
		require.False(t, *schema.AdditionalProperties.Has, place)
		for name, property := range schema.Properties {
			checkSchema(t, place+"."+name, property)
		}
	case schema.Type.Is(openapi3.TypeArray):
		require.NotNil(t, schema.MaxItems, "%s must be bounded", place)
		checkSchema(t, place+"[]", schema.Items)
	case schema.Type.Is(openapi3.TypeString):
		bounded := schema.MaxLength != nil || schema.Format == "uuid" || len(schema.Enum) > 0 || schema.Pattern != ""
		require.True(t, bounded, "%s must be bounded", place)
		if schema.Pattern != "" {
			require.NotEqual(t, wrongForm, patternRule(schema), "%s: words for the pattern", place)
		}
	case schema.Type.Is(openapi3.TypeInteger):
		require.NotNil(t, schema.Min, "%s must be bounded", place)
	}
}

// FuzzRequest sends any query and body: what comes out is a problem that obeys
// the contract, never an unexpected one, and never repeats a long value.
func FuzzRequest(f *testing.F) {
	f.Add("", newPerson())
	f.Add("name=x&name=y", `{"idNumber":null,"a":[{}]}`)
	f.Add("%zz;", `[1,{"x":1e999}]`)
	f.Add("idNumber=1", `{"idNumber":{"idNumber":[true]},"name":"\ud800"}`)
	f.Add("", `{"630102199001011234":"630102199001011234"}`)
	f.Add("", strings.Repeat("[", 20000))
	log := &lockedBuffer{}
	s := bare(f, log)
	routes, err := operations()
	require.NoError(f, err)
	accepted := func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }
	s.echo.POST("/v1/persons", accepted, s.validate(routes["addPerson"]))
	s.echo.POST("/v1/transactions", accepted, s.validate(routes["submitTransaction"]))
	f.Fuzz(func(t *testing.T, query, body string) {
		for _, path := range []string{"/v1/persons", "/v1/transactions"} {
			request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			request.URL.RawQuery = query
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Idempotency-Key", "fuzz-00001")
			recorder := httptest.NewRecorder()
			s.Handler().ServeHTTP(recorder, request)
			if recorder.Code == http.StatusNoContent {
				continue
			}
			require.Less(t, recorder.Code, http.StatusInternalServerError, log.String())
			var p Problem
			require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &p))
			for _, field := range deref(p.Fields, nil) {
				require.NotRegexp(t, `[0-9]{6}`, field.Field)
				require.LessOrEqual(t, len(field.Field), 200)
			}
		}
	})
}
