// Package client is the Go client of the platform's interface (平台接口客户端): what
// a counter, a hospital's or a pharmacy's terminal links.
//
// It owns the transport: TLS 1.3 with the workstation's certificate, and the
// repetition of requests that are safe to repeat after the connection failed.
// The calls and their types are generated from api/openapi.yaml. It owns no
// session: the caller keeps the operator's token and sends it with each call.
//
// # Flow
//
//	Dial(Config) → *ClientWithResponses → XxxWithResponse(ctx, …)
//
// A refusal is answered as an RFC 9457 problem and found decoded in the
// response; *[Problem] is an error in words for people.
package client
