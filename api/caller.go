package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"onecard/api/pki"
	"onecard/registry"
)

// caller is who makes a request, and the request as far as the idempotency
// record needs it.
type caller struct {
	workstation registry.Workstation
	operator    registry.Operator // zero before sign-in
	token       string
	request     []byte // method, path and body
}

func (c caller) actor() registry.Actor { return c.operator.Actor(c.workstation.ID) }

type callerKey struct{}

// callerOf returns who makes the request that ctx belongs to.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

func withCaller(c echo.Context, who caller) {
	request := c.Request()
	c.SetRequest(request.WithContext(context.WithValue(request.Context(), callerKey{}, who)))
}

// identify lets a request pass that the policy's line allows.
func (s *Server) identify(rule access) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if rule.level == anonymous {
				return next(c)
			}
			who, err := s.callerBy(c.Request(), rule)
			if err != nil {
				return err
			}
			withCaller(c, who)
			return next(c)
		}
	}
}

func (s *Server) callerBy(request *http.Request, rule access) (caller, error) {
	var who caller
	var err error
	if who.workstation, err = s.workstationBy(request); err != nil {
		return caller{}, err
	}
	header := request.Header.Get("Authorization")
	if rule.level == workstation || rule.level == terminal && header == "" {
		return who, nil
	}
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return caller{}, registry.ErrSession
	}
	who.token = token
	who.operator, err = s.db.SessionOperator(request.Context(), token, who.workstation.ID)
	if err != nil {
		return caller{}, err
	}
	if rule.level == operator && !slices.ContainsFunc(rule.roles, who.operator.Has) {
		return caller{}, errRole
	}
	return who, nil
}

// workstationBy returns the workstation whose certificate the connection
// showed. The certificate has been verified by the TLS stack; it must be the
// one that the registry has for this workstation now.
func (s *Server) workstationBy(request *http.Request) (registry.Workstation, error) {
	if request.TLS == nil || len(request.TLS.VerifiedChains) == 0 {
		return registry.Workstation{}, errNoCertificate
	}
	leaf := request.TLS.VerifiedChains[0][0]
	id, err := pki.Workstation(leaf)
	if err != nil {
		return registry.Workstation{}, errUnknownWorkstation
	}
	station, err := s.db.WorkstationByFingerprint(request.Context(), pki.Fingerprint(leaf))
	if errors.Is(err, registry.ErrNotFound) || (err == nil && station.ID != id) {
		return registry.Workstation{}, errUnknownWorkstation
	}
	return station, err
}
