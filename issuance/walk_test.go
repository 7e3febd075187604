package issuance_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"onecard/card/chip"
	"onecard/issuance"
	"onecard/registry"
)

// walk is one application with its card, its chip and what a terminal knows.
type walk struct {
	world
	a      issuance.Application
	c      issuance.Card // zero until it is made
	socket *chip.Socket  // blank, begun, or the card
	alive  bool
	locker string            // who locked the card
	seq    int64             // up to where the terminal has the list
	listed map[string]string // the list as the terminal keeps it: status by chip
}

// attempt is what somebody tries.
type attempt struct {
	who           counter
	machine       *issuance.Machine
	event, reason string
	chip          bool
	whole         bool // chip work is carried to its end
}

// TestWalk lets random people try random things with an application and its
// card. What the table lets them do happens, and nothing else does.
func TestWalk(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		rapid.Check(t, func(t *rapid.T) {
			var err error
			k := &walk{world: w, socket: blank(t, makerKey), alive: true, listed: map[string]string{}}
			k.a, err = w.clerk().apply(t, w.person(t, "扎西·多杰", "1981-05-01").ID)
			require.NoError(t, err)
			for range rapid.IntRange(20, 40).Draw(t, "length") {
				if k.alive && rapid.IntRange(0, 80).Draw(t, "death") == 0 {
					w.clock.Advance(time.Millisecond) // the log of another place
					w.dies(t, k.a.PersonID)
					w.clock.Advance(time.Millisecond)
					k.alive = false
					if k.c.ID != uuid.Nil { // a card in use stops working
						var err error
						k.c, err = k.Card(t.Context(), k.c.ID)
						require.NoError(t, err)
						k.locker = "admin"
					}
				}
				k.try(t, k.draw(t))
				k.agrees(t)
			}
		})
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// draw makes up an attempt: often one that the table has a line for, so that
// the walk gets somewhere.
func (k *walk) draw(t *rapid.T) attempt {
	x := attempt{machine: &issuance.Applications, reason: rapid.SampledFrom([]string{"", "原因"}).Draw(t, "reason"), whole: rapid.Bool().Draw(t, "whole")}
	state := k.a.State
	if k.c.ID != uuid.Nil && rapid.IntRange(0, 4).Draw(t, "of the card") > 0 {
		x.machine, state = &issuance.Cards, k.c.Status
	}
	operator := rapid.SampledFrom([]string{k.a.EnteredBy, "lihong", "zhaowei"}).Draw(t, "operator")
	ending := rapid.IntRange(0, 7).Draw(t, "ending") == 0
	lines := slices.DeleteFunc(slices.Clone(x.machine.Rules), func(r issuance.Rule) bool {
		return r.From != state || r.By != "" || x.machine.State(r.To).Final && !ending
	})
	if len(lines) > 0 && rapid.IntRange(0, 3).Draw(t, "sensible") > 0 {
		line := rapid.SampledFrom(lines).Draw(t, "line")
		x.who = k.at("W-1", operator, line.Roles...)
		x.event, x.chip = line.Event, line.Chip != ""
		return x
	}
	roles := rapid.SliceOfN(rapid.SampledFrom([]string{registry.RoleClerk, registry.RoleReviewer, registry.RoleIssuer, registry.RoleSupervisor, registry.RoleCashier}), 0, 2).Draw(t, "roles")
	x.who = k.at("W-1", operator, roles...)
	x.event = rapid.SampledFrom(append(slices.Clone(x.machine.Rules), issuance.Rule{Event: "explode"})).Draw(t, "event").Event
	onCard := slices.Contains([]string{issuance.EventActivate, issuance.EventLock, issuance.EventUnlock}, x.event)
	x.chip = rapid.Bool().Draw(t, "chip") && (x.machine == &issuance.Cards && onCard || x.event == issuance.EventPersonalise)
	return x
}

// allowed says, by the table alone, whether an attempt is to succeed.
func (k *walk) allowed(x attempt) bool {
	state := k.a.State
	if x.machine == &issuance.Cards {
		state = k.c.Status
	}
	line, ok := x.machine.Rule(state, x.event)
	own := slices.Contains(line.Needs, issuance.NeedsOtherPerson) && x.who.actor.Operator == k.a.EnteredBy
	dead := slices.Contains(line.Needs, issuance.NeedsAlive) && !k.alive
	batch := slices.Contains(line.Needs, issuance.NeedsBatch)
	officer := slices.Contains(line.Needs, issuance.NeedsOtherOfficer) && x.who.actor.Operator == k.locker
	locked := slices.Contains(line.Needs, issuance.NeedsChipOpen) && k.c.Chip == issuance.ChipLocked
	return ok && line.Allows(x.who.roles) && (line.Chip != "") == x.chip && line.By == "" && !own && !dead && !batch && !officer && !locked && (line.Reasons == "" || x.reason != "")
}

// already says whether a card is where a hand would bring it.
func (k *walk) already(x attempt) bool {
	return x.machine == &issuance.Cards && !x.chip && slices.ContainsFunc(issuance.Cards.Rules, func(r issuance.Rule) bool {
		return r.Event == x.event && r.To == k.c.Status && r.Chip == "" && r.By == "" && r.Allows(x.who.roles)
	})
}

// try makes an attempt and looks at what became of it.
func (k *walk) try(t *rapid.T, x attempt) {
	allowed, already := k.allowed(x), k.already(x)
	before, application, status := k.dump(t), k.a, k.c.Status
	err := k.attempt(t, x)
	if !allowed {
		require.Equal(t, before, k.dump(t), "what is refused changes nothing: %s by %v", x.event, x.who.roles)
		require.Equal(t, already, err == nil, "%s: %v", x.event, err)
		return
	}
	require.NoError(t, err, "%s by %v", x.event, x.who.roles)
	a, err := k.Application(t.Context(), k.a.ID)
	require.NoError(t, err)
	k.a = a
	if a.CardID != nil {
		k.c, err = k.Card(t.Context(), *a.CardID)
		require.NoError(t, err)
	}
	line, _ := x.machine.Rule(application.State, x.event)
	if a.CardID == nil && k.c.ID != uuid.Nil { // scrapped: the application waits for another card
		gone, err := k.Card(t.Context(), k.c.ID)
		require.NoError(t, err)
		require.Equal(t, issuance.StatusCancelled, gone.Status)
		require.Equal(t, issuance.StateNumbered, a.State)
		k.c, k.socket = issuance.Card{}, blank(t, makerKey)
		return
	}
	switch {
	case x.machine == &issuance.Cards:
		line, _ = x.machine.Rule(status, x.event)
		require.Equal(t, line.To, k.c.Status)
		if line.To == issuance.StatusLocked {
			k.locker = x.who.actor.Operator
		}
	case x.event == issuance.EventPersonalise:
		require.Equal(t, x.whole, a.State == issuance.StateMade)
	default:
		require.Equal(t, line.To, a.State)
	}
	if x.event == issuance.EventSpoil {
		k.socket = blank(t, makerKey)
	}
}

func (k *walk) attempt(t *rapid.T, x attempt) error {
	id := k.a.ID
	if x.machine == &issuance.Cards {
		id = k.c.ID
	}
	switch {
	case x.chip:
		turn, err := x.who.open(t, k.socket, x.event, id)
		if err == nil && (x.whole || x.event != issuance.EventPersonalise) {
			_, err = x.who.carry(t, k.socket, turn, pin)
		}
		return err
	case x.machine == &issuance.Cards:
		_, err := x.who.fireCard(t, id, x.event, x.reason)
		return err
	}
	_, err := x.who.fire(t, id, x.event, x.reason)
	return err
}

// agrees holds the records against one another: the audit log and the status
// log lead line by line to the present state, nobody reviewed what he entered,
// and a terminal that asks for changes only knows the card's status.
func (k *walk) agrees(t *rapid.T) {
	require.Equal(t, k.a.State, k.replay(t, &issuance.Applications, "application:"+k.a.ID.String()))
	if k.c.ID == uuid.Nil {
		return
	}
	require.Equal(t, k.c.Status, k.replay(t, &issuance.Cards, "card:"+k.c.ID.String()))
	var log []struct {
		Event, Reason string
		From          string `gorm:"column:from_status"`
		To            string `gorm:"column:to_status"`
	}
	require.NoError(t, k.db.Read(t.Context()).Table("card_status_log").Where("card_id = ?", k.c.ID).Order("id").Find(&log).Error)
	status := issuance.Cards.Initial
	for _, entry := range log {
		line, ok := issuance.Cards.Rule(status, entry.Event)
		require.True(t, ok && entry.From == status && entry.To == line.To, "%v", entry)
		require.True(t, line.Reasons == "" || entry.Reason != "", "%v", entry)
		status = line.To
	}
	require.Equal(t, k.c.Status, status)
	k.refresh(t)
	inForce := k.c.Status == issuance.StatusSealed || k.c.Status == issuance.StatusNormal
	require.Equal(t, !inForce, k.listed[k.c.ChipID] != "", "only what is not in force is listed")
	require.True(t, inForce || k.listed[k.c.ChipID] == k.c.Status)
}

// replay follows the audit log from the beginning.
func (k *walk) replay(t *rapid.T, m *issuance.Machine, subject string) string {
	trail, err := k.db.AuditTrail(t.Context(), subject)
	require.NoError(t, err)
	slices.Reverse(trail)
	state := m.Initial
	for _, record := range trail {
		if record.Detail["to"] == "" {
			continue
		}
		line, ok := m.Rule(state, strings.TrimPrefix(record.Action, m.Name+"."))
		require.True(t, ok && record.Detail["from"] == state && record.Detail["to"] == line.To, "%v", record)
		require.False(t, slices.Contains(line.Needs, issuance.NeedsOtherPerson) && record.Actor.Operator == k.a.EnteredBy, "%v", record)
		state = line.To
	}
	return state
}

// refresh asks for the changes of the list as a terminal does, and compares
// what it has then with the full list.
func (k *walk) refresh(t *rapid.T) {
	changes, err := k.InvalidCards(t.Context(), k.seq)
	require.NoError(t, err)
	k.seq = changes.Latest
	for _, change := range changes.Entries {
		if change.Status == issuance.StatusNormal {
			delete(k.listed, change.ChipID)
		} else {
			k.listed[change.ChipID] = change.Status
		}
	}
	full, err := k.InvalidCards(t.Context(), 0)
	require.NoError(t, err)
	whole := map[string]string{}
	for _, entry := range full.Entries {
		whole[entry.ChipID] = entry.Status
	}
	require.Equal(t, whole, k.listed)
}
