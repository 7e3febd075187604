package terminal

import (
	"context"
	"time"

	"github.com/google/uuid"

	"onecard/apdu"
	"onecard/api/client"
	"onecard/card"
)

// Item is one line of a bill (费用明细), money in fen.
type Item struct {
	Code     string `json:"code"`
	Name     string `json:"name"`
	Category string `json:"category"` // A 甲类, B 乙类, own 自费
	Fen      int64  `json:"fen"`
}

// Visit is what a holder pays with the card at this terminal.
type Visit struct {
	// ID becomes the transaction's: a visit sent twice is one transaction. The
	// zero value has one made.
	ID       uuid.UUID `json:"-"`
	Business string    `json:"business"` // pharmacy.purchase, outpatient.settle
	Items    []Item    `json:"items"`
	PIN      string    `json:"pin"`
}

// Desk is a terminal that settles visits: a station with its journal.
type Desk struct {
	Station *Station
	Journal *Journal
	Invalid *InvalidList
	Now     func() time.Time
}

// Settle carries a visit out: the chip is read and proven genuine, the card's
// status is looked at, the holder's number is verified by the chip, the
// transaction is journalled and sent. An answer that does not come leaves the
// transaction in the journal, and Recover finds out or reverses.
func (d *Desk) Settle(ctx context.Context, platform Platform, visit Visit) (client.Transaction, error) {
	var reading Reading
	err := d.Station.withChip(ctx, func(ctx context.Context, chip Chip) (err error) {
		if reading, err = d.Station.perform(ctx, chip, platform, Job{Operation: "read"}); err != nil {
			return err
		}
		if err := d.usable(reading.Result); err != nil {
			return err
		}
		d.Station.SetProgress(&Progress{Total: 1, Label: "验证社保密码"})
		p, err := d.Station.profile(chip)
		if err != nil {
			return err
		}
		return card.VerifyPIN(ctx, apdu.NewChannel(chip), p, visit.PIN)
	})
	if err != nil {
		return client.Transaction{}, err
	}
	request, err := d.Journal.Begin(d.Now(), reading.Session, visit)
	if err != nil {
		return client.Transaction{}, err
	}
	defer d.Journal.Leave(request.Id)
	transaction, err := platform.submit(ctx, request)
	if err != nil && isOffline(err) {
		return client.Transaction{}, ErrUnknownEnd.Because(err)
	}
	// The platform answered: whatever it said, the end is known.
	if endErr := d.Journal.End(request.Id); err == nil {
		err = endErr
	}
	return transaction, err
}

// usable refuses a card that is not in normal use: by what the platform said
// a moment ago and by the list of invalid cards, whichever is stricter.
func (d *Desk) usable(result client.ChipResult) error {
	switch {
	case !result.Genuine:
		return ErrNotGenuine
	case result.ChipId != nil && d.Invalid.Contains(*result.ChipId):
		return ErrInvalidCard
	case result.Status != nil && *result.Status != "1":
		fault := *ErrInvalidCard
		if result.StatusText != nil {
			fault.ZH += "：" + result.StatusText.Zh
			fault.EN += ": " + result.StatusText.En
		}
		return &fault
	}
	return nil
}

// Recover brings every transaction whose end is not known to an end: it is
// reversed, for the holder was told that it did not happen. The platform takes
// the reversal of a transaction that never reached it, too, and then refuses
// the transaction should it still come.
func (d *Desk) Recover(ctx context.Context, platform Platform) error {
	open, err := d.Journal.Open()
	if err != nil {
		return err
	}
	for _, id := range open {
		if err := platform.reverse(ctx, id, "终端未收到应答"); err != nil {
			return err
		}
		if err := d.Journal.End(id); err != nil {
			return err
		}
	}
	return nil
}

func (p Platform) submit(ctx context.Context, request client.NewTransaction) (client.Transaction, error) {
	answer, err := p.API.SubmitTransactionWithResponse(ctx, request, p.authorise)
	if err != nil {
		return client.Transaction{}, ErrOffline.Because(err)
	}
	return answered(answer.JSON200, answer.ApplicationproblemJSONDefault)
}

// reverse may be repeated and may come before the transaction itself: the
// transaction's id is the key.
func (p Platform) reverse(ctx context.Context, id uuid.UUID, reason string) error {
	params := &client.ReverseTransactionParams{IdempotencyKey: "reverse-" + id.String()}
	answer, err := p.API.ReverseTransactionWithResponse(ctx, id, params, client.Reversal{Reason: reason}, p.authorise)
	if err != nil {
		return ErrOffline.Because(err)
	}
	_, err = answered(answer.JSON200, answer.ApplicationproblemJSONDefault)
	return err
}
