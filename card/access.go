package card

import (
	"cmp"
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

// part is the work under one key in one directory.
type part struct {
	scope *profile.Scope
	key   string // empty for what needs none
	pin   bool
	jobs  []job
}

// job is a target with what is to be done to it.
type job struct {
	target Target
	write  bool
	raw    []byte // to write
}

// plan orders items into parts: by directory, writing before reading, one part
// for each key.
func plan(p *profile.Profile, items []Item) ([]part, error) {
	var jobs []job
	for _, item := range items {
		target, err := Find(p, item.Path)
		if err != nil {
			return nil, err
		}
		if item.Write != nil {
			raw, err := target.Encode(*item.Write)
			if err != nil {
				return nil, err
			}
			jobs = append(jobs, job{target, true, raw})
		}
		if item.Write == nil || target.rule(false) != profile.Never {
			jobs = append(jobs, job{target: target})
		}
	}
	slices.SortStableFunc(jobs, func(a, b job) int {
		if by := cmp.Compare(a.target.scope.Index, b.target.scope.Index); by != 0 || a.write == b.write {
			return by
		}
		if a.write {
			return -1
		}
		return 1
	})
	var parts []part
	for _, j := range jobs {
		key, pin, err := needs(j.target.rule(j.write))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", j.target.Path, err)
		}
		parts = place(parts, part{scope: j.target.scope, key: key, pin: pin}, j)
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("nothing to do: %w", ErrNoTarget)
	}
	// What needs no key has no challenge to wait for, and comes with the last.
	slices.SortStableFunc(parts, func(a, b part) int { return rank(a) - rank(b) })
	return parts, nil
}

func rank(p part) int {
	if p.key == "" {
		return 1
	}
	return 0
}

// stretch returns the parts that one script holds, from the one that is due.
func stretch(parts []part, from int) []part {
	end := from + 1
	for end < len(parts) && parts[end].key == "" {
		end++
	}
	return parts[from:end]
}

// place puts a job into the part that opens what it needs, or into a new one.
// A job without a key goes into any part of its directory that comes after the
// writings before it.
func place(parts []part, wanted part, j job) []part {
	for i := len(parts) - 1; i >= 0 && parts[i].scope == wanted.scope; i-- {
		if parts[i].key == wanted.key || wanted.key == "" {
			parts[i].jobs = append(parts[i].jobs, j)
			parts[i].pin = parts[i].pin || wanted.pin
			return parts
		}
		if parts[i].key == "" { // what had no key may well wait for one
			parts[i].key, parts[i].pin = wanted.key, parts[i].pin || wanted.pin
			parts[i].jobs = append(parts[i].jobs, j)
			return parts
		}
	}
	wanted.jobs = []job{j}
	return append(parts, wanted)
}

// needs says which key of the province, and whether the holder's number, an
// access condition asks for. Where either does, the key is taken: the holder
// need not be there.
func needs(rule string) (key string, pin bool, err error) {
	switch {
	case rule == profile.Never:
		return "", false, ErrNotAllowed
	case rule == profile.Free:
		return "", false, nil
	case strings.Contains(rule, "&"):
		for _, term := range strings.Split(rule, "&") {
			if term == profile.PINKey {
				pin = true
			} else if key != "" {
				return "", false, fmt.Errorf("rule %q asks for two keys: %w", rule, errors.ErrUnsupported)
			} else {
				key = term
			}
		}
		return key, pin, nil
	}
	for _, term := range strings.Split(rule, "|") {
		if term != profile.PINKey {
			return term, false, nil
		}
	}
	return "", true, nil
}

// OpeningFor returns the opening script for items: as Opening, but with the
// directory of the first of them selected before the challenge is taken.
func OpeningFor(p *profile.Profile, items []Item) (*Script, error) {
	parts, err := plan(p, items)
	if err != nil {
		return nil, err
	}
	script := Opening(p, factorLength)
	if scope := parts[0].scope; len(scope.FID) > 0 {
		script.Steps = slices.Insert(script.Steps, len(script.Steps)-1, selectStep(scope))
	}
	return script, nil
}

// NeedsPIN says whether items need the holder's number, which the counter gives
// to the chip and to nobody else.
func NeedsPIN(p *profile.Profile, items []Item) (bool, error) {
	parts, err := plan(p, items)
	return slices.ContainsFunc(parts, func(part part) bool { return part.pin }), err
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
			steps = append(steps, j.steps()...)
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
