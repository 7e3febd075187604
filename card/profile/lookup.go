package profile

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// ErrUnknownATR says that no profile knows the answer to reset: the card is of
// another kind.
var ErrUnknownATR = errors.New("unknown answer to reset")

// Candidates returns the profiles that an answer to reset may belong to
// (复位信息), the likeliest first: makers use one answer for cards of several
// versions, and the card then says its version itself.
func Candidates(profiles []*Profile, atr []byte) ([]*Profile, error) {
	var found []*Profile
	for _, p := range profiles {
		if _, ok := p.ATR(atr); ok {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return nil, ErrUnknownATR
	}
	newestFirst(found)
	slices.SortStableFunc(found, func(a, b *Profile) int { return b.significance(atr) - a.significance(atr) })
	return found, nil
}

// significance is the number of bits that the best line for an answer to reset
// compares.
func (p *Profile) significance(atr []byte) int {
	best := 0
	for _, a := range p.ATRs {
		if a.matches(atr) {
			n := 0
			for _, m := range a.Mask {
				n += bits.OnesCount8(m)
			}
			best = max(best, n)
		}
	}
	return best
}

// Of returns the profile of a version among candidates, in the form that is
// local to an issuing area (six digits) where there is one.
func Of(candidates []*Profile, version, area string) (*Profile, error) {
	var national *Profile
	for _, p := range candidates {
		switch {
		case p.Version != version:
		case len(p.Areas) == 0 && national == nil:
			national = p
		case slices.ContainsFunc(p.Areas, func(prefix string) bool { return strings.HasPrefix(area, prefix) }):
			return p, nil
		}
	}
	if national == nil {
		return nil, fmt.Errorf("%w %q", ErrUnknownVersion, version)
	}
	return national, nil
}

// ErrUnknownVersion says that no profile knows the specification version.
var ErrUnknownVersion = errors.New("no profile of specification version")

// ByVersion returns the national profile of a specification version (规范版本).
func ByVersion(profiles []*Profile, version string) (*Profile, error) {
	return Of(profiles, version, "")
}

// ATR returns the line of the profile that an answer to reset agrees with.
func (p *Profile) ATR(atr []byte) (ATR, bool) {
	for _, a := range p.ATRs {
		if a.matches(atr) {
			return a, true
		}
	}
	return ATR{}, false
}

func (a ATR) matches(atr []byte) bool {
	if len(atr) != len(a.Value) {
		return false
	}
	for i := range atr {
		if atr[i]&a.Mask[i] != a.Value[i]&a.Mask[i] {
			return false
		}
	}
	return true
}

// Contact returns the answer to reset by which a card is on record (卡复位信息): the
// contact side's. A contactless reader gives the same historical bytes in
// another frame.
func (p *Profile) Contact(atr []byte) []byte {
	line, ok := p.ATR(atr)
	if !ok || line.Trailer == 0 {
		return slices.Clone(atr)
	}
	historical := atr[len(atr)-line.Trailer-line.Historical : len(atr)-line.Trailer]
	for _, a := range p.ATRs {
		if a.Trailer == 0 && a.Historical == line.Historical {
			return slices.Concat(a.Value[:len(a.Value)-a.Historical], historical)
		}
	}
	return slices.Clone(atr)
}

// CardFactor returns the card's diversification factor (卡片因子): the last
// eight historical bytes of its answer to reset.
func (a ATR) CardFactor(atr []byte) []byte {
	end := len(atr) - a.Trailer
	return slices.Clone(atr[end-8 : end])
}

// Scope returns a scope by name.
func (p *Profile) Scope(name string) (*Scope, bool) {
	i := slices.IndexFunc(p.Scopes, func(s Scope) bool { return s.Name == name })
	if i < 0 {
		return nil, false
	}
	return &p.Scopes[i], true
}

// Key returns a key by name, with its scope.
func (p *Profile) Key(name string) (*Scope, Key, bool) {
	for i := range p.Scopes {
		for _, k := range p.Scopes[i].Keys {
			if k.Name == name {
				return &p.Scopes[i], k, true
			}
		}
	}
	return nil, Key{}, false
}

// File returns a file by its path, such as "SSSE/EF05".
func (p *Profile) File(path string) (*File, bool) {
	scope, name, _ := strings.Cut(path, "/")
	s, ok := p.Scope(scope)
	if !ok {
		return nil, false
	}
	i := slices.IndexFunc(s.Files, func(f File) bool { return f.Name() == name })
	if i < 0 {
		return nil, false
	}
	return &s.Files[i], true
}

// Name returns the file's identifier in hexadecimal, such as "EF05".
func (f *File) Name() string { return fmt.Sprintf("%X", f.FID) }

// SFI returns the short file identifier: the low five bits of the second byte.
func (f *File) SFI() byte { return f.FID[1] & 0x1F }

// Element returns an element of the file by name.
func (f *File) Element(name string) (*Element, bool) {
	i := slices.IndexFunc(f.Elements, func(e Element) bool { return e.Name == name })
	if i < 0 {
		return nil, false
	}
	return &f.Elements[i], true
}

// ReadRule returns the rule for reading the element.
func (f *File) ReadRule(e *Element) string {
	if e.Read != "" {
		return e.Read
	}
	return f.Read
}
