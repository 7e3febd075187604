package issuance_test

import (
	"encoding/json"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/issuance"
	"onecard/issuance/session"
	"onecard/registry"
)

// counter is an operator at a workstation with a reader.
type counter struct {
	world
	actor registry.Actor
	roles []string
}

// at returns an operator of Chindu county at a workstation.
func (w world) at(workstation, operator string, roles ...string) counter {
	return counter{w, registry.Actor{Operator: operator, Workstation: workstation, Place: "632723"}, roles}
}

// The people of a county.
func (w world) clerk() counter    { return w.at("W-1", "caiwang", registry.RoleClerk) }
func (w world) reviewer() counter { return w.at("W-2", "lihong", registry.RoleReviewer) }
func (w world) issuer() counter   { return w.at("W-3", "maxiu", registry.RoleIssuer) }
func (w world) supervisor() counter {
	return w.at("W-4", "zhaowei", registry.RoleSupervisor)
}

// apply enters an application.
func (c counter) apply(t must, person uuid.UUID) (a issuance.Application, err error) {
	t.Helper()
	return c.request(t, issuance.Request{Person: person, Kind: issuance.KindFirst})
}

// request enters an application of any kind.
func (c counter) request(t must, request issuance.Request) (a issuance.Application, err error) {
	t.Helper()
	err = c.db.InTx(t.Context(), c.actor, func(tx *registry.Tx) (err error) {
		a, err = c.Apply(tx, request)
		return err
	})
	return a, err
}

// fire lets an event happen to an application.
func (c counter) fire(t must, id uuid.UUID, event, reason string) (a issuance.Application, err error) {
	t.Helper()
	err = c.db.InTx(t.Context(), c.actor, func(tx *registry.Tx) (err error) {
		a, err = c.Fire(tx, id, issuance.Asked{Event: event, Reason: reason, Roles: c.roles})
		return err
	})
	return a, err
}

// fireCard lets an event happen to a card.
func (c counter) fireCard(t must, id uuid.UUID, event, reason string) (found issuance.Card, err error) {
	t.Helper()
	return c.ask(t, id, issuance.Asked{Event: event, Reason: reason})
}

// ask lets an event happen to a card as it is asked for.
func (c counter) ask(t must, id uuid.UUID, asked issuance.Asked) (found issuance.Card, err error) {
	t.Helper()
	asked.Roles = c.roles
	err = c.db.InTx(t.Context(), c.actor, func(tx *registry.Tx) (err error) {
		found, err = c.FireCard(tx, id, asked)
		return err
	})
	return found, err
}

// opening runs the opening script and says what a counter says of it.
func (c counter) opening(t must, socket *chip.Socket, operation string, subject uuid.UUID, items ...card.Item) issuance.OpenSession {
	t.Helper()
	o := issuance.OpenSession{Operation: operation, Reader: "reader 1", ATR: socket.Chip.PowerOn(), Roles: c.roles, Items: items}
	challenge := func(*profile.Profile) int { return card.ChallengeLength }
	switch operation {
	case issuance.EventPersonalise:
		o.ApplicationID, challenge = &subject, (*profile.Profile).BlockSize
	case "read":
	default:
		o.CardID = &subject
	}
	if operation == issuance.WorkDebit || operation == issuance.WorkCredit {
		o.Movement = &card.Movement{Amount: 1, Total: 1, Terminal: "632723000009", TerminalSerial: made.Add(1)}
	}
	if operation == issuance.WorkRekey {
		challenge = (*profile.Profile).BlockSize
	}
	channel := apdu.NewChannel(socket)
	opened, err := card.Open(t.Context(), channel, province.profiles, o.ATR, func(p *profile.Profile) (*card.Script, error) {
		if script, err := card.OpeningFor(p, items); operation == issuance.WorkAccess && err == nil {
			return script, nil
		}
		return card.Opening(p, challenge(p)), nil
	})
	if o.Opening = opened.Responses; o.Opening != nil {
		return o
	}
	// A card that no counter would ask about: what it says is for the platform.
	require.NotErrorIs(t, err, chip.ErrPower)
	candidates, err := profile.Candidates(province.profiles, o.ATR)
	if err != nil {
		return o
	}
	o.Opening, err = card.Run(t.Context(), channel, card.Opening(candidates[0], challenge(candidates[0])), nil)
	require.NoError(t, err)
	return o
}

// open begins work on a chip.
func (c counter) open(t must, socket *chip.Socket, operation string, subject uuid.UUID, items ...card.Item) (session.Turn, error) {
	t.Helper()
	return c.OpenSession(t.Context(), c.actor, c.opening(t, socket, operation, subject, items...))
}

// answer runs a turn's script.
func answer(t must, socket *chip.Socket, turn session.Turn) []apdu.Response {
	t.Helper()
	return answerWithPIN(t, socket, turn, "")
}

// answerWithPIN runs a turn's script with the holder's number for the chip.
func answerWithPIN(t must, socket *chip.Socket, turn session.Turn, pin string) []apdu.Response {
	t.Helper()
	responses, err := card.RunWithPIN(t.Context(), apdu.NewChannel(socket), throughJSON(t, turn.Script), pin, nil)
	require.NoError(t, err)
	return responses
}

// step runs a turn's script and hands the answers in.
func (c counter) step(t must, socket *chip.Socket, turn session.Turn, pin string) (session.Turn, error) {
	t.Helper()
	answers := answerWithPIN(t, socket, turn, pin)
	if !turn.NeedsPIN {
		pin = ""
	}
	return c.Step(t.Context(), c.actor, turn.Session, turn.Seq, answers, pin)
}

// carry goes on with a turn to the end.
func (c counter) carry(t must, socket *chip.Socket, turn session.Turn, pin string) (session.Turn, error) {
	t.Helper()
	for turn.Script != nil {
		var err error
		if turn, err = c.step(t, socket, turn, pin); err != nil {
			return session.Turn{}, err
		}
	}
	return turn, nil
}

// work does an operation on a chip from the beginning to the end.
func (c counter) work(t must, socket *chip.Socket, operation string, subject uuid.UUID, pin string, items ...card.Item) (issuance.Result, session.Turn, error) {
	t.Helper()
	turn, err := c.open(t, socket, operation, subject, items...)
	if err != nil {
		return issuance.Result{}, session.Turn{}, err
	}
	if turn, err = c.carry(t, socket, turn, pin); err != nil {
		return issuance.Result{}, session.Turn{}, err
	}
	return result(t, turn), turn, nil
}

func result(t must, turn session.Turn) issuance.Result {
	t.Helper()
	var r issuance.Result
	require.NoError(t, json.Unmarshal(turn.Result, &r))
	return r
}

// numbered returns an application of a new person that was reviewed.
func (w world) numbered(t must) issuance.Application {
	t.Helper()
	a, err := w.clerk().apply(t, w.person(t, "扎西·多杰", "1981-05-01").ID)
	require.NoError(t, err)
	a, err = w.reviewer().fire(t, a.ID, issuance.EventApprove, "")
	require.NoError(t, err)
	return a
}

// card makes a card of a new person, sealed, and returns it with its chip.
func (w world) card(t must) (issuance.Card, *chip.Socket) {
	t.Helper()
	socket := blank(t, makerKey)
	r, _, err := w.issuer().work(t, socket, issuance.EventPersonalise, w.numbered(t).ID, "")
	require.NoError(t, err)
	c, err := w.Card(t.Context(), r.CardID)
	require.NoError(t, err)
	return c, socket
}

const pin = "270419"

// activated makes a card that is in use.
func (w world) activated(t must) (issuance.Card, *chip.Socket) {
	t.Helper()
	c, socket := w.card(t)
	_, _, err := w.clerk().work(t, socket, issuance.EventActivate, c.ID, pin)
	require.NoError(t, err)
	c, err = w.Card(t.Context(), c.ID)
	require.NoError(t, err)
	return c, socket
}
