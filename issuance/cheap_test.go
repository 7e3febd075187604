package issuance_test

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// The cards of a world may be made without chips: in a batch whose maker
// returns at once. It takes a hundredth of the time.

func (w world) producer() counter { return w.at("W-6", "zhoujun", registry.RoleProducer) }

// in runs a change as the operator.
func (c counter) in(t must, change func(tx *registry.Tx) error) error {
	t.Helper()
	return c.db.InTx(t.Context(), c.actor, change)
}

// batch puts an application into a batch and returns what its card is to say.
func (c counter) batch(t must, id uuid.UUID) (name string, err error) {
	t.Helper()
	err = c.in(t, func(tx *registry.Tx) error {
		contents, _, err := c.Batch(tx, id, c.roles)
		name = contents.Name
		return err
	})
	return name, err
}

// chipOf is a card as a maker reports it, on a chip of its own.
func chipOf(a issuance.Application) issuance.MadeCard {
	n, years, days := made.Add(1), 10, 0
	if a.Kind == issuance.KindTemporary {
		years, days = 0, 60
	}
	return issuance.MadeCard{
		Number: a.CardNumber, ChipID: fmt.Sprintf("639900D1560000FF%016X", n), ChipSerial: fmt.Sprintf("%08X", n), ATR: fmt.Sprintf("3B%08XFF", n),
		SpecVersion: "3.00", KeyVersion: 1, IssuedOn: gb.DateOf(registrytest.Start), ExpiresOn: gb.DateOf(registrytest.Start.AddDate(years, 0, days)), Custody: "county",
	}
}

// returns hands the card of an application in, as a maker's return does.
func (c counter) returns(t must, id uuid.UUID) (made issuance.Card, err error) {
	t.Helper()
	a, err := c.Application(t.Context(), id)
	require.NoError(t, err)
	err = c.in(t, func(tx *registry.Tx) (err error) {
		made, err = c.Make(tx, id, chipOf(a), "M-1", c.roles)
		return err
	})
	return made, err
}

// onChip lets the event of a chip operation happen.
func (c counter) onChip(t must, id uuid.UUID, event string) (found issuance.Card, err error) {
	t.Helper()
	err = c.in(t, func(tx *registry.Tx) (err error) {
		found, err = c.ChipEvent(tx, id, event, c.roles)
		return err
	})
	return found, err
}

// inBatch enters and reviews an application and puts it into a batch.
func (w world) inBatch(t must, request issuance.Request) issuance.Application {
	t.Helper()
	request.Method = issuance.MethodBatch
	a, err := w.clerk().request(t, request)
	require.NoError(t, err)
	a, err = w.reviewer().fire(t, a.ID, issuance.EventApprove, "")
	require.NoError(t, err)
	_, err = w.producer().batch(t, a.ID)
	require.NoError(t, err)
	return a
}

// sealed makes a card for what is asked for.
func (w world) sealed(t must, request issuance.Request) issuance.Card {
	t.Helper()
	c, err := w.producer().returns(t, w.inBatch(t, request).ID)
	require.NoError(t, err)
	return c
}

// first asks for the first card of a new person.
func (w world) first(t must) issuance.Request {
	t.Helper()
	return issuance.Request{Person: w.person(t, "扎西·多杰", "1981-05-01").ID, Kind: issuance.KindFirst}
}

// working makes a card that is in use.
func (w world) working(t must, request issuance.Request) issuance.Card {
	t.Helper()
	c, err := w.clerk().onChip(t, w.sealed(t, request).ID, issuance.EventActivate)
	require.NoError(t, err)
	return c
}
