package stock

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/registry"
)

// Invalidator takes a finished card that went missing out of use, in the
// transaction in which it is found to be missing: it comes on the list of
// invalid cards (失效名单).
type Invalidator interface {
	Invalidate(tx *registry.Tx, cardID uuid.UUID, reason string) error
}

// Config is what a Service is made of.
type Config struct {
	DB       *registry.DB
	Lost     Invalidator
	Policies Policies // default: those built in
}

// Service keeps the stock. It may be used by several goroutines.
type Service struct {
	db       *registry.DB
	lost     Invalidator
	policies Policies
}

var errConfig = errors.New("stock: the database and who takes lost cards out of use are needed")

// New checks the tables of the workflow and returns a ready service.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Lost == nil {
		return nil, errConfig
	}
	for _, m := range Machines {
		if err := issuance.CheckMachine(m); err != nil {
			return nil, err
		}
	}
	if c.Policies == nil {
		var err error
		if c.Policies, err = ParsePolicies(defaultPolicies); err != nil {
			return nil, err
		}
	}
	return &Service{db: c.DB, lost: c.Lost, policies: c.Policies}, nil
}

// Hands are who does something: the operator who acts and, where two are
// needed, the one who signs with him (双人).
type Hands struct {
	By      registry.Operator
	Witness *registry.Operator
}

// colleagues are the roles of which a witness has one.
var colleagues = append([]string{registry.RoleReviewer}, append(keepers, makers...)...)

// may says whether these hands may fire a rule at a place.
func (h Hands) may(r rule, at string) error {
	switch {
	case !r.Allows(h.By.Roles):
		return ErrNoRight
	case h.By.Institution != at:
		return ErrOtherPlace
	case !slices.Contains(r.Needs, NeedsWitness):
		return nil
	}
	return h.both(at)
}

// both says whether two persons of a place are there.
func (h Hands) both(at string) error {
	switch {
	case h.Witness == nil:
		return ErrWitness
	case h.Witness.Login == h.By.Login:
		return ErrSamePerson
	case h.Witness.Institution != at || !slices.ContainsFunc(colleagues, h.Witness.Has):
		return ErrWitness
	}
	return nil
}

func (h Hands) witness() *string {
	if h.Witness == nil {
		return nil
	}
	return &h.Witness.Login
}

// Sign finds out who signs as the second person: by login and password, at the
// workstation of the first. The session that this opens ends at once.
func (s *Service) Sign(ctx context.Context, login, password, workstation string) (*registry.Operator, error) {
	session, err := s.db.Authenticate(ctx, login, password, workstation)
	if err != nil {
		return nil, err
	}
	return &session.Operator, s.db.SignOut(ctx, session.Token, workstation)
}

// Sees says whether an operator may look at the stock of a place: his own
// office's and what lies below his place.
func (s *Service) Sees(ctx context.Context, who registry.Operator, at string) error {
	p, err := place(s.db.Read(ctx), at)
	if err != nil {
		return err
	}
	if who.Institution != at && !gb.Divisions().Lies(p.Code, who.Place, s.db.Today()) {
		return ErrOtherPlace
	}
	return nil
}

// Machine returns the machine of a kind of card.
func Machine(kind string) *issuance.Machine {
	if kind == Finished {
		return &Cards
	}
	return &Blanks
}

func document(kind string, id uuid.UUID) string { return kind + ":" + id.String() }

func newID(tx *registry.Tx) (uuid.UUID, error) {
	id, err := tx.NewID()
	if err != nil {
		return id, fmt.Errorf("stock: new id: %w", err)
	}
	return id, nil
}
