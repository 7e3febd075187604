// Package keys keeps the province's keys (密钥保管): it computes with them and
// never gives one out.
//
// It owns the key hierarchy as data ([Provincial]) and its levels ([Level]),
// the software keeper ([Keeper]) with its sealed key file, what each version of
// a key is still for ([Life]), the key-encryption key and its two shares ([KEK],
// [Share]), the key ceremony ([Ceremony]), the exchange of keys as key blocks
// (Keeper.ExportBlock), and the protection of personal data at rest (字段加密).
// It does not own what the chip's commands mean: package card composes commands
// and asks a keeper for their cryptograms. It imports nothing of this module but
// the form of a key block, so no other package can reach a key through it.
//
// # Flow
//
//	ceremony   GenerateKEK, Split → two files with two custodians
//	create     Create(path, kek, Provincial()) → sealed file with version 1 of every key
//	import     ImportFile / ImportComponents → the chip maker's transport key
//	           BeginCeremony, Enter ×2–3, Combine, Accept → a key of custodians
//	           ImportBlock → a key from another keeper, under a key-exchange key
//	service    ReadShare ×2, Combine, Open(path, kek) → *Keeper
//	rotate     Rotate(name) → the next version; older versions still open old data and old cards
//	change     SetLife(name, version, …) → from when, until when, for which cards
//
// A key has one purpose ([Usage]). Using it for another is [ErrWrongUsage]; a
// key which works on a card must be named together with all its factors
// (行政区划因子, 卡片因子), otherwise the operation is [ErrFactors]: the
// province's own key never computes for a card directly and can never be
// wrapped out. A key leaves in a key block only if it came as exportable.
//
// # Secure channels
//
// A GlobalPlatform blank is personalised through a secure channel (安全通道):
// OpenChannel judges the chip's cryptogram, WrapCommands protects a whole
// script, UnwrapResponses judges the answers. Between two turns the caller
// keeps the state, which is sealed and holds no key: the keys of the session
// are derived again at each turn. Exactly once is the caller's part: what was
// wrapped is sent once, and a session that broke off is opened anew.
//
// # Sealed key file
//
// JSON. Each key is sealed with SM4-GCM whose associated data are the entry's
// other fields; the whole file carries an HMAC-SM3, so that a removed,
// repeated or reordered entry is noticed as well, and only the exact bytes the
// keeper wrote are accepted. Both keys come from the key-encryption key by
// HKDF-SM3 and a random salt of the file. What the file cannot tell is that it is an old
// copy of itself: backups are guarded by who may write the directory.
//
// Key bytes are cleared after use where the language allows it. The expanded
// schedules inside cipher.Block values are left to the collector.
//
// # Standards
//
// GB/T 32907 SM4, GB/T 32905 SM3, FIPS 46-3 (3DES, cards of specification 1.0
// and 2.0), RFC 2104, RFC 5869, NIST SP 800-38D; padding and MAC: ISO/IEC 9797-1
// algorithm 1 with padding method 2; TR-31 / X9.143 key blocks and check values
// of AES keys; RFC 9106 (Argon2id) for custodians' passphrases; diversification and authentication: the
// social security card's specification (LB/T, 社会保障（个人）卡规范). Secure channels:
// GlobalPlatform Card Specification appendix E (SCP02) and Amendment D (SCP03),
// NIST SP 800-38B and 800-108.
package keys
