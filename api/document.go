package api

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"net/http"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
)

// document is the contract as it is served at /openapi.yaml.
//
//go:embed openapi.yaml
var document []byte

// operations returns the operations of the contract by operationId. The contract
// is read once.
func operations() (map[string]*routers.Route, error) {
	found, err := contract()
	return maps.Clone(found), err
}

var contract = sync.OnceValues(func() (map[string]*routers.Route, error) {
	spec, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("api: openapi.yaml: %w", err)
	}
	if err := spec.Validate(context.Background(), openapi3.EnableSchemaFormatValidation()); err != nil {
		return nil, fmt.Errorf("api: openapi.yaml: %w", err)
	}
	found := map[string]*routers.Route{}
	for path, item := range spec.Paths.Map() {
		for method, operation := range item.Operations() {
			found[operation.OperationID] = &routers.Route{
				Spec: spec, Path: path, PathItem: item, Method: method, Operation: operation,
			}
		}
	}
	return found, nil
})

// serveDocument answers with the contract itself.
func serveDocument(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/yaml; charset=utf-8")
	_, err := w.Write(document)
	return err
}
