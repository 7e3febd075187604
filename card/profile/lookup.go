package profile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrUnknownATR says that no profile knows the answer to reset: the card is of
// another kind.
var ErrUnknownATR = errors.New("unknown answer to reset")

// Match returns the profile whose answer to reset the card's is (复位信息).
// Several versions may share one; the card then says its version itself.
func Match(profiles []*Profile, atr []byte) (*Profile, error) {
	for _, p := range profiles {
		if _, ok := p.ATR(atr); ok {
			return p, nil
		}
	}
	return nil, ErrUnknownATR
}

// ByVersion returns the profile of a specification version (规范版本).
func ByVersion(profiles []*Profile, version string) (*Profile, error) {
	for _, p := range profiles {
		if p.Version == version {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no profile of specification version %q", version)
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

// CardFactor returns the card's diversification factor (卡片因子): the last
// eight historical bytes of its answer to reset.
func (a ATR) CardFactor(atr []byte) []byte { return slices.Clone(atr[len(atr)-8:]) }

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
