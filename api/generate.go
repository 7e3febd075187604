package api

//go:generate go tool oapi-codegen -config oapi-server.yaml openapi.yaml
