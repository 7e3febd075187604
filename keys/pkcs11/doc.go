// Package pkcs11 is a keeper of keys (密钥保管) over a PKCS#11 token (密码机,
// 密码卡, SoftHSM): the keys are objects of the token, sensitive and not
// extractable, and every computation with one happens there. It needs cgo and
// belongs into the keeper's own process.
//
// # What a token can do
//
//	authentication, maintenance   3DES, cards of specifications 1.0 and 2.0
//	diversification               CKM_DES3_ECB_ENCRYPT_DATA: K' = 3DES(K, f ‖ ¬f), a session object
//	personal data                 AES-256-GCM
//	blind index                   HMAC-SHA-256
//	check value                   three bytes of 3DES(K, 0); CMAC(0) and HMAC() for personal data's keys
//
// The process key of single DES is derived as the double-length key PK ‖ PK
// (3DES(K, r ‖ r)): 3DES under it is DES under PK, so it is an object as well,
// and a token need not offer single DES, which OpenSSL 3 and with it SoftHSM
// no longer do by default. Tokens correct the parity bits of DES keys; DES
// ignores them.
//
// # What it cannot do, and why
//
// SM4, SM3: PKCS#11 has no mechanisms for them. Cards of specification 3.00
// need a GM/T 0018 device or the software keeper.
//
// Key loading (WrapKey): the chip expects len ‖ usage ‖ version ‖ tries ‖ key ‖
// 80… under ECB, with the key at an offset of four bytes across three blocks.
// CKM_DES3_ECB wrapping starts with the key itself, and CKM_CONCATENATE_*, with
// which a token could put the four bytes before it, is not in SoftHSM 2.6 nor in
// most tokens. What remains is to read the key and encipher it outside, which
// this package never does.
//
// The MAC under a whole 3DES key (DirectMAC; ISO/IEC 9797-1 algorithm 3) needs
// the left half of the key by itself: there is no such object. The token thus
// takes no master, transport or check-code key.
//
// Secure channels of GlobalPlatform blanks (OpenChannel): the session's keys of
// SCP03 come from a KDF in counter mode with CMAC, those of SCP02 from the
// channel's own constants; PKCS#11 2.40 has no mechanism for either, and PUT KEY
// wants the card's key under them with its check value. The token takes no key
// of that usage.
//
// # Objects
//
//	CKA_LABEL        name/version, for example IRK_3DES/1
//	CKA_ID           JSON: the key's description (keys.Spec), version, day made
//	CKA_SENSITIVE    true;  CKA_EXTRACTABLE, CKA_MODIFIABLE  false
//	use              CKA_DERIVE alone for cards' keys, CKA_SIGN alone for INDEX,
//	                 CKA_ENCRYPT, CKA_DECRYPT and CKA_SIGN (check value) for DATA
//
// Open refuses a token in which one of its keys could be read out.
//
// PKCS#11 lets whoever is logged in choose the attributes of what is derived.
// The keys in the token are therefore safe from everybody, and keys derived
// from them, the cards' own, from everybody but who knows the PIN: it belongs to
// the keeper's process alone.
//
// # Standards
//
// OASIS PKCS #11 v2.40 (base specification and current mechanisms, clause 2.15
// key derivation by data encryption). The card's formulas: package keys.
package pkcs11
