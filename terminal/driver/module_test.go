package driver_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/card/psam"
	"onecard/keys"
	"onecard/keys/keyblock"
	"onecard/terminal/driver"
)

// plastic is a card and the security module of a terminal in the card's city,
// or of the whole province.
type plastic struct {
	*bench
	module *chip.Module
	image  *chip.ModuleImage
	line   *counted
}

// counted counts what a module is sent, and may lose it.
type counted struct {
	*chip.Module
	sent, gone int
}

func (c *counted) Transmit(_ context.Context, command []byte) ([]byte, error) {
	if c.sent++; c.gone > 0 && c.sent >= c.gone {
		return nil, chip.ErrPower
	}
	return c.Module.Transmit(command), nil
}

const cityFactor = "639900sx"

// newPlastic personalises a card without a database, and makes a module of the
// same keys, levels above the card's.
func newPlastic(t *testing.T, version, name string, levels int) *plastic {
	t.Helper()
	profiles, err := profile.Load()
	require.NoError(t, err)
	p, err := profile.ByVersion(profiles, version)
	require.NoError(t, err)
	keeper := exportable(t, p)
	b := &bench{t: t, profile: p}
	image, err := chip.Blank(p, [4]byte{0, 0xBF, 0x7C, 0x7B}, makerKey)
	require.NoError(t, err)
	store, err := chip.NewMemory(image)
	require.NoError(t, err)
	b.chip, err = chip.New(profiles, store, nil)
	require.NoError(t, err)
	b.channel = apdu.NewChannel(&chip.Socket{Chip: b.chip})
	b.personalise(keeper, name)
	b.Card = driver.New(driver.Config{Profiles: profiles, Terminal: "630102000001", Device: "D1"}, b.channel, b.chip.PowerOn())

	m := &chip.ModuleImage{Kind: "psam", ATR: []byte{0x3B, 0x60, 0x00}, Algorithm: p.Algorithm, Serial: make([]byte, 10), Terminal: []byte{0x63, 0x01, 0x02, 0, 0, 1}}
	for _, name := range inModule {
		_, key, ok := p.Key(name)
		if !ok {
			continue // not of this version
		}
		value := exported(t, keeper, p.KeeperKey(name), levels)
		m.Keys = append(m.Keys, chip.ModuleKey{ID: key.PSAM.ID, Usage: byte(levels)<<5 | key.PSAM.Usage&0x1F, Key: value})
	}
	module, err := chip.NewModule(m)
	require.NoError(t, err)
	module.PowerOn()
	return &plastic{b, module, m, &counted{Module: module}}
}

// open finds the module out.
func (p *plastic) open() *psam.Module {
	p.t.Helper()
	m, err := psam.Open(p.t.Context(), apdu.NewChannel(p.line))
	require.NoError(p.t, err)
	return m
}

// inModule are the keys that the modules of these tests hold.
var inModule = []string{"IRK", "RKSSSE", "RKDF01", "UK4DF01"}

// protection is the key under which key blocks go to the modules' maker.
var protection = keyblock.KBPK{Algorithm: 'A', Key: []byte("0123456789abcdef")}

// exportable is a keeper that may give the keys for modules away in key blocks.
func exportable(t *testing.T, p *profile.Profile) *keys.Keeper {
	t.Helper()
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	outside := map[string]keys.Spec{"KBPK": {Name: "KBPK", Usage: keys.KeyExchange, Algorithm: keys.AES128}}
	values := map[string][]byte{"KBPK": protection.Key}
	var made []keys.Spec
	for _, spec := range keys.Provincial() {
		base := strings.TrimSuffix(spec.Name, p.KeySuffix)
		switch {
		case spec.Usage == keys.Transport:
			outside[spec.Name], values[spec.Name] = spec, makerKey[:]
		case spec.Name == p.KeeperKey(base) && slices.Contains(inModule, base):
			spec.Exportable = true
			values[spec.Name] = make([]byte, 16)
			_, err := rand.Read(values[spec.Name])
			require.NoError(t, err)
			outside[spec.Name] = spec
		default:
			made = append(made, spec)
		}
	}
	keeper, err := keys.Create(filepath.Join(t.TempDir(), "keys.json"), kek, made)
	require.NoError(t, err)
	for name, spec := range outside {
		require.NoError(t, keeper.Import(spec, 1, strings.NewReader(hex.EncodeToString(values[name]))))
	}
	return keeper
}

// exported is a key as it comes out of its block at the modules' maker: the
// city's, or the province's.
func exported(t *testing.T, keeper *keys.Keeper, name string, levels int) []byte {
	t.Helper()
	key := keys.Key{Name: name, Version: 1}
	if levels == 1 {
		key.Factors = [][]byte{[]byte(cityFactor)}
	}
	block, err := keeper.ExportBlock(t.Context(), keys.Key{Name: "KBPK", Version: 1}, key, keys.AssumedCodes())
	require.NoError(t, err)
	_, value, err := keyblock.Open(protection, block)
	require.NoError(t, err)
	return value
}

// TestModule reads and writes cards without the province, with a module of the
// city's and one of the province's, and counts what the module is sent.
func TestModule(t *testing.T) {
	t.Parallel()
	for version, test := range map[string]struct{ name, ask, tell string }{
		"1.00": {"阿旺洛桑图登嘉措", "DF01EF06|27|28|$", "DF01EF06|810000|0971123|$"},
		"2.00": {holder, "DF01EF06|23|24|$", "DF01EF06|西宁市城东区|630102|$"},
		"3.00": {holder, "DF01EF06|23|24|$", "DF01EF06|西宁市城东区|630102|$"},
	} {
		for levels := 1; levels <= 2; levels++ {
			t.Run(fmt.Sprintf("%s, %d levels", version, levels), func(t *testing.T) {
				t.Parallel()
				ctx, p := t.Context(), newPlastic(t, version, test.name, levels)
				m := p.open()
				require.Equal(t, "630102000001", m.Terminal)
				require.Equal(t, 4, p.line.sent, "APDUs to find the module out")
				line, err := p.ReadCardBas(ctx, m)
				require.NoError(t, err)
				fields := strings.Split(line, "|")
				require.Equal(t, []string{test.name, version}, []string{fields[4], fields[6]})
				info := fields[3] + "|" + fields[2] + "|"

				require.NoError(t, p.WriteCard(ctx, m, info, test.ask, test.tell))
				before := p.line.sent
				read, err := p.ReadCard(ctx, m, info, test.ask)
				require.NoError(t, err)
				require.Equal(t, test.tell, read)
				require.Equal(t, 3, p.line.sent-before, "INIT FOR DESCRYPT, the computation, GET RESPONSE")
			})
		}
	}
}

// TestModuleRefused: modules and cards that do not belong together, and a module
// that goes away.
func TestModuleRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p, clone, old := newPlastic(t, "3.00", holder, 1), newPlastic(t, "3.00", holder, 1), newPlastic(t, "2.00", holder, 1)
	_, err := clone.ReadCardBas(ctx, p.open())
	require.ErrorIs(t, err, driver.ErrNotGenuine, "a card with the keys of another province")
	_, err = p.ReadCardBas(ctx, old.open())
	require.ErrorIs(t, err, psam.ErrAlgorithm)
	_, err = psam.Open(ctx, p.channel)
	require.ErrorIs(t, err, psam.ErrNone, "a social security card")

	m := p.open()
	p.line.gone = p.line.sent + 2
	_, err = p.ReadCardBas(ctx, m)
	require.ErrorIs(t, err, psam.ErrAway)
	p.line.gone = 0
	line, err := p.ReadCardBas(ctx, m)
	require.NoError(t, err)
	fields := strings.Split(line, "|")
	_, err = p.ReadCard(ctx, m, fields[3]+"|"+fields[2]+"|", "DF07EF05|A8|$")
	require.Error(t, err)

	empty, err := chip.NewModule(&chip.ModuleImage{Kind: "psam", ATR: []byte{0x3B, 0x60, 0x00}, Algorithm: p.profile.Algorithm, Serial: make([]byte, 10), Terminal: make([]byte, 6)})
	require.NoError(t, err)
	empty.PowerOn()
	bare, err := psam.Open(ctx, apdu.NewChannel(&counted{Module: empty}))
	require.NoError(t, err)
	_, err = p.ReadCardBas(ctx, bare)
	require.ErrorIs(t, err, psam.ErrNoKey)
}
