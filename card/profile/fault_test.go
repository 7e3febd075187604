package profile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/card/profile"
)

// written is a profile file with a line for each thing that can be wrong.
const written = `version: "9.99"
title: {zh: 试, en: trial}
algorithm: sm4
environment: "0102"
fci: 6F00
atrs:
  - value: 3B6D000000000000008600000000000000
    mask: FFFFFFFF0000000000FF00000000000000
    historical: 13
    title: {zh: 卡, en: card}
pin: {digits: 6, tries: 6}
choices:
  keyVersion: {value: ""}
  protection: {value: none}
  namePad: {value: "00"}
  amounts: {value: bcd}
  charset: {value: gbk}
maker:
  name: m
  iv: chained
  transport: TRANSPORT
  master: MK
  area: "639900"
  atr: 3B6D000000000000008600
usages: {master: "30", external: "39"}
scopes:
  - index: 0
    name: SSSE
    title: {zh: 环境, en: environment}
    keys:
      - {name: MK, id: FF, purpose: master}
      - {name: UK, id: "04", purpose: external, tries: 15}
    files:
      - fid: EF05
        title: {zh: 文件, en: file}
        kind: variable
        read: free
        write: UK
        elements:
          - {rec: 1, tag: "01", len: 4, as: b, name: one}
          - {rec: 2, times: 3, tag: "02", len: 3, as: template, name: many, inner: [{tag: "03", len: 1, as: b}]}
          - {rec: 5, tag: "04", len: 4, as: dec, name: money}
          - {rec: 6, tag: "05", len: 2, as: an, name: last, read: UK}
      - fid: EF06
        title: {zh: 文件, en: file}
        kind: cyclic
        size: 3
        records: 4
        read: PIN|UK
        write: UK
        fields:
          - {as: b, len: 1, name: a}
          - {as: cn, len: 2, name: b}
      - fid: EF07
        title: {zh: 文件, en: file}
        kind: transparent
        size: 16
        read: free
        write: UK
  - index: 1
    name: DF01
    title: {zh: 目录, en: directory}
    fid: DF01
    keys:
      - {name: RK1, id: "83", purpose: external, tries: 15}
`

// extension adds to it.
const extension = `extends: "9.99"
areas: ["32"]
usages: {external: "39"}
scopes:
  - name: SSSE
    keys:
      - {name: XK, id: "0D", purpose: external, tries: 15}
    files:
      - fid: EF0D
        kind: variable
        read: free
        write: XK
        elements:
          - {rec: 1, tag: "EA", len: 18, as: an, name: person}
`

// TestFaults breaks one thing on one line; the error names file, line and
// reason.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		old, new string
		reason   string
	}{
		"not YAML":               {`algorithm: sm4`, "\talgorithm: sm4", "cannot start any token"},
		"unknown key":            {`fci: 6F00`, `fic: 6F00`, "fic"},
		"not hexadecimal":        {`environment: "0102"`, `environment: "010"`, "hexadecimal"},
		"not one byte":           {`namePad: {value: "00"}`, `namePad: {value: "0000"}`, "one byte"},
		"not a number":           {`historical: 13`, `historical: many`, "many"},
		"version":                {`version: "9.99"`, `version: "9.9"`, "four characters"},
		"known version":          {`version: "9.99"`, `version: "3.00"`, "known already"},
		"algorithm":              {`algorithm: sm4`, `algorithm: ssf33`, "algorithm"},
		"mask":                   {`mask: FFFFFFFF0000000000FF00000000000000`, `mask: FF`, "one length"},
		"historical bytes":       {`historical: 13`, `historical: 12`, "13 historical bytes"},
		"answer to reset":        {`value: 3B6D000000000000008600000000000000`, `value: 3BFD000000000000008600000000000000`, "interface bytes"},
		"PIN":                    {`pin: {digits: 6, tries: 6}`, `pin: {digits: 5, tries: 6}`, "even number"},
		"protection":             {`protection: {value: none}`, `protection: {value: some}`, "protection"},
		"amounts":                {`amounts: {value: bcd}`, `amounts: {value: hex}`, "amounts"},
		"charset":                {`charset: {value: gbk}`, `charset: {value: big5}`, "charset"},
		"maker's iv":             {`iv: chained`, `iv: zero`, "iv"},
		"maker's master":         {`master: MK`, `master: XX`, "in no scope"},
		"maker's area":           {`area: "639900"`, `area: "6399"`, "three bytes"},
		"maker's ATR":            {`atr: 3B6D000000000000008600`, `atr: 3B6D00`, "none of the atrs"},
		"purpose":                {`{name: UK, id: "04", purpose: external, tries: 15}`, `{name: UK, id: "04", purpose: other, tries: 15}`, "no usage"},
		"tries":                  {`{name: UK, id: "04", purpose: external, tries: 15}`, `{name: UK, id: "04", purpose: external}`, "tries"},
		"key twice":              {`{name: RK1, id: "83"`, `{name: UK, id: "83"`, "twice"},
		"index twice":            {`index: 1`, `index: 0`, "index 0"},
		"file twice":             {`fid: EF06`, `fid: EF05`, "EF05"},
		"kind":                   {`kind: cyclic`, `kind: linear`, "linear"},
		"rule of nobody":         {`read: PIN|UK`, `read: PIN|XX`, "XX"},
		"mixed rule":             {`read: PIN|UK`, `read: PIN|UK&MK`, "mixes"},
		"size of a file":         {`size: 16`, `size: 40000`, "32768"},
		"record length":          {`size: 3`, `size: 4`, "its fields are 3"},
		"coding of a field":      {`{as: b, len: 1, name: a}`, `{as: x, len: 1, name: a}`, `"x"`},
		"length of an element":   {`{rec: 1, tag: "01", len: 4`, `{rec: 1, tag: "01", len: 300`, "1 to 253"},
		"template":               {`len: 3, as: template`, `len: 4, as: template`, "its parts are 3"},
		"amount after times":     {`len: 4, as: dec`, `len: 3, as: dec`, "four bytes"},
		"record after times":     {`rec: 5`, `rec: 3`, "place 5"},
		"tag twice, after times": {`tag: "05"`, `tag: "01"`, "twice"},
		"name twice":             {`name: last`, `name: one`, "twice"},
		"rule of an element":     {`name: last, read: UK`, `name: last, read: XX`, "XX"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faulty(t, written, test.old, test.new, test.reason, nil)
		})
	}
}

// TestExtensionFaults is the same for a local extension.
func TestExtensionFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ old, new, reason string }{
		"base":              {`extends: "9.99"`, `extends: "8.88"`, "8.88"},
		"key of the base":   {`{name: XK, id: "0D"`, `{name: RK1, id: "0D"`, "RK1"},
		"id of the base":    {`{name: XK, id: "0D"`, `{name: XK, id: "04"`, "XK"},
		"file of the base":  {`fid: EF0D`, `fid: EF05`, "EF05"},
		"rule of nobody":    {`write: XK`, `write: YK`, "YK"},
		"element too long":  {`len: 18`, `len: 254`, "1 to 253"},
		"unknown key in it": {`kind: variable`, `type: variable`, "type"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faulty(t, extension, test.old, test.new, test.reason, map[string]string{"9.99.yaml": written})
		})
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.yaml"), []byte(strings.Replace(extension, "areas: [\"32\"]\n", "", 1)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "9.99.yaml"), []byte(written), 0o600))
	_, err := profile.LoadWith(dir)
	require.ErrorContains(t, err, "x.yaml: line 1: an extension names its areas")
}

// faulty changes the last line that has old and wants the error to name it.
func faulty(t *testing.T, text, old, fresh, reason string, beside map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range beside {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	_, err := profile.LoadWith(dir)
	require.NoError(t, err)
	at := strings.LastIndex(text, old)
	require.GreaterOrEqual(t, at, 0)
	line := 1 + strings.Count(text[:at], "\n")
	broken := text[:at] + fresh + text[at+len(old):]
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x-broken.yaml"), []byte(broken), 0o600))
	_, err = profile.LoadWith(dir)
	require.ErrorContains(t, err, "x-broken.yaml")
	require.ErrorContains(t, err, fmt.Sprintf("line %d: ", line))
	require.ErrorContains(t, err, reason)
}

func TestLoadWith(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "9.99.yaml"), []byte(written), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.yaml"), []byte(extension), 0o600))
	profiles, err := profile.LoadWith(dir)
	require.NoError(t, err)
	p, err := profile.Of(profiles, "9.99", "320100")
	require.NoError(t, err)
	_, ok := p.File("SSSE/EF0D")
	require.True(t, ok)
	_, err = profile.LoadWith(filepath.Join(dir, "none"))
	require.True(t, errors.Is(err, fs.ErrNotExist), "a directory that is not there is not an empty one")
}
