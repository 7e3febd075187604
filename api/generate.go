package api

//go:generate go tool oapi-codegen -config oapi-server.yaml -o gen.go openapi.yaml
