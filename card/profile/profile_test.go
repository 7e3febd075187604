package profile_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/card/profile"
)

func load(t *testing.T) *profile.Profile {
	t.Helper()
	profiles, err := profile.Load()
	require.NoError(t, err)
	p, err := profile.ByVersion(profiles, "3.00")
	require.NoError(t, err)
	return p
}

func TestVersion3(t *testing.T) {
	t.Parallel()
	p := load(t)
	ef06, ok := p.File("SSSE/EF06")
	require.True(t, ok)
	// In version 3.00 the rest of a long name stands before the sex.
	for i, tag := range []byte{0x08, 0x09, 0x4E, 0x0A, 0x0B, 0x0C, 0x0D} {
		require.Equal(t, tag, ef06.Elements[i].Tag)
		require.Equal(t, "RKSSSE", ef06.ReadRule(&ef06.Elements[i]))
	}
	require.Equal(t, byte(6), ef06.SFI())
	ef05, ok := p.File("SSSE/EF05")
	require.True(t, ok)
	number, ok := ef05.Element("cardNumber")
	require.True(t, ok)
	require.Equal(t, "RKSSSE", ef05.ReadRule(number))
	require.Equal(t, profile.Free, ef05.ReadRule(&ef05.Elements[0]))
	scope, key, ok := p.Key("RKSSSE")
	require.True(t, ok)
	require.Equal(t, "SSSE", scope.Name)
	require.Equal(t, byte(0x0A), key.ID)
	keys := 0
	for _, s := range p.Scopes {
		keys += len(s.Keys)
	}
	require.Equal(t, 49, keys)
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	profiles := []*profile.Profile{load(t)}
	for name, test := range map[string]struct {
		atr  []byte
		want error
	}{
		"laboratory":     {[]byte("\x3B\x6D\x00\x00\x00\x81NC1\x86\x97\x63\x99\x00\x00\x00\x01"), nil},
		"another length": {[]byte("\x3B\x6C\x00\x00\x00\x81NC1\x86\x97\x63\x99\x00\x00\x00"), profile.ErrUnknownATR},
		"another kind":   {[]byte("\x3B\x95\x13\x81\x01\x80\x73\xFF\x01\x00\x0B"), profile.ErrUnknownATR},
		"no card":        {nil, profile.ErrUnknownATR},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := profile.Candidates(profiles, test.atr)
			require.ErrorIs(t, err, test.want)
		})
	}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	for rule, test := range map[string]struct {
		has  string
		want bool
	}{
		"free":        {"", true},
		"never":       {"PIN RKDF01", false},
		"RKSSSE":      {"RKSSSE", true},
		"UKSSSE":      {"RKSSSE", false},
		"PIN|RKDF01":  {"RKDF01", true},
		"PIN|RKDF02":  {"UK1DF02", false},
		"PIN&RK1DF04": {"PIN RK1DF04", true},
		"PIN&RK1DF03": {"PIN", false},
	} {
		require.Equal(t, test.want, profile.Allows(rule, func(term string) bool {
			return strings.Contains(" "+test.has+" ", " "+term+" ")
		}), rule)
	}
}

// small is a profile that holds together; each case breaks one thing in it.
const small = `version: "9.99"
title: {zh: 试, en: trial}
algorithm: sm4
environment: "0102"
fci: 6F00
atrs: [{value: 3B6D000000000000008600000000000000, mask: FFFFFFFF0000000000FF00000000000000, historical: 13, title: {zh: 卡, en: card}}]
pin: {digits: 6, tries: 6}
choices: {keyVersion: {value: ""}, protection: {value: none}, namePad: {value: "00"}, amounts: {value: bcd}, charset: {value: gbk}}
maker: {name: m, iv: chained, transport: TRANSPORT, master: MK, area: "639900", atr: 3B6D000000000000008600}
usages: {master: "30"}
scopes:
  - {index: 0, name: SSSE, title: {zh: 环境, en: environment}, keys: [{name: MK, id: FF, purpose: master}], files: [{fid: EF05, title: {zh: 文件, en: file}, kind: variable, read: free, write: MK, elements: [{rec: 1, tag: "01", len: 4, as: template, name: t, inner: [{tag: "02", len: 2, as: b}]}]}]}
`

func TestParse(t *testing.T) {
	t.Parallel()
	_, err := profile.Parse([]byte(small))
	require.NoError(t, err)
	for name, edit := range map[string][2]string{
		"unknown key":        {"title: {zh: 试", "titel: {zh: 试"},
		"version too short":  {`"9.99"`, `"9.9"`},
		"hexadecimal":        {`"639900"`, `"63990"`},
		"template length":    {"len: 4", "len: 5"},
		"unknown coding":     {"as: b", "as: x"},
		"rule of nobody":     {"write: MK", "write: UK"},
		"mixed rule":         {"write: MK", "write: PIN&MK|MK"},
		"record order":       {"rec: 1", "rec: 2"},
		"unknown kind":       {"kind: variable", "kind: linear"},
		"odd PIN":            {"digits: 6", "digits: 5"},
		"unknown iv":         {"iv: chained", "iv: none"},
		"master of nobody":   {"master: MK", "master: XX"},
		"mask of other size": {"mask: FF", "mask: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := strings.Replace(small, edit[0], edit[1], 1)
			require.NotEqual(t, small, broken)
			_, err := profile.Parse([]byte(broken))
			require.Error(t, err)
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("version: 3\nscopes: [{keys: [{id: 0}]}]"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		// Whatever is read, it is a profile that holds together or an error.
		_, _ = profile.Parse(text)
	})
}
