package issuance_test

import (
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/card"
	"onecard/card/chip"
	"onecard/issuance"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// TestWrongChips: what lies in the reader is not what the work needs. Nothing
// changes, and the right chip is taken afterwards.
func TestWrongChips(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		sealed, sealedChip := w.card(t)
		used, usedChip := w.activated(t)
		waiting, applied := w.numbered(t), w.person(t, "马秀兰", "1990-01-01")
		early, err := w.clerk().apply(t, applied.ID)
		require.NoError(t, err)
		const read, make, activate, lock = "read", issuance.EventPersonalise, issuance.EventActivate, issuance.EventLock
		sessions := w.count(t, "chip_sessions", "1 = 1")
		for name, test := range map[string]struct {
			who       counter
			socket    *chip.Socket
			operation string
			subject   uuid.UUID
			err       error
		}{
			"unknown ATR":                {w.issuer(), insert(t, chip.OtherCard()), make, waiting.ID, card.ErrUnknownATR},
			"bank card":                  {w.issuer(), insert(t, chip.BankCard()), make, waiting.ID, card.ErrForeignCard},
			"blank to read":              {w.clerk(), blank(t, makerKey), read, uuid.Nil, card.ErrNotPersonalised},
			"blank to activate":          {w.clerk(), blank(t, makerKey), activate, sealed.ID, issuance.ErrOtherCard},
			"another card":               {w.clerk(), usedChip, activate, sealed.ID, issuance.ErrOtherCard},
			"another card to lock":       {w.supervisor(), sealedChip, lock, used.ID, issuance.ErrOtherCard},
			"card already made":          {w.issuer(), usedChip, make, waiting.ID, card.ErrAlreadyPersonalised},
			"made for this person":       {w.issuer(), sealedChip, make, w.of(t, sealed).ID, issuance.ErrNotAllowed},
			"not reviewed yet":           {w.issuer(), blank(t, makerKey), make, early.ID, issuance.ErrNotAllowed},
			"no right to make":           {w.at("W-1", "x", registry.RoleCashier), blank(t, makerKey), make, waiting.ID, issuance.ErrNoRight},
			"no right to lock":           {w.clerk(), usedChip, lock, used.ID, issuance.ErrNoRight},
			"active already":             {w.clerk(), usedChip, activate, used.ID, issuance.ErrNotAllowed},
			"sealed cannot be locked":    {w.supervisor(), sealedChip, lock, sealed.ID, issuance.ErrNotAllowed},
			"not locked":                 {w.supervisor(), usedChip, issuance.EventUnlock, used.ID, issuance.ErrNotAllowed},
			"no such operation":          {w.clerk(), usedChip, "explode", used.ID, issuance.ErrNoOperation},
			"no such application":        {w.issuer(), blank(t, makerKey), make, uuid.New(), registry.ErrNotFound},
			"an event without operation": {w.clerk(), usedChip, "reportLoss", used.ID, issuance.ErrNoOperation},
		} {
			_, err := test.who.open(t, test.socket, test.operation, test.subject)
			require.ErrorIs(t, err, test.err, name)
		}
		require.Equal(t, sessions, w.count(t, "chip_sessions", "1 = 1"))
		require.Zero(t, w.count(t, "personalisations", "state = 'begun'"))
		_, _, err = w.issuer().work(t, blank(t, makerKey), make, waiting.ID, "")
		require.NoError(t, err)
	})
}

// TestImpostor: a chip is the one of record by its answer to reset and by its
// identification, both.
func TestImpostor(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.card(t)
		for name, alter := range map[string]func(image *chip.Image){
			"answer to reset": func(image *chip.Image) { image.ATR[len(image.ATR)-1] ^= 0xFF },
			"identification": func(image *chip.Image) {
				value := image.Records["SSSE/EF05"][0]
				value[len(value)-1] ^= 0xFF
			},
		} {
			image, err := socket.Chip.Image()
			require.NoError(t, err)
			alter(image)
			_, err = w.clerk().open(t, insert(t, image), issuance.EventActivate, c.ID)
			require.ErrorIs(t, err, issuance.ErrOtherCard, name)
			_, err = w.clerk().open(t, insert(t, image), "read", uuid.Nil)
			require.ErrorIs(t, err, issuance.ErrUnknownCard, name)
		}
	})
}

// of returns the application that made a card.
func (w world) of(t must, c issuance.Card) issuance.Application {
	t.Helper()
	all, err := w.Applications(t.Context(), issuance.Filter{PersonID: c.PersonID})
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

// TestUnknownCard: a genuine card that this database has no record of.
func TestUnknownCard(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, here world) {
		_, socket := here.card(t)
		clock := registrytest.NewClock()
		elsewhere := newWorld(t, registrytest.Open(t, registrytest.Config("sqlite:"+filepath.Join(t.TempDir(), "other.db"), clock)), clock)
		_, err := elsewhere.clerk().open(t, socket, "read", uuid.Nil)
		require.ErrorIs(t, err, issuance.ErrUnknownCard)
	})
}

// TestOtherMaker: a blank of another maker refuses the keys. The application
// stays with that chip until a supervisor spoils it; then it gets another
// number and another chip, and the spoiled one is never taken again.
func TestOtherMaker(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		a := w.numbered(t)
		wrong := blank(t, [16]byte{1})
		turn, err := w.issuer().open(t, wrong, issuance.EventPersonalise, a.ID)
		require.NoError(t, err)
		answers := answer(t, wrong, turn)
		for range 2 {
			_, err = w.Step(t.Context(), w.issuer().actor, turn.Session, turn.Seq, answers, "")
			require.ErrorIs(t, err, card.ErrTransportKey, "the same answers get the same refusal")
		}
		_, err = w.issuer().open(t, blank(t, makerKey), issuance.EventPersonalise, a.ID)
		require.ErrorIs(t, err, issuance.ErrOtherChip)
		explains(t, err)
		_, err = w.supervisor().fire(t, a.ID, issuance.EventSpoil, "")
		require.ErrorIs(t, err, issuance.ErrNeedsReason)
		spoiled, err := w.supervisor().fire(t, a.ID, issuance.EventSpoil, "厂商不符")
		require.NoError(t, err)
		require.Equal(t, issuance.StateNumbered, spoiled.State)
		require.NotEqual(t, a.CardNumber, spoiled.CardNumber)
		for _, again := range []issuance.Application{a, w.numbered(t)} {
			_, err = w.issuer().open(t, wrong, issuance.EventPersonalise, again.ID)
			require.ErrorIs(t, err, issuance.ErrChipUsed)
		}
		r, _, err := w.issuer().work(t, blank(t, makerKey), issuance.EventPersonalise, a.ID, "")
		require.NoError(t, err)
		require.Equal(t, spoiled.CardNumber, r.CardNumber)
	})
}

// TestPINFormat: a number of the wrong form costs nothing; the same step takes
// the right one.
func TestPINFormat(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.card(t)
		turn, err := w.clerk().open(t, socket, issuance.EventActivate, c.ID)
		require.NoError(t, err)
		require.True(t, turn.NeedsPIN)
		answers := answer(t, socket, turn)
		for _, wrong := range []string{"", "27041", "2704190", "27041a", "２７０４１９", "-70419"} {
			_, err := w.Step(t.Context(), w.clerk().actor, turn.Session, turn.Seq, answers, wrong)
			require.ErrorIs(t, err, card.ErrPINFormat, wrong)
		}
		turn, err = w.Step(t.Context(), w.clerk().actor, turn.Session, turn.Seq, answers, pin)
		require.NoError(t, err)
		_, err = w.clerk().carry(t, socket, turn, "")
		require.NoError(t, err)
	})
}

// TestDeadHolder: nothing new begins for the dead; what was begun on a chip is
// finished.
func TestDeadHolder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		waiting, begun, socket := w.numbered(t), w.numbered(t), blank(t, makerKey)
		_, err := w.issuer().open(t, socket, issuance.EventPersonalise, begun.ID)
		require.NoError(t, err)
		w.dies(t, waiting.PersonID)
		w.dies(t, begun.PersonID)
		_, err = w.issuer().open(t, blank(t, makerKey), issuance.EventPersonalise, waiting.ID)
		require.ErrorIs(t, err, issuance.ErrDead)
		r, _, err := w.issuer().work(t, socket, issuance.EventPersonalise, begun.ID, "")
		require.NoError(t, err)
		_, err = w.clerk().open(t, socket, issuance.EventActivate, r.CardID)
		require.ErrorIs(t, err, issuance.ErrDead)
	})
}

// TestRecordDiffers: a chip that says another number than the record proves
// nothing.
func TestRecordDiffers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.card(t)
		w.change(t, func(tx *registry.Tx) error {
			return tx.DB().Exec("UPDATE cards SET version = version + 1, number = 'A00000001' WHERE id = ?", c.ID).Error
		})
		turn, err := w.clerk().open(t, socket, "read", uuid.Nil)
		require.NoError(t, err)
		answers := answer(t, socket, turn)
		for range 2 {
			_, err = w.Step(t.Context(), w.clerk().actor, turn.Session, turn.Seq, answers, "")
			require.ErrorIs(t, err, issuance.ErrRecordDiffers, "the same answers get the same refusal")
			explains(t, err)
		}
		require.Equal(t, 1, w.count(t, "audit_entries", "action = 'chip.read.failed' AND subject = ? AND detail LIKE '%record-differs%' AND detail LIKE ?",
			turn.Session.String(), "%"+c.ID.String()+"%"), "it is on record")
		require.Equal(t, 1, w.count(t, "chip_sessions", "id = ? AND status = 'failed'", turn.Session))
		_, err = w.Proof(t.Context(), turn.Session)
		require.ErrorIs(t, err, issuance.ErrNoProof)
	})
}

// TestNumbersEnded: the last number is given out, and none after it.
func TestNumbersEnded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		w.change(t, func(tx *registry.Tx) error {
			return tx.DB().Exec("UPDATE card_number_sequence SET next = 99999999 WHERE name = 'card'").Error
		})
		require.Equal(t, "99999999", w.numbered(t).CardNumber[:8])
		a, err := w.clerk().apply(t, w.person(t, "马秀兰", "1990-01-01").ID)
		require.NoError(t, err)
		_, err = w.reviewer().fire(t, a.ID, issuance.EventApprove, "")
		require.ErrorIs(t, err, issuance.ErrNumbersEnded)
	})
}

// TestReadStatus: a reading says the status of record, and a card whose
// application is locked does not read.
func TestReadStatus(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.activated(t)
		_, err := w.clerk().fireCard(t, c.ID, "reportTemporaryLoss", "")
		require.NoError(t, err)
		r, _, err := w.clerk().work(t, socket, "read", uuid.Nil, "")
		require.NoError(t, err)
		require.Equal(t, "temporarily lost", r.StatusText().EN)
		_, err = w.clerk().fireCard(t, c.ID, "cancelLoss", "")
		require.NoError(t, err)
		_, _, err = w.supervisor().work(t, socket, issuance.EventLock, c.ID, "")
		require.NoError(t, err)
		_, err = w.clerk().open(t, socket, "read", uuid.Nil)
		require.ErrorIs(t, err, card.ErrApplicationBlocked)
		require.Equal(t, 1, w.count(t, "audit_entries", "action = 'person.read' AND subject = ?", "person:"+c.PersonID.String()))
	})
}
