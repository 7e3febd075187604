package pcsc_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/apdu/pcsc"
	"onecard/card"
	"onecard/card/profile"
	"onecard/internal/rig"
)

func profiles(t testing.TB) []*profile.Profile {
	t.Helper()
	all, err := profile.Load()
	require.NoError(t, err)
	return all
}

// identify finds out what the card in the first reader is, as a counter does.
func identify(t *testing.T) (*card.Identity, error) {
	t.Helper()
	reader := connect(t, 0)
	defer func() { require.NoError(t, reader.Close()) }()
	opened, err := card.Open(t.Context(), apdu.NewChannel(reader), profiles(t), reader.ATR(), func(p *profile.Profile) (*card.Script, error) {
		return card.Opening(p, card.ChallengeLength), nil
	})
	return opened.Identity, err
}

// environment selects the social security environment, as T=0 carries it.
const environment = "00A404000F7378312E73682EC9E7BBE1B1A3D5CF"

// TestForeignCards: cards of other kinds are named as such, never as ours. The
// answers to reset are those of the list of pcsc-tools, but for the first two,
// whose shape is ours; the answers are to the SELECT of each kind's own
// application.
func TestForeignCards(t *testing.T) {
	for name, test := range map[string]struct {
		atr, answers string
		want         error
	}{
		"Chinese bank card (CITIC)": {"3B6D000000814D22088660222228400001",
			`"00A404000E315041592E5359532E4444463031":"6F10840E315041592E5359532E44444630319000"`, card.ErrForeignCard},
		"social security card of another version": {"3B6D000000814E43318663990000000001",
			`"` + environment + `":"6118","00C0000018":"6F16840F7378312E73682EC9E7BBE1B1A3D5CFA50388010B9000",` +
				`"00B2012C12":"0110639900D15600000500000001FFFFFFFF9000","00B2022C03":"6A83","00B2042C0E":"6A83","00B2052C06":"6A83","00B2062C06":"6A83","00B2032C06":"0304392E39399000","0084000008":"00000000000000009000"`, card.ErrUnknownVersion},
		"bank card (Visa)":                       {"3B6A00008031C0A1020301328116", `"00A404000E325041592E5359532E4444463031":"6F10840E325041592E5359532E44444630319000"`, card.ErrUnknownATR},
		"bank card, same frame (RBC Visa)":       {"3B6D000080318065B08626010883089000", ``, card.ErrUnknownATR},
		"transit (SCSTA), same frame":            {"3B6D00005744296C808693D1271F13323D", ``, card.ErrUnknownATR},
		"transit (Calypso, Grenoble)":            {"3B6F0000805A080303000000015664F6829000", `"00A4040008315449432E494341":"6F009000"`, card.ErrUnknownATR},
		"JavaCard, issuer's domain (Cyberflex)":  {"3B751300009C02020102", `"00A4040007A0000000030000":"6F098407A00000000300009000"`, card.ErrUnknownATR},
		"PIV (Gemalto IDPrime)":                  {"3B7D96000080318065B0831117E583009000", `"00A4040009A00000030800001000":"61119000"`, card.ErrUnknownATR},
		"identity card (Germany, contactless)":   {"3B888001000000000000000009", `"00A4040009E80704007F00070302":"9000"`, card.ErrUnknownATR},
		"health card (Italy, contactless)":       {"3B88800100000000038191001A", ``, card.ErrUnknownATR},
		"memory card (SLE 4442)":                 {"3B04A2131091", ``, card.ErrUnknownATR},
		"PKI token, same frame (WatchData)":      {"3B6D000057443641018693000000000000", ``, card.ErrUnknownATR},
		"says yes to everything, another ATR":    {"3B6E000080318066B0840C016E0183009000", `"` + environment + `":"9000"`, card.ErrUnknownATR},
		"says no to everything, ATR of our form": {"3B6D00000085000010868800000001DA84", ``, card.ErrForeignCard},
	} {
		t.Run(name, func(t *testing.T) {
			made(t, 0, `{"atr":"`+test.atr+`","answers":{`+test.answers+`}}`)
			_, err := identify(t)
			require.ErrorIs(t, err, test.want)
		})
	}
	t.Run("ours", func(t *testing.T) {
		insert(t, 0)
		identity, err := identify(t)
		require.NoError(t, err, "so that the others are not refused for nothing")
		require.True(t, identity.Blank())
	})
}

// cardList is the list of pcsc-tools, of cards all over the world.
const cardList = "/usr/share/pcsc/smartcard_list.txt"

// sameShape are the cards of the list whose answer to reset has the form of
// ours: Chinese bank cards of the same makers, one by its contacts and one
// without. SELECT tells them apart (TestForeignCards).
var sameShape = []string{"3B 6D 00 00 00 81 4D 22 08 86 60 22 22 28 40 00 01", "3B 8D 80 01 00 04 D0 84 21 86 64 00 00 00 00 00 00 9F"}

// TestCardList: of all answers to reset that are known of other cards, ours
// accept none but those of the same shape.
func TestCardList(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(cardList)
	if err != nil {
		t.Skipf("%v: Debian package pcsc-tools", err)
	}
	all := profiles(t)
	checked := 0
	var accepted []string
	for line := range bytes.Lines(text) {
		line := strings.TrimRight(string(line), "\n ")
		if line == "" || strings.ContainsRune("#\t ", rune(line[0])) {
			continue
		}
		checked++
		if slices.ContainsFunc(all, func(p *profile.Profile) bool {
			return slices.ContainsFunc(p.ATRs, func(a profile.ATR) bool { return overlaps(line, a) })
		}) {
			accepted = append(accepted, line)
		}
	}
	t.Logf("%d answers to reset of the list were checked", checked)
	require.Greater(t, checked, 4000)
	require.Equal(t, sameShape, accepted)
}

// overlaps says whether a line of the list, in which a dot or a class in
// brackets stands for any digit and ".*" for any number of bytes, and a line of
// a profile have an answer to reset in common.
func overlaps(pattern string, a profile.ATR) bool {
	digits := 0
	for i := 0; i < len(pattern); i++ {
		char := pattern[i]
		switch {
		case char == ' ':
			continue
		case strings.HasPrefix(pattern[i:], ".*"):
			return true // all before it agree
		case char == '[':
			i += strings.IndexByte(pattern[i:], ']')
			char = '.'
		}
		if digits/2 == len(a.Value) {
			return false
		}
		if char != '.' {
			shift := 4 * (1 - digits%2)
			digit := byte(strings.IndexByte("0123456789ABCDEF", char))
			if (digit^a.Value[digits/2]>>shift)&(a.Mask[digits/2]>>shift)&0xF != 0 {
				return false
			}
		}
		digits++
	}
	return digits == 2*len(a.Value)
}

// TestOverlaps holds the comparison itself.
func TestOverlaps(t *testing.T) {
	t.Parallel()
	a := profile.ATR{Value: []byte{0x3B, 0x80, 0x12}, Mask: []byte{0xFF, 0x00, 0xF0}}
	for pattern, want := range map[string]bool{
		"3B 80 12": true, "3B FF 1F": true, "3B .. ..": true, "3. .. 1[0-3]": true, "3B .*": true, "3B [0-9]0 12": true,
		"3B 80": false, "3B 80 12 00": false, "3B 80 22": false, "3F .. ..": false, "3F .*": false, "3B 80 [0-9]": false,
	} {
		require.Equal(t, want, overlaps(pattern, a), pattern)
	}
}

// TestForeignNamedEarly: the watch reports a foreign card's answer to reset as
// it is, so that a counter can say at once that it is none of ours.
func TestForeignNamedEarly(t *testing.T) {
	next, end := watch(t)
	defer end()
	begins(t, next)
	made(t, 0, `{"atr":"3B04A2131091","answers":{}}`)
	var e pcsc.Event
	for len(e.ATR) == 0 {
		e = next()
	}
	require.Equal(t, rig.Readers[0], e.Reader)
	_, err := profile.Candidates(profiles(t), e.ATR)
	require.ErrorIs(t, err, profile.ErrUnknownATR)
}
