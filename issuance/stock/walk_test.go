package stock_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"onecard/issuance"
	"onecard/issuance/stock"
	"onecard/registry"
)

// where is what the walk itself knows of a card.
type where struct{ place, state, box string }

// walk moves blanks at random and keeps its own account of them.
type walk struct {
	world
	cards map[string]where
	ways  map[uuid.UUID]stock.Consignment // not accepted yet
	done  []uuid.UUID
}

var offices = []string{province, city, county, township, far}

// TestWalk lets random persons try random things with blanks on all tiers, with
// losses and differences. After each the books are whole, they say of every
// card what the walk itself has noted, and what takes two persons was done by two.
func TestWalk(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		rapid.Check(t, func(t *rapid.T) {
			k := &walk{world: w, cards: map[string]where{}, ways: map[uuid.UUID]stock.Consignment{}}
			k.announceOne(t)
			t.Repeat(map[string]func(*rapid.T){
				"deliver": k.acceptOne, "ship": k.sendOne, // twice as often
				"":         k.agrees,
				"announce": k.announceOne, "accept": k.acceptOne, "again": k.acceptAgain, "pack": k.packSome,
				"send": k.sendOne, "open": k.openOne, "report": k.reportSome, "destroy": k.destroySome, "close": k.closeDay,
			})
		})
		w.whole(t)
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// pair draws two persons of a place, or one, or the same twice. both says whether
// they are two.
func (k *walk) pair(t *rapid.T, at string) (h stock.Hands, both bool) {
	first := rapid.SampledFrom([]string{"a", "b", "b"}).Draw(t, "first")
	second := rapid.SampledFrom([]string{"a", "b", "c", "c", "c", "c", "c", ""}).Draw(t, "second")
	return hands(at, first, second), second != "" && second != first
}

// office draws a place, often one that has something to do.
func (k *walk) office(t *rapid.T, busy []string) string {
	if slices.Sort(busy); len(busy) > 0 && rapid.IntRange(0, 5).Draw(t, "sensible") > 0 {
		return rapid.SampledFrom(busy).Draw(t, "busy")
	}
	return rapid.SampledFrom(offices).Draw(t, "office")
}

// some draws cards that the walk knows in a state at a place, loose or not.
func (k *walk) some(t *rapid.T, fits func(where) bool) []string {
	var found []string
	for name, at := range k.cards {
		if fits(at) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	if len(found) == 0 {
		return nil
	}
	n := rapid.IntRange(1, min(4, len(found))).Draw(t, "cards")
	return rapid.Permutation(found).Draw(t, "which")[:n]
}

func (k *walk) places(fits func(where) bool) []string {
	found := map[string]bool{}
	for _, at := range k.cards {
		if fits(at) {
			found[at.place] = true
		}
	}
	return slices.Collect(maps.Keys(found))
}

// refused is an answer that says why.
func refused(t *rapid.T, err error) {
	t.Helper()
	var refusal *issuance.Error
	var field *registry.FieldError
	require.Error(t, err)
	require.True(t, errors.As(err, &refusal) || errors.As(err, &field), "a refusal in words, not %v", err)
}

func (k *walk) announceOne(t *rapid.T) {
	if len(k.cards) > 12 {
		return
	}
	label := fmt.Sprintf("29-%d", k.n.Add(1))
	cards := serials(fmt.Sprintf("B%d", k.n.Add(1)), rapid.IntRange(1, 5).Draw(t, "cards"))
	c, err := k.announce(t, stock.NewBox{Label: label, Cards: slots(cards...)})
	require.NoError(t, err)
	k.ways[c.ID] = c
	for _, name := range cards {
		k.cards[name] = where{maker, "sent", label}
	}
}

func (k *walk) acceptOne(t *rapid.T) {
	if len(k.ways) == 0 {
		return
	}
	ids := slices.SortedFunc(maps.Keys(k.ways), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	c := k.ways[rapid.SampledFrom(ids).Draw(t, "consignment")]
	at := k.office(t, []string{c.To})
	h, both := k.pair(t, at)
	_, lists, err := k.Packed(t.Context(), c)
	require.NoError(t, err)
	found := stock.Acceptance{Note: "开箱清点 counted"}
	for _, b := range lists {
		for _, s := range b.Cards {
			switch rapid.IntRange(0, 19).Draw(t, "difference") {
			case 0:
				found.Missing = append(found.Missing, s.Card)
			case 1:
				found.Damaged = append(found.Damaged, s.Card)
			}
		}
	}
	extra := k.some(t, func(x where) bool {
		return x.place == c.From && x.box == "" && (x.state == "stored" || x.state == "missing")
	})
	if rapid.IntRange(0, 3).Draw(t, "extra") == 0 && len(extra) > 0 {
		found.Extra = extra[:1]
	}
	differs := len(found.Missing)+len(found.Damaged)+len(found.Extra) > 0
	if err := k.accept(t, h, c.ID, found); at != c.To || h.By.Login == c.SentBy || differs && !both {
		refused(t, err)
		return
	} else {
		require.NoError(t, err)
	}
	delete(k.ways, c.ID)
	k.done = append(k.done, c.ID)
	for _, b := range lists {
		opened := slices.ContainsFunc(b.Cards, func(s stock.Slot) bool {
			return slices.Contains(found.Missing, s.Card) || slices.Contains(found.Damaged, s.Card)
		})
		box := b.Label
		if opened {
			box = ""
		}
		for _, s := range b.Cards {
			switch {
			case slices.Contains(found.Missing, s.Card):
				k.cards[s.Card] = where{c.From, "missing", ""}
			case slices.Contains(found.Damaged, s.Card):
				k.cards[s.Card] = where{c.To, "spoiled", ""}
			default:
				k.cards[s.Card] = where{c.To, "stored", box}
			}
		}
	}
	for _, name := range found.Extra {
		k.cards[name] = where{c.To, "stored", ""}
	}
}

func (k *walk) acceptAgain(t *rapid.T) {
	if len(k.done) == 0 {
		return
	}
	id := rapid.SampledFrom(k.done).Draw(t, "consignment")
	at := rapid.SampledFrom(offices).Draw(t, "office")
	require.ErrorIs(t, k.accept(t, hands(at, "c", "b"), id, stock.Acceptance{}), stock.ErrReceived)
}

func (k *walk) packSome(t *rapid.T) {
	loose := func(x where) bool { return x.state == "stored" && x.box == "" }
	at := k.office(t, k.places(loose))
	cards := k.some(t, func(x where) bool { return loose(x) || x.place == at && rapid.IntRange(0, 9).Draw(t, "wild") < 2 })
	if len(cards) == 0 {
		return
	}
	h, both := k.pair(t, at)
	label := fmt.Sprintf("63-%d", k.n.Add(1))
	good := both && !slices.ContainsFunc(cards, func(name string) bool { x := k.cards[name]; return !loose(x) || x.place != at })
	err := k.pack(t, h, stock.Blank, label, cards...)
	if !good {
		refused(t, err)
		return
	}
	require.NoError(t, err)
	for _, name := range cards {
		k.cards[name] = where{at, "stored", label}
	}
}

// boxes are the labels of the boxes in stores, with their places.
func (k *walk) boxes() map[string]string {
	found := map[string]string{}
	for _, x := range k.cards {
		if x.box != "" && x.state == "stored" {
			found[x.box] = x.place
		}
	}
	return found
}

// beside are the ways that there are.
var beside = map[string][]string{province: {city, far}, city: {province, county}, county: {city, township}, township: {county}, far: {province}}

func (k *walk) sendOne(t *rapid.T) {
	boxes := k.boxes()
	if len(boxes) == 0 {
		return
	}
	label := rapid.SampledFrom(slices.Sorted(maps.Keys(boxes))).Draw(t, "box")
	from := k.office(t, []string{boxes[label]})
	to := k.office(t, slices.Clone(beside[from]))
	h, _ := k.pair(t, from)
	c, err := k.send(t, h, to, label)
	if from != boxes[label] || !slices.Contains(beside[from], to) {
		refused(t, err)
		return
	}
	require.NoError(t, err)
	k.ways[c.ID] = c
	for name, x := range k.cards {
		if x.box == label {
			k.cards[name] = where{from, "sent", label}
		}
	}
}

func (k *walk) openOne(t *rapid.T) {
	boxes := k.boxes()
	if len(boxes) == 0 {
		return
	}
	label := rapid.SampledFrom(slices.Sorted(maps.Keys(boxes))).Draw(t, "box")
	at := k.office(t, []string{boxes[label]})
	h, both := k.pair(t, at)
	if err := k.open(t, h, label); !both || at != boxes[label] {
		refused(t, err)
		return
	} else {
		require.NoError(t, err)
	}
	for name, x := range k.cards {
		if x.box == label {
			k.cards[name] = where{x.place, x.state, ""}
		}
	}
}

// reports are what a report leads from and to.
var reports = map[string]struct {
	from []string
	to   string
}{"lose": {[]string{"stored", "spoiled"}, "missing"}, "spoil": {[]string{"stored"}, "spoiled"}, "find": {[]string{"missing"}, "stored"}}

func (k *walk) reportSome(t *rapid.T) {
	event := rapid.SampledFrom([]string{"lose", "spoil", "find"}).Draw(t, "event")
	line := reports[event]
	at := k.office(t, k.places(func(x where) bool { return x.box == "" && slices.Contains(line.from, x.state) }))
	cards := k.some(t, func(x where) bool { return x.place == at || event == "find" && x.state == "missing" })
	if len(cards) == 0 {
		return
	}
	h, both := k.pair(t, at)
	good := both && at != maker && !slices.ContainsFunc(cards, func(name string) bool {
		x := k.cards[name]
		return x.box != "" || !slices.Contains(line.from, x.state) || event != "find" && x.place != at
	})
	err := k.report(t, h, event, stock.Blank, cards...)
	if !good {
		refused(t, err)
		return
	}
	require.NoError(t, err)
	for _, name := range cards {
		k.cards[name] = where{at, line.to, ""}
	}
}

func (k *walk) destroySome(t *rapid.T) {
	waste := func(x where) bool { return x.state == "spoiled" }
	at := k.office(t, k.places(waste))
	cards := k.some(t, func(x where) bool { return waste(x) || x.place == at && rapid.IntRange(0, 9).Draw(t, "wild") < 2 })
	if len(cards) == 0 {
		return
	}
	h, both := k.pair(t, at)
	good := both && !slices.ContainsFunc(cards, func(name string) bool { x := k.cards[name]; return !waste(x) || x.place != at })
	err := k.destroy(t, h, stock.Blank, cards...)
	if !good {
		refused(t, err)
		return
	}
	require.NoError(t, err)
	for _, name := range cards {
		k.cards[name] = where{at, "destroyed", ""}
	}
}

// closeDay counts what the walk knows to be there: the balance is zero.
func (k *walk) closeDay(t *rapid.T) {
	at := rapid.SampledFrom(offices).Draw(t, "office")
	var before struct{ Good, Waste int64 } // of earlier walks on this database
	k.left(t, at, "stored", &before.Good)
	k.left(t, at, "spoiled", &before.Waste)
	h, both := k.pair(t, at)
	if rapid.IntRange(0, 2).Draw(t, "night") > 0 {
		k.clock.Advance(24 * hour)
	}
	today := k.clock.Now().Add(8 * hour).Format("2006-01-02")
	days, err := k.close(t, h, today, before.Good, before.Waste)
	if errors.Is(err, stock.ErrDayClosed) {
		return
	}
	if !both {
		refused(t, err)
		return
	}
	require.NoError(t, err)
	for _, d := range days {
		require.Zero(t, d.Difference, "%+v", d)
	}
}

func (k *walk) left(t *rapid.T, at, state string, n *int64) {
	*n = 0
	require.NoError(t, k.db.Read(t.Context()).Table("blank_cards").Where("holder = ? AND state = ?", at, state).Count(n).Error)
	var mine int64
	for _, x := range k.cards {
		if x.place == at && x.state == state {
			mine++
		}
	}
	require.LessOrEqual(t, mine, *n)
}

// agrees holds the books against the walk's own account.
func (k *walk) agrees(t *rapid.T) {
	k.whole(t)
	var rows []struct{ Serial, Holder, State string }
	require.NoError(t, k.db.Read(t.Context()).Table("blank_cards").Where("serial IN ?", slices.Collect(maps.Keys(k.cards))).Find(&rows).Error)
	require.Len(t, rows, len(k.cards))
	for _, r := range rows {
		x := k.cards[r.Serial]
		require.Equal(t, []string{x.place, x.state}, []string{r.Holder, r.State}, r.Serial)
	}
	for _, q := range []string{
		"SELECT COUNT(*) FROM stock_boxes WHERE NOT maker AND sealed_by = witnessed_by", "SELECT COUNT(*) FROM stock_destructions WHERE first_by = second_by",
		"SELECT COUNT(*) FROM stock_consignments WHERE accepted_by = sent_by",
	} {
		var n int64
		require.NoError(t, k.db.Read(t.Context()).Raw(q).Scan(&n).Error)
		require.Zero(t, n, q)
	}
}
