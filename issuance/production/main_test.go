package production_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/api/pki"
	"onecard/card"
	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/internal/signed"
	"onecard/internal/sim/maker"
	"onecard/issuance"
	"onecard/issuance/production"
	"onecard/keys"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// The keys that both sides have: of the blanks, and of delivery.
var (
	transport = [16]byte{0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F}
	delivery  = []byte("a key of delivery, of 32 bytes..")
)

// province is what all tests share.
var province struct {
	dir       string
	profiles  []*profile.Profile
	keeper    func() (*keys.Keeper, error)
	authority *pki.Authority
	maker     *tls.Certificate
	other     *tls.Certificate
}

func TestMain(m *testing.M) { os.Exit(inProvince(m.Run)) }

func inProvince(run func() int) int {
	var err error
	if province.dir, err = os.MkdirTemp("", "production"); err == nil {
		defer func() { _ = os.RemoveAll(province.dir) }()
		province.profiles, err = profile.Load()
	}
	now := func() time.Time { return registrytest.Start }
	if err == nil {
		province.authority, err = pki.Open(filepath.Join(province.dir, "pki"), nil, now)
	}
	if err == nil {
		province.maker, err = maker.NewPair(filepath.Join(province.dir, "maker"), "卡商", now())
	}
	if err == nil {
		province.other, err = maker.NewPair(filepath.Join(province.dir, "other"), "另一卡商", now())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	province.keeper = sync.OnceValues(newKeeper)
	return run()
}

func newKeeper() (*keys.Keeper, error) {
	kek, err := keys.GenerateKEK(rand.Reader)
	if err != nil {
		return nil, err
	}
	keeper, err := keys.Create(filepath.Join(province.dir, "keys.json"), kek, keys.Provincial())
	if err != nil {
		return nil, err
	}
	for _, spec := range keys.Provincial() {
		if spec.Usage == keys.Transport {
			if err := keeper.Import(spec, 1, strings.NewReader(hex.EncodeToString(transport[:]))); err != nil {
				return nil, err
			}
		}
	}
	return keeper, keeper.Import(keys.Spec{Name: "KTK", Usage: keys.CardDelivery, Algorithm: keys.AES256}, 1, strings.NewReader(hex.EncodeToString(delivery)))
}

type signer struct{}

// Sign implements issuance.Signer.
func (signer) Sign(payload any) (string, error) {
	with, err := province.authority.Orders()
	if err != nil {
		return "", err
	}
	return signed.Sign(payload, with)
}

// world is a province with a maker.
type world struct {
	*production.Service
	issuance *issuance.Service
	db       *registry.DB
	clock    *registrytest.Clock
	plant    *maker.Maker
	config   production.Config
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) { test(t, newWorld(t, db, clock)) })
}

func newWorld(t testing.TB, db *registry.DB, clock *registrytest.Clock) *world {
	t.Helper()
	keeper, err := province.keeper()
	require.NoError(t, err)
	service, err := issuance.New(issuance.Config{DB: db, Profiles: province.profiles, Keeper: keeper, Signer: signer{}, Demands: issuance.NoDemands})
	require.NoError(t, err)
	w := &world{issuance: service, db: db, clock: clock, config: production.Config{
		DB: db, Issuance: service, Profiles: province.profiles, Keeper: keeper,
		Signing: province.authority.Orders, Receiving: province.authority.Exchange, Dir: filepath.Join(t.TempDir(), "files"),
	}}
	w.Service, err = production.New(w.config)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(province.authority.CA())
	to, err := province.authority.Exchange()
	require.NoError(t, err)
	w.plant = &maker.Maker{
		Supplier: "lab-300", Dir: t.TempDir(), Pair: province.maker, Delivery: delivery, Transport: transport, Profiles: province.profiles,
		Roots: roots, Province: to.Leaf, Now: clock.Now,
	}
	w.change(t, func(tx *registry.Tx) error {
		return tx.AddInstitution(registry.Institution{ID: "maker-lab", Kind: "maker", Name: "实验室卡厂", Place: "630100"})
	})
	require.NoError(t, w.Approve(t.Context(), supervisor, supplier(100), "批复"))
	return w
}

func supplier(quota int64) production.Supplier {
	return production.Supplier{
		ID: "lab-300", Institution: "maker-lab", Product: "SSC-3.00", Approval: "人社信函〔2026〕1号", SpecVersion: "3.00", Quota: quota,
		ValidFrom: "2026-01-01", ValidTo: "2026-12-31", DeliveryKey: "KTK", Certificate: pemOf(province.maker),
	}
}

func pemOf(pair *tls.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
}

// The people.
var (
	producer   = person("chenbin", registry.RoleProducer)
	inspector  = person("yangfan", registry.RoleProducer)
	supervisor = person("zhaowei", registry.RoleSupervisor)
	clerk      = person("caiwang", registry.RoleClerk)
)

func person(login string, roles ...string) production.Who {
	return production.Who{Actor: registry.Actor{Operator: login, Workstation: "W-1", Place: "630000"}, Roles: roles}
}

func (w *world) change(t testing.TB, change func(tx *registry.Tx) error) {
	t.Helper()
	require.NoError(t, w.db.InTx(t.Context(), registry.Actor{Operator: "admin", Place: "630000"}, func(tx *registry.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		return tx.Audit("test.noted", "test", nil)
	}))
}

var born atomic.Int64

// waiting makes applications for cards made in batches that were reviewed.
func (w *world) waiting(t testing.TB, n int) []uuid.UUID {
	t.Helper()
	birth, err := gb.ParseDate("1981-05-01")
	require.NoError(t, err)
	ids := make([]uuid.UUID, n)
	w.change(t, func(tx *registry.Tx) error {
		for i := range ids {
			k := born.Add(1)
			number, err := gb.NewIDNumber([]string{"632723", "632221", "630121", "632523", "632801"}[k/900%5], birth, int(k%900)+1)
			if err != nil {
				return err
			}
			p, err := tx.AddPerson(registry.NewPerson{IDNumber: number.String(), Name: "扎西·多杰", Ethnic: "04", Place: "632723"})
			if err != nil {
				return err
			}
			a, err := w.issuance.Apply(tx, issuance.Request{Person: p.ID, Kind: issuance.KindFirst, Method: issuance.MethodBatch})
			if err != nil {
				return err
			}
			ids[i] = a.ID
		}
		return nil
	})
	reviewer := registry.Actor{Operator: "lihong", Place: "632723"}
	require.NoError(t, w.db.InTx(t.Context(), reviewer, func(tx *registry.Tx) error {
		for _, id := range ids {
			if _, err := w.issuance.Fire(tx, id, issuance.Asked{Event: issuance.EventApprove, Roles: []string{registry.RoleReviewer}}); err != nil {
				return err
			}
		}
		return nil
	}))
	return ids
}

// chips tells the province of n fresh blanks.
var serial atomic.Uint32

func (w *world) chips(t testing.TB, n int) {
	t.Helper()
	token, err := w.plant.Blanks("3.00", serial.Add(uint32(n))-uint32(n)+1, n)
	require.NoError(t, err)
	added, err := w.AddChips(t.Context(), producer, token)
	require.NoError(t, err)
	require.EqualValues(t, n, added)
}

func order(number string, most int64) production.Order {
	return production.Order{Number: number, Kind: production.KindNormal, Supplier: "lab-300", CardType: "3", Place: "630000", Most: most}
}

// sent makes a batch of n cards and its production file.
func (w *world) sent(t testing.TB, number string, n int) (path string) {
	t.Helper()
	w.chips(t, n)
	w.waiting(t, n)
	b, err := w.Create(t.Context(), producer, order(number, int64(n)))
	require.NoError(t, err)
	require.Equal(t, production.StateBanked, b.State)
	require.EqualValues(t, n, b.Size)
	file, err := w.Send(t.Context(), producer, number)
	require.NoError(t, err)
	return filepath.Join(w.config.Dir, file.Name)
}

// made is the card of a number in a reader.
func (w *world) made(t testing.TB, number string) *chip.Socket {
	t.Helper()
	image, err := chip.File(filepath.Join(w.plant.Dir, "cards", number+".json")).Load()
	require.NoError(t, err)
	store, err := chip.NewMemory(image)
	require.NoError(t, err)
	c, err := chip.New(province.profiles, store, nil)
	require.NoError(t, err)
	return &chip.Socket{Chip: c}
}

// atCounter does an operation of the product on a card, as a counter does.
func (w *world) atCounter(t testing.TB, who production.Who, socket *chip.Socket, operation string) (issuance.Result, uuid.UUID) {
	t.Helper()
	o := issuance.OpenSession{Operation: operation, Reader: "reader 1", ATR: socket.Chip.PowerOn(), Roles: append([]string{registry.RoleSupervisor}, who.Roles...)}
	channel := apdu.NewChannel(socket)
	opened, err := card.Open(t.Context(), channel, province.profiles, o.ATR, func(p *profile.Profile) (*card.Script, error) {
		return card.Opening(p, card.ChallengeLength), nil
	})
	require.NoError(t, err)
	o.Opening = opened.Responses
	turn, err := w.issuance.OpenSession(t.Context(), who.Actor, o)
	require.NoError(t, err)
	for turn.Script != nil {
		answers, err := card.Run(t.Context(), channel, turn.Script, nil)
		require.NoError(t, err)
		turn, err = w.issuance.Step(t.Context(), who.Actor, turn.Session, turn.Seq, answers, "")
		require.NoError(t, err)
	}
	var result issuance.Result
	require.NoError(t, json.Unmarshal(turn.Result, &result))
	return result, turn.Session
}

// rows counts the rows of a batch by state.
func (w *world) rows(t testing.TB, number string) map[string]int64 {
	t.Helper()
	b, err := w.Batch(t.Context(), number)
	require.NoError(t, err)
	counts, err := w.Counts(t.Context(), b.ID)
	require.NoError(t, err)
	return counts
}

func (w *world) items(t testing.TB, number, state string) []production.Item {
	t.Helper()
	b, err := w.Batch(t.Context(), number)
	require.NoError(t, err)
	items, err := w.Items(t.Context(), b.ID, state, 0, 1000)
	require.NoError(t, err)
	return items
}

// ordered is how many cards count against the supplier's quota.
func (w *world) ordered(t testing.TB) (n int64) {
	t.Helper()
	require.NoError(t, w.db.Read(t.Context()).Table("suppliers").Where("id = 'lab-300'").Select("ordered").Scan(&n).Error)
	return n
}

// untilTaken is a context that ends when the first rows of a return are taken:
// the process is killed there.
type untilTaken struct {
	context.Context
	db *registry.DB
}

// Err implements context.Context.
func (c untilTaken) Err() error {
	var n int64
	if err := c.db.Read(context.Background()).Table("batch_files").Where("kind = 'return' AND taken > 0").Count(&n).Error; err != nil || n > 0 {
		return context.Canceled
	}
	return c.Context.Err()
}

// account enters a bank account of a person.
func (w *world) account(t testing.TB, person uuid.UUID, n int) uuid.UUID {
	t.Helper()
	id := uuid.New()
	number := fmt.Sprintf("62284800000%08d", n)
	sealed, err := w.db.Seal(t.Context(), "bank_accounts.account", id.String(), []byte(number))
	require.NoError(t, err)
	index, err := w.db.Index(t.Context(), "bank_accounts.account", []byte(number))
	require.NoError(t, err)
	w.change(t, func(tx *registry.Tx) error {
		return tx.DB().Exec("INSERT INTO bank_accounts (id, person_id, bank, account_sealed, account_index, state, changed_at, changed_by, changed_on, change_reason) VALUES (?, ?, 'bank-1', ?, ?, 'preopened', ?, 'admin', '', '')",
			id, person, sealed, index[:16], tx.Now()).Error
	})
	return id
}
