package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// The way of a key: the ministry (a laboratory that plays it) holds it in a
// ceremony, derives the province's and sends it as a key block under a
// key-exchange key of which both sides had the components; the province sends
// a city's on in the same way. All three serve the same card.
func TestKeysFromMinistryToCity(t *testing.T) {
	t.Parallel()
	kbpk := keys.Spec{Name: "KBPK", Usage: keys.KeyExchange, Algorithm: keys.AES128}
	exchange := keyFlags{Name: "KBPK", Usage: "key-exchange", Algorithm: "AES-128"}
	irk := keys.Spec{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.SM4, Depth: 3}
	ministry, province, city := delivered(t), delivered(t), delivered(t)
	for _, side := range []settings{ministry, province, city} {
		deliver(t, side, exchange, kbpk, firstComponent, "0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F", "FF1E2D3C4B5A69788796A5B4C3D2E1FF")
	}
	deliver(t, ministry, keyFlags{Name: "IRK", Level: "ministry", Factor: "630000sx", Exportable: true}, irk, firstComponent, secondComponent, combinedKey)

	send := func(from, to settings, factor string, flags keyFlags) {
		block := filepath.Join(t.TempDir(), "block.txt")
		out, printed := terminalWith("")
		require.NoError(t, (&keysExportCommand{settings: from, Name: "IRK", Under: "KBPK", Out: block, Factors: []string{factor}}).Run(t.Context(), out))
		text, err := os.ReadFile(block)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(text), "D0128E04X01N0200LB07IRKPB"), string(text))
		require.NotContains(t, string(text)+printed.String(), combinedKey)
		flags.Name = "IRK"
		require.NoError(t, (&keysImportCommand{settings: to, keyFlags: flags, File: block, Under: "KBPK"}).Run(t.Context(), out))
		shown := checkValues(printed.String())
		require.Len(t, shown, 2)
		require.Equal(t, shown[0], shown[1], "both sides read the same check value")
	}
	send(ministry, province, "630000sx", keyFlags{})
	out, _ := terminalWith("")
	err := (&keysExportCommand{settings: province, Name: "IRK", Under: "KBPK", Out: filepath.Join(t.TempDir(), "x"), Factors: []string{"630100sx"}}).Run(t.Context(), out)
	require.ErrorIs(t, err, keys.ErrNotExportable, "the ministry did not allow it")
	require.Contains(t, audited(t, province), "keys.export.failed key:IRK")

	// The laboratory plays the province, too.
	block := filepath.Join(t.TempDir(), "city.txt")
	require.NoError(t, (&keysExportCommand{settings: ministry, Name: "IRK", Under: "KBPK", Out: block, Factors: []string{"630000sx", "3633303130307378"}}).Run(t.Context(), out))
	require.NoError(t, (&keysImportCommand{settings: city, keyFlags: keyFlags{Name: "IRK", Level: "city", Factor: "630100sx"}, File: block, Under: "KBPK"}).Run(t.Context(), out))

	answers := map[string]bool{}
	for _, side := range []settings{ministry, province, city} {
		keeper, err := openKeeper(loaded(t, side))
		require.NoError(t, err)
		auth, err := keeper.Cryptogram(t.Context(), keys.Key{Name: "IRK", Version: 1, Factors: [][]byte{[]byte("630100sx"), []byte("card1234")}}, make([]byte, 8), make([]byte, 8))
		require.NoError(t, err)
		answers[string(auth)] = true
		require.Contains(t, audited(t, side), "key:IRK")
	}
	require.Len(t, answers, 1)
}

// checkValues are the check values that commands printed.
func checkValues(printed string) []string {
	var values []string
	for line := range strings.Lines(printed) {
		if _, after, ok := strings.Cut(line, "check value "); ok {
			values = append(values, strings.Fields(after)[0])
		}
	}
	return values
}

// A key that was made here gets its next version, planned for a day, and the
// old one retires.
func TestKeysChangeover(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	out, printed := terminalWith("")
	require.NoError(t, (&keysInitCommand{settings: s}).Run(out))
	tomorrow := time.Now().AddDate(0, 0, 1)
	require.NoError(t, (&keysRotateCommand{settings: s, Name: "IRK", From: tomorrow}).Run(t.Context(), out))
	require.NoError(t, (&keysLifeCommand{settings: s, Name: "UKSSSE", Version: 1, Status: "field"}).Run(t.Context(), out))
	require.NoError(t, (&keysRotateCommand{settings: s, Name: "STK"}).Run(t.Context(), out))
	require.NoError(t, (&keysLifeCommand{settings: s, Name: "STK", Version: 1, Status: "retired"}).Run(t.Context(), out))
	require.ErrorIs(t, (&keysLifeCommand{settings: s, Name: keys.DataKey, Version: 1, Status: "retired"}).Run(t.Context(), out), keys.ErrInUse)
	require.NoError(t, (&keysListCommand{s}).Run(t.Context(), out))
	require.Regexp(t, `IRK +2 +active from `+tomorrow.Format(time.DateOnly), printed.String())
	require.Regexp(t, `UKSSSE +1 +field `, printed.String())
	require.Regexp(t, `STK +1 +retired `, printed.String())

	keeper, err := openKeeper(loaded(t, s))
	require.NoError(t, err)
	for name, want := range map[string]int{"IRK": 1, "STK": 2} {
		current, err := keeper.Current(name)
		require.NoError(t, err)
		require.Equal(t, want, current)
	}
	_, err = keeper.Current("UKSSSE")
	require.ErrorIs(t, err, keys.ErrNotActive)
	trail := audited(t, s)
	require.Contains(t, trail, `keys.life key:STK {"key":"STK","life":"retired","version":"1"}`)
	require.Contains(t, trail, "keys.life.failed key:DATA")
}

func TestKeyFlagsRefuse(t *testing.T) {
	t.Parallel()
	s := delivered(t)
	keeper, err := openKeeper(loaded(t, s))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		flags keyFlags
		want  error
	}{
		"factor":          {keyFlags{Name: "IRK", Level: "city", Factor: "630100s"}, errFactor},
		"factor's digits": {keyFlags{Name: "IRK", Level: "city", Factor: "363330313030737X"}, errFactor},
		"level":           {keyFlags{Name: "CHECK", Level: "city"}, keys.ErrInput},
	} {
		_, _, err := c.flags.spec(keeper)
		require.ErrorIs(t, err, c.want, name)
	}
	spec, version, err := keyFlags{Name: "UKSSSE_3DES", KeyVersion: 4, Exportable: true}.spec(keeper)
	require.NoError(t, err)
	require.Equal(t, 4, version)
	require.Equal(t, keys.Spec{Name: "UKSSSE_3DES", Usage: keys.Authentication, Algorithm: keys.TripleDES, Depth: 2, Exportable: true}, spec)
	spec, version, err = keyFlags{Name: "CHECK2", Usage: "check-code", Algorithm: "3DES", Depth: 1}.spec(keeper)
	require.NoError(t, err)
	require.Equal(t, 1, version)
	require.Equal(t, keys.Spec{Name: "CHECK2", Usage: keys.CheckCode, Algorithm: keys.TripleDES, Depth: 1}, spec)
}

// Codes that were agreed take the place of the assumed ones, and no warning is
// given.
func TestAgreedCodes(t *testing.T) {
	t.Parallel()
	s := delivered(t)
	kbpk := keys.Spec{Name: "KBPK", Usage: keys.KeyExchange, Algorithm: keys.AES128}
	deliver(t, s, keyFlags{Name: "KBPK", Usage: "key-exchange", Algorithm: "AES-128"}, kbpk, firstComponent, secondComponent, combinedKey)
	deliver(t, s, keyFlags{Name: "MK", Exportable: true}, keys.Spec{Name: "MK", Usage: keys.Master, Algorithm: keys.SM4, Depth: 2}, firstComponent, secondComponent, combinedKey)
	file := filepath.Join(t.TempDir(), "codes.yaml")
	require.NoError(t, os.WriteFile(file, []byte("algorithms: {3DES: T, SM4: S}\nusages:\n  authentication: {usage: E0, mode: X}\n  maintenance: {usage: E2, mode: X}\n"+
		"  master: {usage: E5, mode: X}\n  transport: {usage: K0, mode: X}\n  check-code: {usage: M1, mode: C}\n"), 0o600))
	for codes, letter := range map[string]string{file: "S", "": "4"} {
		block := filepath.Join(t.TempDir(), "block.txt")
		out, _ := terminalWith("")
		export := &keysExportCommand{settings: s, Name: "MK", Under: "KBPK", Out: block, codesFlag: codesFlag{codes}}
		require.NoError(t, export.Run(t.Context(), out))
		text, err := os.ReadFile(block)
		require.NoError(t, err)
		require.Equal(t, "E5"+letter+"X01N", string(text[5:12]))
		require.ErrorIs(t, export.Run(t.Context(), out), os.ErrExist, "never over another block")
		require.Equal(t, codes == "", strings.Contains(out.Err.(interface{ String() string }).String(), "assumed"))
	}
	_, err := codesFlag{filepath.Join(t.TempDir(), "none")}.read()
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestKeysComplete: a key file of before has not all the keys of today.
func TestKeysComplete(t *testing.T) {
	t.Parallel()
	side := delivered(t)
	complete := func(names ...string) (string, error) {
		out, printed := terminalWith("")
		err := (&keysCompleteCommand{settings: side, Names: names}).Run(t.Context(), out)
		return printed.String(), err
	}
	printed, err := complete("DPK", "DLK_3DES")
	require.NoError(t, err)
	require.Contains(t, printed, "DPK")
	require.Contains(t, printed, "DLK_3DES")
	require.NotContains(t, printed, "IRK")
	for _, name := range []string{"DPK", "TRANSPORT", "NONE"} {
		_, err = complete(name)
		require.ErrorIs(t, err, keys.ErrExists, name)
	}
	_, err = complete()
	require.NoError(t, err)
	keeper, err := openKeeper(loaded(t, side))
	require.NoError(t, err)
	require.Equal(t, []string{"TRANSPORT", "TRANSPORT_3DES"}, slices.Sorted(slices.Values(namesOf(missingFrom(keeper, nil)))))
	printed, err = complete()
	require.NoError(t, err)
	require.Contains(t, printed, "密钥齐全")
	require.Contains(t, audited(t, side), "keys.complete keys")
}
