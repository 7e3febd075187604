package card

import (
	"context"

	"onecard/card/profile"
)

// ReadScripts is the number of scripts of a reading, opening included.
const ReadScripts = 2

// Read proves that the chip is genuine and reads issuer and holder (读卡).
type Read struct {
	work
	Proof  proof   `json:"proof"`
	Opened int     `json:"opened,omitempty"` // steps before the first element
	Proven bool    `json:"proven"`
	All    []Value `json:"values,omitempty"`
}

// NewRead begins a reading of a card that the opening script identified.
func NewRead(p *profile.Profile, id *Identity) (*Read, error) {
	if err := id.personalised(); err != nil {
		return nil, err
	}
	return &Read{work: work{Identity: id, profile: p}}, nil
}

// Next implements Operation.
func (o *Read) Next(ctx context.Context, keeper Keeper, in Input) (*Script, error) {
	if o.Turn == 0 {
		question, err := o.prove(ctx, keeper, &o.Proof)
		if err != nil {
			return nil, err
		}
		steps := []Step{question}
		if o.guarded() {
			step, err := o.authenticate(ctx, keeper, readKey, o.Identity.Challenge)
			if err != nil {
				return nil, err
			}
			steps = append(steps, step)
		}
		o.Opened = len(steps)
		return o.out(append(steps, o.readAll(false)...)...), nil
	}
	if err := o.judge(&o.Proof, 0, in.Responses); err != nil {
		return nil, err
	}
	if err := o.answers(in); err != nil {
		return nil, err
	}
	values, err := o.values(false, in.Responses[o.Opened:])
	if err != nil {
		return nil, err
	}
	o.Proven, o.All, o.Steps = true, merge(o.Identity.Free, values), nil
	return nil, nil
}

// merge puts the free elements and those read later into the order of the
// files.
func merge(free, rest []Value) []Value { return append(append([]Value(nil), free...), rest...) }

// Genuine says whether the chip has proven itself.
func (o *Read) Genuine() bool { return o.Proven }

// Values returns what was read.
func (o *Read) Values() []Value { return o.All }

// NeedsPIN says whether the answers to the script that is out must come with
// the holder's number.
func (o *Read) NeedsPIN() bool { return false }

// Progress says how many scripts are done, of how many, and what comes.
func (o *Read) Progress() (done, total int, label string) {
	return o.Turn, ReadScripts - 1, "读卡并验证真伪"
}
