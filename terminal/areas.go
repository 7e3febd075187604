package terminal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/profile"
)

// Area is a part of a card as people speak of it (信息区): the issuer's file, the
// holder's, or an application.
type Area struct {
	profile.Text
	Targets []Target `json:"targets"`
}

// Target is what can be read or written by itself, for a page that offers it.
type Target struct {
	profile.Text
	Path string       `json:"path"`
	File profile.Text `json:"file"`
	Tag  string       `json:"tag,omitempty"`
	// Kind of the file: variable for an element, cyclic for records that are
	// appended, transparent.
	Kind   profile.FileKind `json:"kind"`
	Length int              `json:"length"` // in bytes, of an element, a record or a file
	Coding string           `json:"coding,omitempty"`
	// Parts of a template or of a record.
	Parts []Part `json:"parts,omitempty"`
	Read  bool   `json:"read"`  // possible at all
	Write bool   `json:"write"` // possible at all, and not the record's to write
	PIN   bool   `json:"pin"`   // either needs the holder's number
	// Assumed marks what no public source confirms (暂定).
	Assumed bool   `json:"assumed"`
	Source  string `json:"source,omitempty"`
}

// Part is a part of a template or of a record.
type Part struct {
	profile.Text
	Name   string `json:"name"`
	Length int    `json:"length"`
	Coding string `json:"coding"`
}

// Areas returns what a card of a profile holds. The environment's own files are
// areas by themselves: the issuer's and the holder's.
func Areas(p *profile.Profile) []Area {
	var areas []Area
	for i := range p.Scopes {
		scope := &p.Scopes[i]
		whole := Area{Text: scope.Title}
		for j := range scope.Files {
			file := &scope.Files[j]
			targets := targetsOf(p, scope, file)
			if i == 0 {
				areas = append(areas, Area{Text: file.Title, Targets: targets})
				continue
			}
			whole.Targets = append(whole.Targets, targets...)
		}
		if len(whole.Targets) > 0 {
			areas = append(areas, whole)
		}
	}
	return areas
}

// targetsOf lists the elements of a file, or the file itself.
func targetsOf(p *profile.Profile, scope *profile.Scope, file *profile.File) []Target {
	path := scope.Name + "/" + file.Name()
	whole := Target{File: file.Title, Kind: file.Kind, Length: file.Size, Text: file.Title, Assumed: file.Assumed, Source: file.Source}
	if file.Kind != profile.Variable {
		whole.Path, whole.Parts = path, partsOf(file.Fields)
		return []Target{whole.permitted(p)}
	}
	var targets []Target
	for k := range file.Elements {
		e, t := &file.Elements[k], whole
		t.Path, t.Text, t.Tag, t.Length = path+"/"+e.Name, e.Title, fmt.Sprintf("%02X", e.Tag), e.Length
		t.Coding, t.Parts, t.Assumed = e.Coding, partsOf(e.Inner), file.Assumed || e.Assumed
		targets = append(targets, t.permitted(p))
	}
	return targets
}

func partsOf(elements []profile.Element) []Part {
	var parts []Part
	for _, e := range elements {
		parts = append(parts, Part{Text: e.Title, Name: e.Name, Length: e.Length, Coding: e.Coding})
	}
	return parts
}

// permitted says what may be done to a target by hand.
func (t Target) permitted(p *profile.Profile) Target {
	found, err := card.Find(p, t.Path)
	if err != nil {
		return t
	}
	var toRead, toWrite bool
	t.Read, toRead = found.May(false)
	t.Write, toWrite = found.May(true)
	t.Write = t.Write && p.Owner(t.Path) == profile.OwnedByNobody
	t.PIN = toRead || t.Write && toWrite
	return t
}

// Areas returns what the card in the reader holds by its version.
func (s *Station) Areas(ctx context.Context) (areas []Area, err error) {
	err = s.withChip(ctx, func(ctx context.Context, chip Chip) error {
		opened, err := s.open(ctx, chip, Job{}.opening)
		if err == nil {
			areas = Areas(opened.Profile)
		}
		return err
	})
	return areas, err
}

// bankRoles are those who may look at the number of the bank account. The
// terminal decides, since the province has no part in the reading.
var bankRoles = []string{"clerk", "supervisor"}

// BankNumber reads the number of the bank account on the card in the reader
// (银行卡号) and returns it masked but for the last four digits: the rest is the
// bank's and stays in this function. An operator without one of the roles for
// it is refused.
func (s *Station) BankNumber(ctx context.Context, roles []string) (masked string, err error) {
	if !slices.ContainsFunc(bankRoles, func(role string) bool { return slices.Contains(roles, role) }) {
		return "", ErrNoRight
	}
	err = s.withChip(ctx, func(ctx context.Context, chip Chip) error {
		opened, err := s.open(ctx, chip, Job{}.opening)
		if err != nil {
			return err
		}
		number, err := card.BankNumber(ctx, apdu.NewChannel(chip), opened.Profile)
		if err != nil {
			return err
		}
		shown := len(number) - 4
		masked = strings.Repeat("*", shown) + number[shown:]
		return nil
	})
	return masked, err
}
