package signed

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// ErrSealed: not sealed to this key, or altered since.
var ErrSealed = errors.New("不是加密给本方的内容 not sealed to this key, or altered")

// Seal enciphers a payload so that only the holder of a certificate's key can
// read it: a JWE of RFC 7516 in compact serialisation, ECDH-ES with A256GCM.
func Seal(payload []byte, to *x509.Certificate) (string, error) {
	key, ok := to.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return "", errors.New("signed: the certificate's key is not one of an elliptic curve")
	}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.ECDH_ES, Key: key}, nil)
	if err != nil {
		return "", fmt.Errorf("signed: %w", err)
	}
	token, err := encrypter.Encrypt(payload)
	if err != nil {
		return "", fmt.Errorf("signed: %w", err)
	}
	return token.CompactSerialize()
}

// Unseal deciphers what was sealed to a certificate.
func Unseal(token string, with *tls.Certificate) ([]byte, error) {
	parsed, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{jose.ECDH_ES}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	payload, err := parsed.Decrypt(with.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return payload, nil
}
