package card

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"onecard/card/profile"
)

// part is the work under one key in one directory.
type part struct {
	scope *profile.Scope
	key   string // empty for what needs none
	pin   bool
	// secured says that the one job is a writing with a MAC, which takes a
	// challenge of its own.
	secured bool
	jobs    []job
}

// job is a target with what is to be done to it.
type job struct {
	target Target
	write  bool
	raw    []byte // to write
}

// last puts reading behind writing.
func (j job) last() int {
	if j.write {
		return 0
	}
	return 1
}

// opens keeps writings under one rule together.
func (j job) opens() string {
	if j.write {
		return j.target.rule(true)
	}
	return ""
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
		return cmp.Or(cmp.Compare(a.target.scope.Index, b.target.scope.Index), a.last()-b.last(), strings.Compare(a.opens(), b.opens()))
	})
	var parts []part
	for _, j := range jobs {
		key, pin, err := needs(j.target.rule(j.write))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", j.target.Path, err)
		}
		if wanted := (part{scope: j.target.scope, key: key, pin: pin}); j.write && p.Choices.Protection != profile.ProtectionNone {
			if parts, err = secure(parts, wanted, j); err != nil {
				return nil, err
			}
		} else {
			parts = place(parts, wanted, j)
		}
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("nothing to do: %w", ErrNoTarget)
	}
	// What needs no key has no challenge to wait for, and comes with the last.
	slices.SortStableFunc(parts, func(a, b part) int { return rank(a) - rank(b) })
	return parts, nil
}

func rank(p part) int {
	if p.free() {
		return 1
	}
	return 0
}

// free says that a part waits for no challenge.
func (p part) free() bool { return p.key == "" && !p.secured }

// stretch returns the parts that one script holds, from the one that is due.
func stretch(parts []part, from int) []part {
	end := from + 1
	for end < len(parts) && parts[end].free() {
		end++
	}
	return parts[from:end]
}

// place puts a job into the part that opens what it needs, or into a new one.
// A job without a key goes into any part of its directory that comes after the
// writings before it.
func place(parts []part, wanted part, j job) []part {
	for i := len(parts) - 1; i >= 0 && parts[i].scope == wanted.scope && !parts[i].secured; i-- {
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

// secure puts a protected writing behind the part that opens what it needs.
func secure(parts []part, wanted part, j job) ([]part, error) {
	if j.target.element == nil && j.target.file.Kind == profile.Transparent {
		return nil, fmt.Errorf("%s: protected writing of a transparent file: %w", j.target.Path, errors.ErrUnsupported)
	}
	at := len(parts)
	for at > 0 && parts[at-1].secured {
		at--
	}
	if wanted.key != "" && (at == 0 || parts[at-1].scope != wanted.scope || parts[at-1].key != wanted.key) {
		parts = append(parts, wanted)
	}
	return append(parts, part{scope: wanted.scope, secured: true, jobs: []job{j}}), nil
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
