package profile_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/card/profile"
)

// TestMakers: every make is told by the answer to reset of its own blanks, and
// by no other's.
func TestMakers(t *testing.T) {
	t.Parallel()
	p := load(t)
	require.Len(t, p.Makers, 3)
	for _, m := range p.Makers {
		atr := m.BlankATR([4]byte{0x00, 0xBF, 0x7C, 0x7A})
		require.Equal(t, []byte{0x63, 0x99, 0x00, 0xBF, 0x7C, 0x7A}, atr[11:])
		_, ours := p.ATR(atr)
		require.True(t, ours, m.Name)
		found, ok := profile.MakerOf(p.Makers, atr)
		require.True(t, ok)
		require.Equal(t, m.Name, found.Name)
	}
	_, ok := profile.MakerOf(p.Makers, []byte("\x3B\x6D\x00\x00\x00\x81\x08\x88\x43\x86\x65\x33\x01\x01\x14\xF1\x99"))
	require.False(t, ok, "a card of the field")
}

func TestParseMakerRefused(t *testing.T) {
	t.Parallel()
	const sound = `
name: other
title: {zh: 其他, en: other}
atr: {value: 3B6D000000824750338697000000000000, mask: FFFFFFFFFFFFFFFFFFFFFF000000000000}
protocol: SCP03
level: "33"
option: "71"
keyVersion: "30"
keys: {enc: A, mac: B, dek: C}
diversification: none
keyType: "88"
area: "639900"
source: a test
`
	m, err := profile.ParseMaker([]byte(sound))
	require.NoError(t, err)
	require.True(t, m.Platform())
	require.Equal(t, 16, m.ChallengeSize())
	for name, change := range map[string][2]string{
		"unknown key":       {"source:", "sources:"},
		"no name":           {"name: other", "name: ''"},
		"no source":         {"source: a test", "source: ''"},
		"unknown protocol":  {"SCP03", "SCP01"},
		"short mask":        {"FFFF000000000000}", "FFFF0000000000}"},
		"short area":        {`"639900"`, `"6399"`},
		"no level":          {`level: "33"`, ""},
		"level of two":      {`level: "33"`, `level: "3333"`},
		"no keys":           {"keys: {enc: A, mac: B, dek: C}", ""},
		"a key is missing":  {"dek: C", "dek: ''"},
		"no version":        {`keyVersion: "30"`, ""},
		"no key type":       {`keyType: "88"`, ""},
		"how they come":     {"diversification: none", ""},
		"not hexadecimal":   {`"71"`, `"7G"`},
		"option of no byte": {`"71"`, `""`},
	} {
		text := strings.Replace(sound, change[0], change[1], 1)
		require.NotEqual(t, sound, text, name)
		_, err := profile.ParseMaker([]byte(text))
		require.Error(t, err, name)
	}
}
