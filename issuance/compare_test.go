package issuance_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/card"
	"onecard/card/chip"
	"onecard/issuance"
	"onecard/registry"
)

// differences returns what a comparison found besides what is the same, by
// element.
func differences(r issuance.Result) map[string]string {
	found := map[string]string{}
	for _, f := range r.Findings {
		if f.Kind != issuance.FoundSame {
			found[f.Element] = f.Kind
		}
	}
	return found
}

// comparison is one card of record, the chip in the reader, and what is found.
type comparison struct {
	t      *testing.T
	w      world
	card   issuance.Card
	socket *chip.Socket
}

// altered puts another chip into the reader, made from this one's image.
func (c *comparison) altered(change func(image *chip.Image)) {
	c.t.Helper()
	image, err := c.socket.Chip.Image()
	require.NoError(c.t, err)
	change(image)
	c.socket = insert(c.t, image)
}

func (c *comparison) sql(query string, values ...any) {
	c.t.Helper()
	c.w.change(c.t, func(tx *registry.Tx) error { return tx.DB().Exec(query, values...).Error })
}

const issuer, holder = "SSSE/EF05", "SSSE/EF06"

// comparisons are what can be wrong with a card, and how it is found.
var comparisons = map[string]struct {
	make func(c *comparison)
	want map[string]string
}{
	"nothing": {func(*comparison) {}, map[string]string{}},
	"the record has changed": {func(c *comparison) {
		c.sql("UPDATE persons SET version = version + 1, ethnic = '05' WHERE id = ?", c.card.PersonID)
	}, map[string]string{"ethnic": "stale"}},
	"a value was altered": {func(c *comparison) {
		c.altered(func(i *chip.Image) { i.Records[holder][4] = []byte{0x11} })
	}, map[string]string{"ethnic": "altered"}},
	"a value was erased": {func(c *comparison) {
		c.altered(func(i *chip.Image) { copy(i.Records[holder][1], strings.Repeat("\xFF", 30)) })
	}, map[string]string{"name": "altered"}},
	"another card's number": {func(c *comparison) {
		other, _ := c.w.card(c.t)
		c.altered(func(i *chip.Image) { i.Records[issuer][6] = []byte(other.Number) })
	}, map[string]string{"cardNumber": "foreign"}},
	"another person's data": {func(c *comparison) {
		other := c.w.person(c.t, "马海龙", "1990-02-03")
		c.altered(func(i *chip.Image) {
			i.Records[holder][0] = []byte(other.IDNumber.String())
			copy(i.Records[holder][1], "\xC2\xED\xBA\xA3\xC1\xFA"+strings.Repeat("\x00", 24))
			i.Records[holder][6] = []byte{0x19, 0x90, 0x02, 0x03}
		})
	}, map[string]string{"idNumber": "foreign", "name": "foreign", "birthDate": "foreign"}},
	"a copy on another chip": {func(c *comparison) {
		c.altered(func(i *chip.Image) { i.ATR[len(i.ATR)-1] ^= 0xFF })
	}, map[string]string{"atr": "suspicious", "serial": "suspicious", "genuine": "suspicious"}},
	"a copy with another key": {func(c *comparison) {
		c.altered(func(i *chip.Image) { i.Keys["IRK"].Key[0] ^= 1 })
	}, map[string]string{"genuine": "suspicious"}},
	"another reading key": {func(c *comparison) {
		c.altered(func(i *chip.Image) { i.Keys["RKSSSE"].Key[0] ^= 1 })
	}, map[string]string{"reading": "suspicious"}},
	"another version": {func(c *comparison) {
		c.altered(func(i *chip.Image) { i.Records[issuer][2] = []byte("9.00") })
	}, map[string]string{"version": "suspicious"}},
	"keys of another version": {func(c *comparison) {
		c.altered(func(i *chip.Image) { i.Keys["UK1DF01"].Version, i.Keys["IRK"].Version = 7, 7 })
	}, map[string]string{"keys": "suspicious"}},
	"attempts used up in part": {func(c *comparison) {
		c.altered(func(i *chip.Image) { i.PINTries = 4 })
	}, map[string]string{"pin": "suspicious"}},
	"PIN blocked": {func(c *comparison) {
		c.altered(func(i *chip.Image) { i.PINTries = 0 })
	}, map[string]string{"pin": "suspicious"}},
	"PIN gone": {func(c *comparison) {
		c.altered(func(i *chip.Image) { i.PIN = nil })
	}, map[string]string{"pin": "suspicious"}},
	"PIN before the record": {func(c *comparison) {
		active, err := c.socket.Chip.Image()
		require.NoError(c.t, err)
		c.card, c.socket = c.w.card(c.t)
		c.altered(func(i *chip.Image) { i.PIN, i.PINTries = active.PIN, active.PINTries })
	}, map[string]string{"pin": "newer"}},
	"locked on the chip": {func(c *comparison) {
		c.altered(func(i *chip.Image) { i.ApplicationBlocked = true })
	}, map[string]string{"lock": "newer"}},
	"locked on record": {func(c *comparison) {
		c.sql("UPDATE cards SET version = version + 1, status = '3' WHERE id = ?", c.card.ID)
	}, map[string]string{"lock": "stale"}},
	"locked on both": {func(c *comparison) {
		c.sql("UPDATE cards SET version = version + 1, status = '3' WHERE id = ?", c.card.ID)
		c.altered(func(i *chip.Image) { i.ApplicationBlocked = true })
	}, map[string]string{}},
	"a blank in its place": {func(c *comparison) {
		c.altered(func(i *chip.Image) { i.LifeCycle = 1 })
	}, map[string]string{"lifeCycle": "suspicious"}},
	"the record's number is another": {func(c *comparison) {
		c.sql("UPDATE cards SET version = version + 1, number = 'A00000001' WHERE id = ?", c.card.ID)
	}, map[string]string{"cardNumber": "stale"}},
}

// TestCompare: each thing that may be wrong with a card is found and named, on
// record, without a value of the holder's; and nothing is used up by it.
func TestCompare(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		for name, test := range comparisons {
			c := &comparison{t: t, w: w}
			c.card, c.socket = w.activated(t)
			test.make(c)
			before, err := c.socket.Chip.Image()
			require.NoError(t, err)
			r, turn, err := w.clerk().work(t, c.socket, "compare", uuid.Nil, "")
			require.NoError(t, err, name)
			require.Equal(t, test.want, differences(r), name)
			require.NotEmpty(t, r.Findings, name)
			require.Empty(t, r.Fields, name)
			after, err := c.socket.Chip.Image()
			require.NoError(t, err)
			require.Equal(t, before.PINTries, after.PINTries, name)
			require.Equal(t, 1, w.count(t, "audit_entries", "action = 'card.compared' AND subject = ?", "card:"+c.card.ID.String()), name)
			require.Equal(t, 1, w.count(t, "audit_entries", "action = 'person.read' AND subject = ? AND detail LIKE '%compare%'", "person:"+c.card.PersonID.String()), name)
			_, err = w.Proof(t.Context(), turn.Session)
			require.ErrorIs(t, err, issuance.ErrNoProof, "a comparison is no proof for a transaction")
			text, err := json.Marshal(r.Findings)
			require.NoError(t, err)
			for _, personal := range []string{"扎西", "马海龙", "19810501", "19900203"} {
				require.NotContains(t, string(text), personal, name)
			}
		}
	})
}

// TestCompareUnderWay: a chip whose answer was lost at the end is ahead of the
// record; one that was spoiled says so.
func TestCompareUnderWay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		a, socket, who := w.numbered(t), blank(t, makerKey), w.issuer()
		turn, err := who.open(t, socket, issuance.EventPersonalise, a.ID)
		require.NoError(t, err)
		compare := func() map[string]string {
			r, _, err := w.clerk().work(t, socket, "compare", uuid.Nil, "")
			require.NoError(t, err)
			require.Equal(t, a.CardNumber, r.CardNumber)
			return differences(r)
		}
		require.Empty(t, compare(), "a blank on which a card is being made")
		turn, err = who.open(t, socket, issuance.EventPersonalise, a.ID)
		require.NoError(t, err)
		for turn.Seq < card.PersonaliseScripts-2 {
			turn, err = who.step(t, socket, turn, "")
			require.NoError(t, err)
		}
		answer(t, socket, turn) // the last script, whose answers are lost
		require.Equal(t, map[string]string{"lifeCycle": "newer"}, compare())
		_, err = w.supervisor().fire(t, a.ID, issuance.EventSpoil, "测试")
		require.NoError(t, err)
		require.Equal(t, map[string]string{"lifeCycle": "suspicious"}, compare())
	})
}

// TestCompareRefused: what is not the province's, and who has no business with
// it.
func TestCompareRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		_, socket := w.activated(t)
		_, err := w.at("W-9", "sunli", registry.RoleCashier).open(t, socket, "compare", uuid.Nil)
		require.ErrorIs(t, err, issuance.ErrNoRight)
		for name, test := range map[string]struct {
			socket *chip.Socket
			err    error
		}{
			"bank card":   {insert(t, chip.BankCard()), card.ErrForeignCard},
			"unknown ATR": {insert(t, chip.OtherCard()), card.ErrUnknownATR},
			"a blank":     {blank(t, makerKey), card.ErrNotPersonalised},
		} {
			_, err := w.clerk().open(t, test.socket, "compare", uuid.Nil)
			require.ErrorIs(t, err, test.err, name)
		}
		image, err := socket.Chip.Image()
		require.NoError(t, err)
		image.ATR[len(image.ATR)-1] ^= 0xFF
		image.Records[issuer][0][15] ^= 0xFF
		_, err = w.clerk().open(t, insert(t, image), "compare", uuid.Nil)
		require.ErrorIs(t, err, issuance.ErrUnknownCard)
	})
}

// TestCompareCutShort: answers that are missing end the session on record.
func TestCompareCutShort(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		_, socket := w.activated(t)
		who := w.clerk()
		for _, kept := range []int{0, 3} {
			turn, err := who.open(t, socket, "compare", uuid.Nil)
			require.NoError(t, err)
			turn, err = who.step(t, socket, turn, "")
			require.NoError(t, err)
			answers := answer(t, socket, turn)
			_, err = w.Step(t.Context(), who.actor, turn.Session, turn.Seq, answers[:kept], "")
			require.ErrorIs(t, err, card.ErrIncomplete)
			require.Equal(t, 1, w.count(t, "audit_entries", "action = 'chip.compare.failed' AND subject = ?", turn.Session.String()))
		}
	})
}
