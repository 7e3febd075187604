package driver_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/exchange"
	"onecard/exchange/authentication"
	"onecard/internal/gb"
	"onecard/keys"
	"onecard/registry"
	"onecard/registry/registrytest"
	"onecard/registry/sample"
	"onecard/terminal/driver"
)

// makerKey is the laboratory maker's transport key.
var makerKey = [16]byte{0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F}

const holder = "阿旺洛桑图登嘉措·索南旺杰·多杰才让尼玛"

// bench is a software chip with an issued card, a driver on it, and the
// province's authentication service.
type bench struct {
	*driver.Card
	t       *testing.T
	chip    *chip.Chip
	channel *apdu.Channel
	profile *profile.Profile
	service *authentication.Service
	clerk   authentication.Caller
	pin     string
}

// CardOfChip has every card on record.
func (b *bench) CardOfChip(*registry.Tx, string) (authentication.Card, error) {
	return authentication.Card{ID: uuid.NewSHA1(uuid.Nil, []byte("card")), ATR: hexOf(b.chip.ATR()), Status: "1", StatusText: exchange.Text{ZH: "正常", EN: "normal"}, KeyVersion: 1}, nil
}

func newBench(t *testing.T, db *registry.DB, version, name string) *bench {
	t.Helper()
	profiles, err := profile.Load()
	require.NoError(t, err)
	p, err := profile.ByVersion(profiles, version)
	require.NoError(t, err)
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	keeper, err := keys.Create(filepath.Join(t.TempDir(), "keys.json"), kek, keys.Provincial())
	require.NoError(t, err)
	for _, spec := range keys.Provincial() {
		if spec.Name == p.KeeperKey(p.Maker.Transport) {
			require.NoError(t, keeper.Import(spec, 1, strings.NewReader(hex.EncodeToString(makerKey[:]))))
		}
	}
	image, err := chip.Blank(p, [4]byte{0, 0xBF, 0x7C, 0x7A}, makerKey)
	require.NoError(t, err)
	store, err := chip.NewMemory(image)
	require.NoError(t, err)
	b := &bench{t: t, profile: p}
	b.chip, err = chip.New(profiles, store, nil)
	require.NoError(t, err)
	b.channel = apdu.NewChannel(&chip.Socket{Chip: b.chip})
	b.personalise(keeper, name)

	require.NoError(t, db.MarkTrial(t.Context(), registry.Actor{Operator: "test", Place: "630000"}))
	require.NoError(t, sample.Load(t.Context(), db))
	station, err := db.Workstation(t.Context(), "W-O630102-01")
	require.NoError(t, err)
	b.clerk = authentication.Caller{Workstation: station, Operator: registry.Operator{Login: "clerk", Roles: []string{registry.RoleClerk}, Place: station.Place}}
	b.service, err = authentication.New(authentication.Config{DB: db, Cards: b, Keeper: keeper, NoKey: keys.ErrNoKey, Profiles: profiles})
	require.NoError(t, err)
	b.Card = driver.New(driver.Config{Profiles: profiles, Terminal: "410100813475", Device: "D1",
		PINPad: func(context.Context) (string, error) { return b.pin, nil }}, b.channel, b.chip.PowerOn())
	return b
}

// personalise makes a card of the blank.
func (b *bench) personalise(keeper card.Keeper, name string) {
	b.t.Helper()
	ctx := b.t.Context()
	atr := b.chip.PowerOn()
	responses, err := card.Run(ctx, b.channel, card.Opening(b.profile, b.profile.BlockSize()), nil)
	require.NoError(b.t, err)
	id, err := card.Identify(b.profile, atr, responses)
	require.NoError(b.t, err)
	birth, err := gb.NewDate(1981, 1, 1)
	require.NoError(b.t, err)
	number, err := gb.NewIDNumber("632221", birth, 123)
	require.NoError(b.t, err)
	issued, err := gb.NewDate(2026, 11, 23)
	require.NoError(b.t, err)
	expires, err := gb.NewDate(2036, 11, 23)
	require.NoError(b.t, err)
	op, err := card.NewPersonalise(b.profile, id, card.Contents{CardType: "3", Issuer: "915600000263000063000000", IssuedOn: issued, ExpiresOn: expires,
		CardNumber: "X00000019", IDNumber: number, Name: name, Sex: number.Sex(), Ethnic: "04", BirthPlace: "632221"}, 1)
	require.NoError(b.t, err)
	in := card.Input{}
	for {
		script, err := op.Next(ctx, keeper, in)
		require.NoError(b.t, err)
		if script == nil {
			return
		}
		in.Responses, err = card.Run(ctx, b.channel, script, nil)
		require.NoError(b.t, err)
	}
}

// ask hands a step's string to the province.
func (b *bench) ask(service, step string) (string, error) {
	message, err := b.Message(service, step)
	if err != nil {
		return "", err
	}
	answer, err := b.service.AuthenticateLine(b.t.Context(), b.clerk, uuid.NewString(), []byte(message), message)
	return answer.Line, err
}

// must is ask for what is answered.
func (b *bench) must(service, step string) string {
	b.t.Helper()
	answer, err := b.ask(service, step)
	require.NoError(b.t, err)
	return answer
}

func (b *bench) line() string {
	b.t.Helper()
	step, err := b.ReadCardBasStep1(b.t.Context())
	require.NoError(b.t, err)
	line, err := b.ReadCardBasStep2(b.t.Context(), b.must("01", step))
	require.NoError(b.t, err)
	return line
}

// info is the card information that the other steps take.
func (b *bench) info() string {
	b.t.Helper()
	parts := strings.Split(b.line(), "|")
	return parts[3] + "|" + parts[2] + "|"
}

func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) { test(t, newBench(t, db, "3.00", holder)) })
}

func hexOf(raw []byte) string { return strings.ToUpper(hex.EncodeToString(raw)) }

// TestReadCardBas reads the holder in two steps, as a hospital's program does.
func TestReadCardBas(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		step, err := b.ReadCardBasStep1(t.Context())
		require.NoError(t, err)
		fields := strings.Split(step, "|")
		require.Len(t, fields, 9)
		require.Equal(t, []string{fields[3][:6], hexOf(b.chip.ATR()[4:]), "03"}, fields[:3])
		require.Equal(t, "410100813475", fields[8])
		answer := b.must("01", step)
		require.Len(t, answer, 2*(32+1))
		line, err := b.ReadCardBasStep2(t.Context(), answer)
		require.NoError(t, err)
		got := strings.Split(line, "|")
		require.Len(t, got, 12)
		require.Equal(t, []string{"X00000019", fields[3], holder, fields[1], "3.00", "20261123", "20361123", "410100813475", "D1", ""}, got[2:])
		require.True(t, strings.HasPrefix(got[1], "63222119810101123"), "社会保障号码")
	})
}

// TestWriteAndRead writes the address of residence with its key and reads it
// back with the other.
func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		ctx, info := t.Context(), b.info()
		step, err := b.WriteCardStep1(ctx, info, "DF01EF06|23|24|28|$")
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(step, "03|0179|"), step)
		require.NoError(t, b.WriteCardStep2(ctx, b.must("02", step), "DF01EF06|西宁市城东区|630102|0971123|$"))

		step, err = b.ReadCardStep1(ctx, info, "DF01EF06|23|24|28|$")
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(step, "03|004F|"), step)
		line, err := b.ReadCardStep2(ctx, b.must("02", step))
		require.NoError(t, err)
		require.Equal(t, "DF01EF06|西宁市城东区|630102|0971123|$", line)

		step, err = b.ReadCardStep1(ctx, info, "MFEF06|08|09|$SSSEEF05|07|$")
		require.NoError(t, err)
		line, err = b.ReadCardStep2(ctx, b.must("02", step))
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(line, "MFEF06|63222119810101123"), line)
		require.True(t, strings.HasSuffix(line, "|$SSSEEF05|X00000019|$"), line)
	})
}

// TestOlderVersions: the same steps on cards with 3DES, which give the holder's
// data without any key.
func TestOlderVersions(t *testing.T) {
	t.Parallel()
	for version, test := range map[string]struct{ name, ask, tell string }{
		"1.00": {"阿旺洛桑图登嘉措", "DF01EF06|27|28|$", "DF01EF06|810000|0971123|$"},
		"2.00": {holder, "DF01EF06|23|24|$", "DF01EF06|西宁市城东区|630102|$"},
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, registrytest.Open(t, registrytest.Config("sqlite:"+filepath.Join(t.TempDir(), "onecard.db"), registrytest.NewClock())), version, test.name)
			ctx, line := t.Context(), b.line()
			fields := strings.Split(line, "|")
			require.Equal(t, []string{test.name, version}, []string{fields[4], fields[6]})
			info := fields[3] + "|" + fields[2] + "|"

			step, err := b.WriteCardStep1(ctx, info, test.ask)
			require.NoError(t, err)
			require.NoError(t, b.WriteCardStep2(ctx, b.must("02", step), test.tell))
			step, err = b.ReadCardStep1(ctx, info, test.ask)
			require.NoError(t, err)
			read, err := b.ReadCardStep2(ctx, b.must("02", step))
			require.NoError(t, err)
			require.Equal(t, test.tell, read)

			b.pin = "314159"
			step, err = b.ReloadPINStep1(ctx, info)
			require.NoError(t, err)
			step, err = b.ReloadPINStep2(ctx, b.must("03", step))
			require.NoError(t, err)
			require.NoError(t, b.ReloadPINStep3(ctx, b.must("03", step)))
			require.NoError(t, card.VerifyPIN(ctx, b.channel, b.profile, "314159"))

			step, err = b.ReadCardBasStep1(ctx)
			require.NoError(t, err)
			answer := b.must("01", step)
			_, err = b.ReadCardBasStep2(ctx, spoilt(answer, 0))
			require.ErrorIs(t, err, driver.ErrNotGenuine)
		})
	}
}

// TestReloadPIN sets a number in three steps, lets the holder lock it, and
// unblocks it.
func TestReloadPIN(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		ctx, info := t.Context(), b.info()
		b.pin = "314159"
		step, err := b.ReloadPINStep1(ctx, info)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(step, "03|0090|"), step)
		step, err = b.ReloadPINStep2(ctx, b.must("03", step))
		require.NoError(t, err)
		require.Regexp(t, `^03\|0173\|[0-9A-F]{16}\|8424000114\|314159\|$`, step)
		require.NoError(t, b.ReloadPINStep3(ctx, b.must("03", step)))
		require.NoError(t, card.VerifyPIN(ctx, b.channel, b.profile, "314159"))

		for range b.profile.PIN.Tries {
			require.Error(t, card.VerifyPIN(ctx, b.channel, b.profile, "000000"))
		}
		require.ErrorIs(t, card.VerifyPIN(ctx, b.channel, b.profile, "314159"), apdu.ErrBlockedKey)
		step, err = b.UnblockPINStep1(ctx, info)
		require.NoError(t, err)
		step, err = b.UnblockPINStep2(ctx, b.must("03", step))
		require.NoError(t, err)
		require.NoError(t, b.UnblockPINStep3(ctx, b.must("03", step)))
		require.NoError(t, card.VerifyPIN(ctx, b.channel, b.profile, "314159"), "the number is the old one")
	})
}

// spoilt changes one digit of a string.
func spoilt(text string, at int) string {
	digit := byte('0')
	if text[at] == digit {
		digit = '1'
	}
	return text[:at] + string(digit) + text[at+1:]
}

// TestRefused: what a program does wrong, and a false card, by the driver's
// numbers.
func TestRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		ctx, info := t.Context(), b.info()
		base := func(change func(answer string) string) error {
			step, err := b.ReadCardBasStep1(ctx)
			require.NoError(t, err)
			_, err = b.ReadCardBasStep2(ctx, change(b.must("01", step)))
			return err
		}
		require.NoError(t, base(func(answer string) string { return answer + "|" }))
		require.ErrorIs(t, base(func(string) string { return "" }), driver.ErrInput)
		require.ErrorIs(t, base(func(answer string) string { return spoilt(answer, 0) }), driver.ErrNotGenuine)
		require.ErrorIs(t, base(func(answer string) string { return spoilt(answer, 16) }), driver.ErrDiffers)
		var refused *driver.Error
		require.ErrorAs(t, base(func(answer string) string { return spoilt(answer, 33) }), &refused)
		require.Equal(t, -0x63CE, refused.Code, "one of fifteen attempts is gone")
		_, err := b.ReadCardBasStep2(ctx, "")
		require.ErrorIs(t, err, driver.ErrParameter, "no step before it")

		for _, test := range []struct {
			info, files string
			want        error
		}{
			{"639900D15600000500BF7C7A48FB4966|X00000019|", "DF01EF06|23|$", driver.ErrDiffers},
			{info, "DF09EF06|23|$", driver.ErrParameter},
			{info, "DF01EF06|99|$", driver.ErrParameter},
			{info, "", driver.ErrParameter},
			{info, "DF01EF06|23|$SSSEEF06|08|$", driver.ErrParameter},
			{info, "SSSEEF05|03|$", driver.ErrNoHSM},
			{info, "DF02EF07|01|$", driver.ErrUnsupported},
		} {
			_, err := b.ReadCardStep1(ctx, test.info, test.files)
			require.ErrorIs(t, err, test.want, test.files)
		}
		step, err := b.WriteCardStep1(ctx, info, "DF01EF06|24|$")
		require.NoError(t, err)
		require.ErrorIs(t, b.WriteCardStep2(ctx, b.must("02", step), "DF01EF06|西宁|$"), driver.ErrInput)

		b.pin = "12345"
		step, err = b.ReloadPINStep1(ctx, info)
		require.NoError(t, err)
		_, err = b.ReloadPINStep2(ctx, b.must("03", step))
		require.ErrorIs(t, err, driver.ErrPINLength)
	})
}

// TestNoAddress: a key without an address is refused before the card is
// touched.
func TestNoAddress(t *testing.T) {
	t.Parallel()
	profiles, err := profile.Load()
	require.NoError(t, err)
	atr, err := hex.DecodeString("3B6D0000008100000086000000BF7C7A" + "00")
	require.NoError(t, err)
	touched := transmitter(func() error { return errors.New("touched") })
	c := driver.New(driver.Config{Profiles: profiles}, apdu.NewChannel(touched), atr)
	_, err = c.WriteCardStep1(t.Context(), "", "DF01EF15|2A|$")
	require.ErrorIs(t, err, driver.ErrParameter)
	require.ErrorContains(t, err, "UK6DF01")
	c = driver.New(driver.Config{Profiles: profiles, Addresses: map[string]string{"UK6DF01": "01AA"}}, apdu.NewChannel(touched), atr)
	_, err = c.WriteCardStep1(t.Context(), "", "DF01EF15|2A|$")
	require.ErrorIs(t, err, driver.ErrNoAnswer)
}

type transmitter func() error

func (f transmitter) Transmit(context.Context, []byte) ([]byte, error) { return nil, f() }
