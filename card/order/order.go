// Package order carries a script from the province to a counter (指令单): signed,
// for one chip, for one place in one session, and for a short time. A counter
// runs nothing that did not come so, whatever stands between it and the
// province.
//
// The form is a JWS of RFC 7515 in compact serialisation: ES256, the signer's
// certificate in x5c, the payload the JSON of [Order].
package order

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"onecard/card"
)

// What can be wrong with an order.
var (
	// ErrSignature: not signed by the province, or altered since.
	ErrSignature = errors.New("指令单的签名不是本省的，或内容被改动 the order is not signed by the province, or was altered")
	// ErrPlace: signed for another session, or another place in this one: it was
	// repeated, or left out.
	ErrPlace = errors.New("指令单不是本次业务的下一步 the order is not the next step of this work")
	// ErrChip: signed for another chip.
	ErrChip = errors.New("指令单不是给读卡器中这张卡的 the order is for another chip than the one in the reader")
	// ErrLate: its time is over, by this machine's clock.
	ErrLate = errors.New("指令单已过期，或本机时钟不准 the order is too old, or this machine's clock is wrong")
)

// Skew is how far the clocks of province and counter may be apart.
const Skew = 5 * time.Minute

// Order is a script with what it is for.
type Order struct {
	Session uuid.UUID `json:"session"`
	Seq     int       `json:"seq"`
	// ATR is the chip's answer to reset in hexadecimal, upper case.
	ATR string `json:"atr"`
	// NotAfter is when the counter may no longer begin it, Budget how many
	// seconds it may take from then on.
	NotAfter time.Time `json:"notAfter"`
	Budget   int       `json:"budget"`
	// Steps are the commands with the status words that do not end the script:
	// see [card.Step].
	Steps []card.Step `json:"steps"`
}

// Sign signs an order with the key of a certificate for that purpose.
func Sign(o Order, with *tls.Certificate) (string, error) {
	payload, err := json.Marshal(o)
	if err != nil {
		return "", fmt.Errorf("order: %w", err)
	}
	key, ok := with.PrivateKey.(crypto.Signer)
	if !ok {
		return "", errors.New("order: the key does not sign")
	}
	options := (&jose.SignerOptions{}).WithHeader("x5c", [][]byte{with.Certificate[0]})
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		return "", fmt.Errorf("order: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("order: sign: %w", err)
	}
	return signed.CompactSerialize()
}

// Place is where an order belongs.
type Place struct {
	Session uuid.UUID
	Seq     int
	ATR     []byte
}

// Reader opens the orders of those who are certified for it by one of Roots.
type Reader struct {
	Roots *x509.CertPool
	Now   func() time.Time
}

// Open returns what is to be done, if the order is good at its place.
func (r Reader) Open(token string, at Place) (Order, error) {
	payload, err := r.verify(token)
	if err != nil {
		return Order{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	var o Order
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields() // a counter that does not know a condition does not act
	if err := decoder.Decode(&o); err != nil {
		return Order{}, fmt.Errorf("order: %w", err)
	}
	switch {
	case o.Session != at.Session || o.Seq != at.Seq:
		return Order{}, ErrPlace
	case o.ATR != strings.ToUpper(hex.EncodeToString(at.ATR)):
		return Order{}, ErrChip
	case r.Now().After(o.NotAfter.Add(Skew)):
		return Order{}, ErrLate
	}
	return o, nil
}

// verify checks certificate and signature and returns what was signed.
func (r Reader) verify(token string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, err
	}
	chains, err := signed.Signatures[0].Protected.Certificates(x509.VerifyOptions{
		Roots: r.Roots, CurrentTime: r.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	if err != nil {
		return nil, err
	}
	return signed.Verify(chains[0][0].PublicKey)
}
