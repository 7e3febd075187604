package profile

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

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
	// KeyTypes are those of a card's keys in PUT KEY, by the profile's algorithm.
	KeyTypes map[string]byte
	Area     []byte // issuing area that blanks carry in the card identification
	Assumed  bool
	Source   string
}

// The shape of a maker's file. Unknown keys are refused.
type fileMaker struct {
	Name     string
	Title    Text
	ATR      struct{ Value, Mask hexBytes } `yaml:"atr"`
	Protocol string
	Level    *hexByte
	Option   *hexByte
	Version  *hexByte `yaml:"keyVersion"`
	Keys     struct {
		ENC, MAC, DEK string
	}
	Diversification string
	CheckChallenge  bool               `yaml:"checkChallenge"`
	KeyTypes        map[string]hexByte `yaml:"keyTypes"`
	Area            hexBytes
	Assumed         bool
	Source          string
}

// knownMakers are the makes in the program, read when they are first asked for.
var knownMakers = sync.OnceValues(func() ([]*BlankMaker, error) { return loadMakers(makerFiles, "makers/*.yaml") })

// loadMakers reads all makes of blanks (卡商) in files, and refuses two that
// cannot be told apart.
func loadMakers(from fs.FS, pattern string) ([]*BlankMaker, error) {
	names, err := fs.Glob(from, pattern)
	if err != nil {
		return nil, fmt.Errorf("makers: %w", err)
	}
	var makers []*BlankMaker
	for _, name := range names {
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, fmt.Errorf("makers: %w", err)
		}
		m, err := ParseMaker(text, makers...)
		if err != nil {
			return nil, fmt.Errorf("maker %s: %w", name, err)
		}
		makers = append(makers, m)
	}
	return makers, nil
}

// ParseMaker reads one make of blanks and checks that it holds together and is
// none of those known. What is wrong is an *Error with the line, or the YAML
// reader's own, which names it as well.
func ParseMaker(text []byte, known ...*BlankMaker) (*BlankMaker, error) {
	var f fileMaker
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("maker: %w", err)
	}
	m := &BlankMaker{
		Name: f.Name, Title: f.Title, ATR: ATR{Value: f.ATR.Value, Mask: f.ATR.Mask, Name: f.Title}, Protocol: f.Protocol,
		ENC: f.Keys.ENC, MAC: f.Keys.MAC, DEK: f.Keys.DEK, Diversification: f.Diversification, CheckChallenge: f.CheckChallenge,
		KeyTypes: map[string]byte{}, Area: f.Area, Assumed: f.Assumed, Source: f.Source,
	}
	for algorithm, b := range f.KeyTypes {
		m.KeyTypes[algorithm] = byte(b)
	}
	err := m.check(known)
	for _, b := range []struct {
		name string
		from *hexByte
		to   *byte
	}{{"level", f.Level, &m.Level}, {"option", f.Option, &m.Option}, {"keyVersion", f.Version, &m.KeyVersion}} {
		switch {
		case b.from != nil:
			*b.to = byte(*b.from)
		case err == nil && m.Platform():
			err = within(fmt.Errorf("%s is needed: one byte in hexadecimal", b.name), b.name)
		}
	}
	if err == nil {
		err = m.checkChannel()
	}
	if err != nil {
		return nil, located(text, err)
	}
	return m, nil
}

// check refuses a make that is none.
func (m *BlankMaker) check(known []*BlankMaker) error {
	switch {
	case m.Name == "":
		return within(fmt.Errorf("a name is needed"), "name")
	case slices.ContainsFunc(known, func(other *BlankMaker) bool { return other.Name == m.Name }):
		return within(fmt.Errorf("maker %s is known already", m.Name), "name")
	case m.Source == "":
		return within(fmt.Errorf("a source is needed"), "source")
	case len(m.ATR.Value) < 12 || len(m.ATR.Value) != len(m.ATR.Mask):
		return within(fmt.Errorf("value and mask of one length, twelve bytes at least"), "atr")
	case !m.Platform() && m.Protocol != ChainedMAC:
		return within(fmt.Errorf("protocol %q: %s, %s or %s", m.Protocol, ChainedMAC, SCP02, SCP03), "protocol")
	case len(m.Area) != 3:
		return within(fmt.Errorf("area is three bytes"), "area")
	}
	for _, other := range known {
		if other.ATR.matches(m.BlankATR([4]byte{})) || m.ATR.matches(other.BlankATR([4]byte{})) {
			return within(fmt.Errorf("blanks cannot be told from those of maker %s", other.Name), "atr")
		}
	}
	return nil
}

// The levels and the ways of diversification that a channel may have. The
// keeper of keys knows the same.
var (
	channelLevels   = map[string][]byte{SCP02: {0x01, 0x03}, SCP03: {0x01, 0x03, 0x11, 0x13, 0x33}}
	diversification = map[string][]string{SCP02: {"none", "emv", "visa2"}, SCP03: {"none", "kdf3"}}
)

// checkChannel refuses a channel that cannot be opened, and one on a make that
// has none.
func (m *BlankMaker) checkChannel() error {
	if !m.Platform() {
		if m.Level != 0 || m.Option != 0 || m.KeyVersion != 0 || m.ENC+m.MAC+m.DEK != "" || m.Diversification != "" || m.CheckChallenge || len(m.KeyTypes) > 0 {
			return within(fmt.Errorf("protocol %s has no secure channel", m.Protocol), "protocol")
		}
		return nil
	}
	answers := (m.Level & 0x30) << 1 // the bits of i that the level asks for
	switch {
	case !slices.Contains(channelLevels[m.Protocol], m.Level):
		return within(fmt.Errorf("level %02X: %s has % X", m.Level, m.Protocol, channelLevels[m.Protocol]), "level")
	case m.Protocol == SCP03 && m.Option&answers != answers:
		return within(fmt.Errorf("option %02X: chips of this kind do not protect answers as level %02X asks", m.Option, m.Level), "option")
	case m.KeyVersion > 0x7F:
		return within(fmt.Errorf("keyVersion %02X: 00 to 7F", m.KeyVersion), "keyVersion")
	case m.ENC == "" || m.MAC == "" || m.DEK == "":
		return within(fmt.Errorf("the keeper's names of enc, mac and dek are needed"), "keys")
	case !slices.Contains(diversification[m.Protocol], m.Diversification):
		return within(fmt.Errorf("diversification %q: %s has %s", m.Diversification, m.Protocol, strings.Join(diversification[m.Protocol], ", ")), "diversification")
	case m.CheckChallenge && (m.Protocol != SCP03 || m.Option&0x10 == 0):
		return within(fmt.Errorf("the challenge of such a chip is random and cannot be checked"), "checkChallenge")
	}
	for _, algorithm := range []string{SM4, TripleDES} {
		if _, known := m.KeyTypes[algorithm]; !known || len(m.KeyTypes) != 2 {
			return within(fmt.Errorf("keyTypes are those of %s and %s keys", SM4, TripleDES), "keyTypes")
		}
	}
	return nil
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
