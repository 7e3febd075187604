package card_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/keys"
)

// makerKey is the laboratory maker's transport key.
var makerKey = [16]byte{0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F}

// province is a keeper with a fresh hierarchy and the profiles.
type province struct {
	keeper   *keys.Keeper
	profiles []*profile.Profile
	profile  *profile.Profile
	items    []card.Item // of an access
}

func newProvince(t testing.TB) province { return newProvinceOf(t, "3.00") }

// newProvinceOf is one whose cards are of a version.
func newProvinceOf(t testing.TB, version string) province {
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
		if spec.Usage == keys.Transport {
			require.NoError(t, keeper.Import(spec, 1, strings.NewReader(hex.EncodeToString(makerKey[:]))))
		}
	}
	return province{keeper: keeper, profiles: profiles, profile: p}
}

// change changes the profile of this province alone.
func (v *province) change(change func(*profile.Profile)) {
	own := *v.profile
	change(&own)
	v.profiles[slices.Index(v.profiles, v.profile)] = &own
	v.profile = &own
}

func (v province) blank(t testing.TB, serial uint32) *chip.Chip {
	t.Helper()
	image, err := chip.Blank(v.profile, [4]byte{byte(serial >> 24), byte(serial >> 16), byte(serial >> 8), byte(serial)}, makerKey)
	require.NoError(t, err)
	return v.insert(t, image)
}

func (v province) insert(t testing.TB, image *chip.Image) *chip.Chip {
	t.Helper()
	store, err := chip.NewMemory(image)
	require.NoError(t, err)
	c, err := chip.New(v.profiles, store, nil)
	require.NoError(t, err)
	return c
}

func contents(t testing.TB, name string) card.Contents {
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
		IDNumber: number, Name: name, Sex: number.Sex(), Ethnic: "04", BirthPlace: "632221"}
}

// measure counts what an operation took.
type measure struct{ scripts, apdus int }

// counted counts the commands that go to a chip.
type counted struct {
	apdu.Transmitter
	sent int
}

func (c *counted) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	c.sent++
	return c.Transmitter.Transmit(ctx, command)
}

func (v province) drive(ctx context.Context, socket *chip.Socket, kind string, begin func(*card.Identity) (card.Operation, error), pin string) (card.Operation, measure, error) {
	return v.driveOn(ctx, socket, socket.Chip.ATR(), kind, begin, pin)
}

// driveOn runs an operation to its end as a counter and the province do: the
// state between two scripts goes through JSON, as if the platform had been
// started anew.
func (v province) driveOn(ctx context.Context, line apdu.Transmitter, atr []byte, kind string, begin func(*card.Identity) (card.Operation, error), pin string) (card.Operation, measure, error) {
	var m measure
	counter := &counted{Transmitter: line}
	channel := apdu.NewChannel(counter)
	opened, err := card.Open(ctx, channel, v.profiles, atr, func(p *profile.Profile) (*card.Script, error) {
		switch {
		case kind == "personalise", kind == "rekey":
			return card.Opening(p, p.BlockSize()), nil
		case kind == "access":
			return card.OpeningFor(p, v.items)
		}
		return card.Opening(p, card.ChallengeLength), nil
	})
	if err != nil {
		return nil, m, err
	}
	m.scripts++
	op, err := begin(opened.Identity)
	if err != nil {
		return nil, m, err
	}
	in := card.Input{}
	for {
		script, err := op.Next(ctx, v.keeper, in)
		m.apdus = counter.sent
		if script == nil || err != nil {
			return op, m, err
		}
		m.scripts++
		if script, err = throughJSON(script); err != nil {
			return op, m, err
		}
		state, err := json.Marshal(op)
		if err != nil {
			return op, m, err
		}
		responses, err := card.RunWithPIN(ctx, channel, script, pin, nil)
		if err != nil {
			return op, m, err
		}
		if op, err = card.Restore(v.profiles, kind, state); err != nil {
			return op, m, err
		}
		in = card.Input{Responses: responses, PIN: pin}
	}
}

func throughJSON(script *card.Script) (*card.Script, error) {
	wire, err := json.Marshal(script)
	if err != nil {
		return nil, err
	}
	var back card.Script
	return &back, json.Unmarshal(wire, &back)
}

func (v province) personalise(ctx context.Context, socket *chip.Socket, c card.Contents) (*card.Personalise, measure, error) {
	socket.Chip.PowerOn()
	op, m, err := v.drive(ctx, socket, "personalise", func(id *card.Identity) (card.Operation, error) {
		return card.NewPersonalise(v.profile, id, c, 1)
	}, "")
	done, _ := op.(*card.Personalise)
	return done, m, err
}

func (v province) read(ctx context.Context, socket *chip.Socket) (*card.Read, measure, error) {
	socket.Chip.PowerOn()
	op, m, err := v.drive(ctx, socket, "read", func(id *card.Identity) (card.Operation, error) { return card.NewRead(v.profile, id) }, "")
	done, _ := op.(*card.Read)
	return done, m, err
}

func (v province) activate(ctx context.Context, socket *chip.Socket, pin string) (measure, error) {
	socket.Chip.PowerOn()
	_, m, err := v.drive(ctx, socket, "activate", func(id *card.Identity) (card.Operation, error) { return card.NewActivate(v.profile, id) }, pin)
	return m, err
}

func values(all []card.Value) map[string]string {
	found := map[string]string{}
	for _, v := range all {
		found[v.Name] = v.Value
	}
	return found
}

const longName = "阿旺洛桑图登嘉措·索南旺杰·多杰才让尼玛"

// lives says for each version how many scripts and APDUs its operations take,
// the opening included.
var lives = map[string]struct {
	name                        string
	personalise, read, activate measure
	inspect                     int
}{
	"1.00": {"阿旺洛桑图登嘉措", measure{4, 74}, measure{2, 19}, measure{3, 16}, 21},
	"2.00": {longName, measure{4, 95}, measure{2, 20}, measure{3, 16}, 22},
	"3.00": {longName, measure{5, 98}, measure{2, 21}, measure{3, 15}, 23},
}

func TestLife(t *testing.T) {
	t.Parallel()
	for version, life := range lives {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			v := newProvinceOf(t, version)
			socket := &chip.Socket{Chip: v.blank(t, 0xBF7C7A)}
			intended := contents(t, life.name)
			made, m, err := v.personalise(t.Context(), socket, intended)
			require.NoError(t, err)
			require.Equal(t, life.personalise, m, "scripts and APDUs of a personalisation")
			require.True(t, made.Genuine())

			read, m, err := v.read(t.Context(), socket)
			require.NoError(t, err)
			require.Equal(t, life.read, m, "scripts and APDUs of a reading")
			require.True(t, read.Genuine())
			got := values(read.Values())
			require.Equal(t, life.name, got["name"]+got["nameExtension"])
			require.Equal(t, intended.IDNumber.String(), got["idNumber"])
			require.Equal(t, "X00000019", got["cardNumber"])
			require.Equal(t, "20261123", got["issuedOn"])
			require.Equal(t, version, got["specVersion"])
			require.Equal(t, values(made.Values()), got)

			looked, m, err := v.drive(t.Context(), socket, "compare", func(id *card.Identity) (card.Operation, error) { return card.NewInspect(v.profile, id, true), nil }, "")
			require.NoError(t, err)
			require.Equal(t, measure{card.InspectScripts, life.inspect}, m, "scripts and APDUs of an inspection")
			require.Equal(t, got, values(looked.(*card.Inspect).Values()))
			require.Equal(t, apdu.SW(0x6984), looked.(*card.Inspect).PIN, "no PIN yet")
			v.use(t, socket, made.CardID, life.activate)
		})
	}
}

// use activates a card, uses its number, locks and unlocks it.
func (v province) use(t *testing.T, socket *chip.Socket, cardID []byte, activation measure) {
	ctx := t.Context()
	// No PIN before the activation; then the holder's, and no other.
	channel := apdu.NewChannel(socket)
	require.ErrorIs(t, card.VerifyPIN(ctx, channel, v.profile, "270419"), apdu.ErrConditions)
	m, err := v.activate(ctx, socket, "270419")
	require.NoError(t, err)
	require.Equal(t, activation, m, "scripts and APDUs of an activation")
	var refused *card.PINError
	require.ErrorAs(t, card.VerifyPIN(ctx, channel, v.profile, "000000"), &refused)
	require.Equal(t, 5, refused.Left)
	require.ErrorIs(t, card.VerifyPIN(ctx, channel, v.profile, "27041"), card.ErrPINFormat)
	require.NoError(t, card.VerifyPIN(ctx, channel, v.profile, "270419"))
	require.NoError(t, card.ChangePIN(ctx, channel, v.profile, "270419", "314159"))
	require.NoError(t, card.VerifyPIN(ctx, channel, v.profile, "314159"))
	for left := 5; left >= 0; left-- {
		require.ErrorAs(t, card.VerifyPIN(ctx, channel, v.profile, "111111"), &refused)
		require.Equal(t, left, refused.Left)
	}
	require.ErrorIs(t, card.VerifyPIN(ctx, channel, v.profile, "314159"), apdu.ErrBlockedKey)
	_, err = v.activate(ctx, socket, "314159")
	require.NoError(t, err, "the window gives the attempts back")
	require.NoError(t, card.VerifyPIN(ctx, channel, v.profile, "314159"))

	for _, unlock := range []bool{false, true} {
		kind := map[bool]string{false: "lock", true: "unlock"}[unlock]
		socket.Chip.PowerOn()
		_, m, err := v.drive(ctx, socket, kind, func(id *card.Identity) (card.Operation, error) {
			return card.NewLock(v.profile, id, cardID, unlock)
		}, "")
		require.NoError(t, err, kind)
		require.Equal(t, card.LockScripts, m.scripts)
		_, _, err = v.read(ctx, socket)
		if unlock {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, card.ErrApplicationBlocked)
		}
	}
}

// TestTorn cuts the power at every command of a personalisation, before and
// after the chip has carried it out, and runs the personalisation again: the
// card ends as intended, and no attempt that the chip counts was lost.
func TestTorn(t *testing.T) {
	t.Parallel()
	v := newProvince(t)
	intended := contents(t, "扎西·多杰")
	whole := &chip.Socket{Chip: v.blank(t, 1)}
	_, _, err := v.personalise(t.Context(), whole, intended)
	require.NoError(t, err)
	total := whole.Count()
	require.Greater(t, total, 60)
	for cut := 1; cut <= total; cut++ {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d %v", cut, before), func(t *testing.T) {
				t.Parallel()
				socket := &chip.Socket{Chip: v.blank(t, uint32(1000+cut)), Cut: cut, Before: before}
				_, _, err := v.personalise(t.Context(), socket, intended)
				require.ErrorIs(t, err, chip.ErrPower)
				made, _, err := v.personalise(t.Context(), socket, intended)
				require.NoError(t, err)
				require.True(t, made.Genuine())
				read, _, err := v.read(t.Context(), socket)
				require.NoError(t, err)
				require.Equal(t, "扎西·多杰", values(read.Values())["name"])
				image, err := socket.Chip.Image()
				require.NoError(t, err)
				for name, slot := range image.Keys {
					require.Equal(t, slot.Most, slot.Tries, name)
					require.Equal(t, byte(1), slot.Version, name)
				}
			})
		}
	}
}

// TestChallengeMaker personalises a blank whose maker wants a challenge for
// each key.
func TestChallengeMaker(t *testing.T) {
	t.Parallel()
	v := newProvince(t)
	v.change(func(p *profile.Profile) { p.Maker.IV = "challenge" })
	socket := &chip.Socket{Chip: v.blank(t, 7)}
	made, m, err := v.personalise(t.Context(), socket, contents(t, "马秀兰"))
	require.NoError(t, err)
	require.True(t, made.Genuine())
	require.Equal(t, card.PersonaliseScripts+48, m.scripts, "one script for each of the 49 keys")
}

func TestWrongCards(t *testing.T) {
	t.Parallel()
	v := newProvince(t)
	intended := contents(t, "马秀兰")
	made := func(t *testing.T) *chip.Chip {
		c := v.blank(t, 42)
		_, _, err := v.personalise(t.Context(), &chip.Socket{Chip: c}, intended)
		require.NoError(t, err)
		return c
	}
	other := newProvince(t)
	for name, test := range map[string]struct {
		chip func(*testing.T) *chip.Chip
		read error
		make error
	}{
		"bank card":   {func(t *testing.T) *chip.Chip { return v.insert(t, chip.BankCard()) }, card.ErrForeignCard, card.ErrForeignCard},
		"unknown ATR": {func(t *testing.T) *chip.Chip { return v.insert(t, chip.OtherCard()) }, card.ErrUnknownATR, card.ErrUnknownATR},
		"blank":       {func(t *testing.T) *chip.Chip { return v.blank(t, 43) }, card.ErrNotPersonalised, nil},
		"other transport key": {func(t *testing.T) *chip.Chip {
			image, err := chip.Blank(v.profile, [4]byte{0, 0, 0, 44}, [16]byte{1})
			require.NoError(t, err)
			return v.insert(t, image)
		}, card.ErrNotPersonalised, card.ErrTransportKey},
		"made for another": {made, nil, card.ErrAlreadyPersonalised},
		"of another province's keys": {func(t *testing.T) *chip.Chip {
			c := other.blank(t, 45)
			_, _, err := other.personalise(t.Context(), &chip.Socket{Chip: c}, intended)
			require.NoError(t, err)
			return c
		}, card.ErrNotGenuine, card.ErrAlreadyPersonalised},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := &chip.Socket{Chip: test.chip(t)}
			_, _, err := v.read(t.Context(), socket)
			require.ErrorIs(t, err, test.read)
			_, _, err = v.personalise(t.Context(), socket, contents(t, "韩世英"))
			require.ErrorIs(t, err, test.make)
		})
	}
}

func TestContents(t *testing.T) {
	t.Parallel()
	v := newProvince(t)
	for name, test := range map[string]struct {
		name string
		rune rune
		fail bool
	}{
		"two characters": {"李娜", 0, false},
		"thirty bytes":   {strings.Repeat("扎", 15), 0, false},
		"fifty bytes":    {strings.Repeat("扎", 25), 0, false},
		"too long":       {strings.Repeat("扎", 26), 0, true},
		"empty":          {"", 0, true},
		"outside GBK":    {"王𠮷", '𠮷', true},
		"Tibetan script": {"བཀྲ་ཤིས", 'བ', true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := contents(t, test.name).Check(v.profile)
			var encode *card.EncodeError
			require.Equal(t, test.fail, errors.As(err, &encode), err)
			if test.fail {
				require.Equal(t, test.rune, encode.Rune)
			}
		})
	}
}

// TestWritesOfTheField holds the written records against those of a real
// personalisation of a card of version 3.00.
func TestWritesOfTheField(t *testing.T) {
	t.Parallel()
	v := newProvince(t)
	socket := &chip.Socket{Chip: v.blank(t, 9)}
	seen := &recorder{socket: socket}
	socket.Chip.PowerOn()
	channel := apdu.NewChannel(seen)
	responses, err := card.Run(t.Context(), channel, card.Opening(v.profile, 16), nil)
	require.NoError(t, err)
	id, err := card.Identify(v.profile, socket.Chip.ATR(), responses)
	require.NoError(t, err)
	op, err := card.NewPersonalise(v.profile, id, contents(t, "李娜"), 1)
	require.NoError(t, err)
	in := card.Input{}
	for {
		script, err := op.Next(t.Context(), v.keeper, in)
		require.NoError(t, err)
		if script == nil {
			break
		}
		in.Responses, err = card.Run(t.Context(), channel, script, nil)
		require.NoError(t, err)
	}
	for _, command := range []string{
		"00A404000F7378312E73682EC9E7BBE1B1A3D5CF00", // select the environment
		"00DC052C06050420261123",                     // 发卡日期
		"00DC062C06060420361123",                     // 卡有效期
		"00DC072C0B0709583030303030303139",           // 卡号
		"00DC0434030A0131",                           // 性别
		"00DC0534030B0104",                           // 民族
		"00DC0634050C03632221",                       // 出生地
		"00DC0734060D0419810101",                     // 出生日期
		"00DC0234" + "20" + "091E" + "C0EEC4C8" + strings.Repeat("00", 26), // 姓名
	} {
		require.Contains(t, seen.commands, command)
	}
}

type recorder struct {
	socket   *chip.Socket
	commands []string
}

func (r *recorder) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	r.commands = append(r.commands, strings.ToUpper(hex.EncodeToString(command)))
	return r.socket.Transmit(ctx, command)
}

func FuzzIdentify(f *testing.F) {
	profiles, err := profile.Load()
	require.NoError(f, err)
	p, err := profile.ByVersion(profiles, "3.00")
	require.NoError(f, err)
	f.Add([]byte("\x6F\x02\x84\x00\x90\x00"), []byte("\x01\x01\xFF\x90\x00"))
	f.Fuzz(func(_ *testing.T, first, second []byte) {
		atr := bytes.Clone(p.ATRs[0].Value)
		var responses []apdu.Response
		for _, raw := range [][]byte{first, second, second, second, second, second, second, second, second} {
			if r, err := apdu.ParseResponse(raw); err == nil {
				responses = append(responses, r)
			}
		}
		_, _ = card.Identify(p, atr, responses)
	})
}
