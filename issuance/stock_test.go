package issuance_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/card"
	"onecard/card/chip"
	"onecard/issuance"
	"onecard/issuance/stock"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// lost takes lost cards out of use by the workflow, as the platform does.
type lost struct{ issuance *issuance.Service }

func (l *lost) Invalidate(tx *registry.Tx, id uuid.UUID, reason string) error {
	_, err := l.issuance.FireCard(tx, id, issuance.Asked{Event: issuance.EventScrap, Code: "missing", Reason: reason, Roles: []string{registry.RoleSupervisor}})
	return err
}

// TestStock makes cards from blanks of the stock: one is spoiled, one becomes a
// card, one is missing and cannot be used, and the finished card gets lost.
func TestStock(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		cancel := &lost{}
		books, err := stock.New(stock.Config{DB: db, Lost: cancel})
		require.NoError(t, err)
		keeper, err := province.keeper()
		require.NoError(t, err)
		w := world{db: db, clock: clock}
		w.Service, err = issuance.New(issuance.Config{DB: db, Profiles: province.profiles, Keeper: keeper, Signer: province.signer, Stock: books, Demands: issuance.NoDemands})
		require.NoError(t, err)
		cancel.issuance = w.Service

		h := offices(t, w)
		first, second, third := blank(t, makerKey), blank(t, makerKey), blank(t, makerKey)
		serials := make([]string, 3)
		var slots []stock.Slot
		for n, socket := range []*chip.Socket{first, second, third} {
			serials[n] = (&card.Identity{ATR: socket.Chip.PowerOn()}).Serial()
			slots = append(slots, stock.Slot{Slot: n + 1, Card: serials[n]})
		}
		do := func(change func(tx *registry.Tx) error) error {
			return db.InTx(t.Context(), h.By.Actor("W-3"), change)
		}
		state := func(card string) string {
			story, err := books.Story(t.Context(), card)
			require.NoError(t, err)
			return story.State
		}
		var c stock.Consignment
		require.NoError(t, do(func(tx *registry.Tx) (err error) {
			c, err = books.Announce(tx, h, stock.Delivery{Maker: "M", Kind: stock.Blank, Product: "P", Boxes: []stock.NewBox{{Label: "1", Cards: slots}}})
			return err
		}))
		swapped := stock.Hands{By: *h.Witness, Witness: &h.By}
		found := stock.Acceptance{Missing: serials[2:], Note: "缺一张"}
		require.NoError(t, db.InTx(t.Context(), swapped.By.Actor("W-3"), func(tx *registry.Tx) error {
			_, err := books.Accept(tx, swapped, c.ID, found)
			return err
		}))

		a, err := w.clerk().apply(t, w.person(t, "扎西·多杰", "1981-05-01").ID)
		require.NoError(t, err)
		a, err = w.reviewer().fire(t, a.ID, issuance.EventApprove, "")
		require.NoError(t, err)
		_, err = w.issuer().open(t, third, issuance.EventPersonalise, a.ID)
		require.ErrorIs(t, err, stock.ErrNotThere, "a missing blank is not used")
		a, err = w.Application(t.Context(), a.ID)
		require.NoError(t, err)
		require.Equal(t, issuance.StateNumbered, a.State, "nothing was begun")
		_, err = w.issuer().open(t, first, issuance.EventPersonalise, a.ID)
		require.NoError(t, err)
		require.Equal(t, stock.StateUsed, state(serials[0]))
		_, err = w.supervisor().fire(t, a.ID, issuance.EventSpoil, "写卡失败")
		require.NoError(t, err)
		require.Equal(t, stock.StateSpoiled, state(serials[0]))
		r, _, err := w.issuer().work(t, second, issuance.EventPersonalise, a.ID, "")
		require.NoError(t, err)
		finished, err := w.Card(t.Context(), r.CardID)
		require.NoError(t, err)
		story, err := books.Story(t.Context(), serials[1])
		require.NoError(t, err)
		require.Equal(t, []string{stock.StateUsed, finished.Number}, []string{story.State, story.Became})

		w.change(t, func(tx *registry.Tx) error { return setTier(tx, "county") }) // where cards are made
		// The office packs the finished card, opens the box and does not find it.
		require.NoError(t, do(func(tx *registry.Tx) error {
			_, err := books.Pack(tx, h, stock.Finished, stock.NewBox{Label: "2", Seal: "S", Cards: []stock.Slot{{Slot: 1, Card: finished.Number}}})
			if err != nil {
				return err
			}
			_, err = books.Open(tx, h, "2")
			return errors.Join(err, books.Report(tx, h, stock.Report{Event: "lose", Kind: stock.Finished, Cards: []string{finished.Number}, Reason: "盘点"}))
		}))
		finished, err = w.Card(t.Context(), r.CardID)
		require.NoError(t, err)
		require.Equal(t, issuance.StatusCancelled, finished.Status)
		listed, err := w.InvalidCards(t.Context(), 0)
		require.NoError(t, err)
		require.Len(t, listed.Entries, 1, "the terminals know")
		wrong, err := books.Verify(t.Context())
		require.NoError(t, err)
		require.Empty(t, wrong)
	})
}

// offices enters a maker and an office with two persons; its counters are those
// of the county.
func offices(t *testing.T, w world) stock.Hands {
	t.Helper()
	w.change(t, func(tx *registry.Tx) error {
		err := errors.Join(
			tx.AddInstitution(registry.Institution{ID: "M", Kind: registry.KindMaker, Name: "M", Place: "630000"}),
			tx.AddInstitution(registry.Institution{ID: "O", Kind: registry.KindOffice, Name: "O", Place: "632723"}),
		)
		for _, id := range []string{"W-1", "W-3"} {
			err = errors.Join(err, tx.AddWorkstation(registry.Workstation{ID: id, Institution: "O", Place: "632723", Kind: registry.KindCounter}))
		}
		for _, login := range []string{"keeper.one", "keeper.two"} {
			err = errors.Join(err, tx.AddOperator(registry.Operator{Login: login, Name: login, Roles: []string{registry.RoleSupervisor}, Institution: "O", Place: "632723"}, "Password-1"))
		}
		// The office stands in for the province's: a maker delivers to that.
		return errors.Join(err, setTier(tx, "province"))
	})
	by := func(login string) registry.Operator {
		o, err := w.db.Operator(t.Context(), login)
		require.NoError(t, err)
		return o
	}
	two := by("keeper.two")
	return stock.Hands{By: by("keeper.one"), Witness: &two}
}

func setTier(tx *registry.Tx, tier string) error {
	return tx.DB().Table("institutions").Where("id = 'O'").Updates(tx.Change(map[string]any{"tier": tier}, "test")).Error
}
