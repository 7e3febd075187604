package terminal

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"onecard/apdu"
	"onecard/api/client"
	"onecard/card"
)

// The sizes of the challenge that an opening script ends with.
const (
	challengeAuthentication = 8
	challengeKeys           = 16
)

// operationCompare holds the chip against the records; what other work refuses
// is here a result.
const operationCompare = "compare"

// Job is work on the chip in the reader that the province drives.
type Job struct {
	Operation     string // read, compare, personalise, activate, lock, unlock
	ApplicationID *uuid.UUID
	CardID        *uuid.UUID
	// PIN is the number that the holder chose, for an operation that sets it.
	PIN string

	// refuse may end the work by what the card says of itself, before the
	// platform is asked.
	refuse func(*card.Identity) error
}

func (j Job) challenge() int {
	if j.Operation == "personalise" {
		return challengeKeys
	}
	return challengeAuthentication
}

// Reading is the finished work on a chip.
type Reading struct {
	Session uuid.UUID // the proof for a transaction
	Result  client.ChipResult
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
	identity, opening, err := s.open(ctx, chip, job.challenge())
	if job.Operation == operationCompare && identity != nil {
		err = nil // what is wrong with the card is for the platform to find
	}
	if err == nil && job.refuse != nil {
		err = job.refuse(identity)
	}
	if err != nil {
		return Reading{}, err
	}
	turn, err := platform.openSession(ctx, job, s.State().Reader, chip.ATR(), opening)
	if err != nil {
		return Reading{}, err
	}
	channel := apdu.NewChannel(chip)
	for !turn.Done {
		script, err := decodeScript(turn.Script)
		if err != nil {
			return Reading{}, err
		}
		responses, err := card.Run(ctx, channel, script, s.scriptProgress(turn.Progress))
		if err != nil {
			return Reading{}, err
		}
		pin := ""
		if turn.NeedsPin != nil && *turn.NeedsPin {
			pin = job.PIN
		}
		if turn, err = platform.step(ctx, turn, responses, pin); err != nil {
			return Reading{}, err
		}
	}
	if turn.Result == nil {
		return Reading{}, fmt.Errorf("platform ended the work without a result: %w", errUnreadable)
	}
	return Reading{Session: turn.Session, Result: *turn.Result}, nil
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
