package chip_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/keys"
)

// golden is the transcript of the reading of a card that the software chip
// plays. Person, numbers and keys are made up for it.
const golden = "../../testdata/reading-3.00.apdu"

var update = flag.Bool("update", false, "write the golden transcript anew")

const goldenHead = `# The reading of a software chip of specification 3.00 (读卡报文记录).
# Person, numbers and keys are made up; nothing is masked, so that it can be
# played to the product.
`

// counting is a chip's randomness that is the same every time.
type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		c.n++
		p[i] = c.n
	}
	return len(p), nil
}

// province is a keeper whose keys are made of their names.
func province(t testing.TB) *keys.Keeper {
	t.Helper()
	kek, err := keys.GenerateKEK(&counting{})
	require.NoError(t, err)
	keeper, err := keys.Create(filepath.Join(t.TempDir(), "keys.json"), kek, nil)
	require.NoError(t, err)
	for _, spec := range keys.Provincial() {
		if spec.Algorithm == keys.SM4 {
			require.NoError(t, keeper.Import(spec, 1, strings.NewReader(hex.EncodeToString(named(spec.Name)))))
		}
	}
	return keeper
}

func named(name string) []byte { return []byte((name + "................")[:16]) }

// work runs an operation to its end.
func work(t testing.TB, keeper card.Keeper, channel *apdu.Channel, p *profile.Profile, atr []byte, size int, begin func(*card.Identity) (card.Operation, error)) {
	t.Helper()
	responses, err := card.Run(t.Context(), channel, card.Opening(p, size), nil)
	require.NoError(t, err)
	id, err := card.Identify(p, atr, responses)
	require.NoError(t, err)
	op, err := begin(id)
	require.NoError(t, err)
	for in := (card.Input{}); ; {
		script, err := op.Next(t.Context(), keeper, in)
		require.NoError(t, err)
		if script == nil {
			return
		}
		in.Responses, err = card.Run(t.Context(), channel, script, nil)
		require.NoError(t, err)
	}
}

// read reads a card that stands behind t.
func read(t *testing.T, keeper card.Keeper, chip apdu.Transmitter, p *profile.Profile, atr []byte) *card.Read {
	t.Helper()
	cryptotest.SetGlobalRandom(t, 1) // the terminal's part of the authentication
	var reading *card.Read
	work(t, keeper, apdu.NewChannel(chip), p, atr, 8, func(id *card.Identity) (card.Operation, error) {
		var err error
		reading, err = card.NewRead(p, id)
		return reading, err
	})
	return reading
}

// personalised makes the card of the golden transcript.
func personalised(t *testing.T, keeper card.Keeper) (*chip.Chip, *profile.Profile) {
	t.Helper()
	profiles, err := profile.Load()
	require.NoError(t, err)
	p, err := profile.ByVersion(profiles, "3.00")
	require.NoError(t, err)
	image, err := chip.Blank(p, [4]byte{0, 0xBF, 0x7C, 0x7A}, [16]byte(named(p.Maker.Transport)))
	require.NoError(t, err)
	store, err := chip.NewMemory(image)
	require.NoError(t, err)
	blank, err := chip.New(profiles, store, nil)
	require.NoError(t, err)
	personalise(t, keeper, blank, p)
	made, err := chip.New(profiles, store, &counting{})
	require.NoError(t, err)
	made.PowerOn()
	return made, p
}

// personalise makes a card of a blank.
func personalise(t testing.TB, keeper card.Keeper, blank *chip.Chip, p *profile.Profile) {
	t.Helper()
	atr := blank.PowerOn()
	work(t, keeper, apdu.NewChannel(&chip.Socket{Chip: blank}), p, atr, 16, func(id *card.Identity) (card.Operation, error) {
		return card.NewPersonalise(p, id, person(t), 1)
	})
}

const longName = "阿旺洛桑图登嘉措·索南旺杰·多杰才让尼玛"

func person(t testing.TB) card.Contents {
	t.Helper()
	birth, err := gb.NewDate(1981, 1, 1)
	require.NoError(t, err)
	number, err := gb.NewIDNumber("632221", birth, 123)
	require.NoError(t, err)
	issued, err := gb.NewDate(2026, 11, 23)
	require.NoError(t, err)
	expires, err := gb.NewDate(2036, 11, 23)
	require.NoError(t, err)
	return card.Contents{CardType: "3", Issuer: "915600000263000063000000", IssuedOn: issued, ExpiresOn: expires, CardNumber: "X00000019",
		IDNumber: number, Name: longName, Sex: number.Sex(), Ethnic: "04", BirthPlace: "632221"}
}

// holds checks what a reading found.
func holds(t *testing.T, reading *card.Read) {
	t.Helper()
	require.True(t, reading.Genuine())
	values := map[string]string{}
	for _, v := range reading.Values() {
		values[v.Name] = v.Value
	}
	require.Equal(t, longName, values["name"]+values["nameExtension"])
	require.Equal(t, person(t).IDNumber.String(), values["idNumber"])
	require.Equal(t, "X00000019", values["cardNumber"])
	require.Equal(t, "20261123", values["issuedOn"])
	require.Equal(t, "3.00", values["specVersion"])
}

// TestGolden reads the software chip and holds what passed against the golden
// transcript, byte for byte: a change of chip, operation or channel shows.
// `go test ./card/chip -run TestGolden -update` writes it anew.
func TestGolden(t *testing.T) {
	keeper := province(t)
	made, p := personalised(t, keeper)
	out := bytes.NewBufferString(goldenHead)
	recorder := apdu.NewRecorder(&chip.Socket{Chip: made}, out, nil)
	holds(t, read(t, keeper, recorder, p, made.ATR()))
	require.NoError(t, recorder.Err())
	if *update {
		require.NoError(t, os.WriteFile(golden, out.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String())
}

// TestGoldenReplayed plays the golden transcript to the product, with no chip.
func TestGoldenReplayed(t *testing.T) {
	keeper := province(t)
	made, p := personalised(t, keeper)
	player := apdu.NewReplayer(transcript(t))
	holds(t, read(t, keeper, player, p, made.ATR()))
	require.NoError(t, player.Done())
}

// TestGoldenDeviates changes one command of the reading: the replay ends there
// and says where.
func TestGoldenDeviates(t *testing.T) {
	keeper := province(t)
	made, p := personalised(t, keeper)
	exchanges := transcript(t)
	last := exchanges[len(exchanges)-1].Command
	last[2].Value++ // the number of the record
	player := apdu.NewReplayer(exchanges)
	cryptotest.SetGlobalRandom(t, 1)
	channel := apdu.NewChannel(player)
	responses, err := card.Run(t.Context(), channel, card.Opening(p, 8), nil)
	require.NoError(t, err)
	id, err := card.Identify(p, made.ATR(), responses)
	require.NoError(t, err)
	op, err := card.NewRead(p, id)
	require.NoError(t, err)
	script, err := op.Next(t.Context(), keeper, card.Input{})
	require.NoError(t, err)
	_, err = card.Run(t.Context(), channel, script, nil)
	require.ErrorIs(t, err, apdu.ErrTranscript)
	require.ErrorContains(t, err, "they differ at byte 3")
	require.ErrorIs(t, player.Done(), apdu.ErrTranscript)
}

func transcript(t *testing.T) []apdu.Exchange {
	t.Helper()
	file, err := os.Open(golden)
	require.NoError(t, err)
	defer file.Close()
	exchanges, err := apdu.ParseTranscript(file)
	require.NoError(t, err)
	return exchanges
}

// TestNothingPersonal records a whole life of a card as a product does that
// may not keep personal data: neither they nor the number nor a key is in the
// file.
func TestNothingPersonal(t *testing.T) {
	keeper := province(t)
	made, p := personalised(t, keeper)
	var out bytes.Buffer
	recorder := apdu.NewRecorder(&chip.Socket{Chip: made}, &out, func(c apdu.Command, _ apdu.Response) (bool, bool) {
		return c.INS == 0xDC, c.INS == 0xB2
	})
	holds(t, read(t, keeper, recorder, p, made.ATR()))
	channel := apdu.NewChannel(recorder)
	require.ErrorIs(t, card.VerifyPIN(context.Background(), channel, p, "314159"), apdu.ErrConditions)
	require.NoError(t, recorder.Err())
	text := out.String()
	require.NotContains(t, text, "314159")
	require.NotContains(t, text, "B0A2CDFA", "阿旺 in GBK")
	require.NotContains(t, text, strings.ToUpper(hex.EncodeToString([]byte(person(t).IDNumber.String()))))
	for _, spec := range keys.Provincial() {
		require.NotContains(t, text, strings.ToUpper(hex.EncodeToString(named(spec.Name))))
	}
	exchanges, err := apdu.ParseTranscript(&out)
	require.NoError(t, err)
	require.Greater(t, len(exchanges), 20)
}
