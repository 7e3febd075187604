package stock_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/issuance/stock"
	"onecard/registry"
	"onecard/registry/registrytest"
)

func TestMain(m *testing.M) {
	// Unless the command line says otherwise: a walk is many transactions.
	for name, value := range map[string]string{"rapid.checks": "4", "rapid.steps": "40", "test.parallel": "4"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// The places of a small province, with two persons each.
const (
	maker    = "M63"
	province = "O63"
	city     = "O6301"
	county   = "O630102"
	township = "O630102001"
	far      = "O6328" // another prefecture
)

// world is a stock on one database.
type world struct {
	*stock.Service
	db    *registry.DB
	clock *registrytest.Clock
	lost  *lostCards
	n     *atomic.Int64
}

// lostCards takes cards out of use as issuance would.
type lostCards struct{ calls atomic.Int64 }

func (l *lostCards) Invalidate(tx *registry.Tx, id uuid.UUID, reason string) error {
	l.calls.Add(1)
	return tx.DB().Table("cards").Where("id = ? AND status <> '9'", id).Updates(tx.Change(map[string]any{"status": "9"}, reason)).Error
}

// must is the assertions that testing.TB and rapid.T share.
type must interface {
	require.TestingT
	Helper()
	Context() context.Context
}

func each(t *testing.T, test func(t *testing.T, w world)) {
	t.Helper()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		t.Parallel()
		test(t, newWorld(t, db, clock))
	})
}

func newWorld(t must, db *registry.DB, clock *registrytest.Clock) world {
	t.Helper()
	w := world{db: db, clock: clock, lost: &lostCards{}, n: &atomic.Int64{}}
	var err error
	w.Service, err = stock.New(stock.Config{DB: db, Lost: w.lost})
	require.NoError(t, err)
	w.change(t, func(tx *registry.Tx) error {
		for _, i := range []struct{ id, kind, place, tier, parent string }{
			{maker, "maker", "630000", "", ""}, {province, "office", "630000", "province", ""}, {city, "office", "630100", "", ""},
			{county, "office", "630102", "", ""}, {township, "office", "630102", "township", county}, {far, "office", "632800", "", ""},
		} {
			if err := tx.AddInstitution(registry.Institution{ID: i.id, Kind: i.kind, Name: i.id, Place: i.place}); err != nil {
				return err
			}
			if i.tier != "" {
				values := map[string]any{"tier": i.tier}
				if i.parent != "" {
					values["parent"] = i.parent
				}
				if err := tx.DB().Table("institutions").Where("id = ?", i.id).Updates(tx.Change(values, "test")).Error; err != nil {
					return err
				}
			}
			if i.kind == "maker" {
				continue
			}
			if err := tx.AddWorkstation(registry.Workstation{ID: "W-" + i.id, Institution: i.id, Place: i.place, Kind: registry.KindCounter}); err != nil {
				return err
			}
			for _, name := range []string{"a", "b", "c"} {
				o := registry.Operator{Login: login(i.id, name), Name: name, Roles: []string{registry.RoleSupervisor}, Institution: i.id, Place: i.place}
				if err := tx.AddOperator(o, "Password-"+name+"-1"); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return w
}

func login(place, name string) string { return name + "." + strings.ToLower(place) }

func (w world) change(t must, change func(tx *registry.Tx) error) {
	t.Helper()
	require.NoError(t, w.db.InTx(t.Context(), registry.Actor{Operator: "admin", Place: "630000"}, func(tx *registry.Tx) error {
		return errors.Join(change(tx), tx.Audit("test.noted", "test", nil))
	}))
}

// person returns somebody of a place with the roles; a storekeeper unless told
// otherwise. "" is nobody.
func person(place, name string, roles ...string) *registry.Operator {
	if name == "" {
		return nil
	}
	if len(roles) == 0 {
		roles = []string{registry.RoleStorekeeper, registry.RoleSupervisor}
	}
	code := map[string]string{province: "630000", city: "630100", county: "630102", township: "630102", far: "632800"}[place]
	return &registry.Operator{Login: login(place, name), Roles: roles, Institution: place, Place: code}
}

func hands(place, first, second string) stock.Hands {
	return stock.Hands{By: *person(place, first), Witness: person(place, second)}
}

// do runs a change as the first of the hands.
func (w world) do(t must, h stock.Hands, change func(tx *registry.Tx) error) error {
	t.Helper()
	return w.db.InTx(t.Context(), h.By.Actor("W-"+h.By.Institution), func(tx *registry.Tx) error { return change(tx) })
}

func (w world) announce(t must, boxes ...stock.NewBox) (stock.Consignment, error) {
	t.Helper()
	var c stock.Consignment
	h := hands(province, "a", "")
	err := w.do(t, h, func(tx *registry.Tx) (err error) {
		c, err = w.Announce(tx, h, stock.Delivery{Maker: maker, Kind: stock.Blank, Product: "SSC300", List: fmt.Sprintf("%064x", w.n.Add(1)), Boxes: boxes})
		return err
	})
	return c, err
}

func (w world) pack(t must, h stock.Hands, kind, label string, cards ...string) error {
	t.Helper()
	return w.do(t, h, func(tx *registry.Tx) error {
		_, err := w.Pack(tx, h, kind, stock.NewBox{Label: label, Seal: "S" + label, Cards: slots(cards...)})
		return err
	})
}

func (w world) send(t must, h stock.Hands, to string, labels ...string) (stock.Consignment, error) {
	t.Helper()
	var c stock.Consignment
	err := w.do(t, h, func(tx *registry.Tx) (err error) {
		c, err = w.Send(tx, h, to, labels)
		return err
	})
	return c, err
}

func (w world) accept(t must, h stock.Hands, id uuid.UUID, found stock.Acceptance) error {
	t.Helper()
	return w.do(t, h, func(tx *registry.Tx) error {
		_, err := w.Accept(tx, h, id, found)
		return err
	})
}

func (w world) open(t must, h stock.Hands, label string) error {
	t.Helper()
	return w.do(t, h, func(tx *registry.Tx) error {
		_, err := w.Open(tx, h, label)
		return err
	})
}

func (w world) report(t must, h stock.Hands, event, kind string, cards ...string) error {
	t.Helper()
	return w.do(t, h, func(tx *registry.Tx) error {
		return w.Report(tx, h, stock.Report{Event: event, Kind: kind, Cards: cards, Reason: "盘点 count"})
	})
}

func (w world) destroy(t must, h stock.Hands, kind string, cards ...string) error {
	t.Helper()
	return w.do(t, h, func(tx *registry.Tx) error {
		_, err := w.Destroy(tx, h, kind, cards, "粉碎 shredded")
		return err
	})
}

func (w world) close(t must, h stock.Hands, day string, blanks, waste int64) ([]stock.Day, error) {
	t.Helper()
	var days []stock.Day
	err := w.do(t, h, func(tx *registry.Tx) (err error) {
		days, err = w.Close(tx, h, stock.Count{Day: day, Cards: map[string]map[string]int64{stock.Blank: {stock.Good: blanks, stock.Waste: waste}}})
		return err
	})
	return days, err
}

func (w world) whole(t must) {
	t.Helper()
	found, err := w.Verify(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
}

// stored brings blanks into the store of the province, out of their box.
func (w world) stored(t must, cards ...string) {
	t.Helper()
	label := fmt.Sprint("29211-", w.n.Add(1))
	c, err := w.announce(t, stock.NewBox{Label: label, Cards: slots(cards...)})
	require.NoError(t, err)
	require.NoError(t, w.accept(t, hands(province, "b", ""), c.ID, stock.Acceptance{}))
	require.NoError(t, w.open(t, hands(province, "a", "b"), label))
}

// at brings blanks of the province's store to a place below, out of their box.
func (w world) at(t must, place string, cards ...string) {
	t.Helper()
	w.stored(t, cards...)
	label := fmt.Sprint("63-", w.n.Add(1))
	require.NoError(t, w.pack(t, hands(province, "a", "b"), stock.Blank, label, cards...))
	from := province
	for _, to := range []string{city, county, township} {
		c, err := w.send(t, hands(from, "a", ""), to, label)
		require.NoError(t, err)
		require.NoError(t, w.accept(t, hands(to, "a", ""), c.ID, stock.Acceptance{}))
		if from = to; to == place {
			break
		}
	}
	require.NoError(t, w.open(t, hands(place, "a", "b"), label))
}

func slots(cards ...string) []stock.Slot {
	all := make([]stock.Slot, len(cards))
	for n, c := range cards {
		all[n] = stock.Slot{Slot: n + 1, Card: c}
	}
	return all
}

func serials(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%05d", prefix, i+1)
	}
	return all
}

// finished puts a finished card on record, made for somebody of the county.
func (w world) finished(t must, custody string) string {
	t.Helper()
	n := w.n.Add(1)
	number := fmt.Sprintf("1%07d0", n)
	w.change(t, func(tx *registry.Tx) error {
		birth, err := gb.ParseDate("1981-05-01")
		if err != nil {
			return err
		}
		id, err := gb.NewIDNumber("630102", birth, int(n))
		if err != nil {
			return err
		}
		p, err := tx.AddPerson(registry.NewPerson{IDNumber: id.String(), Name: "扎西", Ethnic: "04", Place: "630102"})
		if err != nil {
			return err
		}
		card, application := uuid.New(), uuid.New()
		err = tx.DB().Exec(`INSERT INTO cards (id, number, chip_id, chip_serial, atr, person_id, spec_version, key_version, status, issued_on, expires_on, created_at, changed_at, production, custody, chip)
			VALUES (?, ?, ?, ?, ?, ?, '3.00', 1, '0', '2026-03-01', '2036-03-01', ?, ?, 'made', ?, 'personalised')`,
			card, number, fmt.Sprintf("%032X", n), fmt.Sprintf("%08X", n), fmt.Sprintf("%026X", n), p.ID, tx.Now(), tx.Now(), custody).Error
		if err != nil {
			return err
		}
		return tx.DB().Exec(`INSERT INTO applications (id, person_id, kind, place, state, card_number, card_id, entered_by, reviewed_by, reason, created_at, changed_at)
			VALUES (?, ?, 'first', '630102', 'made', ?, ?, 'x', 'y', '', ?, ?)`, application, p.ID, number, card, tx.Now(), tx.Now()).Error
	})
	return number
}

func (w world) custody(t must, number string) (custody, status string) {
	t.Helper()
	var row struct{ Custody, Status string }
	require.NoError(t, w.db.Read(t.Context()).Table("cards").Where("number = ?", number).Select("custody, status").Scan(&row).Error)
	return row.Custody, row.Status
}

const hour = time.Hour
