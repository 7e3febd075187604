package authentication

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"onecard/card/profile"
	"onecard/exchange"
	"onecard/registry"
)

// Store is the database; *registry.DB is one.
type Store interface {
	InTx(ctx context.Context, actor registry.Actor, fn func(tx *registry.Tx) error) error
	Once(ctx context.Context, actor registry.Actor, key string, request []byte, change func(tx *registry.Tx) (any, error)) (answer json.RawMessage, replayed bool, err error)
	Index(ctx context.Context, column string, value []byte) ([]byte, error)
}

// Keeper is what the service asks of the keeper of keys.
type Keeper interface {
	// Cryptogram computes AUTH from the process factor and the original
	// information, eight bytes each.
	Cryptogram(ctx context.Context, key Key, r1, r2 []byte) ([]byte, error)
	// CommandMAC computes the MAC of a command under the process key that the
	// card's challenge gives.
	CommandMAC(ctx context.Context, key Key, r, message []byte) ([]byte, error)
	// PINBlock enciphers a PIN and computes the MAC: the whole data field.
	PINBlock(ctx context.Context, key Key, r, header []byte, pin string) ([]byte, error)
	// TransactionMAC computes a MAC or TAC of a debit under the process key
	// that the factor gives.
	TransactionMAC(ctx context.Context, key Key, factor, message []byte) ([]byte, error)
}

// Card is a card of record as the service needs it.
type Card struct {
	ID         uuid.UUID
	ATR        string // 卡复位信息, in hexadecimal
	Status     string // AAZ502
	StatusText exchange.Text
	KeyVersion int
}

// Cards knows the cards of record.
type Cards interface {
	// CardOfChip returns the card with this identification (卡识别码, upper-case
	// hexadecimal), locked until the transaction ends; registry.ErrNotFound.
	CardOfChip(tx *registry.Tx, chipID string) (Card, error)
}

// Caller is who asks: a terminal by its certificate, and the operator who is
// signed in there; the zero operator for none.
type Caller struct {
	Workstation registry.Workstation
	Operator    registry.Operator
}

// actor is the caller for the audit log. A terminal without an operator stands
// for itself.
func (c Caller) actor() registry.Actor {
	if c.Operator.Login == "" {
		return registry.Actor{Operator: "terminal:" + c.Workstation.ID, Workstation: c.Workstation.ID, Place: c.Workstation.Place}
	}
	return c.Operator.Actor(c.Workstation.ID)
}

// Config is what a Service is made of.
type Config struct {
	DB       Store
	Cards    Cards
	Keeper   Keeper
	NoKey    error // what errors of the keeper match when it has no such key
	Profiles []*profile.Profile
	// Addresses are those of keys that no profile gives one, by name.
	Addresses map[string]string
	Policies  Policies // default: those of policy.yaml
}

// Service answers authentication requests. It is safe for concurrent use, also
// by several processes on one database.
type Service struct {
	config Config
	forms  *forms
	keys   *keyTable
}

// New checks the configuration and returns a ready service.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Cards == nil || c.Keeper == nil || c.NoKey == nil {
		return nil, errors.New("authentication: DB, Cards, Keeper and NoKey are needed")
	}
	f, err := parseForms(formsFile)
	if err != nil {
		return nil, err
	}
	if c.Policies == nil {
		if c.Policies, err = ParsePolicies(defaultPolicies); err != nil {
			return nil, err
		}
	}
	table, err := newKeyTable(c.Profiles, f.Addresses, c.Addresses)
	if err != nil {
		return nil, err
	}
	return &Service{config: c, forms: f, keys: table}, nil
}

// Authenticate answers a request once for an idempotency key of the caller:
// raw, the request as it came, tells a repetition from another request. What
// is wrongly written is an *exchange.Invalid, what is refused an *Error.
func (s *Service) Authenticate(ctx context.Context, who Caller, key string, raw []byte, m Message) (Answer, error) {
	var answer Answer
	stored, _, err := s.config.DB.Once(ctx, who.actor(), key, raw, func(tx *registry.Tx) (any, error) {
		return s.answer(tx, who, m)
	})
	if err != nil {
		return Answer{}, s.refused(ctx, who, m, err)
	}
	if err := json.Unmarshal(stored, &answer); err != nil {
		return Answer{}, fmt.Errorf("authentication: stored answer: %w", err)
	}
	return answer, nil
}

// AuthenticateLine is Authenticate for a request in one string with '|'.
func (s *Service) AuthenticateLine(ctx context.Context, who Caller, key string, raw []byte, line string) (Answer, error) {
	m, err := s.Parse(line)
	if err != nil {
		return Answer{}, s.refused(ctx, who, m, err)
	}
	return s.Authenticate(ctx, who, key, raw, m)
}

// asked is a card with what the tables know it by.
type asked struct {
	Card
	subject string
}

// answer answers a request in a transaction.
func (s *Service) answer(tx *registry.Tx, who Caller, m Message) (Answer, error) {
	r, err := s.check(m)
	if err != nil {
		return Answer{}, err
	}
	policy, err := s.config.Policies.At(who.Workstation.Place, dayOf(tx.Now()))
	if err != nil {
		return Answer{}, err
	}
	if !policy.allows(who, r.Service, r.keysUsed()) {
		return Answer{}, ErrNoRight
	}
	card, err := s.card(tx, r.CardID)
	if err != nil {
		return Answer{}, err
	}
	if err := policy.judge(card, r); err != nil {
		return Answer{}, err
	}
	if err := policy.count(tx, r.Service, card.subject, "terminal:"+who.Workstation.ID); err != nil {
		return Answer{}, err
	}
	if err := policy.consume(tx, card.subject, r); err != nil {
		return Answer{}, err
	}
	if r.form.Secure != "" {
		if err := policy.follow(tx, card.subject, who); err != nil {
			return Answer{}, err
		}
	} else if r.Service == "03" {
		if err := begin(tx, card.subject, who); err != nil {
			return Answer{}, err
		}
	}
	answer, err := s.compute(tx.Context(), card, r)
	if err != nil {
		return Answer{}, err
	}
	answer.Status, answer.StatusText = card.Status, card.StatusText
	answer.print(r.form)
	return answer, tx.Audit("authentication.answered", card.subject, map[string]string{
		"service": r.Service, "purpose": r.form.Title.EN, "keys": strings.Join(r.keysUsed(), " "),
		"algorithm": r.Algorithm, "terminal": who.Workstation.Kind, "outcome": "answered"})
}

// card finds the card of record and locks it; the zero Card for one that the
// province does not know, which the tables know by a keyed digest.
func (s *Service) card(tx *registry.Tx, chipID string) (asked, error) {
	chipID = strings.ToUpper(chipID)
	found, err := s.config.Cards.CardOfChip(tx, chipID)
	if err == nil {
		return asked{found, "card:" + found.ID.String()}, nil
	}
	if !errors.Is(err, registry.ErrNotFound) {
		return asked{}, fmt.Errorf("authentication: card: %w", err)
	}
	digest, err := s.config.DB.Index(tx.Context(), "authentication.card", []byte(chipID))
	if err != nil {
		return asked{}, err
	}
	return asked{Card{}, "chip:" + hex.EncodeToString(digest)}, nil
}

// judge refuses a card by its record.
func (p Policy) judge(card asked, r *request) error {
	status, text := card.Status, card.StatusText
	if status == "" {
		status, text = NoRecord, exchange.Text{ZH: "本省没有此卡的记录", EN: "the province has no record of this card"}
	}
	if !slices.Contains(p.Statuses[r.Service], status) {
		return about(ErrCardStatus, text.ZH, text.EN)
	}
	if card.Status != "" && !strings.HasSuffix(card.ATR, strings.ToUpper(r.ATR)) {
		return ErrOtherATR
	}
	return nil
}

// refused records a refusal, which has left no other trace, and returns it.
// What is no refusal passes: the request was not answered.
func (s *Service) refused(ctx context.Context, who Caller, m Message, reason error) error {
	var refusal *Error
	var wrong *exchange.Invalid
	detail := map[string]string{"terminal": who.Workstation.Kind}
	switch {
	case errors.As(reason, &refusal):
		detail["outcome"] = refusal.Code
	case errors.As(reason, &wrong):
		detail["outcome"] = "invalid"
	default:
		return reason
	}
	if slices.Contains(services, m.Service) {
		detail["service"] = m.Service
	}
	if key, err := s.keys.resolve(m.Key); err == nil {
		detail["keys"] = key
	}
	err := s.config.DB.InTx(ctx, who.actor(), func(tx *registry.Tx) error {
		subject := "workstation:" + who.Workstation.ID
		if raw, err := hex.DecodeString(m.CardID); err == nil && len(raw) == lengths["cardId"] {
			card, err := s.card(tx, m.CardID)
			if err != nil {
				return err
			}
			subject = card.subject
		}
		return tx.Audit("authentication.refused", subject, detail)
	})
	return errors.Join(reason, err)
}
