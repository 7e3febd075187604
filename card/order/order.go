// Package order carries a script from the province to a counter (指令单): signed,
// for one chip, for one place in one session, and for a short time. A counter
// runs nothing that did not come so, whatever stands between it and the
// province.
//
// The form is that of package signed, the payload the JSON of [Order].
package order

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/apdu"
	"onecard/card"
	"onecard/internal/signed"
)

// What can be wrong with an order.
var (
	// ErrSignature: not signed by the province, or altered since.
	ErrSignature = errors.New("指令单的签名不是本省的，或内容被改动 the order is not signed by the province, or was altered")
	// ErrPlace: signed for another session, or another place in this one, or to
	// begin on other answers of the chip: it was repeated, or left out.
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
	// Opening binds a session, in its first order, to what the chip answered to
	// the opening script, its challenge among it: see [Answered]. An order of an
	// earlier session never comes again.
	Opening string `json:"opening,omitempty"`
	// NotAfter is when the counter may no longer begin it, Budget how many
	// seconds it may take from then on.
	NotAfter time.Time `json:"notAfter"`
	Budget   int       `json:"budget"`
	// Steps are the commands with the status words that do not end the script:
	// see [card.Step].
	Steps []card.Step `json:"steps"`
	// NeedsPIN asks for the holder's number with the answers: what is written to
	// the chip is made of it (设置密码). Nobody but the province may ask.
	NeedsPIN bool `json:"needsPin,omitempty"`
}

// Sign signs an order with the key of a certificate for that purpose.
func Sign(o Order, with *tls.Certificate) (string, error) { return signed.Sign(o, with) }

// Place is where an order belongs.
type Place struct {
	Session uuid.UUID
	Seq     int
	ATR     []byte
	// Opening are the answers to the opening script, for a session that begins;
	// nil afterwards.
	Opening []apdu.Response
}

// Answered returns the digest of the answers to an opening script: SHA-256, in
// hexadecimal, of each as an object of tag 82.
func Answered(opening []apdu.Response) string {
	var message []byte
	for _, r := range opening {
		message = apdu.AppendTLV(message, 0x82, r.Bytes())
	}
	sum := sha256.Sum256(message)
	return hex.EncodeToString(sum[:])
}

// holds says whether an order is for this place of a session.
func (p Place) holds(o Order) bool {
	opening := ""
	if p.Opening != nil {
		opening = Answered(p.Opening)
	}
	return o.Session == p.Session && o.Seq == p.Seq && o.Opening == opening
}

// Reader opens the orders of those who are certified for it by one of Roots.
type Reader struct {
	Roots *x509.CertPool
	Now   func() time.Time
}

// Open returns what is to be done, if the order is good at its place.
func (r Reader) Open(token string, at Place) (Order, error) {
	payload, err := signed.Open(token, r.Roots, func([]byte) (time.Time, error) { return r.Now(), nil })
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
	case !at.holds(o):
		return Order{}, ErrPlace
	case o.ATR != strings.ToUpper(hex.EncodeToString(at.ATR)):
		return Order{}, ErrChip
	case r.Now().After(o.NotAfter.Add(Skew)):
		return Order{}, ErrLate
	}
	return o, nil
}
