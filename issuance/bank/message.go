package bank

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"onecard/internal/signed"
)

// Protocol names the version of the messages and files.
const Protocol = "onecard-bank/1"

// Operations that a bank is asked for.
const (
	OpenAccount    = "account.open"    // 预开户
	ChangeStatus   = "account.status"  // 状态变更
	ChangeHolder   = "holder.change"   // 信息变更
	ChargeFee      = "fee.charge"      // 收费
	RefundFee      = "fee.refund"      // 退费
	ReverseMessage = "message.reverse" // 冲正
	queryMessage   = "message.query"   // 查询; it changes nothing and is not journalled
)

// Changes of an account's status that a bank is asked for.
const (
	ChangeActivate = "activate"
	ChangeOralLoss = "oral-loss"
	ChangeLoss     = "loss"
	ChangeUnloss   = "unloss"
	ChangeFreeze   = "freeze"
	ChangeClose    = "close"
)

// Results of a message.
const (
	resultDone     = "done"
	resultRefused  = "refused"
	resultPending  = "pending"  // taken, not yet carried out: ask again
	resultNone     = "none"     // to a query: never arrived
	resultReversed = "reversed" // to a query: undone, or barred before it came
)

// request is what is signed of a message to a bank.
type request struct {
	Protocol  string    `json:"protocol"`
	ID        uuid.UUID `json:"id"`
	SentAt    time.Time `json:"sentAt"`
	Bank      string    `json:"bank"`
	Operation string    `json:"operation"`
	Body      string    `json:"body"` // JWE to the bank
}

// reply is what a bank signs.
type reply struct {
	Protocol   string    `json:"protocol"`
	ID         uuid.UUID `json:"id"` // of the request
	AnsweredAt time.Time `json:"answeredAt"`
	Bank       string    `json:"bank"`
	Result     string    `json:"result"`
	Code       string    `json:"code"`
	Text       string    `json:"text"`
	Body       string    `json:"body"` // JWE to the province; may be empty
}

// Ask is the body of a request: what an operation has not stays empty. It holds
// personal data.
type Ask struct {
	Application string    `json:"application,omitempty"`
	CardNumber  string    `json:"cardNumber,omitempty"` // AAZ500
	Name        string    `json:"name,omitempty"`       // AAC003
	IDType      string    `json:"idType,omitempty"`     // AAC058
	IDNumber    string    `json:"idNumber,omitempty"`   // AAC147
	Phone       string    `json:"phone,omitempty"`      // AAE005
	Place       string    `json:"place,omitempty"`      // AAB301
	Account     string    `json:"account,omitempty"`    // AAE010
	Change      string    `json:"change,omitempty"`
	Receipt     string    `json:"receipt,omitempty"`
	Item        string    `json:"item,omitempty"`
	AmountFen   int64     `json:"amountFen,omitempty"`
	Message     uuid.UUID `json:"message,omitzero"` // that is asked about, reversed or refunded
	Reason      string    `json:"reason,omitempty"`
}

// Answer is what a bank answers, opened.
type Answer struct {
	Result string `json:"-"`
	Code   string `json:"-"`
	Text   string `json:"-"`

	Account   string `json:"account,omitempty"`
	Name      string `json:"name,omitempty"`
	IDNumber  string `json:"idNumber,omitempty"`
	State     string `json:"state,omitempty"`
	Seq       int64  `json:"seq,omitempty"`
	Receipt   string `json:"receipt,omitempty"`
	AmountFen int64  `json:"amountFen,omitempty"`
	Day       string `json:"day,omitempty"` // of the bank's books, YYYY-MM-DD
}

// ErrNoAnswer: there is no answer that can be relied on; what became of the
// message is unknown.
var ErrNoAnswer = errors.New("银行没有可用的回应，结果未知 no usable answer of the bank: the outcome is unknown")

// maxClock is how far the clocks of both sides may be apart.
const maxClock = 10 * time.Minute

// credentials are the keys of both sides.
type credentials struct {
	sign  func() (*tls.Certificate, error) // the province's signature
	open  func() (*tls.Certificate, error) // what the bank seals to
	seal  *x509.Certificate                // to the bank
	roots *x509.CertPool                   // of the bank's signatures
}

func (c credentials) request(bank string, id uuid.UUID, operation string, body []byte, now time.Time) (string, error) {
	sealed, err := signed.Seal(body, c.seal)
	if err != nil {
		return "", err
	}
	with, err := c.sign()
	if err != nil {
		return "", err
	}
	return signed.Sign(request{Protocol: Protocol, ID: id, SentAt: now, Bank: bank, Operation: operation, Body: sealed}, with)
}

// reply opens a bank's reply to the message id; whatever is wrong with it is
// ErrNoAnswer.
func (c credentials) reply(token, bank string, id uuid.UUID, now time.Time) (Answer, error) {
	payload, err := signed.Open(token, c.roots, func([]byte) (time.Time, error) { return now, nil })
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	var r reply
	if err := json.Unmarshal(payload, &r); err != nil {
		return Answer{}, fmt.Errorf("%w: the payload is no reply", ErrNoAnswer)
	}
	apart := now.Sub(r.AnsweredAt).Abs()
	if r.Protocol != Protocol || r.ID != id || r.Bank != bank || apart > maxClock {
		return Answer{}, fmt.Errorf("%w: it is the answer to another message", ErrNoAnswer)
	}
	answer := Answer{Result: r.Result, Code: short(r.Code, 16), Text: short(r.Text, 200)}
	if r.Body == "" {
		return answer, nil
	}
	return answer, c.unseal(r.Body, &answer)
}

func (c credentials) unseal(body string, into any) error {
	with, err := c.open()
	if err != nil {
		return err
	}
	plain, err := signed.Unseal(body, with)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	if err := json.Unmarshal(plain, into); err != nil {
		return fmt.Errorf("%w: the body is not of its form", ErrNoAnswer)
	}
	return nil
}

// short cuts a text of another side at a character.
func short(text string, most int) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), most)])
}
