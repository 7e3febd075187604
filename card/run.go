package card

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"onecard/apdu"
)

// Run sends a script to a chip, step by step, and returns the answers: one for
// each step, fewer when a status word ended the script early. An error means
// that a step got no answer; whether the chip carried it out is not known.
// progress may be nil.
func Run(ctx context.Context, channel *apdu.Channel, script *Script, progress func(done, total int, label string)) ([]apdu.Response, error) {
	return RunWithPIN(ctx, channel, script, "", progress)
}

// RunWithPIN is Run with the holder's number for the steps that ask for it. A
// script that asks without one given is ErrPINFormat before that step.
func RunWithPIN(ctx context.Context, channel *apdu.Channel, script *Script, pin string, progress func(done, total int, label string)) ([]apdu.Response, error) {
	responses := make([]apdu.Response, 0, len(script.Steps))
	err := channel.Together(ctx, func(channel *apdu.Channel) error {
		for i, step := range script.Steps {
			if err := ctx.Err(); err != nil {
				return err
			}
			if progress != nil {
				progress(i, len(script.Steps), step.Label)
			}
			if step.PIN {
				packed, err := packPIN(pin)
				if err != nil {
					return err
				}
				step.Command.Data = packed
			}
			r, err := send(ctx, channel, step.Command)
			if err != nil {
				return err
			}
			responses = append(responses, r)
			if !step.accepts(r.SW) || !step.expects(r.Data) {
				break
			}
		}
		return nil
	})
	return responses, err
}

// send sends a command. An answer that is none is a finding about the card.
func send(ctx context.Context, channel *apdu.Channel, command apdu.Command) (apdu.Response, error) {
	r, err := channel.Send(ctx, command)
	if errors.Is(err, apdu.ErrMalformed) {
		err = fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return r, err
}

// expectation is what a runner may know of the right answer to a command: too
// little to make the answer, enough to tell it from any other.
func expectation(command apdu.Command, answer []byte) []byte {
	sum := sha256.Sum256(slices.Concat(command.Data, answer))
	return sum[:4]
}

// expects says whether the answer is the one that the step asks for, if it does.
func (s Step) expects(answer []byte) bool {
	return len(s.Expect) == 0 || bytes.Equal(s.Expect, expectation(s.Command, answer))
}

func (s Step) accepts(sw apdu.SW) bool { return sw == apdu.OK || slices.Contains(s.Accept, sw) }

// Labels returns what the steps do, in words.
func (s *Script) Labels() []string {
	labels := make([]string, len(s.Steps))
	for i, step := range s.Steps {
		labels[i] = step.Label
	}
	return labels
}

// Counted returns the keys whose attempts the chip counts, with how often the
// script tries each: a wrong attempt brings the key nearer to its end.
func (s *Script) Counted() map[string]int {
	tries := map[string]int{}
	if s == nil {
		return tries
	}
	for _, step := range s.Steps {
		if step.Counts != "" {
			tries[step.Counts]++
		}
	}
	return tries
}

// Accepted returns the counted keys that the chip accepted, with how often the
// script tried each of them after that.
func (s *Script) Accepted(responses []apdu.Response) map[string]int {
	after := map[string]int{}
	for i, step := range s.Steps {
		_, accepted := after[step.Counts]
		switch {
		case step.Counts == "":
		case i < len(responses) && responses[i].SW == apdu.OK:
			after[step.Counts] = 0
		case accepted:
			after[step.Counts]++
		}
	}
	return after
}
