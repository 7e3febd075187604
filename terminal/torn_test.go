package terminal_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/terminal"
)

// residents whose names every chip can hold.
var residents = []string{
	"李秀兰", "王海涛", "马海龙", "冶福兰", "扎西·多杰", "卓玛措", "巴图孟克", "乌兰其其格", "祁文忠", "韩乙四夫",
}

// cards counts the cards of record of a person.
func (w *world) cards(person uuid.UUID) (n int64) {
	w.t.Helper()
	require.NoError(w.t, w.db.Read(w.t.Context()).Table("cards").Where("person_id = ?", person).Count(&n).Error)
	return n
}

func (w *world) application(id uuid.UUID) issuance.Application {
	w.t.Helper()
	all, err := w.issuance.Applications(w.t.Context(), issuance.Filter{Place: "630000", Limit: 100})
	require.NoError(w.t, err)
	for _, a := range all {
		if a.ID == id {
			return a
		}
	}
	w.t.Fatal("no such application")
	return issuance.Application{}
}

// personaliseCommands is how many commands a personalisation sends.
func (p *post) personaliseCommands(name string) int {
	p.t.Helper()
	a := p.numbered(name)
	var most atomic.Int64
	p.bench.hook(func(command int) { most.Store(max(most.Load(), int64(command))) })
	p.bench.insert(blank(p.t))
	p.shows(terminal.CardBlank)
	p.make(a)
	p.bench.remove()
	p.bench.hook(nil)
	p.shows(terminal.CardNone)
	return int(most.Load())
}

// make personalises the chip in the reader, which must succeed.
func (p *post) make(a issuance.Application) {
	p.t.Helper()
	made, err := p.perform(a)
	require.NoError(p.t, err)
	require.True(p.t, made.Result.Genuine)
	require.Equal(p.t, issuance.StatusSealed, *made.Result.Status)
	require.Equal(p.t, int64(1), p.cards(a.PersonID))
	require.Equal(p.t, issuance.StateMade, p.application(a.ID).State)
	p.shows(terminal.CardPersonalised)
}

func (p *post) perform(a issuance.Application) (terminal.Reading, error) {
	return p.station.Perform(p.t.Context(), p.platform, terminal.Job{Operation: "personalise", ApplicationID: &a.ID})
}

func (p *post) performTorn(a issuance.Application, t tear) (terminal.Reading, error) {
	require.Eventually(p.t, func() bool { return p.station.State().Card.Kind != terminal.CardNone }, wait, tick)
	return p.station.Perform(torn(p.t.Context(), t), p.platform, terminal.Job{Operation: "personalise", ApplicationID: &a.ID})
}

// TestTornWhilePersonalised takes the card out in the middle of a
// personalisation, at many commands, before and after the chip has carried the
// command out. There is no card then; doing it again makes exactly one.
func TestTornWhilePersonalised(t *testing.T) {
	t.Parallel()
	desk := newWorld(t).at(counter, "counter", clerk)
	total := desk.personaliseCommands(residents[0])
	cuts := []int{2, total / 4, total / 2, 3 * total / 4, total, total}
	for i, cut := range cuts {
		before := i%2 == 0
		a, chip := desk.numbered(residents[i+1]), blank(t)
		desk.bench.insert(chip)
		_, err := desk.performTorn(a, tear{cut, before})
		where := fmt.Sprintf("at command %d of %d, before it %v", cut, total, before)
		require.ErrorIs(t, err, terminal.ErrRemoved, where)
		require.Contains(t, terminal.Explain(err).RemedyZH, "重新插入同一张卡", where)
		desk.shows(terminal.CardNone)
		require.Zero(t, desk.cards(a.PersonID), where)
		require.Nil(t, desk.station.State().Progress)
		desk.bench.insert(chip)
		_, err = desk.performTorn(a, tear{3, before}) // and once more, at once
		require.ErrorIs(t, err, terminal.ErrRemoved, where)
		desk.shows(terminal.CardNone)
		desk.bench.insert(chip)
		desk.make(a)
		desk.bench.remove()
		desk.shows(terminal.CardNone)
	}
	require.NoError(t, desk.db.VerifyAudit(t.Context()))
}

// TestLineBreaksWhilePersonalised takes the line away at each request of a
// personalisation, so that the request or its answer is lost: the clerk is told
// what happened and what to do, and doing it again completes it with one card.
func TestLineBreaksWhilePersonalised(t *testing.T) {
	t.Parallel()
	desk := newWorld(t).at(counter, "counter", clerk)
	before := desk.gate.count("/chip-sessions")
	desk.personaliseCommands(residents[0])
	requests := desk.gate.count("/chip-sessions") - before
	for i := range 2 * (requests - 1) {
		a, chip := desk.numbered(residents[i+1]), blank(t)
		fate := []fault{lineAway, lineDeaf}[i%2]
		desk.bench.insert(chip)
		desk.shows(terminal.CardBlank)
		desk.gate.set(fate, "/v1/chip-sessions", i/2)
		_, err := desk.perform(a)
		require.ErrorIs(t, err, terminal.ErrOffline)
		told := terminal.Explain(err)
		require.Contains(t, told.ZH, "连接不上省平台")
		require.Contains(t, told.RemedyZH, "网络")
		require.Contains(t, told.RemedyEN, "network")
		require.Zero(t, desk.cards(a.PersonID))
		desk.gate.mend()
		desk.make(a)
		desk.bench.remove()
		desk.shows(terminal.CardNone)
	}
}

// TestLastAnswerLost: the platform has recorded the card, and the counter did
// not hear of it. There is one card, and the next attempt says so.
func TestLastAnswerLost(t *testing.T) {
	t.Parallel()
	desk := newWorld(t).at(counter, "counter", clerk)
	before := desk.gate.count("/chip-sessions")
	desk.personaliseCommands(residents[0])
	requests := desk.gate.count("/chip-sessions") - before
	a := desk.numbered(residents[1])
	desk.bench.insert(blank(t))
	desk.shows(terminal.CardBlank)
	desk.gate.set(lineDeaf, "/v1/chip-sessions", requests-1)
	_, err := desk.perform(a)
	require.ErrorIs(t, err, terminal.ErrOffline)
	desk.gate.mend()
	require.Equal(t, int64(1), desk.cards(a.PersonID))
	require.Equal(t, issuance.StateMade, desk.application(a.ID).State)
	desk.shows(terminal.CardPersonalised)
	_, err = desk.perform(a)
	told := terminal.Explain(err)
	require.Equal(t, issuance.ErrNotAllowed.Code, told.Code)
	require.Contains(t, told.RemedyZH, "刷新")
	reading, err := desk.station.Perform(t.Context(), desk.platform, terminal.Job{Operation: "read"})
	require.NoError(t, err)
	require.True(t, reading.Result.Genuine)
	require.Equal(t, int64(1), desk.cards(a.PersonID))
}
