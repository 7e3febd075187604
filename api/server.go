package api

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"onecard/exchange"
	"onecard/exchange/authentication"
	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/issuance/collective"
	"onecard/issuance/prints"
	"onecard/issuance/production"
	"onecard/issuance/stock"
	"onecard/registry"
)

// Config is what a server is made of.
type Config struct {
	DB             *registry.DB
	Issuance       *issuance.Service
	Stock          *stock.Service
	Exchange       *exchange.Service
	Authentication *authentication.Service
	Prints         *prints.Service
	Collective     *collective.Service
	Production     *production.Service
	// Orders returns the certificate and key that sign what a counter is to do.
	Orders func() (*tls.Certificate, error)
	Logger *slog.Logger // default: nothing is logged
	Rand   io.Reader    // for reference numbers; default crypto/rand.Reader
}

// Server answers the operations of the contract. It is safe for concurrent use.
type Server struct {
	db             *registry.DB
	issuance       *issuance.Service
	stock          *stock.Service
	exchange       *exchange.Service
	authentication *authentication.Service
	prints         *prints.Service
	collective     *collective.Service
	production     *production.Service
	orders         func() (*tls.Certificate, error)
	logger         *slog.Logger
	rand           io.Reader
	echo           *echo.Echo
}

var _ StrictServerInterface = (*Server)(nil)

// New makes a server. It fails when contract and policy do not agree.
func New(config Config) (*Server, error) {
	if config.DB == nil || config.Issuance == nil || config.Stock == nil || config.Exchange == nil || config.Authentication == nil || config.Prints == nil || config.Collective == nil || config.Production == nil || config.Orders == nil {
		return nil, errors.New("api: DB, Issuance, Stock, Exchange, Authentication, Prints, Collective, Production and Orders are needed")
	}
	s := &Server{
		db: config.DB, issuance: config.Issuance, stock: config.Stock, exchange: config.Exchange, authentication: config.Authentication,
		prints: config.Prints, collective: config.Collective, production: config.Production, orders: config.Orders, logger: config.Logger, rand: config.Rand,
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	return s, s.route(policy)
}

// route builds the router: every operation behind identification and
// validation.
func (s *Server) route(table map[string]access) error {
	routes, err := operations()
	if err != nil {
		return err
	}
	if err := checkPolicy(table, routes); err != nil {
		return err
	}
	s.echo = echo.New()
	s.echo.IPExtractor = echo.ExtractIPDirect()
	s.echo.Use(s.observe)
	guards := map[string][]echo.MiddlewareFunc{}
	for id, route := range routes {
		guards[id] = []echo.MiddlewareFunc{s.identify(table[id]), s.validate(route)}
	}
	RegisterHandlersWithOptions(s.echo, NewStrictHandler(s, nil), RegisterHandlersOptions{OperationMiddlewares: guards})
	s.echo.GET("/openapi.yaml", func(c echo.Context) error { return serveDocument(c.Response()) })
	return nil
}

// Handler returns the server as an http.Handler.
func (s *Server) Handler() http.Handler { return s.echo }

// HTTP returns a server with the times and limits that suit the interface. tls
// is the platform's side of connections.
func (s *Server) HTTP(tls *tls.Config) *http.Server {
	return &http.Server{
		Handler:           s.Handler(),
		TLSConfig:         tls,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      requestTimeout + 5*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
}

// today is the day in Beijing by the database's clock.
func (s *Server) today() gb.Date { return gb.DayOf(s.db.Now()) }
