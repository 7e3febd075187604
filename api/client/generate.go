package client

//go:generate go tool oapi-codegen -config oapi-client.yaml -o client.gen.go ../openapi.yaml
