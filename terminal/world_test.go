package terminal_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/api"
	"onecard/api/client"
	"onecard/api/pki"
	"onecard/card/face"
	"onecard/card/order"
	"onecard/card/profile"
	"onecard/exchange"
	"onecard/exchange/authentication"
	"onecard/exchange/insurance"
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
	"onecard/terminal"
)

// Workstations and operators of the sample province.
const (
	counter  = "W-O630102-01"
	hospital = "W-H630102001-01"
	pharmacy = "W-P630102001-01"

	clerk    = "zhangying"
	reviewer = "limin"
	cashier  = "sunli"
	druggist = "zhaolei"

	holder = "扎西·多杰"
	pin    = "314159"
)

// console is who changes records beside the interface.
var console = registry.Actor{Operator: "test", Place: "630000"}

// world is a province that serves counters over TLS, through a gate.
type world struct {
	t         *testing.T
	db        *registry.DB
	issuance  *issuance.Service
	insurance *insurance.Backend
	authority *pki.Authority
	passwords map[string]string
	address   string
	gate      *gate
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, func(*issuance.Config) {})
}

// newWorldWith is newWorld with an issuance that is set up in another way.
func newWorldWith(t *testing.T, change func(c *issuance.Config)) *world {
	t.Helper()
	config := registrytest.Config("sqlite:"+filepath.Join(t.TempDir(), "registry.db"), nil)
	config.Now = time.Now // certificates are checked by the system's clock
	w := &world{t: t, db: registrytest.Open(t, config), passwords: map[string]string{}}
	require.NoError(t, w.db.MarkTrial(t.Context(), console))
	require.NoError(t, sample.Load(t.Context(), w.db))
	province, err := sample.Read()
	require.NoError(t, err)
	for _, o := range province.Operators {
		w.passwords[o.Login] = o.Password
	}
	w.authority, err = pki.Open(filepath.Join(t.TempDir(), "pki"), nil, time.Now)
	require.NoError(t, err)
	setup := issuance.Config{DB: w.db, Profiles: profiles(t), Keeper: keeper(t), Signer: w, Demands: issuance.NoDemands}
	change(&setup)
	w.issuance, err = issuance.New(setup)
	require.NoError(t, err)
	layout, err := face.BuiltIn()
	require.NoError(t, err)
	policies, err := insurance.SamplePolicies()
	require.NoError(t, err)
	w.insurance, err = insurance.New(w.db, policies, "630000")
	require.NoError(t, err)
	transactions, err := exchange.New(exchange.Config{
		DB: w.db, Proofs: w, Sites: w, Insurances: w.insurance, Backends: map[string]exchange.Backend{"insurance": w.insurance},
	})
	require.NoError(t, err)
	authenticating, err := authentication.New(authentication.Config{DB: w.db, Cards: w, Keeper: keeper(t), NoKey: keys.ErrNoKey, Profiles: profiles(t)})
	require.NoError(t, err)
	store, err := stock.New(stock.Config{DB: w.db, Lost: noneLost{}})
	require.NoError(t, err)
	batches, err := production.New(production.Config{DB: w.db, Issuance: w.issuance, Profiles: profiles(t), Keeper: keeper(t), Signing: w.authority.Orders, Receiving: w.authority.Exchange, Dir: t.TempDir()})
	require.NoError(t, err)
	server, err := api.New(api.Config{
		Production: batches, DB: w.db, Issuance: w.issuance, Stock: store, Exchange: transactions, Authentication: authenticating, Orders: w.authority.Orders,
		Prints: &prints.Service{DB: w.db, Printer: face.NewPrinter(layout, fonts), Photos: prints.Attachments{DB: w.db}}, Collective: &collective.Service{DB: w.db, Issuance: w.issuance},
	})
	require.NoError(t, err)
	w.serve(server)
	return w
}

// fonts are read once for all tests.
var fonts = face.NewFonts("")

func profiles(t *testing.T) []*profile.Profile {
	t.Helper()
	all, err := profile.Load()
	require.NoError(t, err)
	return all
}

// makerKey is the laboratory maker's transport key.
var makerKey = [16]byte{0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F}

// keeper makes a keeper with fresh keys and the maker's transport key.
func keeper(t *testing.T) *keys.Keeper {
	t.Helper()
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	keeper, err := keys.Create(filepath.Join(t.TempDir(), "keys.json"), kek, keys.Provincial())
	require.NoError(t, err)
	for _, spec := range keys.Provincial() {
		if spec.Name == profiles(t)[0].Maker.Transport {
			require.NoError(t, keeper.Import(spec, 1, strings.NewReader(hex.EncodeToString(makerKey[:]))))
		}
	}
	return keeper
}

func (w *world) serve(server *api.Server) {
	w.t.Helper()
	certificates, err := w.authority.TLS()
	require.NoError(w.t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	web := server.HTTP(certificates)
	w.gate = &gate{next: web.Handler}
	web.Handler = w.gate
	web.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = web.ServeTLS(listener, "", "")
	}()
	w.t.Cleanup(func() {
		_ = web.Close()
		<-served
	})
	w.address = "https://" + listener.Addr().String()
}

// Site implements exchange.Sites.
func (w *world) Site(ctx context.Context, id string) (exchange.Site, error) {
	station, err := w.db.Workstation(ctx, id)
	if err != nil {
		return exchange.Site{}, err
	}
	i, err := w.db.Institution(ctx, station.Institution)
	return exchange.Site{Institution: i.ID, Name: i.Name, Kind: i.Kind, Level: i.Level, Place: station.Place}, err
}

// Proof implements exchange.Proofs.
func (w *world) Proof(ctx context.Context, id uuid.UUID) (exchange.Proof, error) {
	proof, err := w.issuance.Proof(ctx, id)
	if errors.Is(err, issuance.ErrNoProof) {
		err = exchange.ErrProofUnknown
	}
	return exchange.Proof{
		CardID: proof.CardID, PersonID: proof.PersonID, CardNumber: proof.CardNumber,
		Workstation: proof.Workstation, At: proof.At, Genuine: proof.Genuine,
	}, err
}

// CardStatus implements exchange.Proofs.
func (w *world) CardStatus(tx *registry.Tx, id uuid.UUID) (string, error) {
	return w.issuance.CardStatus(tx, id)
}

// orders opens what this province signs.
func (w *world) orders() order.Reader {
	roots := x509.NewCertPool()
	require.True(w.t, roots.AppendCertsFromPEM(w.authority.CA()))
	return order.Reader{Roots: roots, Now: time.Now}
}

// dial enrols a workstation and connects as it.
func (w *world) dial(station string) *client.ClientWithResponses {
	w.t.Helper()
	dir := w.t.TempDir()
	enrolment, err := w.authority.Enrol(station)
	require.NoError(w.t, err)
	require.NoError(w.t, enrolment.WriteFiles(dir))
	require.NoError(w.t, w.db.InTx(w.t.Context(), console, func(tx *registry.Tx) error {
		return tx.EnrolWorkstation(station, enrolment.Fingerprint)
	}))
	connection, err := client.Dial(client.Config{
		URL: w.address, CA: filepath.Join(dir, pki.FileCA),
		Cert: filepath.Join(dir, pki.FileCertificate), Key: filepath.Join(dir, pki.FileKey),
	})
	require.NoError(w.t, err)
	return connection
}

// signIn signs an operator in at a workstation.
func (w *world) signIn(connection *client.ClientWithResponses, login string) terminal.Platform {
	w.t.Helper()
	signed, err := terminal.SignIn(w.t.Context(), connection, client.SignIn{Login: login, Password: w.passwords[login]})
	require.NoError(w.t, err)
	return terminal.Platform{API: connection, Token: signed.Token}
}

// at is an operator at a workstation with a reader of its own.
type post struct {
	*world
	platform terminal.Platform
	station  *terminal.Station
	bench    *bench
}

func (w *world) at(station, kind, login string) *post {
	w.t.Helper()
	s, b := newStation(w.t, kind, w.orders())
	return &post{w, w.signIn(w.dial(station), login), s, b}
}

// change changes records as the workflow's engine, in a county's name.
func (w *world) change(login string, change func(tx *registry.Tx) error) {
	w.t.Helper()
	actor := registry.Actor{Operator: login, Workstation: counter, Place: "630102"}
	require.NoError(w.t, w.db.InTx(w.t.Context(), actor, change))
}

// applied enters an application for a resident of the sample.
func (w *world) applied(name string) (a issuance.Application) {
	w.t.Helper()
	found, err := w.db.PersonsByName(w.t.Context(), name)
	require.NoError(w.t, err)
	require.Len(w.t, found, 1)
	w.change(clerk, func(tx *registry.Tx) (err error) {
		a, err = w.issuance.Apply(tx, issuance.Request{Person: found[0].ID, Kind: issuance.KindFirst})
		return err
	})
	return a
}

// numbered enters and reviews an application for a resident of the sample.
func (w *world) numbered(name string) issuance.Application {
	w.t.Helper()
	a := w.applied(name)
	w.change(reviewer, func(tx *registry.Tx) (err error) {
		a, err = w.issuance.Fire(tx, a.ID, issuance.Asked{Event: issuance.EventApprove, Roles: []string{registry.RoleReviewer}})
		return err
	})
	return a
}

// shows waits until the station shows a kind of card.
func (p *post) shows(kind string) terminal.State {
	p.t.Helper()
	return shows(p.t, p.station, kind)
}

var _ http.Handler = (*gate)(nil)

// CardOfChip implements authentication.Cards.
func (w *world) CardOfChip(tx *registry.Tx, chipID string) (authentication.Card, error) {
	found, version, err := w.issuance.CardOfChip(tx, chipID)
	return authentication.Card{ID: found.ID, ATR: found.ATR, Status: found.Status, KeyVersion: version}, err
}

// Sign implements issuance.Signer.
func (w *world) Sign(payload any) (string, error) {
	with, err := w.authority.Orders()
	if err != nil {
		return "", err
	}
	return signed.Sign(payload, with)
}

// noneLost: no stock is counted here.
type noneLost struct{}

func (noneLost) Invalidate(*registry.Tx, uuid.UUID, string) error { return nil }
