// Package api is the platform's interface over HTTPS (平台接口): HTTP in, domain
// out. openapi.yaml is the contract that banks, hospitals and counters review;
// server and client are generated from it, and every request is validated
// against it.
//
// It owns: who may call what ([Config] and policy.go), the form of requests,
// the translation of errors into problems (problem.go), the request log. It
// does not own any rule of the business: handlers, one file for each resource,
// call issuance, exchange and registry and render what they return. It opens no
// socket and knows no key.
//
// # Flow of a request
//
//	reference number, log line, recovery from panics   (middleware.go)
//	workstation from its certificate                   (caller.go)
//	operator from the token, bound to that workstation (caller.go)
//	role of the operator against the operation         (policy.go)
//	body limit, JSON, schema                           (validate.go)
//	handler → domain → answer, or an error → problem   (problem.go)
//
// A POST that changes something takes an Idempotency-Key and runs in
// registry.Once, with its answer stored in the same transaction. Steps of a
// chip session are known by their number, transactions by their id.
//
// # Standards
//
// OpenAPI 3.0.3; RFC 9110 (HTTP), RFC 9457 (problems), RFC 6750 (bearer tokens),
// RFC 8446 (TLS 1.3).
package api
