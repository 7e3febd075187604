package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"onecard/api"
	"onecard/api/pki"

	"onecard/exchange"
	"onecard/exchange/authentication"
	"onecard/exchange/insurance"
	"onecard/internal/signed"
	"onecard/issuance"
	"onecard/issuance/bank"
	"onecard/issuance/collective"
	"onecard/issuance/stock"
	"onecard/keys"
	"onecard/keys/remote"
	"onecard/registry"
)

// platform is the province with everything that it consists of.
type platform struct {
	config    config
	logger    *slog.Logger
	keeper    keys.Service
	db        *registry.DB
	authority *pki.Authority
	issuance  *issuance.Service
	stock     *stock.Service
	banks     *bank.Service
	exchange  *exchange.Service
	insurance *insurance.Backend
	api       *api.Server
}

// province is the place of what the platform does by itself (GB/T 2260).
const province = "630000"

// console is who acts when a command of this program changes something.
var console = registry.Actor{Operator: "console", Place: province}

// Where things lie in the data directory.
func (c config) keyFile() string { return filepath.Join(c.Data, "keys", "keys.json") }
func (c config) pkiDir() string  { return filepath.Join(c.Data, "pki") }

// openPlatform opens keys and database and puts the platform together. It
// opens no socket.
func openPlatform(ctx context.Context, c config, logger *slog.Logger) (*platform, error) {
	p, err := openRecords(ctx, c, logger)
	if err != nil {
		return nil, err
	}
	if err := p.offer(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	if err := p.keepRules(ctx); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// openRecords opens what commands need that only work on the records: keys,
// database, certificates.
func openRecords(ctx context.Context, c config, logger *slog.Logger) (*platform, error) {
	p := &platform{config: c, logger: logger}
	var err error
	if p.keeper, err = openService(c); err != nil {
		return nil, err
	}
	if p.authority, err = pki.Open(c.pkiDir(), c.Names, time.Now); err != nil {
		return nil, err
	}
	p.db, err = registry.Open(ctx, registry.Config{DSN: c.Database, Vault: p.keeper, Logger: logger})
	if err != nil {
		return nil, &databaseError{where: redacted(c.Database), err: err}
	}
	return p, nil
}

// issuancePolicies reads the file of the parameters of issuance (发卡参数); nil
// stands for those built in.
func (c config) issuancePolicies() (issuance.Policies, error) {
	if c.Issuance == "" {
		return nil, nil
	}
	text, err := c.issuanceText()
	if err != nil {
		return nil, err
	}
	policies, err := issuance.ParsePolicies(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Issuance, err)
	}
	return policies, nil
}

// issuanceDemands reads the file of what applications must bring (申领要求); nil
// stands for what is built in. A trial asks for nothing unless it is told to.
func (c config) issuanceDemands() (issuance.Demands, error) {
	if c.Demands == "" {
		if c.Trial {
			return issuance.NoDemands, nil
		}
		return nil, nil
	}
	text, err := os.ReadFile(c.Demands)
	if err != nil {
		return nil, fmt.Errorf("%w: demands: %w", errSetting, err)
	}
	demands, err := issuance.ParseDemands(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Demands, err)
	}
	return demands, nil
}

// databaseError says which database an error is about.
type databaseError struct {
	where string
	err   error
}

func (e *databaseError) Error() string { return "database " + e.where + ": " + e.err.Error() }
func (e *databaseError) Unwrap() error { return e.err }

// errNoKeys: the ceremony has not been held.
var errNoKeys = errors.New("没有密钥文件 no key file")

// openService returns the keeper: its process's where the configuration says so,
// and otherwise the one of the key file.
func openService(c config) (keys.Service, error) {
	if c.Keeper.Socket == "" {
		return openKeeper(c)
	}
	owner, err := c.Keeper.owner()
	if err != nil {
		return nil, err
	}
	return remote.New(c.Keeper.Socket, owner), nil
}

func openKeeper(c config) (*keys.Keeper, error) {
	kek, err := readKEK(c)
	if err != nil {
		return nil, missingKeys(err)
	}
	keeper, err := keys.Open(c.keyFile(), kek)
	return keeper, missingKeys(err)
}

func missingKeys(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errNoKeys, err)
	}
	return err
}

func readKEK(c config) (keys.KEK, error) {
	if len(c.Shares) == 0 {
		return keys.ReadKEK(c.KEK)
	}
	first, err := keys.ReadShare(c.Shares[0])
	if err != nil {
		return keys.KEK{}, err
	}
	second, err := keys.ReadShare(c.Shares[1])
	if err != nil {
		return keys.KEK{}, err
	}
	return keys.Combine(first, second)
}

// assemble makes the services from the records.
func (p *platform) assemble() error {
	profiles, err := p.config.profiles()
	if err != nil {
		return err
	}
	parameters, err := p.config.issuancePolicies()
	if err != nil {
		return err
	}
	demands, err := p.config.issuanceDemands()
	if err != nil {
		return err
	}
	lost := &lostCards{}
	if p.stock, err = stock.New(stock.Config{DB: p.db, Lost: lost}); err != nil {
		return err
	}
	p.issuance, err = issuance.New(issuance.Config{DB: p.db, Profiles: profiles, Keeper: p.keeper, Signer: signer{p.authority}, Policies: parameters, Demands: demands, Stock: p.stock})
	if err != nil {
		return err
	}
	lost.issuance = p.issuance
	policies, err := insurance.SamplePolicies()
	if err != nil {
		return err
	}
	if p.insurance, err = insurance.New(p.db, policies, province); err != nil {
		return err
	}
	p.exchange, err = exchange.New(exchange.Config{
		DB: p.db, Proofs: proofs{p.issuance}, Sites: sites{p.db}, Insurances: p.insurance,
		Backends: map[string]exchange.Backend{"insurance": p.insurance}, Logger: p.logger,
	})
	return err
}

// offer puts the interface together from the services.
func (p *platform) offer() error {
	batches, err := p.production()
	if err != nil {
		return err
	}
	profiles, err := p.config.profiles()
	if err != nil {
		return err
	}
	authenticating, err := authentication.New(authentication.Config{
		DB: p.db, Cards: chips{p.issuance}, Keeper: p.keeper, NoKey: keys.ErrNoKey, Profiles: profiles, Addresses: p.config.keyAddresses(),
	})
	if err != nil {
		return err
	}
	printing, err := p.prints()
	if err != nil {
		return err
	}
	p.api, err = api.New(api.Config{
		DB: p.db, Issuance: p.issuance, Stock: p.stock, Collective: &collective.Service{DB: p.db, Issuance: p.issuance}, Production: batches, Exchange: p.exchange,
		Authentication: authenticating, Prints: printing, Orders: p.authority.Orders, Logger: p.logger,
	})
	return err
}

func (p *platform) close() error {
	if away, ok := p.keeper.(*remote.Keeper); ok {
		away.Close()
	}
	return p.db.Close()
}

// sites tells the exchange where workstations stand.
type sites struct{ db *registry.DB }

// Site implements exchange.Sites. The place of treatment (就医地) is the
// workstation's: an institution may have branches.
func (s sites) Site(ctx context.Context, workstation string) (exchange.Site, error) {
	station, err := s.db.Workstation(ctx, workstation)
	if err != nil {
		return exchange.Site{}, err
	}
	institution, err := s.db.Institution(ctx, station.Institution)
	if err != nil {
		return exchange.Site{}, err
	}
	return exchange.Site{
		Institution: institution.ID, Name: institution.Name, Kind: institution.Kind,
		Place: station.Place, Level: institution.Level,
	}, nil
}

// proofs tells the exchange what chips have proven.
type proofs struct{ issuance *issuance.Service }

// Proof implements exchange.Proofs.
func (p proofs) Proof(ctx context.Context, sessionID uuid.UUID) (exchange.Proof, error) {
	proof, err := p.issuance.Proof(ctx, sessionID)
	if errors.Is(err, issuance.ErrNoProof) {
		return exchange.Proof{}, exchange.ErrProofUnknown
	}
	if err != nil {
		return exchange.Proof{}, err
	}
	return exchange.Proof{
		CardID: proof.CardID, PersonID: proof.PersonID, CardNumber: proof.CardNumber,
		Workstation: proof.Workstation, At: proof.At, Genuine: proof.Genuine,
	}, nil
}

// CardStatus implements exchange.Proofs.
func (p proofs) CardStatus(tx *registry.Tx, cardID uuid.UUID) (string, error) {
	return p.issuance.CardStatus(tx, cardID)
}

// chips tells the authentication service what the province has on record.
type chips struct{ issuance *issuance.Service }

// CardOfChip implements authentication.Cards.
func (c chips) CardOfChip(tx *registry.Tx, chipID string) (authentication.Card, error) {
	found, version, err := c.issuance.CardOfChip(tx, chipID)
	if err != nil {
		return authentication.Card{}, err
	}
	status := issuance.Cards.State(found.Status).Text
	return authentication.Card{
		ID: found.ID, ATR: found.ATR, Status: found.Status, StatusText: exchange.Text{ZH: status.ZH, EN: status.EN}, KeyVersion: version,
	}, nil
}

// signer signs in the province's name.
type signer struct{ authority *pki.Authority }

// Sign implements issuance.Signer.
func (s signer) Sign(payload any) (string, error) {
	with, err := s.authority.Orders()
	if err != nil {
		return "", err
	}
	return signed.Sign(payload, with)
}

// lostCards takes finished cards out of use that the stock misses.
type lostCards struct{ issuance *issuance.Service }

// Invalidate implements stock.Invalidator: the card is cancelled, which the
// terminals are told of, and its holder's application waits for another one. Who may report a card as missing has been judged.
func (l *lostCards) Invalidate(tx *registry.Tx, cardID uuid.UUID, reason string) error {
	_, err := l.issuance.FireCard(tx, cardID, issuance.Asked{
		Event: issuance.EventScrap, Code: "missing", Reason: reason, Channel: "stock", Roles: []string{registry.RoleSupervisor},
	})
	return err
}
