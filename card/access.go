package card

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"onecard/apdu"
	"onecard/card/profile"
)

// Item is one thing to do to a target of a card: to read it, or to write it and
// read it back. Of a cyclic file a writing appends a record.
type Item struct {
	Path  string `json:"path"`
	Write *Data  `json:"write,omitempty"` // nil to read
}

// Access reads and writes elements, records and files in any of the card's
// applications (读写数据项), and proves that the chip is genuine on the way.
//
// It takes one script for each distinct key, since the chip authenticates one
// key per challenge, and the opening: the challenge for the next key rides at
// the end of the script before. What needs no key, or the holder's number only,
// rides along. What was written is read back under the key for reading.
type Access struct {
	work
	Items  []Item  `json:"items"`
	Part   int     `json:"part"` // of the plan, whose script is out
	Proof  proof   `json:"proof"`
	Proven bool    `json:"proven"`
	All    []Value `json:"values,omitempty"`
}

// NewAccess begins work on a card that OpeningFor opened for the same items.
func NewAccess(p *profile.Profile, id *Identity, items []Item) (*Access, error) {
	if err := id.personalised(); err != nil {
		return nil, err
	}
	if _, err := plan(p, items); err != nil {
		return nil, err
	}
	return &Access{work: work{Identity: id, profile: p}, Items: items}, nil
}

// ReadEverything returns the items that read all that a card holds, but for
// transparent files and what nobody may read.
func ReadEverything(p *profile.Profile) []Item {
	var items []Item
	for _, t := range Targets(p) {
		if t.rule(false) != profile.Never {
			items = append(items, Item{Path: t.Path})
		}
	}
	return items
}

// Next implements Operation.
func (o *Access) Next(ctx context.Context, keeper Keeper, in Input) (*Script, error) {
	parts, err := plan(o.profile, o.Items)
	if err != nil {
		return nil, err
	}
	if o.Turn > 0 {
		done := stretch(parts, o.Part)
		if err := o.take(in, done); err != nil {
			return nil, err
		}
		if o.Part += len(done); o.Part == len(parts) {
			o.Steps = nil
			return nil, nil
		}
	}
	challenge := o.Identity.Challenge
	if o.Turn > 0 {
		challenge = lastData(in.Responses)
	}
	return o.script(ctx, keeper, parts, challenge)
}

// script makes the script of the part that is due.
func (o *Access) script(ctx context.Context, keeper Keeper, parts []part, challenge []byte) (*Script, error) {
	now := stretch(parts, o.Part)
	var steps []Step
	if o.Turn == 0 {
		question, err := o.prove(ctx, keeper, &o.Proof)
		if err != nil {
			return nil, err
		}
		steps = append(steps, question)
	}
	for i, part := range now {
		if i > 0 && part.scope != now[i-1].scope {
			steps = append(steps, o.selectStep(part.scope))
		}
		if part.key != "" {
			open, err := o.authenticate(ctx, keeper, part.key, challenge)
			if err != nil {
				return nil, err
			}
			steps = append(steps, open)
		}
		if part.pin {
			steps = append(steps, verifyStep(o.profile))
		}
		for _, j := range part.jobs {
			done, err := o.stepsOf(ctx, keeper, part, j, challenge)
			if err != nil {
				return nil, err
			}
			steps = append(steps, done...)
		}
	}
	if next := o.Part + len(now); next < len(parts) {
		if parts[next].scope != now[len(now)-1].scope {
			steps = append(steps, o.selectStep(parts[next].scope))
		}
		steps = append(steps, challengeCommand(factorLength))
	}
	return o.out(steps...), nil
}

// stepsOf makes the commands of a job, protected as the profile asks.
func (o *Access) stepsOf(ctx context.Context, keeper Keeper, p part, j job, challenge []byte) ([]Step, error) {
	steps := j.steps()
	if !p.secured {
		return steps, nil
	}
	protected, err := o.protect(ctx, keeper, steps[0], challenge)
	return []Step{protected}, err
}

// protect secures a writing by a MAC, or by encipherment and a MAC, under the
// process key of the chip's challenge (线路保护).
func (w *work) protect(ctx context.Context, keeper Keeper, step Step, challenge []byte) (Step, error) {
	c := &step.Command
	c.CLA |= claProtected
	key := w.Identity.key(w.profile, "STK")
	header := []byte{c.CLA, c.INS, c.P1, c.P2, 0}
	if w.profile.Choices.Protection == profile.ProtectionMAC {
		header[4] = byte(len(c.Data) + macLength)
		mac, err := keeper.CommandMAC(ctx, key, challenge, slices.Concat(header, c.Data))
		if err != nil {
			return Step{}, fmt.Errorf("protect: %w", err)
		}
		c.Data = slices.Concat(c.Data, mac)
		return step, nil
	}
	seal, ok := keeper.(cipherer)
	if !ok {
		return Step{}, fmt.Errorf("protect: the keeper cannot encipher a command: %w", errors.ErrUnsupported)
	}
	block := w.profile.BlockSize()
	header[4] = byte((1+len(c.Data))/block*block + block + macLength)
	data, err := seal.CipherCommand(ctx, key, challenge, header, c.Data)
	if err != nil {
		return Step{}, fmt.Errorf("protect: %w", err)
	}
	c.Data = data
	return step, nil
}

func (j job) steps() []Step {
	if j.write {
		return j.target.writeSteps(j.raw)
	}
	return j.target.readSteps()
}

// take judges the answers to a script and takes what was read.
func (o *Access) take(in Input, done []part) error {
	at := 0
	if o.Turn == 1 {
		if err := o.judge(&o.Proof, 0, in.Responses); err != nil {
			return err
		}
		o.Proven = true
		at++
	}
	if err := pinRefused(o.Steps, in.Responses); err != nil {
		return err
	}
	if err := o.answers(in); err != nil {
		return err
	}
	for i, part := range done {
		for _, before := range []bool{i > 0 && part.scope != done[i-1].scope, part.key != "", part.pin} {
			if before {
				at++
			}
		}
		for _, j := range part.jobs {
			n := len(j.steps())
			if err := o.keep(j, in.Responses[at:at+n]); err != nil {
				return err
			}
			at += n
		}
	}
	return nil
}

// keep takes what a job read, and compares it when it was written before.
func (o *Access) keep(j job, responses []apdu.Response) error {
	if j.write {
		return nil
	}
	values, err := j.target.values(responses)
	if err != nil {
		return err
	}
	o.All = append(o.All, values...)
	return o.compare(j.target, responses)
}

// compare holds what is read back against what was written.
func (o *Access) compare(target Target, responses []apdu.Response) error {
	i := slices.IndexFunc(o.Items, func(item Item) bool { return item.Path == target.Path && item.Write != nil })
	if i < 0 {
		return nil
	}
	raw, err := target.Encode(*o.Items[i].Write)
	if err != nil {
		return err
	}
	var read []byte
	for _, r := range responses {
		read = append(read, r.Data...)
	}
	if !strings.HasPrefix(string(read), string(raw)) {
		return &ReadBackError{Element: target.Title()}
	}
	return nil
}

// Genuine says whether the chip has proven itself.
func (o *Access) Genuine() bool { return o.Proven }

// Values returns what was read.
func (o *Access) Values() []Value { return o.All }

// NeedsPIN says whether the answers to the script that is out must come with
// the holder's number: never, the chip alone is given it.
func (o *Access) NeedsPIN() bool { return false }

// Progress says how many scripts are done, of how many, and what comes.
func (o *Access) Progress() (done, total int, label string) {
	parts, err := plan(o.profile, o.Items)
	if err != nil || o.Part >= len(parts) {
		return o.Part, o.Part, "读写完成"
	}
	return o.Part, len(parts), "读写 " + parts[o.Part].scope.Title.ZH
}
