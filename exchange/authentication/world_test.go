package authentication_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/card/profile"
	"onecard/exchange"
	"onecard/exchange/authentication"
	"onecard/keys"
	"onecard/registry"
	"onecard/registry/registrytest"
	"onecard/registry/sample"
)

// The vendor's test card (TECSUN, 浙江长城信息自助发卡模块发卡接口 V1.0.0.5).
const (
	vendorCard = "542600D1560000050002814109FCC0B2"
	vendorATR  = "0096DF21018649542600028141"
	vendorArea = "542600"
)

// Workstations of the sample province.
const (
	counter  = "W-O630102-01"
	second   = "W-O630102-02"
	hospital = "W-H630102001-01"
	pharmacy = "W-P630102001-01"
)

// cards stands for issuance.
type cards map[string]authentication.Card

func (c cards) CardOfChip(_ *registry.Tx, chipID string) (authentication.Card, error) {
	card, ok := c[chipID]
	if !ok {
		return authentication.Card{}, registry.ErrNotFound
	}
	return card, nil
}

// flat is a keeper for cards whose keys are not diversified, as the vendor's
// test cards.
type flat struct{ *keys.Keeper }

func plain(key keys.Key) keys.Key { return keys.Key{Name: key.Name, Version: key.Version} }

func (f flat) Cryptogram(ctx context.Context, key keys.Key, r1, r2 []byte) ([]byte, error) {
	return f.Keeper.Cryptogram(ctx, plain(key), r1, r2)
}

func (f flat) CommandMAC(ctx context.Context, key keys.Key, r, message []byte) ([]byte, error) {
	return f.Keeper.CommandMAC(ctx, plain(key), r, message)
}

func (f flat) PINBlock(ctx context.Context, key keys.Key, r, header []byte, pin string) ([]byte, error) {
	return f.Keeper.PINBlock(ctx, plain(key), r, header, pin)
}

func (f flat) TransactionMAC(ctx context.Context, key keys.Key, factor, message []byte) ([]byte, error) {
	return f.Keeper.TransactionMAC(ctx, plain(key), factor, message)
}

// zeroes is a source of keys of zeroes.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// newKeeper makes a keeper with the province's keys, SM4 and 3DES, of one depth.
func newKeeper(t testing.TB, random io.Reader, depth int, without string) *keys.Keeper {
	t.Helper()
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	var specs []keys.Spec
	for _, spec := range keys.Provincial() {
		if spec.Usage != keys.Authentication && spec.Usage != keys.Maintenance && spec.Usage != keys.Debit || strings.TrimSuffix(spec.Name, keys.TripleDESSuffix) == without {
			continue
		}
		spec.Depth = depth
		specs = append(specs, spec)
	}
	keeper, err := keys.Create(filepath.Join(t.TempDir(), "keys.json"), kek, specs, keys.WithRandom(random))
	require.NoError(t, err)
	return keeper
}

// world is a service on one database.
type world struct {
	*authentication.Service
	t     *testing.T
	db    *registry.DB
	clock *registrytest.Clock
	cards cards
	keys  atomic.Int64
}

func newWorld(t *testing.T, db *registry.DB, clock *registrytest.Clock, keeper authentication.Keeper, policies authentication.Policies) *world {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, db.MarkTrial(ctx, registry.Actor{Operator: "test", Place: "630000"}))
	require.NoError(t, sample.Load(ctx, db))
	w := &world{t: t, db: db, clock: clock, cards: cards{}}
	w.record(vendorCard, vendorATR, "1")
	w.Service = w.service(keeper, policies)
	return w
}

func (w *world) service(keeper authentication.Keeper, policies authentication.Policies) *authentication.Service {
	w.t.Helper()
	profiles, err := profile.Load()
	require.NoError(w.t, err)
	service, err := authentication.New(authentication.Config{DB: w.db, Cards: w.cards, Keeper: keeper, NoKey: keys.ErrNoKey, Profiles: profiles, Policies: policies})
	require.NoError(w.t, err)
	return service
}

// record puts a card on record.
func (w *world) record(chipID, atr, status string) {
	words := map[string]exchange.Text{"1": {ZH: "正常", EN: "normal"}, "2": {ZH: "正式挂失", EN: "reported lost"}, "9": {ZH: "注销", EN: "cancelled"}}
	w.cards[chipID] = authentication.Card{ID: uuid.NewSHA1(uuid.Nil, []byte(chipID)), ATR: "3B6D0000" + atr, Status: status, StatusText: words[status], KeyVersion: 1}
}

// at is a workstation of the sample with an operator of the roles signed in;
// without roles nobody is.
func (w *world) at(id string, roles ...string) authentication.Caller {
	w.t.Helper()
	station, err := w.db.Workstation(w.t.Context(), id)
	require.NoError(w.t, err)
	who := authentication.Caller{Workstation: station}
	if len(roles) > 0 {
		who.Operator = registry.Operator{Login: "o-" + roles[0], Roles: roles, Place: station.Place, Institution: station.Institution}
	}
	return who
}

// ask sends a message under a key of its own.
func (w *world) ask(who authentication.Caller, m authentication.Message) (authentication.Answer, error) {
	key := fmt.Sprintf("test-%08d", w.keys.Add(1))
	return w.Authenticate(w.t.Context(), who, key, fmt.Appendf(nil, "%+v", m), m)
}

// line sends a string.
func (w *world) line(who authentication.Caller, line string) (authentication.Answer, error) {
	m, err := w.Parse(line)
	if err != nil {
		return authentication.Answer{}, err
	}
	return w.ask(who, m)
}

func (w *world) must(answer authentication.Answer, err error) authentication.Answer {
	w.t.Helper()
	require.NoError(w.t, err)
	return answer
}

// challenge makes the nth challenge of a test.
func challenge(n int) string { return fmt.Sprintf("%016X", 0xA000_0000_0000_0000+uint64(n)) }

// reading is a base reading with fresh challenges.
func reading(n int) authentication.Message {
	return authentication.Message{Service: "01", Area: vendorArea, ATR: vendorATR, Algorithm: "03", CardID: vendorCard,
		InternalFactor: challenge(n), InternalOriginal: challenge(n), ExternalFactor: challenge(n), ExternalOriginal: challenge(n)}
}

// entries returns the audit records of authentications.
func (w *world) entries() []entry {
	w.t.Helper()
	var found []entry
	err := w.db.Read(w.t.Context()).Table("audit_entries").Where("action LIKE ?", "authentication.%").Order("chain, seq").Find(&found).Error
	require.NoError(w.t, err)
	return found
}

type entry struct{ Action, Operator, Workstation, Subject, Detail string }

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	require.NoError(t, err)
	return raw
}

// each runs a test on each database with undiversified keys of zeroes.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	keeper := newKeeper(t, zeroes{}, 0, "")
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		t.Parallel()
		test(t, newWorld(t, db, clock, flat{keeper}, nil))
	})
}

func join(parts ...string) string { return strings.Join(parts, "|") }
