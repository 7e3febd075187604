package exchange_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/exchange"
	"onecard/exchange/insurance"
	"onecard/internal/gb"
	"onecard/registry"
	"onecard/registry/registrytest"
)

const (
	province = "630000"
	xining   = "630100"
	// what a terminal of the sample is called
	pharmacyDesk = "desk-pharmacy"
	hospitalDesk = "desk-hospital"
	otherDesk    = "desk-other-pharmacy"
)

var sites = map[string]exchange.Site{
	pharmacyDesk: {Institution: "pharmacy-1", Name: "示例药店", Kind: "pharmacy", Place: "630102"},
	otherDesk:    {Institution: "pharmacy-2", Name: "示例二药店", Kind: "pharmacy", Place: "630103"},
	hospitalDesk: {Institution: "hospital-1", Name: "示例医院", Kind: "hospital", Level: 3, Place: "630102"},
	"desk-bank":  {Institution: "bank-1", Name: "示例银行", Kind: "bank", Place: "630102"},
	"desk-away":  {Institution: "away-1", Name: "示例外省药店", Kind: "pharmacy", Place: "620102"},
}

// cards stands for issuance: what was proven, and how cards stand now.
type cards struct {
	mu     sync.Mutex
	proofs map[uuid.UUID]exchange.Proof
	status map[uuid.UUID]string
}

func (c *cards) Proof(_ context.Context, session uuid.UUID) (exchange.Proof, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	proof, known := c.proofs[session]
	if !known {
		return exchange.Proof{}, exchange.ErrProofUnknown
	}
	return proof, nil
}

func (c *cards) CardStatus(_ *registry.Tx, card uuid.UUID) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status[card], nil
}

type siteTable map[string]exchange.Site

func (s siteTable) Site(_ context.Context, workstation string) (exchange.Site, error) {
	site, known := s[workstation]
	if !known {
		return exchange.Site{}, registry.ErrNotFound
	}
	return site, nil
}

// world is a province with one back end in which tests act.
type world struct {
	t         testing.TB
	db        *registry.DB
	clock     *registrytest.Clock
	cards     *cards
	insurance *insurance.Backend
	serial    int64
	newID     func() uuid.UUID
}

func newWorld(t testing.TB, db *registry.DB, clock *registrytest.Clock) *world {
	t.Helper()
	policies, err := insurance.SamplePolicies()
	require.NoError(t, err)
	backend, err := insurance.New(db, policies, province)
	require.NoError(t, err)
	return &world{t: t, db: db, clock: clock, insurance: backend, newID: uuid.New,
		cards: &cards{proofs: map[uuid.UUID]exchange.Proof{}, status: map[uuid.UUID]string{}}}
}

// config is a service's configuration over a back end; nil means the insurance.
func (w *world) config(backend exchange.Backend) exchange.Config {
	if backend == nil {
		backend = w.insurance
	}
	return exchange.Config{DB: w.db, Proofs: w.cards, Sites: siteTable(sites), Insurances: w.insurance,
		Backends: map[string]exchange.Backend{"insurance": backend}, Now: w.clock.Now}
}

func (w *world) service(backend exchange.Backend) *exchange.Service {
	w.t.Helper()
	return w.serve(w.config(backend))
}

func (w *world) serve(c exchange.Config) *exchange.Service {
	w.t.Helper()
	s, err := exchange.New(c)
	require.NoError(w.t, err)
	return s
}

func actor(terminal string) registry.Actor {
	return registry.Actor{Operator: "cashier", Workstation: terminal, Place: "630102"}
}

// resident enrols a person with 2,000 yuan in the account (employees) and
// returns the person.
func (w *world) resident(kind string) uuid.UUID {
	w.t.Helper()
	person := w.newID()
	from, err := gb.ParseDate("2020-01-01")
	require.NoError(w.t, err)
	require.NoError(w.t, insurance.LoadSample(w.t.Context(), w.db, actor("office"),
		insurance.Insured{PersonID: person, Kind: kind, Place: xining, From: from}))
	return person
}

// present records what a chip session proved, of a card that is normal.
func (w *world) present(session uuid.UUID, proof exchange.Proof) {
	w.cards.mu.Lock()
	defer w.cards.mu.Unlock()
	w.cards.proofs[session] = proof
	w.cards.status[proof.CardID] = "1"
}

// purchase is a request of 12.50 yuan at a pharmacy by a freshly proven card.
func (w *world) purchase(person uuid.UUID, terminal string) exchange.Request {
	session := w.newID()
	w.present(session, exchange.Proof{CardID: w.newID(), PersonID: person, CardNumber: "A63000001", Workstation: terminal,
		At: w.clock.Now(), Genuine: true})
	w.serial++
	return exchange.Request{
		ID: w.newID(), Business: "pharmacy.purchase", ProofID: session, SerialNumber: w.serial,
		Date: w.today(), TotalFen: 1250,
		Items: []exchange.Item{{Code: "X01", Name: "阿莫西林胶囊", Category: exchange.CategoryA, Fen: 1000},
			{Code: "X02", Name: "维生素软糖", Category: exchange.CategoryOwn, Fen: 250}},
	}
}

func (w *world) today() gb.Date {
	return gb.DateOf(w.clock.Now().In(time.FixedZone("CST", 8*60*60)))
}

// balance is what the person's account holds, in fen.
func (w *world) balance(person uuid.UUID) int64 {
	w.t.Helper()
	var fen int64
	require.NoError(w.t, w.db.Read(w.t.Context()).Table("insurance_accounts").Select("balance_fen").
		Where("id = ?", "personal:"+person.String()).Scan(&fen).Error)
	return fen
}

// stub is a back end whose answers a test writes.
type stub struct {
	exchange.Backend
	submit  func(ctx context.Context, m exchange.Message) (exchange.Outcome, error)
	query   func(ctx context.Context, id uuid.UUID) (exchange.Outcome, error)
	reverse func(ctx context.Context, id uuid.UUID) error
}

func (s stub) Submit(ctx context.Context, m exchange.Message) (exchange.Outcome, error) {
	if s.submit == nil {
		return s.Backend.Submit(ctx, m)
	}
	return s.submit(ctx, m)
}

func (s stub) Query(ctx context.Context, id uuid.UUID) (exchange.Outcome, error) {
	if s.query == nil {
		return s.Backend.Query(ctx, id)
	}
	return s.query(ctx, id)
}

func (s stub) Reverse(ctx context.Context, id uuid.UUID) error {
	if s.reverse == nil {
		return s.Backend.Reverse(ctx, id)
	}
	return s.reverse(ctx, id)
}

// each runs a test in a fresh world on both databases.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		test(t, newWorld(t, db, clock))
	})
}
