package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/api/pki"
	"onecard/card/face"
	"onecard/card/profile"
	"onecard/exchange"
	"onecard/exchange/authentication"
	"onecard/exchange/insurance"
	"onecard/internal/gb"
	"onecard/internal/signed"
	"onecard/issuance"
	"onecard/issuance/collective"
	"onecard/issuance/prints"
	"onecard/issuance/production"
	"onecard/issuance/stock"
	"onecard/keys"
	"onecard/registry"
	"onecard/registry/registrytest"
	"onecard/registry/sample"
)

// Workstations and operators of the sample province.
const (
	counter  = "W-O630102-01"
	second   = "W-O630102-02"
	hospital = "W-H630102001-01"
	pharmacy = "W-P630102001-01"
	office   = "W-O630000-01"

	clerk    = "zhangying"
	reviewer = "limin"
	cashier  = "sunli"
	druggist = "zhaolei"
	admin    = "admin"
	producer = "chenzhi"
	// inspector is a producer and supervisor.
	inspector = "guozhi"
)

// place of work of each operator.
var places = map[string]string{clerk: counter, reviewer: counter, cashier: hospital, druggist: pharmacy, admin: office, producer: office, inspector: office}

// world is a platform with the sample province.
type world struct {
	t         *testing.T
	db        *registry.DB
	clock     *registrytest.Clock
	server    *Server
	log       *lockedBuffer
	proofs    *proofStub
	chips     chipStub
	authority *pki.Authority
	chains    map[string][]*x509.Certificate
	tokens    map[string]string
	passwords map[string]string
	policies  issuance.Policies // of a server that is made next; nil: as shipped
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// makerKey is the laboratory maker's transport key.
var makerKey = [16]byte{0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F}

// proofStub stands in for chip sessions: transactions are told what a chip has
// proven without one.
type proofStub struct {
	mu     sync.Mutex
	proofs map[uuid.UUID]exchange.Proof
	status string
}

func (p *proofStub) Proof(_ context.Context, id uuid.UUID) (exchange.Proof, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	proof, ok := p.proofs[id]
	if !ok {
		return exchange.Proof{}, exchange.ErrProofUnknown
	}
	return proof, nil
}

func (p *proofStub) CardStatus(*registry.Tx, uuid.UUID) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status, nil
}

// chipStub is the cards of record that the authentication service knows.
type chipStub map[string]authentication.Card

func (c chipStub) CardOfChip(_ *registry.Tx, chipID string) (authentication.Card, error) {
	card, ok := c[chipID]
	if !ok {
		return card, registry.ErrNotFound
	}
	return card, nil
}

// flat is a keeper whose keys are not diversified; made of zeroes, they are
// those of the vendor's test cards.
type flat struct{ *keys.Keeper }

func (f flat) Cryptogram(ctx context.Context, key keys.Key, r1, r2 []byte) ([]byte, error) {
	return f.Keeper.Cryptogram(ctx, keys.Key{Name: key.Name, Version: key.Version}, r1, r2)
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// siteStub finds sites as the platform's wiring does.
type siteStub struct{ db *registry.DB }

func (s siteStub) Site(ctx context.Context, id string) (exchange.Site, error) {
	station, err := s.db.Workstation(ctx, id)
	if err != nil {
		return exchange.Site{}, err
	}
	i, err := s.db.Institution(ctx, station.Institution)
	return exchange.Site{Institution: i.ID, Name: i.Name, Kind: i.Kind, Level: i.Level, Place: station.Place}, err
}

func newWorld(t *testing.T, db *registry.DB, clock *registrytest.Clock) *world {
	t.Helper()
	w := &world{
		t: t, db: db, clock: clock, log: &lockedBuffer{}, chains: map[string][]*x509.Certificate{}, tokens: map[string]string{},
		passwords: map[string]string{}, chips: chipStub{}, proofs: &proofStub{proofs: map[uuid.UUID]exchange.Proof{}, status: "1"},
	}
	ctx := t.Context()
	require.NoError(t, db.MarkTrial(ctx, registry.Actor{Operator: "test", Place: "630000"}))
	require.NoError(t, sample.Load(ctx, db))
	province, err := sample.Read()
	require.NoError(t, err)
	for _, o := range province.Operators {
		w.passwords[o.Login] = o.Password
	}
	w.authority, err = pki.Open(filepath.Join(t.TempDir(), "pki"), nil, clock.Now)
	require.NoError(t, err)
	for _, station := range []string{counter, second, hospital, pharmacy, office} {
		w.enrol(station)
	}
	w.server = w.newServer(w.exchangeService())
	return w
}

func (w *world) exchangeService() *exchange.Service {
	policies, err := insurance.SamplePolicies()
	require.NoError(w.t, err)
	backend, err := insurance.New(w.db, policies, "630000")
	require.NoError(w.t, err)
	service, err := exchange.New(exchange.Config{
		DB: w.db, Proofs: w.proofs, Sites: siteStub{w.db}, Insurances: backend,
		Backends: map[string]exchange.Backend{"insurance": backend}, Now: w.clock.Now,
	})
	require.NoError(w.t, err)
	return service
}

// fonts are read once for all tests.
var fonts = face.NewFonts("")

func (w *world) newServer(transactions *exchange.Service) *Server {
	profiles, err := profile.Load()
	require.NoError(w.t, err)
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(w.t, err)
	keeper, err := keys.Create(filepath.Join(w.t.TempDir(), "keys.json"), kek, keys.Provincial())
	require.NoError(w.t, err)
	for _, spec := range keys.Provincial() {
		if spec.Name == profiles[0].Maker.Transport {
			require.NoError(w.t, keeper.Import(spec, 1, strings.NewReader(hex.EncodeToString(makerKey[:]))))
		}
	}
	cards, err := issuance.New(issuance.Config{DB: w.db, Profiles: profiles, Keeper: keeper, Signer: w, Policies: w.policies, Demands: issuance.NoDemands})
	require.NoError(w.t, err)
	store, err := stock.New(stock.Config{DB: w.db, Lost: noneLost{}})
	require.NoError(w.t, err)
	zero, err := keys.Create(filepath.Join(w.t.TempDir(), "zero.json"), kek, []keys.Spec{
		{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.SM4}, {Name: "RKSSSE", Usage: keys.Authentication, Algorithm: keys.SM4},
		{Name: "UKSSSE", Usage: keys.Authentication, Algorithm: keys.SM4}}, keys.WithRandom(zeroes{}))
	require.NoError(w.t, err)
	authenticating, err := authentication.New(authentication.Config{DB: w.db, Cards: w.chips, Keeper: flat{zero}, NoKey: keys.ErrNoKey, Profiles: profiles})
	require.NoError(w.t, err)
	layout, err := face.BuiltIn()
	require.NoError(w.t, err)
	printing := &prints.Service{DB: w.db, Printer: face.NewPrinter(layout, fonts), Photos: prints.Attachments{DB: w.db}}
	batches, err := production.New(production.Config{DB: w.db, Issuance: cards, Profiles: profiles, Keeper: keeper, Signing: w.authority.Orders, Receiving: w.authority.Exchange, Dir: w.t.TempDir()})
	require.NoError(w.t, err)
	server, err := New(Config{DB: w.db, Issuance: cards, Production: batches, Stock: store, Exchange: transactions, Authentication: authenticating, Prints: printing, Collective: &collective.Service{DB: w.db, Issuance: cards}, Orders: w.authority.Orders, Logger: slog.New(slog.NewJSONHandler(w.log, nil))})
	require.NoError(w.t, err)
	return server
}

// enrol gives a workstation a certificate.
func (w *world) enrol(id string) {
	enrolment, err := w.authority.Enrol(id)
	require.NoError(w.t, err)
	w.chains[id] = []*x509.Certificate{parse(w.t, enrolment.Certificate), parse(w.t, w.authority.CA())}
	require.NoError(w.t, w.db.InTx(w.t.Context(), registry.Actor{Operator: "test", Place: "630000"}, func(tx *registry.Tx) error {
		return tx.EnrolWorkstation(id, enrolment.Fingerprint)
	}))
}

func parse(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return cert
}

// call is one request.
type call struct {
	method, path string
	body         string
	key          string // Idempotency-Key
	as           string // login; "" sends no token
	at           string // workstation; "" is the operator's own, "-" shows no certificate
	token        string // instead of the operator's
	media        string // content type; "" is application/json
}

// answer is what came back.
type answer struct {
	status int
	body   string
	header http.Header
}

// do sends a request and validates the answer against the contract.
func (w *world) do(c call) answer {
	w.t.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	request := httptest.NewRequestWithContext(w.t.Context(), c.method, c.path, body)
	if c.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.media != "" {
		request.Header.Set("Content-Type", c.media)
	}
	if c.key != "" {
		request.Header.Set("Idempotency-Key", c.key)
	}
	if c.at == "" {
		c.at = places[c.as]
	}
	if chain := w.chains[c.at]; chain != nil {
		request.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{chain}, PeerCertificates: chain[:1]}
	}
	if c.token == "" && c.as != "" {
		c.token = w.token(c.as)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	recorder := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(recorder, request)
	w.conforms(request, recorder)
	return answer{status: recorder.Code, body: recorder.Body.String(), header: recorder.Header()}
}

// conforms validates an answer against the contract.
func (w *world) conforms(request *http.Request, recorder *httptest.ResponseRecorder) {
	w.t.Helper()
	routes, err := operations()
	require.NoError(w.t, err)
	for _, route := range routes {
		if route.Method != request.Method || !pathMatches(route.Path, request.URL.Path) {
			continue
		}
		options := filterOptions()
		options.IncludeResponseStatus = true
		err := openapi3filter.ValidateResponse(w.t.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, Route: route, Options: options},
			Status:                 recorder.Code, Header: recorder.Header(),
			Body: io.NopCloser(bytes.NewReader(recorder.Body.Bytes())), Options: options,
		})
		require.NoError(w.t, err, "%s %s answered %d", request.Method, route.Path, recorder.Code)
		return
	}
}

func pathMatches(pattern, path string) bool {
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if want[i] != have[i] && !strings.HasPrefix(want[i], "{") {
			return false
		}
	}
	return true
}

// token signs an operator in, once.
func (w *world) token(login string) string {
	w.t.Helper()
	if w.tokens[login] == "" {
		w.tokens[login] = w.signIn(login, places[login])
	}
	return w.tokens[login]
}

func (w *world) signIn(login, station string) string {
	w.t.Helper()
	text, err := json.Marshal(SignIn{Login: login, Password: w.passwords[login]})
	require.NoError(w.t, err)
	got := w.do(call{method: http.MethodPost, path: "/v1/sign-in", body: string(text), at: station})
	require.Equal(w.t, http.StatusOK, got.status, got.body)
	return decode[SignedIn](w.t, got).Token
}

func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	var value T
	require.NoError(t, json.Unmarshal([]byte(a.body), &value), a.body)
	return value
}

// person finds a resident of the sample by name.
func (w *world) person(name string) registry.Person {
	w.t.Helper()
	found, err := w.db.PersonsByName(w.t.Context(), name)
	require.NoError(w.t, err)
	require.Len(w.t, found, 1)
	return found[0]
}

// insure gives a person a personal account.
func (w *world) insure(person registry.Person) {
	w.t.Helper()
	since, err := gb.NewDate(2020, time.January, 1)
	require.NoError(w.t, err)
	require.NoError(w.t, insurance.LoadSample(w.t.Context(), w.db, registry.Actor{Operator: "test", Place: "630000"},
		insurance.Insured{PersonID: person.ID, Kind: exchange.KindEmployee, Place: "630100", From: since}))
}

// each runs a test with a world on each database.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		t.Parallel()
		test(t, newWorld(t, db, clock))
	})
}

// Sign implements issuance.Signer.
func (w *world) Sign(payload any) (string, error) {
	with, err := w.authority.Orders()
	if err != nil {
		return "", err
	}
	return signed.Sign(payload, with)
}

// noneLost is who takes lost cards out of use: here none is lost.
type noneLost struct{}

func (noneLost) Invalidate(*registry.Tx, uuid.UUID, string) error { return registry.ErrConflict }
