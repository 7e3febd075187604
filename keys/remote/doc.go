// Package remote puts a keeper of keys into a process of its own (密钥保管进程):
// [Server] serves a keys.Backend on a Unix socket, and [Keeper] is the client,
// a keys.Service like any other. A flaw in the platform's pages then reaches no
// key: it could use them as the platform does, and every use is logged.
//
// # Protocol
//
// HTTP/1.1 with JSON over the socket, POST /v1/operation, one operation a
// request; the keys of one chain of key loads are wrapped in one request
// (WrapKeys). Requests and answers have at most 4 MiB. A caller who goes
// cancels the request. Nothing that is asked changes a key, so the client asks
// again by itself when the keeper was restarted in between.
//
// Errors keep their identity: errors.Is with the errors of package keys answers
// as if the keeper stood in the caller's process.
//
// # Who may ask
//
// The kernel says which user is at the other end (SO_PEERCRED), in both
// directions: the server answers the users that it is told, and the client
// gives a PIN or personal data only to the user that the keeper runs as.
//
// # Log
//
// Each use is one line: the operation, the keys by name and version, the
// caller's user and process, the outcome, the time it took. Never a key, a
// factor, an argument or an answer.
package remote
