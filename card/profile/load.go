package profile

import (
	"bytes"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed v*.yaml local/*.yaml
var files embed.FS

// known are the profiles in the program, read when they are first asked for.
var known = sync.OnceValues(func() ([]*Profile, error) { return load(files, "v*.yaml", "local/*.yaml") })

// Load returns all profiles that the program knows, the versions and their local
// extensions, the newest first. They are shared: who wants to change one copies
// it first.
func Load() ([]*Profile, error) {
	profiles, err := known()
	return slices.Clone(profiles), err
}

// LoadWith reads, besides those, the files of a directory: a new version or a
// local extension is a file there.
func LoadWith(directory string) ([]*Profile, error) {
	profiles, err := Load()
	if err != nil || directory == "" {
		return profiles, err
	}
	if _, err := os.ReadDir(directory); err != nil {
		return nil, fmt.Errorf("card profiles: %w", err)
	}
	if profiles, err = extend(profiles, os.DirFS(directory), "*.yaml"); err != nil {
		return nil, err
	}
	newestFirst(profiles)
	return profiles, nil
}

// Texts returns the text of every file that [LoadWith] reads, and of the makers',
// by name.
func Texts(directory string) (map[string][]byte, error) {
	texts := map[string][]byte{}
	sources := []fs.FS{files, makerFiles}
	if directory != "" {
		sources = append(sources, os.DirFS(directory))
	}
	for _, source := range sources {
		for _, pattern := range []string{"*.yaml", "*/*.yaml"} {
			names, err := fs.Glob(source, pattern)
			if err != nil {
				return nil, fmt.Errorf("card profiles: %w", err)
			}
			for _, name := range names {
				if texts[name], err = fs.ReadFile(source, name); err != nil {
					return nil, fmt.Errorf("card profiles: %w", err)
				}
			}
		}
	}
	return texts, nil
}

func load(from fs.FS, patterns ...string) (profiles []*Profile, err error) {
	for _, pattern := range patterns {
		if profiles, err = extend(profiles, from, pattern); err != nil {
			return nil, err
		}
	}
	newestFirst(profiles)
	return profiles, nil
}

func newestFirst(profiles []*Profile) {
	slices.SortStableFunc(profiles, func(a, b *Profile) int {
		if by := strings.Compare(b.Version, a.Version); by != 0 {
			return by
		}
		return len(a.Areas) - len(b.Areas)
	})
}

func extend(profiles []*Profile, from fs.FS, pattern string) ([]*Profile, error) {
	makers, err := knownMakers()
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(from, pattern)
	if err != nil {
		return nil, fmt.Errorf("card profiles: %w", err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, fmt.Errorf("card profiles: %w", err)
		}
		p, err := Parse(text, profiles...)
		if err != nil {
			return nil, fmt.Errorf("card profile %s: %w", name, err)
		}
		p.Makers = makers
		profiles = append(profiles, p)
	}
	return profiles, nil
}

// hexBytes is a byte string written in hexadecimal.
type hexBytes []byte

// UnmarshalYAML implements yaml.Unmarshaler.
func (h *hexBytes) UnmarshalYAML(node *yaml.Node) error {
	b, err := hex.DecodeString(node.Value)
	if err != nil || node.Kind != yaml.ScalarNode {
		return &Error{node.Line, fmt.Errorf("%q is not hexadecimal", node.Value)}
	}
	*h = b
	return nil
}

// hexByte is one byte written in hexadecimal.
type hexByte byte

// UnmarshalYAML implements yaml.Unmarshaler.
func (h *hexByte) UnmarshalYAML(node *yaml.Node) error {
	var b hexBytes
	if err := b.UnmarshalYAML(node); err != nil {
		return err
	}
	if len(b) != 1 {
		return &Error{node.Line, fmt.Errorf("%q is not one byte in hexadecimal", node.Value)}
	}
	*h = hexByte(b[0])
	return nil
}

// Error is what is wrong with a profile file, and where.
type Error struct {
	Line   int
	Reason error
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Reason) }

func (e *Error) Unwrap() error { return e.Reason }

// fault is a finding with the way to its place in the file.
type fault struct {
	path   []any // keys of mappings and places in lists
	reason error
}

func (f *fault) Error() string { return f.reason.Error() }

func (f *fault) Unwrap() error { return f.reason }

// within puts a step in front of a fault's path; any other error becomes one.
func within(err error, path ...any) error {
	if err == nil {
		return nil
	}
	var f *fault
	if errors.As(err, &f) {
		return &fault{append(path, f.path...), f.reason}
	}
	return &fault{path, err}
}

// line finds the place of a path, or of as much of it as is there.
func line(node *yaml.Node, path []any) int {
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
	}
	for _, step := range path {
		next := child(node, step)
		if next == nil {
			break
		}
		node = next
	}
	return node.Line
}

func child(node *yaml.Node, step any) *yaml.Node {
	switch step := step.(type) {
	case int:
		if node.Kind == yaml.SequenceNode && step >= 0 && step < len(node.Content) {
			return node.Content[step]
		}
	case string:
		for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i+1]
			}
		}
	}
	return nil
}

// Parse reads one profile and checks that it holds together. A file that says
// extends adds to one of the profiles that are known already. What is wrong is
// an *Error with the line, or the YAML reader's own, which names it as well.
func Parse(text []byte, known ...*Profile) (*Profile, error) {
	var f fileProfile
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	p, err := f.build(known)
	if err == nil {
		err = p.check(f)
	}
	if err != nil {
		return nil, located(text, err)
	}
	return p, nil
}

// located says in which line of the file a fault is.
func located(text []byte, err error) error {
	var at *fault
	var root yaml.Node
	if !errors.As(err, &at) || yaml.Unmarshal(text, &root) != nil {
		return err
	}
	return &Error{line(&root, at.path), at.reason}
}

// build makes the profile of the file, or the extended one.
func (f *fileProfile) build(known []*Profile) (*Profile, error) {
	p := &Profile{}
	if f.Extends != "" {
		base, err := ByVersion(known, f.Extends)
		if err != nil {
			return nil, within(err, "extends")
		}
		if len(f.Areas) == 0 {
			return nil, within(fmt.Errorf("an extension names its areas"), "extends")
		}
		clone := *base
		p, clone.Scopes = &clone, slices.Clone(base.Scopes)
		p.Areas, p.Title = f.Areas, f.Title
	} else {
		if _, err := ByVersion(known, f.Version); err == nil {
			return nil, within(fmt.Errorf("version %q is known already", f.Version), "version")
		}
		*p = Profile{
			Version: f.Version, Title: f.Title, Areas: f.Areas, Algorithm: f.Algorithm, KeySuffix: f.KeySuffix, Environment: f.Environment, FCI: f.FCI,
			PIN: PIN{Digits: f.PIN.Digits, Tries: f.PIN.Tries},
			Choices: Choices{KeyVersion: f.Choices.KeyVersion.Value, Protection: f.Choices.Protection.Value, NamePad: byte(f.Choices.NamePad.Value), Amounts: f.Choices.Amounts.Value, Charset: f.Choices.Charset.Value,
				Sources: map[string]string{"keyVersion": f.Choices.KeyVersion.Source, "protection": f.Choices.Protection.Source, "namePad": f.Choices.NamePad.Source, "amounts": f.Choices.Amounts.Source, "charset": f.Choices.Charset.Source}},
			Maker: Maker{Name: f.Maker.Name, IV: f.Maker.IV, Transport: f.Maker.Transport, Master: f.Maker.Master,
				Area: f.Maker.Area, ATR: f.Maker.ATR, Assumed: f.Maker.Assumed, Source: f.Maker.Source},
		}
	}
	for _, a := range f.ATRs {
		p.ATRs = append(p.ATRs, ATR{Value: a.Value, Mask: a.Mask, Name: a.Title, Historical: a.Historical, Trailer: a.Trailer, Source: a.Source, Assumed: a.Assumed})
	}
	if f.Finance != nil {
		p.Finance = f.Finance.build()
	}
	if f.Account != nil {
		account, err := f.Account.build()
		if err != nil {
			return nil, within(err, "account")
		}
		p.Account = account
	}
	for i, s := range f.Scopes {
		scope, err := s.build(f.Usages)
		if err != nil {
			return nil, within(err, "scopes", i)
		}
		for j, key := range scope.Keys {
			if _, _, taken := p.Key(key.Name); taken {
				return nil, within(fmt.Errorf("key %s: the name stands twice", key.Name), "scopes", i, "keys", j)
			}
		}
		p.add(scope)
	}
	return p, nil
}

// add puts a scope into the profile, or what it brings into the one of its
// name.
func (p *Profile) add(scope Scope) {
	for i := range p.Scopes {
		if s := &p.Scopes[i]; s.Name == scope.Name {
			s.Keys = append(slices.Clone(s.Keys), scope.Keys...)
			s.Files = append(slices.Clone(s.Files), scope.Files...)
			return
		}
	}
	p.Scopes = append(p.Scopes, scope)
}

func (f *fileFinance) build() *Finance {
	finance := &Finance{Tag: f.Tag.int(), Track2: f.Track2.int(), Source: f.Source}
	for _, aid := range f.AIDs {
		finance.AIDs = append(finance.AIDs, aid)
	}
	for _, r := range f.Records {
		finance.Records = append(finance.Records, [2]int{r.SFI, r.Record})
	}
	return finance
}

func (h hexBytes) int() (n int) {
	for _, b := range h {
		n = n<<8 | int(b)
	}
	return n
}

func (s fileScope) build(usages map[string]hexByte) (Scope, error) {
	scope := Scope{Index: s.Index, Name: s.Name, Title: s.Title, FID: s.FID, AID: s.AID}
	for i, k := range s.Keys {
		usage, known := usages[k.Purpose]
		if !known {
			return Scope{}, within(fmt.Errorf("key %s: purpose %q has no usage", k.Name, k.Purpose), "keys", i)
		}
		scope.Keys = append(scope.Keys, Key{Name: k.Name, ID: byte(k.ID), Usage: byte(usage), Purpose: k.Purpose, Tries: k.Tries,
			PSAM: PSAM{ID: byte(k.PSAM.ID), Usage: byte(k.PSAM.Usage)}, Address: k.Address, Source: k.Source, Assumed: k.Assumed})
	}
	for _, f := range s.Files {
		scope.Files = append(scope.Files, f.build())
	}
	return scope, nil
}

func (f fileFile) build() File {
	file := File{FID: f.FID, Title: f.Title, Kind: f.Kind, Size: f.Size, Records: f.Records, Read: f.Read, Write: f.Write, Source: f.Source, Assumed: f.Assumed}
	for place, e := range f.Elements {
		for i := range max(1, e.Times) {
			element := e.build(i)
			element.place = place
			element.Source = f.Source
			file.Elements = append(file.Elements, element)
		}
	}
	for _, e := range f.Fields {
		field := e.build(0)
		field.Source = f.Source
		file.Fields = append(file.Fields, field)
	}
	return file
}

// build makes the nth of the records that the line stands for.
func (e fileElement) build(nth int) Element {
	element := Element{Record: e.Rec + nth, Tag: byte(e.Tag), Length: e.Len, Coding: e.As, Name: e.Name, Title: Text{ZH: e.ZH, EN: e.EN}, Read: e.Read, Assumed: e.Assumed}
	if element.Name == "" {
		// The meaning is not public: it is shown by its tag.
		element.Name = fmt.Sprintf("tag%02X", element.Tag)
		element.Title = Text{ZH: fmt.Sprintf("数据项 %02X", element.Tag), EN: fmt.Sprintf("element %02X", element.Tag)}
	}
	if e.Times > 1 {
		element.Name = fmt.Sprintf("%s%d", element.Name, nth+1)
	}
	for _, inner := range e.Inner {
		element.Inner = append(element.Inner, inner.build(0))
	}
	return element
}
