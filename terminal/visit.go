package terminal

import (
	"context"
	"errors"
	"net/http"
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

// Settle carries a visit out: a card on the list of invalid cards is refused,
// the chip is read and proven genuine, the card's status is looked at, the
// holder's number is verified by the chip, the transaction is journalled and
// sent. An answer that does not come, or that is not the end, leaves the
// transaction in the journal, and Recover reverses it.
func (d *Desk) Settle(ctx context.Context, platform Platform, visit Visit) (client.Transaction, error) {
	var reading Reading
	err := d.Station.withChip(ctx, func(ctx context.Context, chip Chip) (err error) {
		if reading, err = d.Station.perform(ctx, chip, platform, Job{Operation: "read", refuse: d.listed}); err != nil {
			return err
		}
		if err := usable(reading.Result); err != nil {
			return err
		}
		d.Station.SetProgress(&Progress{Total: 1, Label: "验证社保密码"})
		return card.VerifyPIN(ctx, apdu.NewChannel(chip), reading.profile, visit.PIN)
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
	if !endKnown(err) {
		return client.Transaction{}, ErrUnknownEnd.Because(err)
	}
	if endErr := d.Journal.End(request.Id); err == nil {
		err = endErr
	}
	return transaction, err
}

// endKnown says whether what came back from sending a transaction is its end.
// No answer is none, nor is a fault of the platform's own, which may have come
// after the booking, nor that an earlier sending is still under way.
func endKnown(err error) bool {
	var problem *client.Problem
	if errors.As(err, &problem) {
		return problem.Status < http.StatusInternalServerError && problem.Code != "running"
	}
	return err == nil
}

// listed refuses a card on the list of invalid cards, before the platform is
// asked and even when it is away.
func (d *Desk) listed(identity *card.Identity) error {
	if d.Invalid.Contains(upperHex(identity.CardID)) {
		return ErrInvalidCard
	}
	return nil
}

// usable refuses a card that is not in normal use by what the platform said a
// moment ago.
func usable(result client.ChipResult) error {
	switch {
	case !result.Genuine:
		return ErrNotGenuine
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
// the transaction should it still come. One that the platform refuses to
// reverse stays, and does not keep the others waiting.
func (d *Desk) Recover(ctx context.Context, platform Platform) error {
	open, err := d.Journal.Open()
	failed := []error{err}
	for _, id := range open {
		err := platform.reverse(ctx, id, "终端未收到应答")
		if errors.Is(err, ErrOffline) {
			return errors.Join(append(failed, err)...)
		}
		if err == nil {
			err = d.Journal.End(id)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
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
