package profile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"onecard/apdu"
)

// check refuses a profile that contradicts itself. The file is there to find
// the place of what it added.
func (p *Profile) check(f fileProfile) error {
	switch {
	case len(p.Version) != 4:
		return within(fmt.Errorf("version: four characters"), "version")
	case p.Algorithm != SM4 && p.Algorithm != TripleDES:
		return within(fmt.Errorf("algorithm: %s or %s", SM4, TripleDES), "algorithm")
	case len(p.Environment) == 0 || len(p.ATRs) == 0 || len(p.Scopes) == 0:
		return within(fmt.Errorf("environment, atrs and scopes are needed"))
	case p.PIN.Digits%2 != 0 || p.PIN.Digits < 4 || p.PIN.Digits > 12 || p.PIN.Tries < 1 || p.PIN.Tries > 15:
		return within(fmt.Errorf("pin: an even number of 4 to 12 digits, 1 to 15 tries"), "pin")
	case len(p.Choices.KeyVersion) > 1:
		return within(fmt.Errorf("choices: keyVersion is one byte or empty"), "choices", "keyVersion")
	case !slices.Contains([]string{ProtectionNone, ProtectionMAC, ProtectionCipher}, p.Choices.Protection):
		return within(fmt.Errorf("choices: protection is none, mac or cipher"), "choices", "protection")
	case p.Choices.Amounts != AmountsBCD && p.Choices.Amounts != AmountsBinary:
		return within(fmt.Errorf("choices: amounts is bcd or binary"), "choices", "amounts")
	case p.Choices.Charset != CharsetGBK && p.Choices.Charset != CharsetGB18030:
		return within(fmt.Errorf("choices: charset is gbk or gb18030"), "choices", "charset")
	}
	for i, a := range p.ATRs {
		if err := a.check(); err != nil {
			return within(err, "atrs", i-(len(p.ATRs)-len(f.ATRs)))
		}
	}
	if err := p.checkScopes(f); err != nil {
		return err
	}
	if err := p.Account.check(p); err != nil {
		return err
	}
	return p.checkMaker()
}

func (a ATR) check() error {
	switch {
	case len(a.Value) != len(a.Mask):
		return within(fmt.Errorf("atr %X: value and mask of one length", a.Value), "mask")
	case a.Historical < 8 || a.Trailer < 0 || a.Trailer > 1:
		return within(fmt.Errorf("atr %X: at least eight historical bytes, and none or one after them", a.Value), "historical")
	}
	// The value may leave the check byte open, as what it is computed from.
	parsed, err := apdu.ParseATR(a.Value)
	if err != nil && !errors.Is(err, apdu.ErrCheckByte) {
		return within(fmt.Errorf("atr %X: %w", a.Value, err), "value")
	}
	if len(parsed.Historical) != a.Historical || parsed.HasCheck != (a.Trailer == 1) {
		return within(fmt.Errorf("atr %X: says %d historical bytes, and a check byte after them: %v", a.Value, len(parsed.Historical), parsed.HasCheck), "historical")
	}
	return nil
}

func (p *Profile) checkMaker() error {
	at := func(key, reason string) error { return within(fmt.Errorf("maker: %s", reason), "maker", key) }
	_, _, known := p.Key(p.Maker.Master)
	switch {
	case p.Maker.IV != "chained" && p.Maker.IV != "challenge":
		return at("iv", "iv is chained or challenge")
	case len(p.Maker.Area) != 3:
		return at("area", "area is three bytes")
	case !known:
		return at("master", fmt.Sprintf("master key %s is in no scope", p.Maker.Master))
	case !slices.ContainsFunc(p.ATRs, func(a ATR) bool { return p.blankOf(a) }):
		return at("atr", "atr, area and serial make none of the atrs")
	}
	return nil
}

// blankOf says whether blanks answer to reset with this line.
func (p *Profile) blankOf(a ATR) bool {
	return a.matches(p.BlankATR([4]byte{}))
}

// BlankATR returns the answer to reset of a blank with a serial number.
func (p *Profile) BlankATR(serial [4]byte) []byte {
	return bytes.Join([][]byte{p.Maker.ATR, p.Maker.Area[:2], serial[:]}, nil)
}

// checkScopes checks all scopes; the places are those of the file, which for an
// extension has the last ones only.
func (p *Profile) checkScopes(f fileProfile) error {
	names, indexes := map[string]bool{}, map[int]bool{}
	for _, s := range p.Scopes {
		in := slices.IndexFunc(f.Scopes, func(added fileScope) bool { return added.Name == s.Name })
		var added fileScope
		if in >= 0 {
			added = f.Scopes[in]
		}
		if err := s.check(names, len(s.Keys)-len(added.Keys), len(s.Files)-len(added.Files)); err != nil {
			return within(err, "scopes", in)
		}
		if indexes[s.Index] || s.Index < 0 || s.Index > 31 {
			return within(fmt.Errorf("%s: index %d: 0 to 31, once", s.Name, s.Index), "scopes", in, "index")
		}
		indexes[s.Index] = true
	}
	return nil
}

// check checks a scope; the first keys and files are of another file.
func (s Scope) check(names map[string]bool, otherKeys, otherFiles int) error {
	ids := map[byte]bool{}
	for i, k := range s.Keys {
		if names[k.Name] || ids[k.ID] {
			return within(fmt.Errorf("%s: key %s: name or id stands twice", s.Name, k.Name), "keys", i-otherKeys)
		}
		if k.Purpose == "external" && (k.Tries < 1 || k.Tries > 15) {
			return within(fmt.Errorf("%s: key %s: 1 to 15 tries", s.Name, k.Name), "keys", i-otherKeys, "tries")
		}
		names[k.Name], ids[k.ID] = true, true
	}
	fids := map[string]bool{}
	for i, f := range s.Files {
		err := f.check(s)
		if len(f.FID) != 2 || fids[string(f.FID)] {
			err = within(fmt.Errorf("%s: file %X: two bytes, once", s.Name, f.FID), "fid")
		}
		if err != nil {
			return within(err, "files", i-otherFiles)
		}
		fids[string(f.FID)] = true
	}
	return nil
}

func (f File) check(s Scope) error {
	if err := s.checkRule(f.Read); err != nil {
		return within(f.wrong(err), "read")
	}
	if err := s.checkRule(f.Write); err != nil {
		return within(f.wrong(err), "write")
	}
	switch f.Kind {
	case Transparent:
		if f.Size <= 0 || f.Size > 1<<15 {
			return within(f.wrong(fmt.Errorf("a transparent file has a size, at most 32768")), "size")
		}
	case Cyclic:
		return f.checkCyclic()
	case Variable:
		return f.checkElements(s)
	default:
		return within(f.wrong(fmt.Errorf("kind %q is not known", f.Kind)), "kind")
	}
	return nil
}

func (f File) wrong(err error) error { return fmt.Errorf("file %X: %w", f.FID, err) }

func (f File) checkCyclic() error {
	if f.Size <= 0 || f.Size > 255 || f.Records <= 0 || f.Records > 254 {
		return within(f.wrong(fmt.Errorf("a cyclic file has a record length and a number of records")), "size")
	}
	sum := 0
	for i, e := range f.Fields {
		if err := e.check(); err != nil {
			return within(f.wrong(err), "fields", i)
		}
		sum += e.Length
	}
	if sum != f.Size {
		return within(f.wrong(fmt.Errorf("record length %d, its fields are %d", f.Size, sum)), "size")
	}
	return nil
}

func (f File) checkElements(s Scope) error {
	tags, names := map[byte]bool{}, map[string]bool{}
	for i, e := range f.Elements {
		if e.Record != i+1 {
			return within(f.wrong(fmt.Errorf("element %s: record %d stands at place %d", e.Name, e.Record, i+1)), "elements", e.place)
		}
		if tags[e.Tag] && e.Tag != f.Elements[i-1].Tag {
			return within(f.wrong(fmt.Errorf("element %s: tag %02X stands twice", e.Name, e.Tag)), "elements", e.place)
		}
		if names[e.Name] {
			return within(f.wrong(fmt.Errorf("element %s: the name stands twice", e.Name)), "elements", e.place)
		}
		tags[e.Tag], names[e.Name] = true, true
		if err := s.checkRule(e.Read); e.Read != "" && err != nil {
			return within(f.wrong(err), "elements", e.place)
		}
		if err := e.check(); err != nil {
			return within(f.wrong(err), "elements", e.place)
		}
	}
	return nil
}

func (e Element) check() error {
	if e.Length < 1 || e.Length > 253 {
		return fmt.Errorf("element %s: length 1 to 253", e.Name)
	}
	if !strings.Contains(" an cn b dec hex4 template ", " "+e.Coding+" ") {
		return fmt.Errorf("element %s: coding %q is not known", e.Name, e.Coding)
	}
	if (e.Coding == "dec" || e.Coding == "hex4") && e.Length != 4 {
		return fmt.Errorf("element %s: an amount has four bytes", e.Name)
	}
	if e.Coding != "template" {
		return nil
	}
	sum := 0
	for _, inner := range e.Inner {
		if err := inner.check(); err != nil {
			return err
		}
		sum += 2 + inner.Length
	}
	if sum != e.Length {
		return fmt.Errorf("element %s: length %d, its parts are %d", e.Name, e.Length, sum)
	}
	return nil
}
