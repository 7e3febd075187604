package profile

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"slices"

	"go.yaml.in/yaml/v3"
)

//go:embed makers/*.yaml
var makerFiles embed.FS

// The protocols of blanks: how keys and data get into them.
const (
	ChainedMAC = "chained-MAC" // 84 D4 and 84 F0 under a transport key
	SCP02      = "SCP02"       // GlobalPlatform Card Specification, appendix E
	SCP03      = "SCP03"       // GlobalPlatform Amendment D
)

// BlankMaker is a make of blanks as data (卡商空白卡): how it is recognised, and
// what is spoken with it until it is a card.
type BlankMaker struct {
	Name  string
	Title Text
	// ATR tells the make: a blank's answer to reset agrees with the value where
	// the mask has ones.
	ATR      ATR
	Protocol string
	// What follows is for GlobalPlatform. Level is P1 of EXTERNAL AUTHENTICATE,
	// Option the parameter i, KeyVersion that of the channel's key set.
	Level, Option, KeyVersion byte
	// ENC, MAC and DEK are the keeper's names of the static keys; one name three
	// times where the maker diversifies a master key.
	ENC, MAC, DEK   string
	Diversification string
	// CheckChallenge: the chip's challenge is pseudo-random and can be checked.
	CheckChallenge bool
	KeyType        byte   // of a card's key in PUT KEY
	Area           []byte // issuing area that blanks carry in the card identification
	Assumed        bool
	Source         string
}

// The shape of a maker's file. Unknown keys are refused.
type fileMaker struct {
	Name     string
	Title    Text
	ATR      struct{ Value, Mask hexBytes } `yaml:"atr"`
	Protocol string
	Level    hexBytes
	Option   hexBytes
	Version  hexBytes `yaml:"keyVersion"`
	Keys     struct {
		ENC, MAC, DEK string
	}
	Diversification string
	CheckChallenge  bool     `yaml:"checkChallenge"`
	KeyType         hexBytes `yaml:"keyType"`
	Area            hexBytes
	Assumed         bool
	Source          string
}

// LoadMakers reads all makes of blanks that the program knows.
func LoadMakers() ([]*BlankMaker, error) {
	names, err := fs.Glob(makerFiles, "makers/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("makers: %w", err)
	}
	var makers []*BlankMaker
	for _, name := range names {
		text, err := makerFiles.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("makers: %w", err)
		}
		m, err := ParseMaker(text)
		if err != nil {
			return nil, fmt.Errorf("maker %s: %w", name, err)
		}
		makers = append(makers, m)
	}
	return makers, nil
}

// ParseMaker reads one make of blanks and checks that it holds together.
func ParseMaker(text []byte) (*BlankMaker, error) {
	var f fileMaker
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("maker: %w", err)
	}
	m := &BlankMaker{
		Name: f.Name, Title: f.Title, ATR: ATR{Value: f.ATR.Value, Mask: f.ATR.Mask, Name: f.Title}, Protocol: f.Protocol,
		ENC: f.Keys.ENC, MAC: f.Keys.MAC, DEK: f.Keys.DEK, Diversification: f.Diversification, CheckChallenge: f.CheckChallenge,
		Area: f.Area, Assumed: f.Assumed, Source: f.Source,
	}
	for _, b := range []struct {
		name string
		from hexBytes
		to   *byte
	}{{"level", f.Level, &m.Level}, {"option", f.Option, &m.Option}, {"keyVersion", f.Version, &m.KeyVersion}, {"keyType", f.KeyType, &m.KeyType}} {
		switch {
		case len(b.from) == 1:
			*b.to = b.from[0]
		case len(b.from) != 0 || m.Platform():
			return nil, fmt.Errorf("maker %s: %s: one byte", m.Name, b.name)
		}
	}
	return m, m.check()
}

// Platform says whether the blank speaks GlobalPlatform.
func (m *BlankMaker) Platform() bool { return m.Protocol == SCP02 || m.Protocol == SCP03 }

// ChallengeSize returns the length of a challenge on the make's channel: 16 in
// the mode S16 of SCP03, which bit 1 of i tells.
func (m *BlankMaker) ChallengeSize() int {
	if m.Protocol == SCP03 && m.Option&0x01 != 0 {
		return 16
	}
	return 8
}

// check refuses a make that contradicts itself. What the levels and the
// diversifications mean is the keeper's, who refuses those it does not know.
func (m *BlankMaker) check() error {
	switch {
	case m.Name == "" || m.Source == "":
		return fmt.Errorf("maker: a name and a source are needed")
	case len(m.ATR.Value) < 12 || len(m.ATR.Value) != len(m.ATR.Mask):
		return fmt.Errorf("maker %s: atr: value and mask of one length", m.Name)
	case !m.Platform() && m.Protocol != ChainedMAC:
		return fmt.Errorf("maker %s: protocol %q is not known", m.Name, m.Protocol)
	case len(m.Area) != 3:
		return fmt.Errorf("maker %s: area is three bytes", m.Name)
	case m.Platform() && (m.ENC == "" || m.MAC == "" || m.DEK == "" || m.Diversification == ""):
		return fmt.Errorf("maker %s: three keys and their diversification are needed", m.Name)
	}
	return nil
}

// MakerOf returns the make of a blank by its answer to reset (卡复位信息); false
// for one that no file knows.
func MakerOf(makers []*BlankMaker, atr []byte) (*BlankMaker, bool) {
	i := slices.IndexFunc(makers, func(m *BlankMaker) bool { return m.ATR.matches(atr) })
	if i < 0 {
		return nil, false
	}
	return makers[i], true
}

// BlankATR returns the answer to reset of a blank of the make: its fixed part,
// the area and the serial number.
func (m *BlankMaker) BlankATR(serial [4]byte) []byte {
	atr := slices.Clone(m.ATR.Value)
	copy(atr[len(atr)-6:], m.Area[:2])
	copy(atr[len(atr)-4:], serial[:])
	return atr
}
