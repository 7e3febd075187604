package issuance_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"flag"
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

	"onecard/api/pki"
	"onecard/card"
	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/keys"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// makerKey is the laboratory maker's transport key.
var makerKey = [16]byte{0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F}

// province is what all tests share: the profiles and a keeper of its own keys.
var province struct {
	directory string
	profiles  []*profile.Profile
	profile   *profile.Profile
	keeper    func() (*keys.Keeper, error)
	signer    authority
}

func TestMain(m *testing.M) {
	// Unless the command line says otherwise: a walk makes a card, so few of
	// them; and tests that wait for a database leave the processor to others.
	for name, value := range map[string]string{"rapid.checks": "6", "test.parallel": "4"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(inProvince(m.Run))
}

func inProvince(run func() int) int {
	var err error
	if province.directory, err = os.MkdirTemp("", "issuance"); err == nil {
		defer func() { _ = os.RemoveAll(province.directory) }()
		province.profiles, err = profile.Load()
	}
	if err == nil {
		province.profile, err = profile.ByVersion(province.profiles, "3.00")
	}
	if err == nil {
		province.signer.Authority, err = pki.Open(filepath.Join(province.directory, "pki"), nil, func() time.Time { return registrytest.Start })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	province.keeper = sync.OnceValues(func() (*keys.Keeper, error) { return newKeeper("keys.json") })
	return run()
}

// newKeeper makes a keeper with fresh keys and the maker's transport key.
func newKeeper(file string) (*keys.Keeper, error) {
	kek, err := keys.GenerateKEK(rand.Reader)
	if err != nil {
		return nil, err
	}
	keeper, err := keys.Create(filepath.Join(province.directory, file), kek, keys.Provincial())
	if err != nil {
		return nil, err
	}
	for _, spec := range keys.Provincial() {
		if spec.Usage == keys.Transport {
			if err := keeper.Import(spec, 1, strings.NewReader(hex.EncodeToString(makerKey[:]))); err != nil {
				return nil, err
			}
		}
	}
	return keeper, nil
}

// world is a service on one database.
type world struct {
	*issuance.Service
	db    *registry.DB
	clock *registrytest.Clock
}

func newWorld(t testing.TB, db *registry.DB, clock *registrytest.Clock) world {
	t.Helper()
	keeper, err := province.keeper()
	require.NoError(t, err)
	service, err := issuance.New(issuance.Config{DB: db, Profiles: province.profiles, Keeper: keeper, Signer: province.signer, Demands: issuance.NoDemands})
	require.NoError(t, err)
	return world{service, db, clock}
}

// each runs a test in a new world on each database.
func each(t *testing.T, test func(t *testing.T, w world)) {
	t.Helper()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) { test(t, newWorld(t, db, clock)) })
}

// must is the assertions that testing.TB and rapid.T share.
type must interface {
	require.TestingT
	Helper()
	Context() context.Context
}

// change runs a change of the registry's tables as an administrator would.
func (w world) change(t must, change func(tx *registry.Tx) error) {
	t.Helper()
	admin := registry.Actor{Operator: "admin", Place: "630000"}
	require.NoError(t, w.db.InTx(t.Context(), admin, func(tx *registry.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		return tx.Audit("test.noted", "test", nil)
	}))
}

// born counts the persons of this test process: each has a number of its own.
var born atomic.Int64

// person registers somebody with a synthetic identity number.
func (w world) person(t must, name, birth string) registry.Person {
	t.Helper()
	day, err := gb.ParseDate(birth)
	require.NoError(t, err)
	n := born.Add(1)
	number, err := gb.NewIDNumber([]string{"632723", "632221", "630121", "632523", "632801"}[n/900%5], day, int(n%900)+1)
	require.NoError(t, err)
	var person registry.Person
	w.change(t, func(tx *registry.Tx) (err error) {
		person, err = tx.AddPerson(registry.NewPerson{IDNumber: number.String(), Name: name, Ethnic: "04", Place: "632723"})
		return err
	})
	return person
}

// dies records a death.
func (w world) dies(t must, person uuid.UUID) {
	t.Helper()
	w.change(t, func(tx *registry.Tx) error {
		_, err := tx.CorrectPerson(person, 0, "医院报告 told by the hospital", func(told *registry.NewPerson) { told.Life = registry.LifeDead })
		return err
	})
}

// count counts the rows of a table that a condition chooses.
func (w world) count(t must, table, condition string, values ...any) int {
	t.Helper()
	var n int64
	require.NoError(t, w.db.Read(t.Context()).Table(table).Where(condition, values...).Count(&n).Error)
	return int(n)
}

// made counts the chips of this test process: each has a serial of its own.
var made atomic.Uint32

// blank returns a fresh blank of a maker in a reader.
func blank(t must, transport [16]byte) *chip.Socket {
	t.Helper()
	return blankOf(t, province.profile, transport)
}

// blankOf returns a blank of a specification version.
func blankOf(t must, p *profile.Profile, transport [16]byte) *chip.Socket {
	t.Helper()
	n := made.Add(1)
	image, err := chip.Blank(p, [4]byte{0, byte(n >> 16), byte(n >> 8), byte(n)}, transport)
	require.NoError(t, err)
	return insert(t, image)
}

// insert returns a chip in a reader.
func insert(t must, image *chip.Image) *chip.Socket {
	t.Helper()
	store, err := chip.NewMemory(image)
	require.NoError(t, err)
	c, err := chip.New(province.profiles, store, nil)
	require.NoError(t, err)
	return &chip.Socket{Chip: c}
}

// throughJSON is what becomes of a value on its way to a counter.
func throughJSON[T any](t must, value T) T {
	t.Helper()
	text, err := json.Marshal(value)
	require.NoError(t, err)
	var back T
	require.NoError(t, json.Unmarshal(text, &back))
	return back
}

// values returns what was read, by name.
func values(all []card.Value) map[string]string {
	found := map[string]string{}
	for _, v := range all {
		found[v.Name] = v.Value
	}
	return found
}
