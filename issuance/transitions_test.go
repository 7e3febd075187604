package issuance_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/issuance/tell"
	"onecard/registry"
)

// transitions is the list of the 36 transitions of a card's life as the trade
// knows them, and what holds each of them: an event of a machine
// (application:…, card:…), chip work beside the workflow (work:…), a record of
// the registry (registry:…), or a package of its own (package:…).
var transitions = []struct {
	number int
	text   string
	by     []string
}{
	{1, "申请 application", []string{"application:submit", "application:withdraw"}},
	{2, "复核 reviewed", []string{"application:approve", "application:return", "application:resubmit", "application:reopen"}},
	{3, "公安比对 compared with the police", []string{"package:exchange"}},
	{4, "部级持卡库查重 cleared by the ministry", []string{"package:ministry"}},
	{5, "生成批次 batch", []string{"application:batch", "application:unbatch", "package:production"}},
	{6, "开户文件送银行 file to the bank", []string{"package:bank"}},
	{7, "开户回盘 accounts back", []string{"application:unbatch", "package:bank"}},
	{8, "CA 证书 certificate", []string{"package:production"}},
	{9, "送卡厂 to the plant", []string{"package:production"}},
	{10, "制卡 made", []string{"application:personalise", "application:spoil", "work:rekey", "package:production"}},
	{11, "卡厂回盘 plant's return", []string{"application:make", "package:production"}},
	{12, "质检 inspected", []string{"card:scrap", "application:remake", "package:production"}},
	{13, "入库发出 stored and sent", []string{"package:stock"}},
	{14, "逐级签收 received", []string{"package:stock"}},
	{15, "发放 handed out", []string{"application:activate", "package:stock"}},
	{16, "启用 activated", []string{"card:activate"}},
	{17, "银行账户激活 account activated", []string{"package:bank"}},
	{18, "临时挂失 temporary loss", []string{"card:reportTemporaryLoss"}},
	{19, "临时挂失到期 end of it", []string{"card:endLoss"}},
	{20, "正式挂失 formal loss", []string{"card:reportLoss"}},
	{21, "解挂 loss cancelled", []string{"card:cancelLoss"}},
	{22, "挂失期满注销 lapsed", []string{"card:lapse"}},
	{23, "补卡 replacement", []string{"application:submit", "application:approve"}},
	{24, "换卡 exchange", []string{"application:submit", "application:approve"}},
	{25, "新卡启用旧卡注销 superseded", []string{"card:supersede"}},
	{26, "应用锁定 locked", []string{"card:lock", "card:suspend", "card:holderDied"}},
	{27, "解锁 unlocked", []string{"card:unlock", "card:lift"}},
	{28, "密码锁定 PIN locked", []string{"work:unblockPIN"}},
	{29, "密码重置 PIN reset", []string{"work:resetPIN"}},
	{30, "注销 cancelled", []string{"card:cancel", "application:cancel", "work:blockCard"}},
	{31, "注销为终态 final", []string{"card:cancel"}},
	{32, "临时卡 temporary card", []string{"card:expire"}},
	{33, "信息变更 data change", []string{"work:refresh", "registry:CorrectPerson"}},
	{34, "合并 merge", []string{"registry:MergePersons", "registry:UndoMerge"}},
	{35, "写卡 chip record", []string{"work:access", "work:debit", "work:credit"}},
	{36, "空白卡 blanks", []string{"package:stock"}},
}

// TestTransitions holds the list and the tables against one another: each
// transition has something that holds it, and each event and each chip work is
// part of one.
func TestTransitions(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, m := range issuance.Machines() {
		for _, r := range m.Rules {
			known[m.Name+":"+r.Event] = false
		}
	}
	for _, w := range issuance.Works {
		known["work:"+w.Name] = false
	}
	for i, line := range transitions {
		require.Equal(t, i+1, line.number)
		require.NotEmpty(t, line.by, line.text)
		for _, by := range line.by {
			if _, ours := known[by]; ours {
				known[by] = true
				continue
			}
			require.True(t, strings.HasPrefix(by, "package:") || strings.HasPrefix(by, "registry:"), "%d %s: %s", line.number, line.text, by)
		}
	}
	require.Len(t, transitions, 36)
	for name, used := range known {
		require.True(t, used, "%s belongs to no transition", name)
	}
}

// applicationIn returns an application in a state.
func (w world) applicationIn(t must, state string) issuance.Application {
	t.Helper()
	request := w.first(t)
	request.Method, request.Draft = issuance.MethodBatch, state == issuance.StateDraft
	if state == issuance.StatePersonalising {
		request.Method = issuance.MethodInstant
	}
	a, err := w.clerk().request(t, request)
	require.NoError(t, err)
	reviewed := func() {
		_, err := w.reviewer().fire(t, a.ID, issuance.EventApprove, "")
		require.NoError(t, err)
	}
	finished := func() issuance.Card {
		reviewed()
		_, err := w.producer().batch(t, a.ID)
		require.NoError(t, err)
		c, err := w.producer().returns(t, a.ID)
		require.NoError(t, err)
		return c
	}
	switch state {
	case issuance.StateReturned:
		_, err = w.reviewer().fire(t, a.ID, "return", "照片不清")
	case "withdrawn":
		_, err = w.clerk().fire(t, a.ID, "withdraw", "本人要求")
	case issuance.StateNumbered:
		reviewed()
	case issuance.StateBatched:
		reviewed()
		_, err = w.producer().batch(t, a.ID)
	case issuance.StatePersonalising:
		reviewed()
		_, err = w.issuer().open(t, blank(t, makerKey), issuance.EventPersonalise, a.ID)
	case issuance.StateMade:
		finished()
	case issuance.StateHanded:
		_, err = w.clerk().onChip(t, finished().ID, issuance.EventActivate)
	case "cancelled":
		_, err = w.supervisor().fireCard(t, finished().ID, issuance.EventCancel, "无人领取")
	}
	require.NoError(t, err)
	a, err = w.Application(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, state, a.State)
	return a
}

// cardIn returns a card with a status.
func (w world) cardIn(t must, status string) issuance.Card {
	t.Helper()
	if status == issuance.StatusSealed {
		return w.sealed(t, w.first(t))
	}
	c := w.working(t, w.first(t))
	step := map[string]issuance.Asked{
		issuance.StatusLost: {Event: "reportLoss"}, issuance.StatusTempLost: {Event: "reportTemporaryLoss"},
		issuance.StatusLocked: {Event: issuance.EventSuspend, Code: "fraud"}, issuance.StatusCancelled: {Event: issuance.EventCancel, Code: "emigrated"},
	}
	if asked, ok := step[status]; ok {
		var err error
		c, err = w.at("W-5", "sunwei", registry.RoleClerk, registry.RoleSupervisor).ask(t, c.ID, asked)
		require.NoError(t, err)
	}
	require.Equal(t, status, c.Status)
	return c
}

// whole reads what a change could change, with the audit log and the keys.
func (w world) whole(t must) string {
	t.Helper()
	all := w.effects(t)
	for _, table := range []string{"audit_entries", "idempotency"} {
		all[table] = w.count(t, table, "1 = 1")
	}
	text, err := json.Marshal(all)
	require.NoError(t, err)
	return string(text)
}

// effects reads the tables of the workflow and what peers are to be told.
func (w world) effects(t must) map[string]any {
	t.Helper()
	all := map[string]any{"outbox": w.count(t, "outbox", "1 = 1"), "deliveries": w.count(t, "deliveries", "1 = 1")}
	for table, rows := range w.dump(t) {
		all[table] = rows
	}
	return all
}

// inWords requires that a refusal says in both languages what is wrong.
func inWords(t *testing.T, err error) {
	t.Helper()
	var refusal *issuance.Error
	var field *registry.FieldError
	switch {
	case errors.As(err, &refusal):
		text, _ := refusal.Explain()
		require.NotEmpty(t, text.ZH)
		require.NotEmpty(t, text.EN)
	case errors.As(err, &field):
		require.NotEmpty(t, field.ZH)
		require.NotEmpty(t, field.EN)
	default:
		require.Fail(t, "not in words", "%v", err)
	}
}

// roleSets are those of which the wrong ones are tried: each alone, and none.
var roleSets = [][]string{
	nil, {registry.RoleClerk}, {registry.RoleReviewer}, {registry.RoleIssuer}, {registry.RoleSupervisor}, {registry.RoleCashier},
	{registry.RoleAdmin}, {registry.RoleProducer}, {registry.RoleStorekeeper},
}

// asking is one way to ask for an event, and what an event needs to be asked
// for in this way.
type asking struct {
	name string
	fits func(issuance.Rule) bool
	ask  func(tx *registry.Tx, id uuid.UUID, event string, roles []string) error
}

func byHand(r issuance.Rule) bool { return r.By == "" && r.Chip == "" }

// askings are all ways to ask for the events of a machine.
func (w world) askings(m *issuance.Machine) []asking {
	if m == &issuance.Cards {
		return []asking{
			{"by hand", byHand, func(tx *registry.Tx, id uuid.UUID, event string, roles []string) error {
				_, err := w.FireCard(tx, id, issuance.Asked{Event: event, Reason: "原因", Roles: roles})
				return err
			}},
			{"by chip", func(r issuance.Rule) bool { return r.Chip != "" }, func(tx *registry.Tx, id uuid.UUID, event string, roles []string) error {
				_, err := w.ChipEvent(tx, id, event, roles)
				return err
			}},
		}
	}
	return []asking{
		{"by hand", byHand, func(tx *registry.Tx, id uuid.UUID, event string, roles []string) error {
			_, err := w.Fire(tx, id, issuance.Asked{Event: event, Reason: "原因", Roles: roles})
			return err
		}},
		{"by batch", func(r issuance.Rule) bool { return r.By == issuance.ByBatch }, func(tx *registry.Tx, id uuid.UUID, event string, roles []string) (err error) {
			switch event {
			case issuance.EventBatch:
				_, _, err = w.Batch(tx, id, roles)
			case issuance.EventUnbatch:
				err = w.Unbatch(tx, id, "not-made", "", false, roles)
			case issuance.EventMake:
				a, findErr := w.Application(tx.Context(), id)
				if findErr != nil {
					return findErr
				}
				_, err = w.Make(tx, id, chipOf(a), "M-1", roles)
			default:
				err = issuance.ErrNotAllowed // there is no such way
			}
			return err
		}},
	}
}

// events are those of a machine, each once, and one that no machine has.
func events(m *issuance.Machine) []string {
	names := []string{"explode"}
	for _, r := range m.Rules {
		if !slices.Contains(names, r.Event) {
			names = append(names, r.Event)
		}
	}
	return names
}

// TestWrongStateWrongRole tries every event in every state, in every way and by
// every role that the table does not allow: it is refused in words, and the
// database is as it was.
func TestWrongStateWrongRole(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		tried := 0
		for _, m := range issuance.Machines() {
			for _, state := range m.States {
				var id uuid.UUID
				if m == &issuance.Cards {
					id = w.cardIn(t, state.Name).ID
				} else {
					id = w.applicationIn(t, state.Name).ID
				}
				before := w.whole(t)
				for _, way := range w.askings(m) {
					for _, event := range events(m) {
						for _, roles := range roleSets {
							line, ok := m.Rule(state.Name, event)
							if ok && way.fits(line) && line.Allows(roles) {
								continue // allowed
							}
							if m == &issuance.Cards && way.name == "by hand" && led(event, state.Name, roles) {
								continue // it is so already: a success
							}
							err := w.at("W-7", "nobody", roles...).in(t, func(tx *registry.Tx) error { return way.ask(tx, id, event, roles) })
							require.Error(t, err, "%s %s in %s by %v", way.name, event, state.Name, roles)
							inWords(t, err)
							if ok && way.fits(line) {
								require.ErrorIs(t, err, issuance.ErrNoRight)
							}
							tried++
						}
					}
				}
				require.Equal(t, before, w.whole(t), "%s %s", m.Name, state.Name)
			}
		}
		require.Greater(t, tried, 4000)
	})
}

// led says whether a hand of these roles leads to a status by an event.
func led(event, status string, roles []string) bool {
	return slices.ContainsFunc(issuance.Cards.Rules, func(r issuance.Rule) bool {
		return r.Event == event && r.To == status && byHand(r) && r.Allows(roles)
	})
}

// told is how many messages a line and what it brings along write.
func told(lines ...issuance.Rule) (n int) {
	for _, r := range lines {
		for _, peer := range r.Tell {
			if tell.Known(peer) {
				n++
			}
		}
	}
	return n
}

// TestEveryLineOnce lets every line of the tables happen, with every peer down:
// it happens; with the same key again (the answer was lost) the answer is the
// same and nothing happens; without a key it is refused in words, or it is so
// already, and nothing happens. What peers must know waits for them.
func TestEveryLineOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		n := 0
		for _, m := range issuance.Machines() {
			for _, line := range m.Rules {
				way := slices.IndexFunc(w.askings(m), func(a asking) bool { return a.fits(line) })
				if way < 0 || m == &issuance.Applications && line.Chip != "" {
					continue // by a card, a timer, a fact, a chip: see below
				}
				ask, subject := w.askings(m)[way].ask, w.subjectIn(t, m, line.From)
				who := w.at("W-8", "yangjin", line.Roles[0])
				lines := []issuance.Rule{line}
				if line.Also != "" {
					also, ok := issuance.Applications.Rule(issuance.StateMade, line.Also)
					require.True(t, ok)
					lines = append(lines, also)
				}
				n++
				w.happensOnce(t, who, fmt.Sprintf("line-%03d", n), told(lines...), func(tx *registry.Tx) error { return ask(tx, subject, line.Event, who.roles) })
				require.Equal(t, line.To, w.stateOf(t, m, subject), "%s in %s", line.Event, line.From)
			}
		}
		require.Zero(t, w.count(t, "deliveries", "attempts > 0 OR state <> 'waiting'"), "every peer is down")
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

func (w world) subjectIn(t must, m *issuance.Machine, state string) uuid.UUID {
	t.Helper()
	if m == &issuance.Cards {
		return w.cardIn(t, state).ID
	}
	return w.applicationIn(t, state).ID
}

func (w world) stateOf(t must, m *issuance.Machine, id uuid.UUID) string {
	t.Helper()
	if m == &issuance.Cards {
		return w.status(t, id)
	}
	a, err := w.Application(t.Context(), id)
	require.NoError(t, err)
	return a.State
}

// happensOnce does something under a key, again under the same key, under the
// key for something else, and without a key.
func (w world) happensOnce(t *testing.T, who counter, key string, messages int, work func(tx *registry.Tx) error) {
	t.Helper()
	once := func(request string) (answer json.RawMessage, replayed bool, err error) {
		return w.db.Once(t.Context(), who.actor, key, []byte(request), func(tx *registry.Tx) (any, error) { return key, work(tx) })
	}
	waiting := w.count(t, "deliveries", "1 = 1")
	first, replayed, err := once("ask")
	require.NoError(t, err, key)
	require.False(t, replayed)
	require.Equal(t, waiting+messages, w.count(t, "deliveries", "1 = 1"), key)
	before := w.whole(t)
	second, replayed, err := once("ask")
	require.NoError(t, err)
	require.True(t, replayed)
	require.Equal(t, first, second)
	_, _, err = once("ask for something else")
	require.ErrorIs(t, err, registry.ErrKeyReused)
	require.Equal(t, before, w.whole(t), "the answer was lost")
	effects := w.effects(t)
	if err := who.in(t, work); err != nil {
		inWords(t, err)
	}
	require.Equal(t, effects, w.effects(t), "asked for twice")
}

// TestFollowingLinesOnce: what follows another card, a time or a fact happens
// once, however often what it follows comes.
func TestFollowingLinesOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		for _, status := range []string{issuance.StatusNormal, issuance.StatusTempLost, issuance.StatusLost} {
			old := w.working(t, w.first(t))
			report := map[string]string{issuance.StatusTempLost: "reportTemporaryLoss", issuance.StatusLost: "reportLoss"}[status]
			request := issuance.Request{Person: old.PersonID, Kind: issuance.KindExchange}
			if status == issuance.StatusLost {
				_, err := w.clerk().fireCard(t, old.ID, report, "")
				require.NoError(t, err)
				request.Kind = issuance.KindReplacement
			}
			fresh := w.sealed(t, request)
			if status == issuance.StatusTempLost {
				_, err := w.clerk().fireCard(t, old.ID, report, "")
				require.NoError(t, err)
			}
			supersede, ok := issuance.Cards.Rule(status, issuance.EventSupersede)
			require.True(t, ok)
			activate, ok := issuance.Cards.Rule(issuance.StatusSealed, issuance.EventActivate)
			require.True(t, ok)
			w.happensOnce(t, w.clerk(), "supersede-"+status, told(supersede, activate), func(tx *registry.Tx) error {
				_, err := w.ChipEvent(tx, fresh.ID, issuance.EventActivate, w.clerk().roles)
				return err
			})
			require.Equal(t, issuance.StatusCancelled, w.status(t, old.ID))
			require.Equal(t, issuance.StatusNormal, w.status(t, fresh.ID))
		}
		for _, status := range []string{issuance.StatusNormal, issuance.StatusTempLost, issuance.StatusLost} {
			c := w.cardIn(t, status)
			for range 2 { // a correction after the death changes nothing of the card
				require.NoError(t, w.supervisor().in(t, func(tx *registry.Tx) error {
					_, err := tx.CorrectPerson(c.PersonID, 0, "民政通报", func(told *registry.NewPerson) { told.Life = registry.LifeDead })
					return err
				}))
			}
			require.Equal(t, issuance.StatusLocked, w.status(t, c.ID))
			require.Equal(t, 1, w.count(t, "card_status_log", "card_id = ? AND event = 'holderDied'", c.ID))
		}
		lost := w.cardIn(t, issuance.StatusTempLost)
		gone := w.cardIn(t, issuance.StatusLost)
		temporary := w.working(t, issuance.Request{Person: gone.PersonID, Kind: issuance.KindTemporary})
		w.clock.Advance(100 * 24 * time.Hour)
		for happened, again := -1, 0; happened != 0; again++ {
			var err error
			happened, err = w.Clock(t.Context(), "630000")
			require.NoError(t, err)
			require.Less(t, again, 3)
		}
		before := w.whole(t)
		_, err := w.Clock(t.Context(), "630000")
		require.NoError(t, err)
		require.Equal(t, before, w.whole(t))
		require.Equal(t, issuance.StatusNormal, w.status(t, lost.ID))
		require.Equal(t, issuance.StatusLost, w.status(t, gone.ID), "where no place cancels it by itself")
		require.Equal(t, issuance.StatusCancelled, w.status(t, temporary.ID))
		require.Zero(t, w.count(t, "deliveries", "attempts > 0 OR state <> 'waiting'"))
	})
}

// TestChipLinesOnce: the lines of a personalisation: beginning again is going on
// with the same chip, and the last answers twice make one card.
func TestChipLinesOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		a, socket := w.numbered(t), blank(t, makerKey)
		for range 2 {
			_, err := w.issuer().open(t, socket, issuance.EventPersonalise, a.ID)
			require.NoError(t, err)
		}
		_, err := w.issuer().open(t, blank(t, makerKey), issuance.EventPersonalise, a.ID)
		require.ErrorIs(t, err, issuance.ErrOtherChip)
		inWords(t, err)
		require.Equal(t, issuance.StatePersonalising, w.stateOf(t, &issuance.Applications, a.ID))
		require.Equal(t, 1, w.count(t, "personalisations", "application_id = ?", a.ID))
		turn, err := w.issuer().open(t, socket, issuance.EventPersonalise, a.ID)
		require.NoError(t, err)
		for turn.Script != nil {
			answers, last := answer(t, socket, turn), turn
			turn, err = w.Step(t.Context(), w.issuer().actor, last.Session, last.Seq, answers, "")
			require.NoError(t, err)
			before := w.whole(t)
			again, err := w.Step(t.Context(), w.issuer().actor, last.Session, last.Seq, answers, "")
			require.NoError(t, err)
			require.Equal(t, throughJSON(t, turn), throughJSON(t, again))
			require.Equal(t, before, w.whole(t), "the answer was lost")
		}
		require.Equal(t, issuance.StateMade, w.stateOf(t, &issuance.Applications, a.ID))
		require.Equal(t, 1, w.count(t, "cards", "person_id = ?", a.PersonID))
		_, err = w.issuer().open(t, socket, issuance.EventPersonalise, a.ID)
		require.ErrorIs(t, err, issuance.ErrNotAllowed)
	})
}
