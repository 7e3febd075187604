package client

//go:generate go tool oapi-codegen -config oapi-client.yaml ../openapi.yaml
