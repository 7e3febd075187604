package profile

import (
	"bytes"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed *.yaml
var files embed.FS

// Load reads all profiles that the program knows.
func Load() ([]*Profile, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("card profiles: %w", err)
	}
	makers, err := LoadMakers()
	if err != nil {
		return nil, err
	}
	var profiles []*Profile
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("card profiles: %w", err)
		}
		p, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("card profile %s: %w", name, err)
		}
		p.Makers = makers
		profiles = append(profiles, p)
	}
	return profiles, nil
}

// The shape of a profile file. Unknown keys are refused.
type (
	fileProfile struct {
		Version     string
		Title       Text
		Algorithm   string
		Environment hexBytes
		FCI         hexBytes
		ATRs        []fileATR `yaml:"atrs"`
		PIN         struct {
			Digits, Tries int
			Source        string
		} `yaml:"pin"`
		Maker struct {
			Name, IV, Transport, Master string
			Area                        hexBytes
			Assumed                     bool
			Source                      string
		}
		Usages map[string]hexBytes
		Scopes []fileScope
	}
	fileATR struct {
		Value, Mask hexBytes
		Historical  int
		Title       Text
		Source      string
	}
	fileScope struct {
		Index    int
		Name     string
		Title    Text
		FID, AID hexBytes
		Keys     []fileKey
		Files    []fileFile
	}
	fileKey struct {
		Name    string
		ID      hexBytes
		Purpose string
		Tries   byte
		Source  string
		Assumed bool
	}
	fileFile struct {
		FID           hexBytes
		Title         Text
		Kind          FileKind
		Size, Records int
		Read, Write   string
		Source        string
		Assumed       bool
		Elements      []fileElement
	}
	fileElement struct {
		Rec, Times, Len int
		Tag             hexBytes
		As, Name        string
		ZH              string `yaml:"zh"`
		EN              string `yaml:"en"`
		Note, Read      string
		Assumed         bool
		Inner           []fileElement
	}
)

// hexBytes is a byte string written in hexadecimal.
type hexBytes []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("%q is not hexadecimal", text)
	}
	*h = b
	return nil
}

// Parse reads one profile and checks that it holds together.
func Parse(text []byte) (*Profile, error) {
	var f fileProfile
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	p := &Profile{
		Version: f.Version, Title: f.Title, Algorithm: f.Algorithm, Environment: f.Environment, FCI: f.FCI,
		PIN: PIN{Digits: f.PIN.Digits, Tries: f.PIN.Tries},
		Maker: Maker{Name: f.Maker.Name, IV: f.Maker.IV, Transport: f.Maker.Transport, Master: f.Maker.Master,
			Area: f.Maker.Area, Assumed: f.Maker.Assumed, Source: f.Maker.Source},
	}
	for _, a := range f.ATRs {
		p.ATRs = append(p.ATRs, ATR{Value: a.Value, Mask: a.Mask, Name: a.Title, Historical: a.Historical})
	}
	for _, s := range f.Scopes {
		scope, err := s.build(f.Usages)
		if err != nil {
			return nil, fmt.Errorf("profile %s: %s: %w", f.Version, s.Name, err)
		}
		p.Scopes = append(p.Scopes, scope)
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("profile %s: %w", f.Version, err)
	}
	return p, nil
}

func (s fileScope) build(usages map[string]hexBytes) (Scope, error) {
	scope := Scope{Index: s.Index, Name: s.Name, Title: s.Title, FID: s.FID, AID: s.AID}
	for _, k := range s.Keys {
		usage := usages[k.Purpose]
		if len(k.ID) != 1 || len(usage) != 1 {
			return Scope{}, fmt.Errorf("key %s: id and the usage of its purpose are one byte each", k.Name)
		}
		scope.Keys = append(scope.Keys, Key{Name: k.Name, ID: k.ID[0], Usage: usage[0], Purpose: k.Purpose, Tries: k.Tries, Source: k.Source, Assumed: k.Assumed})
	}
	for _, f := range s.Files {
		file := File{FID: f.FID, Title: f.Title, Kind: f.Kind, Size: f.Size, Records: f.Records, Read: f.Read, Write: f.Write, Source: f.Source, Assumed: f.Assumed}
		for _, e := range f.Elements {
			for i := range max(1, e.Times) {
				element, err := e.build(i)
				if err != nil {
					return Scope{}, fmt.Errorf("file %X: %w", f.FID, err)
				}
				element.Source = f.Source
				file.Elements = append(file.Elements, element)
			}
		}
		scope.Files = append(scope.Files, file)
	}
	return scope, nil
}

// build makes the nth of the records that the line stands for.
func (e fileElement) build(nth int) (Element, error) {
	if len(e.Tag) != 1 {
		return Element{}, fmt.Errorf("element %s: the tag is one byte", e.Name)
	}
	element := Element{Record: e.Rec + nth, Tag: e.Tag[0], Length: e.Len, Coding: e.As, Name: e.Name, Title: Text{ZH: e.ZH, EN: e.EN}, Read: e.Read, Assumed: e.Assumed}
	if element.Name == "" {
		// The meaning is not public: it is shown by its tag.
		element.Name = fmt.Sprintf("tag%02X", element.Tag)
		element.Title = Text{ZH: fmt.Sprintf("数据项 %02X", element.Tag), EN: fmt.Sprintf("element %02X", element.Tag)}
	}
	if e.Times > 1 {
		element.Name = fmt.Sprintf("%s%d", element.Name, nth+1)
	}
	for _, inner := range e.Inner {
		part, err := inner.build(0)
		if err != nil {
			return Element{}, err
		}
		element.Inner = append(element.Inner, part)
	}
	return element, nil
}

// check refuses a profile that contradicts itself.
func (p *Profile) check() error {
	switch {
	case len(p.Version) != 4:
		return fmt.Errorf("version: four characters")
	case p.Algorithm != "sm4":
		return fmt.Errorf("algorithm: sm4 is known")
	case len(p.Environment) == 0 || len(p.ATRs) == 0 || len(p.Scopes) == 0:
		return fmt.Errorf("environment, atrs and scopes are needed")
	case p.PIN.Digits%2 != 0 || p.PIN.Digits < 4 || p.PIN.Digits > 12 || p.PIN.Tries < 1 || p.PIN.Tries > 15:
		return fmt.Errorf("pin: an even number of 4 to 12 digits, 1 to 15 tries")
	case p.Maker.IV != "chained" && p.Maker.IV != "challenge":
		return fmt.Errorf("maker: iv is chained or challenge")
	case len(p.Maker.Area) != 3:
		return fmt.Errorf("maker: area is three bytes")
	}
	for _, a := range p.ATRs {
		if len(a.Value) != len(a.Mask) || len(a.Value) <= a.Historical || a.Historical < 8 {
			return fmt.Errorf("atr %X: value and mask of one length, at least eight historical bytes", a.Value)
		}
	}
	names := map[string]bool{}
	for _, s := range p.Scopes {
		if err := s.check(names); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	if _, _, ok := p.Key(p.Maker.Master); !ok {
		return fmt.Errorf("maker: master key %s is in no scope", p.Maker.Master)
	}
	return nil
}

func (s Scope) check(names map[string]bool) error {
	ids := map[byte]bool{}
	for _, k := range s.Keys {
		if names[k.Name] || ids[k.ID] {
			return fmt.Errorf("key %s: name or id stands twice", k.Name)
		}
		names[k.Name], ids[k.ID] = true, true
	}
	fids := map[string]bool{}
	for _, f := range s.Files {
		if len(f.FID) != 2 || fids[string(f.FID)] {
			return fmt.Errorf("file %X: two bytes, once", f.FID)
		}
		fids[string(f.FID)] = true
		if err := f.check(s); err != nil {
			return fmt.Errorf("file %X: %w", f.FID, err)
		}
	}
	return nil
}

func (f File) check(s Scope) error {
	for _, rule := range []string{f.Read, f.Write} {
		if err := s.checkRule(rule); err != nil {
			return err
		}
	}
	switch f.Kind {
	case Transparent:
		if f.Size <= 0 {
			return fmt.Errorf("a transparent file has a size")
		}
	case Cyclic:
		if f.Size <= 0 || f.Records <= 0 {
			return fmt.Errorf("a cyclic file has a record length and a number of records")
		}
	case Variable:
		return f.checkElements(s)
	default:
		return fmt.Errorf("kind %q is not known", f.Kind)
	}
	return nil
}

func (f File) checkElements(s Scope) error {
	for i, e := range f.Elements {
		if e.Record != i+1 {
			return fmt.Errorf("element %s: record %d stands at place %d", e.Name, e.Record, i+1)
		}
		if err := s.checkRule(e.Read); e.Read != "" && err != nil {
			return err
		}
		if err := e.check(); err != nil {
			return err
		}
	}
	return nil
}

func (e Element) check() error {
	if e.Length < 1 || e.Length > 255 {
		return fmt.Errorf("element %s: length 1 to 255", e.Name)
	}
	if !strings.Contains(" an cn b dec hex4 template ", " "+e.Coding+" ") {
		return fmt.Errorf("element %s: coding %q is not known", e.Name, e.Coding)
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
