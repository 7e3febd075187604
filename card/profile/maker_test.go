package profile_test

import (
	"os"
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

// soundMaker is a maker's file with a line for each thing that can be wrong.
const soundMaker = `name: other
title: {zh: 其他, en: other}
atr: {value: 3B6D000000836F7433869700000000000000, mask: FFFFFFFFFFFFFFFFFFFFFF00000000000000}
protocol: SCP03
level: "33"
option: "71"
keyVersion: "30"
keys: {enc: A, mac: B, dek: C}
diversification: none
checkChallenge: true
keyTypes: {sm4: "88", 3des: "80"}
area: "639900"
source: a test
`

// TestParseMaker: what a file says, and that each fault is told with its line
// and the reason.
func TestParseMaker(t *testing.T) {
	t.Parallel()
	m, err := profile.ParseMaker([]byte(soundMaker), load(t).Makers...)
	require.NoError(t, err)
	require.True(t, m.Platform())
	require.Equal(t, 16, m.ChallengeSize())
	require.Equal(t, map[string]byte{profile.SM4: 0x88, profile.TripleDES: 0x80}, m.KeyTypes)
	for name, fault := range map[string]struct {
		from, to, want string
	}{
		"unknown key":            {"source:", "sources:", "line 13: field sources not found"},
		"no name":                {"name: other", "name: ''", "line 1: a name is needed"},
		"a known name":           {"name: other", "name: gp-scp02", "line 1: maker gp-scp02 is known already"},
		"no source":              {"source: a test", "source: ''", "line 13: a source is needed"},
		"unknown protocol":       {"SCP03", "SCP01", `line 4: protocol "SCP01": chained-MAC, SCP02 or SCP03`},
		"short mask":             {"FF00000000000000}", "FF000000000000}", "line 3: value and mask of one length"},
		"short answer":           {"atr: {value: 3B6D000000836F7433869700000000000000, mask: FFFFFFFFFFFFFFFFFFFFFF00000000000000}", "atr: {value: 3B00, mask: FFFF}", "line 3: value and mask of one length, twelve"},
		"blanks of another":      {"value: 3B6D000000836F7433869700000000000000, mask: FFFFFFFFFFFFFFFFFFFFFF00000000000000", "value: 3B6D000000824750338697000000000000, mask: FFFFFFFFFFFFFFFFFFFFFF000000000000", "line 3: blanks cannot be told from those of maker gp-scp03"},
		"short area":             {`"639900"`, `"6399"`, "line 12: area is three bytes"},
		"no level":               {`level: "33"`, "", "level is needed: one byte in hexadecimal"},
		"level of two bytes":     {`level: "33"`, `level: "3333"`, `line 5: "3333" is not one byte`},
		"unknown level":          {`level: "33"`, `level: "31"`, "line 5: level 31: SCP03 has 01 03 11 13 33"},
		"level of the other":     {"protocol: SCP03", "protocol: SCP02", "line 5: level 33: SCP02 has 01 03"},
		"answers go unprotected": {`"71"`, `"51"`, "line 6: option 51: chips of this kind do not protect answers as level 33 asks"},
		"no option":              {`option: "71"`, "", "option is needed"},
		"not hexadecimal":        {`"71"`, `"7G"`, `line 6: "7G" is not hexadecimal`},
		"option of no byte":      {`"71"`, `""`, `line 6: "" is not one byte`},
		"no version":             {`keyVersion: "30"`, "", "keyVersion is needed"},
		"version too high":       {`keyVersion: "30"`, `keyVersion: "80"`, "line 7: keyVersion 80: 00 to 7F"},
		"no keys":                {"keys: {enc: A, mac: B, dek: C}", "keys: {}", "line 8: the keeper's names of enc, mac and dek"},
		"a key is missing":       {"dek: C", "dek: ''", "line 8: the keeper's names of enc, mac and dek"},
		"how keys come":          {"diversification: none", "diversification: emv", `line 9: diversification "emv": SCP03 has none, kdf3`},
		"a random challenge":     {`"71"`, `"61"`, "line 10: the challenge of such a chip is random"},
		"no key type":            {`keyTypes: {sm4: "88", 3des: "80"}`, "keyTypes: {}", "line 11: keyTypes are those of sm4 and 3des keys"},
		"a key type too many":    {`3des: "80"`, `3des: "80", aes: "88"`, "line 11: keyTypes are those of"},
		"a channel for nothing":  {"protocol: SCP03", "protocol: chained-MAC", "line 4: protocol chained-MAC has no secure channel"},
	} {
		text := strings.Replace(soundMaker, fault.from, fault.to, 1)
		require.NotEqual(t, soundMaker, text, name)
		_, err := profile.ParseMaker([]byte(text), load(t).Makers...)
		require.ErrorContains(t, err, fault.want, name)
	}
}

// FuzzParseMaker: a maker's file is read, or refused; what is read holds together.
func FuzzParseMaker(f *testing.F) {
	for _, name := range []string{"laboratory", "gp-scp02", "gp-scp03"} {
		text, err := os.ReadFile("makers/" + name + ".yaml")
		require.NoError(f, err)
		f.Add(string(text))
	}
	f.Add("name: x\nprotocol: scp03\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := profile.ParseMaker([]byte(text))
		if err == nil {
			require.NotEmpty(t, m.Name)
			require.NotEmpty(t, m.BlankATR([4]byte{1, 2, 3, 4}))
		}
	})
}
