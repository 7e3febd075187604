package issuance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"onecard/card"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/issuance/session"
	"onecard/registry"
)

// Config is what a Service is made of.
type Config struct {
	DB       *registry.DB
	Profiles []*profile.Profile
	Keeper   card.Keeper
	Signer   Signer   // of receipts
	Policies Policies // default: those built in
	Stock    Stock    // of blank cards; default none
	Demands  Demands  // default: those built in
}

// Service issues cards. It may be used by several goroutines.
type Service struct {
	db       *registry.DB
	profiles []*profile.Profile
	policies Policies
	demands  Demands
	sessions *session.Store
	signer   Signer
	stock    Stock
}

// errConfig: a part that a Service cannot do without is missing.
var errConfig = errors.New("issuance: database, keeper, signer and profiles are needed")

// New checks the workflow and the configuration and returns a ready service.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Keeper == nil || c.Signer == nil || len(c.Profiles) == 0 {
		return nil, errConfig
	}
	if err := Check(&Applications, &Cards); err != nil {
		return nil, err
	}
	if c.Policies == nil {
		var err error
		if c.Policies, err = ParsePolicies(defaultPolicies); err != nil {
			return nil, err
		}
	}
	if c.Demands == nil {
		var err error
		if c.Demands, err = ParseDemands(defaultDemands); err != nil {
			return nil, err
		}
	}
	for _, p := range c.Policies {
		for _, version := range p.SpecVersions {
			if _, err := profile.ByVersion(c.Profiles, version); err != nil {
				return nil, fmt.Errorf("%w: specVersions: %w", ErrPolicy, err)
			}
		}
	}
	s := &Service{db: c.DB, profiles: c.Profiles, policies: c.Policies, demands: c.Demands, signer: c.Signer, stock: c.Stock}
	if s.stock == nil {
		s.stock = noStock{}
	}
	if err := c.DB.HoldMoves(context.Background(), Applications.Moves(), Cards.Moves()); err != nil {
		return nil, err
	}
	c.DB.OnPersonChanged(s.personChanged)
	s.sessions = session.New(session.Config{DB: c.DB, Keeper: c.Keeper, Profiles: c.Profiles, Finish: s.finish, Advance: s.advance})
	return s, nil
}

// policy returns what holds at a place now.
func (s *Service) policy(place string, now time.Time) (Policy, error) {
	return s.policies.At(place, gb.DayOf(now))
}
