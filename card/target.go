package card

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"onecard/apdu"
	"onecard/card/profile"
)

// Target is what can be read or written by itself: an element of a variable
// file ("SSSE/EF06/name"), the records of a cyclic file ("DF02/EF07"), or a
// transparent file ("SSSE/EF08").
type Target struct {
	Path string

	profile *profile.Profile
	scope   *profile.Scope
	file    *profile.File
	element *profile.Element // nil for a whole file
}

// Targets returns all elements and cyclic files of a profile, in its order.
func Targets(p *profile.Profile) []Target {
	var all []Target
	for i := range p.Scopes {
		scope := &p.Scopes[i]
		for j := range scope.Files {
			file := &scope.Files[j]
			whole := Target{scope.Name + "/" + file.Name(), p, scope, file, nil}
			if file.Kind == profile.Cyclic {
				all = append(all, whole)
			}
			for k := range file.Elements {
				target := whole
				target.element = &file.Elements[k]
				target.Path += "/" + target.element.Name
				all = append(all, target)
			}
		}
	}
	return all
}

// Find returns a target by its path, or ErrNoTarget.
func Find(p *profile.Profile, path string) (Target, error) {
	parts := strings.Split(path, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return Target{}, fmt.Errorf("%q: %w", path, ErrNoTarget)
	}
	scope, known := p.Scope(parts[0])
	file, found := p.File(parts[0] + "/" + parts[1])
	if !known || !found || (file.Kind == profile.Variable) != (len(parts) == 3) {
		return Target{}, fmt.Errorf("%q: %w", path, ErrNoTarget)
	}
	target := Target{path, p, scope, file, nil}
	if len(parts) == 3 {
		if target.element, found = file.Element(parts[2]); !found {
			return Target{}, fmt.Errorf("%q: %w", path, ErrNoTarget)
		}
	}
	return target, nil
}

// Title returns the target's name in words.
func (t Target) Title() profile.Text {
	if t.element != nil {
		return t.element.Title
	}
	return t.file.Title
}

// rule returns the access condition for reading or writing.
func (t Target) rule(write bool) string {
	switch {
	case write:
		return t.file.Write
	case t.element != nil:
		return t.file.ReadRule(t.element)
	}
	return t.file.Read
}

// May says whether reading or writing is possible at all, and whether it needs
// the holder's number.
func (t Target) May(write bool) (possible, pin bool) {
	_, pin, err := needs(t.rule(write))
	return err == nil, pin
}

// Encode makes what stands on the chip: the record `tag len value` of an
// element, the record of a cyclic file, or the bytes of a transparent one (Text
// in hexadecimal). What the chip cannot hold is an *EncodeError.
func (t Target) Encode(d Data) ([]byte, error) {
	if t.element != nil {
		value, err := d.encode(t.profile, t.element)
		if err != nil {
			return nil, err
		}
		return slices.Concat([]byte{t.element.Tag, byte(t.element.Length)}, value), nil
	}
	if t.file.Kind == profile.Cyclic {
		return d.encodeRecord(t.profile, t.file)
	}
	raw, err := hex.DecodeString(d.Text)
	if err != nil || len(raw) == 0 || len(raw) > t.file.Size {
		return nil, &EncodeError{Element: t.file.Title, Expected: profile.Text{
			ZH: fmt.Sprintf("应为十六进制，至多 %d 字节", t.file.Size), EN: fmt.Sprintf("hexadecimal, at most %d bytes", t.file.Size)}}
	}
	return raw, nil
}

// Decode reads what Encode makes. number counts the records of a cyclic file,
// the newest being 1.
func (t Target) Decode(number int, raw []byte) (Value, error) {
	path := t.scope.Name + "/" + t.file.Name()
	switch {
	case t.element != nil:
		value, err := elementValue(t.element, raw)
		if err != nil {
			return Value{}, err
		}
		return newValue(t.profile, path, t.element, value)
	case t.file.Kind == profile.Cyclic:
		return newRecord(t.profile, path, t.file, number, raw)
	}
	return Value{File: path, Name: "contents", Text: t.file.Title, Value: upperHex(raw)}, nil
}

// slice is how much of a transparent file one command reads or writes.
const slice = 0xFF

// readSteps are the commands that read the target; records counts those of a
// cyclic file that are wanted. What is not there is no failure.
func (t Target) readSteps() []Step {
	var steps []Step
	label := "读 " + t.Title().ZH
	missing := []apdu.SW{0x6A82, 0x6A83}
	switch {
	case t.element != nil:
		steps = append(steps, Step{Command: readCommand(t.file, t.element), Accept: missing, Label: label})
	case t.file.Kind == profile.Cyclic:
		for n := 1; n <= t.file.Records; n++ {
			steps = append(steps, Step{Command: apdu.Command{INS: insReadRecord, P1: byte(n), P2: t.file.SFI()<<3 | 4, Ne: t.file.Size}, Accept: missing, Label: fmt.Sprintf("%s %d", label, n)})
		}
	default:
		steps = append(steps, t.selectFile())
		for at := 0; at < t.file.Size; at += slice {
			steps = append(steps, Step{Command: apdu.Command{INS: insReadBinary, P1: byte(at >> 8), P2: byte(at), Ne: min(slice, t.file.Size-at)}, Accept: missing, Label: label})
		}
	}
	return steps
}

// selectFile makes the file the current one: offsets beyond 255 need it.
func (t Target) selectFile() Step {
	return Step{Command: apdu.Command{INS: insSelect, Data: t.file.FID}, Accept: []apdu.SW{0x6A82}, Label: "选择 " + t.file.Title.ZH}
}

// writeSteps are the commands that write what Encode made.
func (t Target) writeSteps(raw []byte) []Step {
	label := "写入 " + t.Title().ZH
	switch {
	case t.element != nil:
		return []Step{{Command: apdu.Command{INS: insUpdateRecord, P1: byte(t.element.Record), P2: t.file.SFI()<<3 | 4, Data: raw}, Secret: true, Label: label}}
	case t.file.Kind == profile.Cyclic:
		return []Step{{Command: apdu.Command{INS: insUpdateRecord, P2: t.file.SFI()<<3 | 3, Data: raw}, Secret: true, Label: label}}
	}
	steps := []Step{t.selectFile()}
	for at := 0; at < len(raw); at += slice {
		steps = append(steps, Step{Command: apdu.Command{INS: insUpdateBinary, P1: byte(at >> 8), P2: byte(at), Data: raw[at:min(at+slice, len(raw))]}, Secret: true, Label: label})
	}
	return steps
}

// values takes the answers to readSteps.
func (t Target) values(responses []apdu.Response) ([]Value, error) {
	if t.element == nil && t.file.Kind == profile.Transparent {
		var raw []byte
		for _, r := range responses[1:] {
			raw = append(raw, r.Data...)
		}
		if len(raw) > t.file.Size {
			return nil, fmt.Errorf("%s: %w: %d bytes in a file of %d", t.Path, errMalformed, len(raw), t.file.Size)
		}
		v, err := t.Decode(0, raw)
		return []Value{v}, err
	}
	var values []Value
	for i, r := range responses {
		if r.SW != apdu.OK {
			continue // a record that is not there
		}
		v, err := t.Decode(i+1, r.Data)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}
