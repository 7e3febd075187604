package chip

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"onecard/card/profile"
)

// Hex is a byte string that JSON holds in hexadecimal.
type Hex []byte

// MarshalText implements encoding.TextMarshaler.
func (h Hex) MarshalText() ([]byte, error) {
	return []byte(strings.ToUpper(hex.EncodeToString(h))), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// Image is what a chip keeps without power.
type Image struct {
	ATR     Hex    `json:"atr"`
	Version string `json:"version,omitempty"` // of the profile; empty for a foreign chip
	Area    string `json:"area,omitempty"`    // of a local extension, six digits
	// Answers are those of a foreign chip, by command in hexadecimal.
	Answers map[string]Hex `json:"answers,omitempty"`

	// Platform is what a GlobalPlatform blank keeps of its maker.
	Platform *Platform `json:"platform,omitempty"`
	// AccountSerial is the number of the medical account's last movement, and
	// AccountProof that number with what the chip answered.
	AccountSerial uint16 `json:"accountSerial,omitempty"`
	AccountProof  Hex    `json:"accountProof,omitempty"`
	// Bank is the account number in the bank's application, or empty.
	Bank string `json:"bank,omitempty"`

	LifeCycle          byte             `json:"lifeCycle,omitempty"`
	CardBlocked        bool             `json:"cardBlocked,omitempty"`
	ApplicationBlocked bool             `json:"applicationBlocked,omitempty"`
	Permanently        bool             `json:"permanently,omitempty"`
	PIN                Hex              `json:"pin,omitempty"` // absent until it is set
	PINTries           int              `json:"pinTries,omitempty"`
	Keys               map[string]*Slot `json:"keys,omitempty"`    // by name
	Records            map[string][]Hex `json:"records,omitempty"` // by file path: values of elements, or cyclic records, newest first
	Binary             map[string]Hex   `json:"binary,omitempty"`  // by file path
}

// Slot is a key in the chip.
type Slot struct {
	Key     Hex  `json:"key"`
	Version byte `json:"version"`
	Tries   byte `json:"tries"` // attempts that are left
	Most    byte `json:"most"`  // 0 for a key without a counter
}

// ErrImage says that an image is not one of a chip.
var ErrImage = errors.New("not the image of a chip")

// issuerFile is where a blank says what it is.
const issuerFile = "SSSE/EF05"

// Blank makes a maker's blank (卡商空白卡): pre-structured, nothing written but
// the card identification without its check code, and the version. Every key
// slot holds the maker's transport key diversified to this chip.
func Blank(p *profile.Profile, serial [4]byte, maker [16]byte) (*Image, error) {
	if len(p.Maker.Area) != 3 {
		return nil, fmt.Errorf("blank: area: %w: three bytes", ErrImage)
	}
	atr := p.BlankATR(serial)
	line, ok := p.ATR(atr)
	if !ok {
		return nil, fmt.Errorf("blank: profile %s does not know the laboratory's answer to reset", p.Version)
	}
	transport, err := suiteOf(p).diversify(maker[:], line.CardFactor(atr))
	if err != nil {
		return nil, err
	}
	return structured(p, atr, p.Maker.Area, serial, func(key profile.Key) *Slot {
		return &Slot{Key: transport, Tries: key.Tries, Most: key.Tries}
	})
}

// structured lays a blank out, with what stands in a key slot.
func structured(p *profile.Profile, atr, area []byte, serial [4]byte, slot func(profile.Key) *Slot) (*Image, error) {
	image := &Image{ATR: atr, Version: p.Version, LifeCycle: lifeBlank, PINTries: p.PIN.Tries, Keys: map[string]*Slot{}, Records: map[string][]Hex{}, Binary: map[string]Hex{}}
	if p.Finance != nil {
		image.Bank = testAccount(serial)
	}
	for _, scope := range p.Scopes {
		for _, key := range scope.Keys {
			image.Keys[key.Name] = slot(key)
		}
		for _, file := range scope.Files {
			image.format(scope.Name+"/"+file.Name(), file)
		}
	}
	identification := bytes.Join([][]byte{area, {0xD1, 0x56, 0x00, 0x00, 0x05}, serial[:], {0xFF, 0xFF, 0xFF, 0xFF}}, nil)
	for name, value := range map[string][]byte{"cardID": identification, "specVersion": []byte(p.Version)} {
		if err := image.preset(p, name, value); err != nil {
			return nil, err
		}
	}
	return image, nil
}

// preset writes an element of the issuer's file.
func (i *Image) preset(p *profile.Profile, name string, value []byte) error {
	file, ok := p.File(issuerFile)
	if !ok {
		return fmt.Errorf("blank: profile %s has no file %s", p.Version, issuerFile)
	}
	e, ok := file.Element(name)
	if !ok || e.Length != len(value) {
		return fmt.Errorf("blank: profile %s has no element %s of %d bytes", p.Version, name, len(value))
	}
	i.Records[issuerFile][e.Record-1] = value
	return nil
}

// format lays a file out, empty.
func (i *Image) format(path string, file profile.File) {
	switch file.Kind {
	case profile.Variable:
		for _, element := range file.Elements {
			i.Records[path] = append(i.Records[path], bytes.Repeat([]byte{0xFF}, element.Length))
		}
	case profile.Cyclic:
		i.Records[path] = []Hex{}
	case profile.Transparent:
		i.Binary[path] = bytes.Repeat([]byte{0xFF}, file.Size)
	}
}

// check refuses an image that does not fit its profile, so that no command
// meets a key or a record that is not there. A foreign chip (nil profile) only
// needs answers that end with a status word.
func (i *Image) check(p *profile.Profile) error {
	for command, answer := range i.Answers {
		if len(answer) < 2 {
			return fmt.Errorf("answer to %s: %w: a status word at least", command, ErrImage)
		}
	}
	if p == nil {
		return nil
	}
	if err := i.Platform.check(); err != nil {
		return err
	}
	if i.PINTries < 0 || i.PINTries > p.PIN.Tries || len(i.PIN) != 0 && len(i.PIN) != p.PIN.Digits/2 {
		return fmt.Errorf("PIN: %w: %d digits or none, 0 to %d attempts", ErrImage, p.PIN.Digits, p.PIN.Tries)
	}
	for _, scope := range p.Scopes {
		for _, key := range scope.Keys {
			if slot := i.Keys[key.Name]; slot == nil || len(slot.Key) != 16 {
				return fmt.Errorf("key %s: %w: 16 bytes", key.Name, ErrImage)
			}
		}
		for _, file := range scope.Files {
			if path := scope.Name + "/" + file.Name(); !i.holds(path, file) {
				return fmt.Errorf("file %s: %w: structured as the profile says", path, ErrImage)
			}
		}
	}
	return nil
}

// holds says whether a file is there in its size.
func (i *Image) holds(path string, file profile.File) bool {
	switch file.Kind {
	case profile.Transparent:
		return len(i.Binary[path]) == file.Size
	case profile.Cyclic:
		return len(i.Records[path]) <= file.Records && !slices.ContainsFunc(i.Records[path], func(r Hex) bool { return len(r) != file.Size })
	}
	records := i.Records[path]
	return len(records) == len(file.Elements) && !slices.ContainsFunc(file.Elements, func(e profile.Element) bool {
		return e.Record < 1 || e.Record > len(records) || len(records[e.Record-1]) != e.Length
	})
}
