package terminal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"onecard/apdu"
	"onecard/api/client"
	"onecard/card"
	"onecard/card/order"
	"onecard/card/profile"
)

// operationCompare holds the chip against the records; what other work refuses
// is here a result.
const operationCompare = "compare"

// Job is work on the chip in the reader that the province drives.
type Job struct {
	Operation     string // read, personalise, activate, lock, unlock, access, ...
	ApplicationID *uuid.UUID
	CardID        *uuid.UUID
	// PIN is the number that the holder chose, for an operation that sets it,
	// or the holder's, for one that the chip asks for it.
	PIN string
	// Items are what access reads and writes.
	Items []card.Item
	// Movement is what debit and credit are to do.
	Movement *client.Movement
	// Everything has access read all that the card holds, but for transparent
	// files; without the holder's number, all that needs none.
	Everything bool

	// refuse may end the work by what the card says of itself, before the
	// platform is asked.
	refuse func(*card.Identity) error
}

// opening returns the opening script for the job: it ends with a challenge, of
// a block of the card's cipher for the loading of keys.
func (j Job) opening(p *profile.Profile) (*card.Script, error) {
	switch j.Operation {
	case "personalise", "rekey":
		return card.Opening(p, p.BlockSize()), nil
	case "access":
		return card.OpeningFor(p, j.items(p))
	}
	return card.Opening(p, card.ChallengeLength), nil
}

// items returns what is to be done to a card.
func (j Job) items(p *profile.Profile) []card.Item {
	if !j.Everything {
		return j.Items
	}
	return slices.DeleteFunc(card.ReadEverything(p), func(item card.Item) bool {
		needed, err := card.NeedsPIN(p, []card.Item{item})
		return err != nil || needed && j.PIN == ""
	})
}

// Reading is the finished work on a chip.
type Reading struct {
	Session uuid.UUID // the proof for a transaction
	Result  client.ChipResult

	profile *profile.Profile // of the card
}

// Perform does a job on the chip in the reader: it runs the opening script,
// then the platform's scripts until the platform says that the work is done.
// When anything comes in between (card out, line gone, program ended), the
// same job started again continues where the chip is.
func (s *Station) Perform(ctx context.Context, platform Platform, job Job) (Reading, error) {
	var reading Reading
	err := s.withChip(ctx, func(ctx context.Context, chip Chip) (err error) {
		reading, err = s.perform(ctx, chip, platform, job)
		return err
	})
	if job.Operation != "read" && job.Operation != operationCompare {
		// The card is another one now, or half of one: look again.
		s.lookAgain()
	}
	return reading, err
}

func (s *Station) perform(ctx context.Context, chip Chip, platform Platform, job Job) (Reading, error) {
	s.SetProgress(&Progress{Total: 1, Label: "识别卡"})
	opened, err := s.open(ctx, chip, job.opening)
	if job.Operation == operationCompare && opened.Identity != nil {
		err = nil // what is wrong with the card is for the platform to find
	}
	if err == nil && job.refuse != nil {
		err = job.refuse(opened.Identity)
	}
	if err != nil {
		return Reading{}, err
	}
	job.Items = job.items(opened.Profile)
	turn, err := platform.openSession(ctx, job, s.State().Reader, chip.ATR(), opened.Responses)
	if err != nil {
		return Reading{}, err
	}
	channel := apdu.NewChannel(chip)
	place := order.Place{Session: turn.Session, Seq: turn.Seq, ATR: opened.Profile.Contact(chip.ATR()), Opening: opened.Responses}
	for ; !turn.Done; place.Seq, place.Opening = place.Seq+1, nil {
		given, err := s.order(turn, place)
		if err != nil {
			return Reading{}, err
		}
		responses, err := s.carryOut(ctx, channel, given, turn.Progress, job.PIN)
		if err != nil {
			return Reading{}, err
		}
		pin := ""
		if given.NeedsPIN {
			pin = job.PIN
		}
		if turn, err = platform.step(ctx, turn, responses, pin); err != nil {
			return Reading{}, err
		}
	}
	if turn.Result == nil {
		return Reading{}, fmt.Errorf("platform ended the work without a result: %w", errUnreadable)
	}
	return Reading{Session: turn.Session, Result: *turn.Result, profile: opened.Profile}, nil
}

// order returns that of a turn, if it is one of the province's, for this chip
// and this place, and not too late.
func (s *Station) order(turn client.Turn, place order.Place) (order.Order, error) {
	var token string
	if turn.Order != nil {
		token = *turn.Order
	}
	given, err := s.config.Orders.Open(token, place)
	switch {
	case errors.Is(err, order.ErrLate):
		return order.Order{}, ErrOrderLate.Because(err)
	case err != nil:
		return order.Order{}, ErrOrder.Because(err)
	}
	return given, nil
}

// carryOut runs an order while it has time.
func (s *Station) carryOut(ctx context.Context, channel *apdu.Channel, given order.Order, whole *client.Progress, pin string) ([]apdu.Response, error) {
	within, cancel := context.WithTimeout(ctx, time.Duration(given.Budget)*time.Second)
	defer cancel()
	responses, err := card.RunWithPIN(within, channel, &card.Script{Steps: given.Steps}, pin, s.scriptProgress(whole))
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return nil, ErrOrderLate.Because(err)
	}
	return responses, err
}

// scriptProgress shows the script's own steps within the whole operation: the
// platform counts scripts, the chip's steps divide each of them.
func (s *Station) scriptProgress(whole *client.Progress) func(done, total int, label string) {
	return func(done, total int, label string) {
		progress := Progress{Done: done, Total: total, Label: label}
		if whole != nil && total > 0 {
			progress.Total = whole.Total * total
			progress.Done = whole.Done*total + done
		}
		s.SetProgress(&progress)
	}
}
