package desk

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"onecard/api/client"
	"onecard/terminal"
)

//go:embed page
var page embed.FS

// Config is what the page stands on.
type Config struct {
	Desk *terminal.Desk
	// API reaches the platform with the workstation's certificate.
	API    *client.ClientWithResponses
	Logger *slog.Logger
}

// Server is the page with its interface.
type Server struct {
	config  Config
	handler http.Handler

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]session
}

// session is an operator signed in at this page.
type session struct {
	token    string
	operator client.Operator
	expires  time.Time
}

// New builds the server.
func New(config Config) (*Server, error) {
	s := &Server{config: config, sessions: map[[sha256.Size]byte]session{}}
	files, err := fs.Sub(page, "page")
	if err != nil {
		return nil, fmt.Errorf("embedded page: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", http.FileServerFS(files))
	mux.Handle("GET /static/", http.StripPrefix("/static", http.FileServerFS(files)))
	mux.HandleFunc("GET /api/events", s.events)
	mux.HandleFunc("GET /api/codes", s.codes)
	mux.HandleFunc("GET /api/me", s.signedIn(s.me))
	mux.HandleFunc("POST /api/sign-in", s.signIn)
	mux.HandleFunc("POST /api/sign-out", s.signedIn(s.signOut))
	mux.HandleFunc("POST /api/chip", s.signedIn(s.chip))
	mux.HandleFunc("GET /api/areas", s.signedIn(s.areas))
	mux.HandleFunc("POST /api/bank-number", s.signedIn(s.bankNumber))
	mux.HandleFunc("POST /api/pin", s.signedIn(s.changePIN))
	mux.HandleFunc("POST /api/visits", s.signedIn(s.visit))
	mux.HandleFunc("POST /api/stop", s.signedIn(s.stop))
	mux.HandleFunc("/platform/v1/", s.signedIn(s.passOn))
	s.handler = loopbackOnly(http.NewCrossOriginProtection().Handler(headers(mux)))
	return s, nil
}

// ServeHTTP makes the server a handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// loopbackOnly refuses a request that came by another name than this
// machine's own: a page elsewhere may have had its name pointed here.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "loopback only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

const cookieName = "onecard-desk"

type signedInHandler func(w http.ResponseWriter, r *http.Request, who session)

// signedIn lets only a signed-in operator through.
func (s *Server) signedIn(next signedInHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, ok := s.who(r)
		if !ok {
			s.fail(w, r, errNotSignedIn)
			return
		}
		next(w, r, who)
	}
}

func (s *Server) who(r *http.Request) (session, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	who, ok := s.sessions[sha256.Sum256([]byte(cookie.Value))]
	return who, ok && time.Now().Before(who.expires)
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	var body client.SignIn
	if !s.decode(w, r, &body) {
		return
	}
	signed, err := terminal.SignIn(r.Context(), s.config.API, body)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	secret := rand.Text()
	s.mu.Lock()
	s.sessions[sha256.Sum256([]byte(secret))] = session{token: signed.Token, operator: signed.Operator, expires: signed.ExpiresAt}
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	s.answer(w, r, signed.Operator)
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request, who session) {
	s.forget(who.token)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	if err := s.platform(who).SignOut(r.Context()); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// forget ends every session that holds the token.
func (s *Server) forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, who := range s.sessions {
		if who.token == token {
			delete(s.sessions, key)
		}
	}
}

func (s *Server) me(w http.ResponseWriter, r *http.Request, who session) {
	s.answer(w, r, who.operator)
}

func (s *Server) platform(who session) terminal.Platform {
	return terminal.Platform{API: s.config.API, Token: who.token}
}

// Platform returns the connection to the platform, signed in as nobody.
func (s *Server) Platform() *client.ClientWithResponses { return s.config.API }

// Operators returns the platform as each signed-in operator reaches it, for
// the work that goes on behind the page, and forgets whose time is over.
func (s *Server) Operators() []terminal.Platform {
	s.mu.Lock()
	defer s.mu.Unlock()
	var platforms []terminal.Platform
	for key, who := range s.sessions {
		if time.Now().After(who.expires) {
			delete(s.sessions, key)
			continue
		}
		platforms = append(platforms, s.platform(who))
	}
	return platforms
}

const maxBody = 1 << 20

func (s *Server) decode(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		s.fail(w, r, badBody(err))
		return false
	}
	return true
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		s.config.Logger.InfoContext(r.Context(), "answer not delivered", "error", err)
	}
}

// Serve answers on the listener until ctx ends.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the page: %w", err)
	}
	return nil
}
