package issuance_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/issuance"
	"onecard/issuance/session"
)

// TestStepsRepeated takes each step of a personalisation again and again: the
// same answers get the stored turn, others ErrStep, and what follows from the
// end happens once.
func TestStepsRepeated(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		socket, who := blank(t, makerKey), w.issuer()
		opening := who.opening(t, socket, issuance.EventPersonalise, w.numbered(t).ID)
		turn, err := w.OpenSession(t.Context(), who.actor, opening)
		require.NoError(t, err)
		again, err := w.OpenSession(t.Context(), who.actor, opening)
		require.NoError(t, err)
		require.Equal(t, throughJSON(t, turn), throughJSON(t, again), "the same opening is the same session")
		step := func(seq int, answers []apdu.Response, pin string) (session.Turn, error) {
			return w.Step(t.Context(), who.actor, turn.Session, seq, answers, pin)
		}
		for turn.Script != nil {
			seq, answers := turn.Seq, answer(t, socket, turn)
			for _, other := range []int{-1, seq + 1, seq + 100} {
				_, err = step(other, answers, "")
				require.ErrorIs(t, err, session.ErrStep)
			}
			turn, err = step(seq, answers, "")
			require.NoError(t, err)
			for range 2 {
				again, err := step(seq, answers, "")
				require.NoError(t, err)
				require.Equal(t, throughJSON(t, turn), throughJSON(t, again))
			}
			expected := session.ErrStep
			if turn.Script == nil {
				expected = session.ErrEnded
			}
			altered := slices.Clone(answers)
			altered[0].Data = append(slices.Clone(altered[0].Data), 0)
			for _, other := range [][]apdu.Response{altered, answers[1:], nil} {
				_, err = step(seq, other, "")
				require.ErrorIs(t, err, expected)
			}
			_, err = step(seq, answers, pin)
			require.ErrorIs(t, err, expected)
		}
		require.Equal(t, 1, w.count(t, "cards", "1 = 1"))
		require.Equal(t, 1, w.count(t, "chip_sessions", "status = 'done' AND length(state) = 0"), "the state is dropped at the end")
	})
}

// TestSessionIsBound: nobody else, and nothing elsewhere, takes a step.
func TestSessionIsBound(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		_, socket := w.activated(t)
		who := w.clerk()
		turn, err := who.open(t, socket, "read", uuid.Nil)
		require.NoError(t, err)
		answers := answer(t, socket, turn)
		for _, other := range []counter{w.reviewer(), w.at("W-1", "lihong"), w.at("W-2", "caiwang"), w.at("", "caiwang")} {
			_, err := w.Step(t.Context(), other.actor, turn.Session, turn.Seq, answers, "")
			require.ErrorIs(t, err, session.ErrBound)
		}
		_, err = w.Step(t.Context(), who.actor, uuid.New(), turn.Seq, answers, "")
		require.Error(t, err)
		_, err = w.Step(t.Context(), who.actor, turn.Session, turn.Seq, answers, "")
		require.NoError(t, err)
		for _, other := range []counter{w.reviewer(), w.at("W-2", "caiwang")} {
			_, err := w.Step(t.Context(), other.actor, turn.Session, turn.Seq, answers, "")
			require.ErrorIs(t, err, session.ErrBound, "not even the stored answer")
		}
	})
}

// TestSessionExpires: a session lies for ten minutes between two scripts, each
// step begins them anew, and an expired one still repeats its last answer.
func TestSessionExpires(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		a, socket, who := w.numbered(t), blank(t, makerKey), w.issuer()
		turn, err := who.open(t, socket, issuance.EventPersonalise, a.ID)
		require.NoError(t, err)
		for range 2 {
			w.clock.Advance(10 * time.Minute)
			turn, err = who.step(t, socket, turn, "")
			require.NoError(t, err)
		}
		before, last := turn, answer(t, socket, turn)
		turn, err = w.Step(t.Context(), who.actor, before.Session, before.Seq, last, "")
		require.NoError(t, err)
		w.clock.Advance(10*time.Minute + time.Microsecond)
		again, err := w.Step(t.Context(), who.actor, before.Session, before.Seq, last, "")
		require.NoError(t, err)
		require.Equal(t, throughJSON(t, turn), throughJSON(t, again))
		_, err = w.Step(t.Context(), who.actor, turn.Session, turn.Seq, answer(t, socket, turn), "")
		require.ErrorIs(t, err, session.ErrEnded)
		_, _, err = who.work(t, socket, issuance.EventPersonalise, a.ID, "")
		require.NoError(t, err)
	})
}

// TestSuperseded: who begins anew with a chip or in a reader ends what was
// open there.
func TestSuperseded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		_, first := w.activated(t)
		_, second := w.activated(t)
		read := func(who counter, socket *chip.Socket) session.Turn {
			turn, err := who.open(t, socket, "read", uuid.Nil)
			require.NoError(t, err)
			return turn
		}
		old := read(w.clerk(), first)
		read(w.clerk(), second) // the same reader
		_, err := w.clerk().step(t, first, old, "")
		require.ErrorIs(t, err, session.ErrEnded)
		old = read(w.clerk(), first)
		answers := answer(t, first, old)
		now := read(w.reviewer(), first) // the same chip
		_, err = w.Step(t.Context(), w.clerk().actor, old.Session, old.Seq, answers, "")
		require.ErrorIs(t, err, session.ErrEnded)
		_, err = w.reviewer().step(t, first, now, "")
		require.NoError(t, err, "the chip is asked by the newest session")
	})
}

// TestAnswersRefused: answers that the chip cannot have given, or that say
// that it refused, end the session on record; the same ones get the same
// refusal again.
func TestAnswersRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		_, socket := w.activated(t)
		who := w.clerk()
		for name, test := range map[string]struct {
			spoil func(answers []apdu.Response) []apdu.Response
			err   error
		}{
			"none":        {func([]apdu.Response) []apdu.Response { return nil }, card.ErrIncomplete},
			"cut short":   {func(a []apdu.Response) []apdu.Response { return a[:2] }, card.ErrIncomplete},
			"too many":    {func(a []apdu.Response) []apdu.Response { return append(a, a[0]) }, card.ErrIncomplete},
			"not genuine": {func(a []apdu.Response) []apdu.Response { a[0].Data[0] ^= 1; return a }, card.ErrNotGenuine},
			"refused": {func(a []apdu.Response) []apdu.Response {
				return append(a[:1], apdu.Response{SW: 0x6982})
			}, apdu.ErrSecurity},
		} {
			turn, err := who.open(t, socket, "read", uuid.Nil)
			require.NoError(t, err)
			answers := test.spoil(answer(t, socket, turn))
			for range 2 {
				_, err = w.Step(t.Context(), who.actor, turn.Session, turn.Seq, answers, "")
				require.ErrorIs(t, err, test.err, name)
			}
			_, err = w.Step(t.Context(), who.actor, turn.Session, turn.Seq, append(answers, apdu.Response{SW: 0x9000}), "")
			require.ErrorIs(t, err, session.ErrEnded, name)
			require.Equal(t, 1, w.count(t, "audit_entries", "action = 'chip.read.failed' AND subject = ?", turn.Session.String()), name)
			_, err = w.Proof(t.Context(), turn.Session)
			require.ErrorIs(t, err, issuance.ErrNoProof, name)
		}
	})
}

// TestInterrupted leaves a personalisation after every script, at several
// moments, and takes it up at another workstation: the card ends as intended,
// once, under its number.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	const stayed, torn, lost = "script not sent", "power cut in the script", "answers lost"
	each(t, func(t *testing.T, w world) {
		for at := range card.PersonaliseScripts {
			for _, moment := range []string{stayed, torn, lost} {
				if moment == stayed && at > 0 || moment == torn && at == card.PersonaliseScripts-1 {
					continue // to the chip the same as lost answers; no script to tear
				}
				name := fmt.Sprintf("%s at script %d", moment, at)
				a, socket := w.numbered(t), blank(t, makerKey)
				turn, err := w.issuer().open(t, socket, issuance.EventPersonalise, a.ID)
				require.NoError(t, err, name)
				for turn.Seq < at && turn.Script != nil {
					turn, err = w.issuer().step(t, socket, turn, "")
					require.NoError(t, err, name)
				}
				switch {
				case turn.Script == nil: // the end is reached, and the counter does not hear of it
				case moment == torn:
					socket.Cut = socket.Count() + (len(turn.Script.Steps)+1)/2
					_, err = card.Run(t.Context(), apdu.NewChannel(socket), turn.Script, nil)
					require.ErrorIs(t, err, chip.ErrPower, name)
				case moment == lost:
					answer(t, socket, turn)
				}
				w.takenUp(t, a, socket, turn, name)
			}
		}
	})
}

// takenUp goes on with a personalisation at another workstation and looks at
// what has become of it.
func (w world) takenUp(t *testing.T, a issuance.Application, socket *chip.Socket, left session.Turn, name string) {
	t.Helper()
	elsewhere := w.clerk()
	r, _, err := elsewhere.work(t, socket, issuance.EventPersonalise, a.ID, "")
	if left.Script == nil {
		require.ErrorIs(t, err, issuance.ErrNotAllowed, name)
	} else {
		require.NoError(t, err, name)
		require.True(t, r.Genuine, name)
		require.Equal(t, a.CardNumber, r.CardNumber, name)
		_, err = w.Step(t.Context(), w.issuer().actor, left.Session, left.Seq, nil, "")
		require.ErrorIs(t, err, session.ErrEnded, name)
	}
	require.Equal(t, 1, w.count(t, "cards", "person_id = ? AND status = '0'", a.PersonID), name)
	require.Equal(t, 1, w.count(t, "personalisations", "application_id = ? AND state = 'made' AND receipt IS NOT NULL", a.ID), name)
	require.Zero(t, w.count(t, "chip_sessions", "subject = ? AND status = 'open'", a.ID.String()), name)
	read, _, err := elsewhere.work(t, socket, "read", uuid.Nil, "")
	require.NoError(t, err, name)
	require.Equal(t, "扎西·多杰", values(read.Fields)["name"], name)
	require.Equal(t, a.CardNumber, values(read.Fields)["cardNumber"], name)
}
