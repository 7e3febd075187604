package pcsc_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/apdu/pcsc"
	"onecard/card"
	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/internal/rig"
	"onecard/keys"
)

// bureau personalises chips of one version in one reader.
type bureau struct {
	*testing.T
	slot    int
	keeper  *keys.Keeper
	all     []*profile.Profile
	profile *profile.Profile
	whole   card.Contents
}

var makerKey = [16]byte{0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F}

const number = "314159"

func newBureau(t *testing.T, slot int, version string) *bureau {
	t.Helper()
	b := &bureau{T: t, slot: slot, all: profiles(t)}
	var err error
	b.profile, err = profile.ByVersion(b.all, version)
	require.NoError(t, err)
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	b.keeper, err = keys.Create(filepath.Join(t.TempDir(), "keys.json"), kek, keys.Provincial())
	require.NoError(t, err)
	for _, spec := range keys.Provincial() {
		if spec.Usage == keys.Transport {
			require.NoError(t, b.keeper.Import(spec, 1, strings.NewReader(hex.EncodeToString(makerKey[:]))))
		}
	}
	day, err := gb.NewDate(1981, 1, 1)
	require.NoError(t, err)
	id, err := gb.NewIDNumber("632221", day, 123)
	require.NoError(t, err)
	b.whole = card.Contents{CardType: "3", Issuer: "915600000263000063000000", IssuedOn: day, ExpiresOn: day, CardNumber: "X00000019",
		IDNumber: id, Name: "马秀兰", Sex: id.Sex(), Ethnic: "04", BirthPlace: "632221"}
	return b
}

type operation struct {
	name  string
	open  func(*profile.Profile) (*card.Script, error)
	begin func(*card.Identity) (card.Operation, error)
}

// operations are the work that writes, in the order in which a card meets it.
func (b *bureau) operations() []operation {
	items := []card.Item{{Path: "DF01/EF06/telephone", Write: &card.Data{Text: "09718123456"}},
		{Path: "DF02/EF07", Write: &card.Data{Parts: map[string]string{"employer": "甲", "from": "20240101"}}}}
	opening := func(challenge func(*profile.Profile) int) func(*profile.Profile) (*card.Script, error) {
		return func(p *profile.Profile) (*card.Script, error) { return card.Opening(p, challenge(p)), nil }
	}
	short := opening(func(*profile.Profile) int { return card.ChallengeLength })
	return []operation{
		{"personalise", opening((*profile.Profile).BlockSize), func(id *card.Identity) (card.Operation, error) {
			return card.NewPersonalise(b.profile, id, b.whole, 1)
		}},
		{"activate", short, func(id *card.Identity) (card.Operation, error) { return card.NewActivate(b.profile, id) }},
		{"write", func(p *profile.Profile) (*card.Script, error) { return card.OpeningFor(p, items) }, func(id *card.Identity) (card.Operation, error) {
			return card.NewAccess(b.profile, id, items)
		}},
	}
}

// tear cuts the power of the card in the reader at a command to come, or now.
func (b *bureau) tear(after int) {
	b.Helper()
	cardsim(b, "tear", "--control", service.Control(), "--slot", strconv.Itoa(b.slot), "--after", strconv.Itoa(after), "--stay")
}

// fresh lets the card in the reader be this one: it loses its power, and has
// another memory when it is switched on again.
func (b *bureau) fresh(file string, image *chip.Image) {
	b.Helper()
	reader := connect(b, b.slot)
	b.tear(0)
	require.NoError(b, chip.File(file).Save(image))
	require.NoError(b, reader.Close())
}

// work carries an operation out on the card in the reader.
func (b *bureau) work(o operation) (err error) {
	ctx := b.Context()
	reader, err := pcsc.Connect(ctx, rig.Readers[b.slot])
	if err != nil {
		return err
	}
	defer func() { require.NoError(b, reader.Close()) }()
	channel := apdu.NewChannel(reader)
	opened, err := card.Open(ctx, channel, b.all, reader.ATR(), o.open)
	if err != nil {
		return err
	}
	op, err := o.begin(opened.Identity)
	if err != nil {
		return err
	}
	for in := (card.Input{}); ; {
		script, err := op.Next(ctx, b.keeper, in)
		if script == nil || err != nil {
			return err
		}
		in = card.Input{PIN: number}
		if in.Responses, err = card.RunWithPIN(ctx, channel, script, number, nil); err != nil {
			return err
		}
	}
}

// tornVariable names the version to a process of this test's own: the library
// knows one service for a process, and each version has its own.
const tornVariable = "PCSC_TEST_TORN"

// TestTornAtEveryCommand cuts the power at every command that passes the reader,
// its answer lost, with the real service between; then the work is done again.
func TestTornAtEveryCommand(t *testing.T) {
	if version := os.Getenv(tornVariable); version != "" {
		tornOf(t, version)
		return
	}
	var ended []func(*testing.T)
	for _, version := range []string{"1.00", "2.00", "3.00"} {
		var out bytes.Buffer
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^TestTornAtEveryCommand$")
		command.Env = append(os.Environ(), tornVariable+"="+version)
		command.Stdout, command.Stderr = &out, &out
		require.NoError(t, command.Start())
		ended = append(ended, func(t *testing.T) {
			require.NoError(t, command.Wait(), "%s", &out)
			for line := range strings.Lines(out.String()) {
				if _, said, found := strings.Cut(line, version+" "); found {
					t.Log(version, strings.TrimSpace(said))
				}
			}
		})
	}
	for _, ended := range ended {
		t.Run("version", ended)
	}
}

// tornOf shares the cuts out over the readers.
func tornOf(t *testing.T, version string) {
	t.Helper()
	for slot := range rig.Readers {
		t.Run(strconv.Itoa(slot), func(t *testing.T) {
			t.Parallel()
			b := newBureau(t, slot, version)
			file := filepath.Join(t.TempDir(), "torn.card")
			image, err := chip.Blank(b.profile, [4]byte{0, 0, 0xD1, byte(slot)}, makerKey)
			require.NoError(t, err)
			require.NoError(t, chip.File(file).Create(image))
			require.NoError(t, service.Insert(t.Context(), slot, file))
			noticed(t, slot, true)
			for _, operation := range b.operations() {
				cut, cuts := slot+1, 0
				for b.torn(operation, file, image, cut) {
					cut += len(rig.Readers)
					cuts++
				}
				t.Logf("%s %s: power cut at %d of its commands", version, operation.name, cuts)
				require.NotZero(t, cuts)
				image, err = chip.File(file).Load()
				require.NoError(t, err)
			}
		})
	}
}

// torn lets the power go at a command of the work on a fresh card, and repeats
// the work. It says whether the work has so many commands.
func (b *bureau) torn(o operation, file string, image *chip.Image, cut int) bool {
	b.Helper()
	b.fresh(file, image)
	b.tear(cut)
	if err := b.work(o); err != nil {
		where := fmt.Sprintf("%s, command %d", o.name, cut)
		require.ErrorIs(b, err, pcsc.ErrMute, where)
		require.NoError(b, b.work(o), where)
		b.unspent(file, where)
		return true
	}
	return false
}

// unspent holds a finished card to its counters: a torn attempt at the holder's
// own number may have cost one, no other.
func (b *bureau) unspent(file, where string) {
	b.Helper()
	image, err := chip.File(file).Load()
	require.NoError(b, err)
	require.Equal(b, byte(3), byte(image.LifeCycle), where)
	for name, slot := range image.Keys {
		require.Equal(b, byte(1), slot.Version, where+", "+name)
		require.GreaterOrEqual(b, slot.Tries+1, slot.Most, where+", "+name)
	}
}
