// Package signed is how the province signs what others rely on (签名): a JWS of
// RFC 7515 in compact serialisation, ES256, the signer's certificate in x5c.
package signed

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ErrSignature: not signed by one of the roots, or altered since.
var ErrSignature = errors.New("签名不是本省的，或内容被改动 not signed by the province, or altered")

// Sign signs the JSON of a payload with the key of a certificate.
func Sign(payload any, with *tls.Certificate) (string, error) {
	text, err := json.Marshal(payload)
	if err != nil {
		return "", fmt.Errorf("signed: %w", err)
	}
	key, ok := with.PrivateKey.(crypto.Signer)
	if !ok {
		return "", errors.New("signed: the key does not sign")
	}
	options := (&jose.SignerOptions{}).WithHeader("x5c", [][]byte{with.Certificate[0]})
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		return "", fmt.Errorf("signed: %w", err)
	}
	token, err := signer.Sign(text)
	if err != nil {
		return "", fmt.Errorf("signed: %w", err)
	}
	return token.CompactSerialize()
}

// Open returns what was signed. The signer's certificate must be one for signing
// (extended key usage code signing) under roots, and good at the time that when
// says; it is given the payload, of which nothing is certain yet.
func Open(token string, roots *x509.CertPool, when func(payload []byte) (time.Time, error)) ([]byte, error) {
	payload, err := open(token, roots, when)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return payload, nil
}

func open(token string, roots *x509.CertPool, when func(payload []byte) (time.Time, error)) ([]byte, error) {
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, err
	}
	at, err := when(parsed.UnsafePayloadWithoutVerification())
	if err != nil {
		return nil, err
	}
	chains, err := parsed.Signatures[0].Protected.Certificates(x509.VerifyOptions{
		Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	if err != nil {
		return nil, err
	}
	return parsed.Verify(chains[0][0].PublicKey)
}
