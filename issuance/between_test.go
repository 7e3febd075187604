package issuance_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/issuance/session"
	"onecard/keys"
	"onecard/registry"
)

// busy is the keeper, during whose next answer something else happens: what it
// computes, it computes outside every transaction.
type busy struct {
	*keys.Keeper
	meanwhile func()
}

func (b *busy) pause() {
	if work := b.meanwhile; work != nil {
		b.meanwhile = nil
		work()
	}
}

// DirectMAC implements card.Keeper.
func (b *busy) DirectMAC(ctx context.Context, key keys.Key, iv, message []byte) ([]byte, error) {
	b.pause()
	return b.Keeper.DirectMAC(ctx, key, iv, message)
}

// Cryptogram implements card.Keeper.
func (b *busy) Cryptogram(ctx context.Context, key keys.Key, r1, r2 []byte) ([]byte, error) {
	b.pause()
	return b.Keeper.Cryptogram(ctx, key, r1, r2)
}

// eachBusy runs a test in worlds whose keeper can be interrupted.
func eachBusy(t *testing.T, test func(t *testing.T, w world, keeper *busy)) {
	t.Helper()
	each(t, func(t *testing.T, w world) {
		shared, err := province.keeper()
		require.NoError(t, err)
		keeper := &busy{Keeper: shared}
		w.Service, err = issuance.New(issuance.Config{DB: w.db, Profiles: province.profiles, Keeper: keeper, Signer: province.signer, Demands: issuance.NoDemands})
		require.NoError(t, err)
		test(t, w, keeper)
	})
}

// TestSpoiledWhileOpening: a chip is spoiled after its personalisation was
// looked up and before the session stands. Nobody goes on with it.
func TestSpoiledWhileOpening(t *testing.T) {
	t.Parallel()
	eachBusy(t, func(t *testing.T, w world, keeper *busy) {
		a, socket := w.numbered(t), blank(t, makerKey)
		_, err := w.issuer().open(t, socket, issuance.EventPersonalise, a.ID)
		require.NoError(t, err)
		opening := w.clerk().opening(t, socket, issuance.EventPersonalise, a.ID)
		keeper.meanwhile = func() {
			_, err := w.supervisor().fire(t, a.ID, issuance.EventSpoil, "芯片损坏")
			require.NoError(t, err)
		}
		_, err = w.OpenSession(t.Context(), w.clerk().actor, opening)
		require.ErrorIs(t, err, issuance.ErrChipUsed)
		require.Zero(t, w.count(t, "chip_sessions", "status = 'open'"))
		_, _, err = w.issuer().work(t, blank(t, makerKey), issuance.EventPersonalise, a.ID, "")
		require.NoError(t, err)
	})
}

// TestMadeWhileOpening: the card is finished at one counter while another one
// begins with it.
func TestMadeWhileOpening(t *testing.T) {
	t.Parallel()
	eachBusy(t, func(t *testing.T, w world, keeper *busy) {
		a, socket := w.numbered(t), blank(t, makerKey)
		_, err := w.issuer().open(t, socket, issuance.EventPersonalise, a.ID)
		require.NoError(t, err)
		opening := w.clerk().opening(t, socket, issuance.EventPersonalise, a.ID)
		turn, err := w.issuer().open(t, socket, issuance.EventPersonalise, a.ID)
		require.NoError(t, err)
		keeper.meanwhile = func() {
			_, err := w.issuer().carry(t, socket, turn, "")
			require.NoError(t, err)
		}
		_, err = w.OpenSession(t.Context(), w.clerk().actor, opening)
		require.ErrorIs(t, err, issuance.ErrChipUsed)
		require.Equal(t, 1, w.count(t, "cards", "1 = 1"))
	})
}

// TestSpoiledDuringStep: the same in the middle of a step.
func TestSpoiledDuringStep(t *testing.T) {
	t.Parallel()
	eachBusy(t, func(t *testing.T, w world, keeper *busy) {
		a, socket := w.numbered(t), blank(t, makerKey)
		turn, err := w.issuer().open(t, socket, issuance.EventPersonalise, a.ID)
		require.NoError(t, err)
		answers := answer(t, socket, turn)
		keeper.meanwhile = func() {
			_, err := w.supervisor().fire(t, a.ID, issuance.EventSpoil, "芯片损坏")
			require.NoError(t, err)
		}
		_, err = w.Step(t.Context(), w.issuer().actor, turn.Session, turn.Seq, answers, "")
		require.ErrorIs(t, err, session.ErrEnded)
	})
}

// TestStepTakenMeanwhile: a step is taken while it is computed. The same answers
// get the same turn, others are too late.
func TestStepTakenMeanwhile(t *testing.T) {
	t.Parallel()
	eachBusy(t, func(t *testing.T, w world, keeper *busy) {
		socket, who := blank(t, makerKey), w.issuer()
		turn, err := who.open(t, socket, issuance.EventPersonalise, w.numbered(t).ID)
		require.NoError(t, err)
		for turn.Script != nil {
			answers, faster := answer(t, socket, turn), session.Turn{}
			step := func(pin string) (session.Turn, error) {
				return w.Step(t.Context(), who.actor, turn.Session, turn.Seq, answers, pin)
			}
			keeper.meanwhile = func() {
				faster, err = step("")
				require.NoError(t, err)
			}
			slower, err := step(map[bool]string{true: pin}[turn.Seq == 0])
			keeper.meanwhile = nil
			if turn.Seq == 0 {
				require.ErrorIs(t, err, session.ErrStep)
				slower, err = step("")
			}
			require.NoError(t, err)
			if faster.Session != uuid.Nil { // the last step asks no key
				require.Equal(t, throughJSON(t, faster), throughJSON(t, slower))
			}
			turn = slower
		}
		require.Equal(t, 1, w.count(t, "cards", "1 = 1"))
	})
}

// TestLostWhileLocking: a card is reported lost while its chip is locked. The
// report stands, and chip and record come together again.
func TestLostWhileLocking(t *testing.T) {
	t.Parallel()
	eachBusy(t, func(t *testing.T, w world, _ *busy) {
		c, socket := w.activated(t)
		turn, err := w.supervisor().open(t, socket, issuance.EventLock, c.ID)
		require.NoError(t, err)
		answers := answer(t, socket, turn)
		_, err = w.clerk().fireCard(t, c.ID, "reportLoss", "")
		require.NoError(t, err)
		_, err = w.Step(t.Context(), w.supervisor().actor, turn.Session, turn.Seq, answers, "")
		require.ErrorIs(t, err, issuance.ErrNotAllowed)
		_, err = w.clerk().fireCard(t, c.ID, "cancelLoss", "找到了")
		require.NoError(t, err)
		for _, event := range []string{issuance.EventLock, issuance.EventUnlock} {
			_, _, err = w.supervisor().work(t, socket, event, c.ID, "")
			require.NoError(t, err, "the chip, which is locked, and the record come together again")
		}
		require.NoError(t, w.db.InTx(t.Context(), w.clerk().actor, func(tx *registry.Tx) error {
			status, err := w.CardStatus(tx, c.ID)
			require.Equal(t, issuance.StatusNormal, status)
			require.NoError(t, err)
			return tx.Audit("test.noted", "test", nil)
		}))
	})
}
