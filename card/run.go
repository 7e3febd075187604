package card

import (
	"context"
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
			r, err := channel.Send(ctx, step.Command)
			if err != nil {
				return err
			}
			responses = append(responses, r)
			if !step.accepts(r.SW) {
				break
			}
		}
		return nil
	})
	return responses, err
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
