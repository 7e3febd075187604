package card_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/keys"
)

// platformKeys are a maker's static keys, by the keeper's name.
var platformKeys = map[string][]byte{
	"GPENC": bytes.Repeat([]byte{0x1E}, 16), "GPMAC": bytes.Repeat([]byte{0x2A}, 16), "GPDEK": bytes.Repeat([]byte{0x3D}, 16),
	"KMC": []byte("@ABCDEFGHIJKLMNO"),
}

// withPlatform gives the keeper the static keys of both makes.
func (v province) withPlatform(t testing.TB) province {
	t.Helper()
	for name, value := range platformKeys {
		spec := keys.Spec{Name: name, Usage: keys.Channel, Algorithm: keys.AES128}
		if name == "KMC" {
			spec.Algorithm = keys.TripleDES
		}
		require.NoError(t, v.keeper.Import(spec, 1, strings.NewReader(hex.EncodeToString(value))))
	}
	return v
}

// maker finds a make by name, and changes it for this province alone.
func (v *province) maker(t testing.TB, name string, changes ...func(*profile.BlankMaker)) *profile.BlankMaker {
	t.Helper()
	i := slices.IndexFunc(v.profile.Makers, func(m *profile.BlankMaker) bool { return m.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	own := *v.profile.Makers[i]
	for _, change := range changes {
		change(&own)
	}
	v.change(func(p *profile.Profile) {
		p.Makers = slices.Clone(p.Makers)
		p.Makers[i] = &own
	})
	return &own
}

// platformBlank makes a blank of a GlobalPlatform make.
func (v province) platformBlank(t testing.TB, m *profile.BlankMaker, serial byte) *chip.Chip {
	t.Helper()
	image, err := chip.PlatformBlank(v.profile, m, [4]byte{0, 0, 0, serial}, platformKeys[m.ENC], platformKeys[m.MAC], platformKeys[m.DEK])
	require.NoError(t, err)
	return v.insert(t, image)
}

// allLevels are the makes and what their channels can do: the two of the
// files, and variations of them.
var allLevels = []struct {
	maker         string
	level, option byte
}{
	{"gp-scp03", 0x33, 0x70}, {"gp-scp03", 0x13, 0x70}, {"gp-scp03", 0x11, 0x70}, {"gp-scp03", 0x03, 0x70}, {"gp-scp03", 0x01, 0x70},
	{"gp-scp03", 0x33, 0x60}, {"gp-scp03", 0x03, 0x00}, {"gp-scp03", 0x33, 0x71}, {"gp-scp03", 0x11, 0x61},
	{"gp-scp02", 0x03, 0x55}, {"gp-scp02", 0x01, 0x55}, {"gp-scp02", 0x03, 0x15},
}

// TestPlatformBlanks personalises blanks of each make at each level: in four
// scripts each becomes the same card.
func TestPlatformBlanks(t *testing.T) {
	t.Parallel()
	for i, test := range allLevels {
		t.Run(fmt.Sprintf("%s %02X i=%02X", test.maker, test.level, test.option), func(t *testing.T) {
			t.Parallel()
			v := newProvince(t).withPlatform(t)
			m := v.maker(t, test.maker, func(m *profile.BlankMaker) { m.Level, m.Option = test.level, test.option })
			socket := &chip.Socket{Chip: v.platformBlank(t, m, byte(i+1))}
			made, measured, err := v.personalise(t.Context(), socket, contents(t, longName))
			require.NoError(t, err)
			require.True(t, made.Genuine())
			require.Equal(t, card.PlatformScripts, measured.scripts)
			v.isCard(t, socket, longName)
			_, err = v.activate(t.Context(), socket, "270419")
			require.NoError(t, err)
		})
	}
}

// isCard reads a card by its own keys and finds nothing of the maker's.
func (v province) isCard(t testing.TB, socket *chip.Socket, name string) {
	t.Helper()
	read, _, err := v.read(t.Context(), socket)
	require.NoError(t, err)
	require.True(t, read.Genuine())
	got := values(read.Values())
	require.Equal(t, name, got["name"]+got["nameExtension"])
	image, err := socket.Chip.Image()
	require.NoError(t, err)
	for key, slot := range image.Keys {
		require.Equal(t, slot.Most, slot.Tries, key)
		require.Equal(t, byte(1), slot.Version, key)
	}
	// Nothing of the maker's opens it any more: the same instruction is that of
	// a movement of the account, in another directory.
	r, err := apdu.NewChannel(socket).Send(t.Context(), apdu.Command{CLA: 0x80, INS: 0x50, Data: make([]byte, 8), Ne: 256})
	require.NoError(t, err)
	require.Equal(t, apdu.SW(0x6985), r.SW)
}

// TestPlatformTorn cuts the power at every command of a personalisation, before
// and after the chip has carried it out, and runs the personalisation again.
func TestPlatformTorn(t *testing.T) {
	t.Parallel()
	v := newProvince(t).withPlatform(t)
	intended := contents(t, "扎西·多杰")
	for _, name := range []string{"gp-scp03", "gp-scp02"} {
		m := v.maker(t, name)
		whole := &chip.Socket{Chip: v.platformBlank(t, m, 1)}
		_, _, err := v.personalise(t.Context(), whole, intended)
		require.NoError(t, err)
		require.Greater(t, whole.Count(), 40)
		for cut := 1; cut <= whole.Count(); cut++ {
			for _, before := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s %d %v", name, cut, before), func(t *testing.T) {
					t.Parallel()
					socket := &chip.Socket{Chip: v.platformBlank(t, m, byte(cut)), Cut: cut, Before: before}
					_, _, err := v.personalise(t.Context(), socket, intended)
					require.ErrorIs(t, err, chip.ErrPower)
					made, _, err := v.personalise(t.Context(), socket, intended)
					require.NoError(t, err)
					require.True(t, made.Genuine())
					v.isCard(t, socket, "扎西·多杰")
				})
			}
		}
	}
}

// meddler changes one exchange on the way between the province and the chip.
type meddler struct {
	socket         *chip.Socket
	at             int
	command, reply func([]byte) []byte
	count          int
	sent           []byte // instructions
}

func (m *meddler) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	m.count++
	m.sent = append(m.sent, command[1])
	if m.count == m.at && m.command != nil {
		command = m.command(bytes.Clone(command))
	}
	answer, err := m.socket.Transmit(ctx, command)
	if m.count == m.at && m.reply != nil && err == nil {
		answer = m.reply(bytes.Clone(answer))
	}
	return answer, err
}

// TestPlatformMeddled: a counter that changes any command or any answer of the
// session gets no card, and the blank can be made one afterwards.
func TestPlatformMeddled(t *testing.T) {
	t.Parallel()
	v := newProvince(t).withPlatform(t)
	m := v.maker(t, "gp-scp03")
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[min(at, len(b)-1)] ^= 1; return b }
	}
	for at, fetches := range sessionCommands(t, v, m) {
		for name, way := range map[string]*meddler{"command": {command: flip(7)}, "answer": {reply: flip(0)}} {
			if fetches && name == "command" {
				continue // GET RESPONSE only carries an answer; its length is nobody's secret
			}
			t.Run(fmt.Sprintf("%s %d", name, at), func(t *testing.T) {
				t.Parallel()
				socket := &chip.Socket{Chip: v.platformBlank(t, m, byte(at))}
				between := &meddler{socket: socket, at: at, command: way.command, reply: way.reply}
				err := v.through(t, between, contents(t, "马秀兰"))
				require.Error(t, err)
				made, _, err := v.personalise(t.Context(), socket, contents(t, "马秀兰"))
				require.NoError(t, err)
				require.True(t, made.Genuine())
			})
		}
	}
}

// through personalises over a line of any kind.
func (v province) through(t testing.TB, line *meddler, c card.Contents) error {
	t.Helper()
	line.socket.Chip.PowerOn()
	channel := apdu.NewChannel(line)
	responses, err := card.Run(t.Context(), channel, card.Opening(v.profile, 16), nil)
	require.NoError(t, err)
	id, err := card.Identify(v.profile, line.socket.Chip.ATR(), responses)
	require.NoError(t, err)
	op, err := card.NewPersonalise(v.profile, id, c, 1)
	require.NoError(t, err)
	for in := (card.Input{}); ; {
		script, err := op.Next(t.Context(), v.keeper, in)
		if script == nil || err != nil {
			return err
		}
		if in.Responses, err = card.Run(t.Context(), channel, script, nil); err != nil {
			return err
		}
	}
}

// sessionCommands numbers the commands of the session as they go over the
// line, and says which of them are GET RESPONSE.
func sessionCommands(t testing.TB, v province, m *profile.BlankMaker) map[int]bool {
	t.Helper()
	line := &meddler{socket: &chip.Socket{Chip: v.platformBlank(t, m, 2)}}
	opening := &meddler{socket: line.socket}
	opening.socket.Chip.PowerOn()
	_, err := card.Run(t.Context(), apdu.NewChannel(opening), card.Opening(v.profile, 16), nil)
	require.NoError(t, err)
	require.NoError(t, v.through(t, line, contents(t, "马秀兰")))
	commands := map[int]bool{}
	end := bytes.LastIndexByte(line.sent, 0xA4) // the SELECT that ends the session
	for at := opening.count + 1; at <= end; at++ {
		commands[at] = line.sent[at-1] == 0xC0
	}
	return commands
}

// makes says for each make and version how many scripts and APDUs a
// personalisation takes, the opening included, and whether answers are
// enciphered, too.
var makes = []struct {
	maker, version, name string
	want                 measure
	answers              bool
}{
	{"gp-scp03", "3.00", longName, measure{4, 63}, true},
	{"gp-scp03", "2.00", longName, measure{4, 64}, true},
	{"gp-scp03", "1.00", "阿旺洛桑图登嘉措", measure{4, 58}, true},
	{"gp-scp02", "3.00", longName, measure{4, 61}, false},
	{"gp-scp02", "2.00", longName, measure{4, 62}, false},
	{"gp-scp02", "1.00", "阿旺洛桑图登嘉措", measure{4, 56}, false},
}

// TestCountsOnThePage: docs/blanks.md says what the tests count.
func TestCountsOnThePage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/blanks.md")
	require.NoError(t, err)
	line := func(maker, version string, m measure) {
		require.Contains(t, string(text), fmt.Sprintf("\n| %s | %s | %d | %d |\n", maker, version, m.scripts, m.apdus))
	}
	for _, test := range makes {
		line(test.maker, test.version, test.want)
	}
	for version, life := range lives {
		line("laboratory", version, life.personalise)
	}
}

// heard is a counter that listens.
type heard struct {
	apdu.Transmitter
	commands, answers [][]byte
}

func (h *heard) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	answer, err := h.Transmitter.Transmit(ctx, command)
	h.commands, h.answers = append(h.commands, bytes.Clone(command)), append(h.answers, bytes.Clone(answer))
	return answer, err
}

// TestPlatformMakes makes a card of each version on each make in four
// exchanges at most, and looks at all that passed the counter on the way: of
// the card's keys and of its holder there is nothing in it but ciphertext. Then
// the card is used, and its keys are replaced as any card's.
func TestPlatformMakes(t *testing.T) {
	t.Parallel()
	for i, test := range makes {
		t.Run(test.maker+" "+test.version, func(t *testing.T) {
			t.Parallel()
			v := newProvinceOf(t, test.version).withPlatform(t)
			socket := &chip.Socket{Chip: v.platformBlank(t, v.maker(t, test.maker), byte(0x40+i))}
			socket.Chip.PowerOn()
			counter, intended := &heard{Transmitter: socket}, contents(t, test.name)
			op, m, err := v.driveOn(t.Context(), counter, socket.Chip.ATR(), "personalise", func(id *card.Identity) (card.Operation, error) {
				return card.NewPersonalise(v.profile, id, intended, 1)
			}, "")
			require.NoError(t, err)
			require.Equal(t, test.want, m, "scripts and APDUs")
			require.LessOrEqual(t, m.scripts, 4)
			image, err := socket.Chip.Image()
			require.NoError(t, err)
			secrets := [][]byte{[]byte(intended.IDNumber.String()), encoded(t, v, "name", image), platformKeys["KMC"], platformKeys["GPENC"], platformKeys["GPMAC"], platformKeys["GPDEK"]}
			for _, slot := range image.Keys {
				secrets = append(secrets, slot.Key)
			}
			passed := slices.Concat(counter.commands...)
			if test.answers {
				passed = append(passed, slices.Concat(counter.answers...)...)
			}
			for _, secret := range secrets {
				require.GreaterOrEqual(t, len(secret), 8)
				require.NotContains(t, string(passed), string(secret[:8]))
				require.NotContains(t, string(passed), string(secret[len(secret)-8:]))
			}
			v.use(t, socket, op.(*card.Personalise).CardID, lives[test.version].activate)
			v.rekeyed(t, socket)
		})
	}
}

// encoded is an element of the holder as the chip holds it.
func encoded(t testing.TB, v province, name string, image *chip.Image) []byte {
	t.Helper()
	file, ok := v.profile.File("SSSE/EF06")
	require.True(t, ok)
	e, ok := file.Element(name)
	require.True(t, ok)
	return image.Records["SSSE/EF06"][e.Record-1]
}

// rekeyed replaces a card's keys by those of version 2.
func (v province) rekeyed(t testing.TB, socket *chip.Socket) {
	t.Helper()
	for _, scope := range v.profile.Scopes {
		for _, key := range scope.Keys {
			_, err := v.keeper.Rotate(v.profile.KeeperKey(key.Name))
			require.NoError(t, err)
		}
	}
	socket.Chip.PowerOn()
	_, _, err := v.drive(t.Context(), socket, "rekey", func(id *card.Identity) (card.Operation, error) { return card.NewRekey(v.profile, id, 2) }, "")
	require.NoError(t, err)
	read, _, err := v.read(t.Context(), socket)
	require.NoError(t, err)
	require.True(t, read.Genuine())
}

// TestPlatformWrongBlanks: a blank with other static keys is told by its
// cryptogram, before anything is sent that a chip may count.
func TestPlatformWrongBlanks(t *testing.T) {
	t.Parallel()
	v := newProvince(t).withPlatform(t)
	for _, name := range []string{"gp-scp03", "gp-scp02"} {
		m := v.maker(t, name)
		other := bytes.Repeat([]byte{7}, 16)
		image, err := chip.PlatformBlank(v.profile, m, [4]byte{9}, other, other, other)
		require.NoError(t, err)
		line := &meddler{socket: &chip.Socket{Chip: v.insert(t, image)}}
		err = v.through(t, line, contents(t, "韩世英"))
		require.ErrorIs(t, err, card.ErrTransportKey)
		require.ErrorIs(t, err, keys.ErrCardCryptogram)
		require.Equal(t, 1, bytes.Count(line.sent, []byte{0x50}), "one INITIALIZE UPDATE")
		require.NotContains(t, line.sent, byte(0x82), "no EXTERNAL AUTHENTICATE")
	}
	socket := &chip.Socket{Chip: v.platformBlank(t, v.maker(t, "gp-scp03"), 3)}
	_, _, err := v.personalise(t.Context(), socket, contents(t, "马秀兰"))
	require.NoError(t, err)
	_, _, err = v.personalise(t.Context(), socket, contents(t, "韩世英"))
	require.ErrorIs(t, err, card.ErrAlreadyPersonalised)
}

// withoutChannels is a keeper who holds none, as one over a token.
type withoutChannels struct{ *keys.Keeper }

func (withoutChannels) OpenChannel(context.Context, keys.ChannelRequest) (command, state []byte, err error) {
	return nil, nil, keys.ErrNoChannel
}

// TestPlatformRefused: what a blank lacks at the province's side is named.
func TestPlatformRefused(t *testing.T) {
	t.Parallel()
	v := newProvince(t)
	begin := func(v province, m *profile.BlankMaker, keeper card.Keeper) error {
		c := v.platformBlank(t, m, 1)
		c.PowerOn()
		channel := apdu.NewChannel(&chip.Socket{Chip: c})
		opened, err := card.Open(t.Context(), channel, v.profiles, c.ATR(), func(p *profile.Profile) (*card.Script, error) { return card.Opening(p, 16), nil })
		require.NoError(t, err)
		op, err := card.NewPersonalise(opened.Profile, opened.Identity, contents(t, "马秀兰"), 1)
		if err != nil {
			return err
		}
		for in := (card.Input{}); ; {
			script, err := op.Next(t.Context(), keeper, in)
			if err != nil {
				return err
			}
			require.NotNil(t, script, "it came to an end")
			in.Responses, err = card.Run(t.Context(), channel, script, nil)
			require.NoError(t, err)
		}
	}
	m := v.maker(t, "gp-scp03")
	require.ErrorIs(t, begin(v, m, v.keeper), card.ErrUnknownKeys, "the maker's keys were not imported")
	require.ErrorIs(t, begin(v, m, withoutChannels{v.keeper}), card.ErrNoChannel)
	require.ErrorIs(t, begin(v, m, struct{ card.Keeper }{v.keeper}), card.ErrNoChannel)
	unknown := *m
	unknown.ATR.Value = slices.Clone(m.ATR.Value)
	unknown.ATR.Value[5]++
	require.ErrorIs(t, begin(v, &unknown, v.keeper), card.ErrUnknownMaker)
}
