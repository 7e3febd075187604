package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/registry"
)

// Store is the database; *registry.DB is one.
type Store interface {
	InTx(ctx context.Context, actor registry.Actor, fn func(tx *registry.Tx) error) error
	Read(ctx context.Context) *gorm.DB
}

// Proof is what a finished chip session has shown (读卡鉴权).
type Proof struct {
	CardID      uuid.UUID
	PersonID    uuid.UUID
	CardNumber  string // 卡号
	Workstation string // where the chip was read
	At          time.Time
	Genuine     bool // internal authentication succeeded (内部认证)
}

// Proofs knows what chips have proven and how cards stand.
type Proofs interface {
	// Proof returns what the chip session proved. An error that matches
	// ErrProofUnknown means that there is no such finished session.
	Proof(ctx context.Context, sessionID uuid.UUID) (Proof, error)
	// CardStatus reads the card's status (AAZ502) inside tx, locked against
	// change until tx ends, so that no transaction begins after a loss report.
	CardStatus(tx *registry.Tx, cardID uuid.UUID) (string, error)
}

// Sites knows where workstations stand.
type Sites interface {
	Site(ctx context.Context, workstation string) (Site, error)
}

// Insurances knows how persons are insured. Errors that match ErrNotInsured or
// ErrInsuranceStopped refuse the transaction.
type Insurances interface {
	Insurance(ctx context.Context, personID uuid.UUID, on gb.Date) (Insurance, error)
}

// Config is what a Service is made of. All fields without a default are needed.
type Config struct {
	DB         Store
	Proofs     Proofs
	Sites      Sites
	Insurances Insurances
	Routes     *Routes            // default: DefaultRoutes
	Backends   map[string]Backend // by the names that the routes use
	Now        func() time.Time   // default: time.Now
	Logger     *slog.Logger       // default: none

	ProofAge time.Duration // how old a proof may be; default 15 minutes
	DaysBack int           // how many days before today a business date may lie; default 3
	Interval time.Duration // between two rounds of recovery; default 5 seconds
	MaxDelay time.Duration // longest pause of recovery after failures; default 5 minutes
}

// Service carries card transactions. It is safe for concurrent use, also by
// several processes on one database.
type Service struct{ config Config }

// New checks the configuration and returns a ready service; recovery works
// while Run runs.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Proofs == nil || c.Sites == nil || c.Insurances == nil {
		return nil, errors.New("exchange: DB, Proofs, Sites and Insurances are needed")
	}
	if c.Routes == nil {
		routes, err := DefaultRoutes()
		if err != nil {
			return nil, err
		}
		c.Routes = routes
	}
	for _, rule := range c.Routes.Rules {
		if !rule.Refuse && c.Backends[rule.Backend] == nil {
			return nil, fmt.Errorf("%w: rule %s: no back end %q", ErrRoutes, rule.ID, rule.Backend)
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ProofAge <= 0 {
		c.ProofAge = 15 * time.Minute
	}
	if c.DaysBack <= 0 {
		c.DaysBack = 3
	}
	if c.Interval <= 0 {
		c.Interval = 5 * time.Second
	}
	if c.MaxDelay <= 0 {
		c.MaxDelay = 5 * time.Minute
	}
	return &Service{config: c}, nil
}

// Transaction returns a transaction as it stands, or ErrNotFound.
func (s *Service) Transaction(ctx context.Context, id uuid.UUID) (Transaction, error) {
	r, err := find(s.config.DB.Read(ctx), id)
	if err != nil {
		return Transaction{}, err
	}
	return r.transaction()
}

// system is who acts when recovery does.
func system(place string) registry.Actor {
	return registry.Actor{Operator: "system:exchange", Place: place}
}

// patience is what a journal entry may take after the back end has answered or
// its time is over. Only later is a pending transaction taken for abandoned.
const patience = 10 * time.Second

// ask calls a back end with a deadline which does not depend on the caller's
// connection: a terminal that hangs up leaves no unknown outcome behind. A back
// end that neither answers nor stops in time, or that panics, has given no
// answer; what it says later is dropped and found by recovery.
func ask[T any](ctx context.Context, timeout time.Duration, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a.err = fmt.Errorf("exchange: the back end panicked: %T", p)
			}
			answers <- a
		}()
		a.value, a.err = call(ctx)
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("exchange: no answer from the back end: %w", ctx.Err())
	}
}
