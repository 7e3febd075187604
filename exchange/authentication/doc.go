// Package authentication is the province's authentication service (安全认证服务,
// 加密机服务) for terminals without a security module: what a card's challenge
// asks for goes in, authentication data come out. No key leaves the keeper.
//
// It owns the forms of the requests (forms.yaml), the addresses of the keys
// (密钥地址), who may ask for what and how often (policy.yaml), the memory of
// challenges that were answered, and the state of a PIN reload between its two
// rounds. It knows neither HTTP nor the chip; cards of record come in through
// Cards, the keys through Keeper.
//
// # Services
//
//	01  reading the holder: internal authentication, and for cards that keep the
//	    holder behind RKSSSE the external one
//	02  external authentication with a key by address or by name
//	03  PIN reload and unblock: round one is the external authentication with
//	    PUK; round two, for the same card at the same terminal within minutes,
//	    the secure message under STK. The PIN is used once and kept nowhere.
//	04  debit of the medical account: MAC1, MAC2 and TAC
//
// # One request
//
// Its fields are named the same in the object of the interface and in the
// national string with '|' (Parse), and go through one engine (Service.Answer).
// In one database transaction: the card's record is locked and judged, the
// limits of card and terminal are counted, the challenge is marked as used, the
// keeper is asked, the audit record is written. A refusal is audited, too: each
// request that was answered, either way, has exactly one record. The record
// names terminal, operator, card, service, key and outcome, and neither a
// cryptogram nor anything personal.
package authentication
