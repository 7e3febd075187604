package card_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/keys"
)

// ahead is what a province writes to have a version that is not yet known: the
// file of 3.00 with another number, and a key and a file more in its last
// directory.
func ahead(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("profile/v3.yaml")
	require.NoError(t, err)
	changed := strings.Replace(string(text), `version: "3.00"`, `version: "4.00"`, 1)
	last := `      - {name: UK3DF07,`
	require.Equal(t, 1, strings.Count(changed, last))
	changed = strings.Replace(changed, last, `      - {name: RKHEALTH, id: "89", purpose: external, tries: 15}
      - {name: UKHEALTH, id: "8A", purpose: external, tries: 15}
`+last, 1)
	return changed + `      - fid: EF08
        title: {zh: 健康信息, en: health}
        kind: variable
        read: RKHEALTH
        write: UKHEALTH
        elements:
          - {rec: 1, tag: FA, len: 2, as: an, name: bloodGroup, zh: 血型, en: blood group}
`
}

// local is an extension of it for one area.
const local = `extends: "4.00"
areas: ["3201"]
title: {zh: 扩展, en: extension}
usages: {external: 39}
scopes:
  - name: SSSE
    keys:
      - {name: UKLOCAL, id: "0D", purpose: external, tries: 15}
    files:
      - fid: EF0D
        title: {zh: 本地, en: local}
        kind: variable
        read: free
        write: UKLOCAL
        elements:
          - {rec: 1, tag: EA, len: 18, as: an, name: personNumber, zh: 人员识别号, en: person number}
`

// TestNewVersion: a version and a local extension are files, and keys that the
// keeper adds, and no code.
func TestNewVersion(t *testing.T) {
	t.Parallel()
	v := newProvince(t)
	older := &chip.Socket{Chip: v.blank(t, 0xC1)}
	_, _, err := v.personalise(t.Context(), older, contents(t, "马秀兰"))
	require.NoError(t, err)

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "4.00.yaml"), []byte(ahead(t)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "extension.yaml"), []byte(local), 0o600))
	v.profiles, err = profile.LoadWith(dir)
	require.NoError(t, err)
	for _, name := range []string{"RKHEALTH", "UKHEALTH", "UKLOCAL"} {
		require.NoError(t, v.keeper.Add(keys.Spec{Name: name, Usage: keys.Authentication, Algorithm: keys.SM4, Depth: 2}))
	}
	health := card.Item{Path: "DF07/EF08/bloodGroup", Write: &card.Data{Text: "AB"}}
	number := card.Item{Path: "SSSE/EF0D/personNumber", Write: &card.Data{Text: "320100000000000001"}}
	for area, test := range map[string]struct {
		items   []card.Item
		refused []card.Item
	}{
		"639900": {[]card.Item{health}, []card.Item{number}},
		"320100": {[]card.Item{health, number}, nil},
	} {
		t.Run(area, func(t *testing.T) {
			t.Parallel()
			v := v
			var err error
			v.profile, err = profile.Of(v.profiles, "4.00", area)
			require.NoError(t, err)
			socket := &chip.Socket{Chip: v.blankOf(t, area)}
			made, _, err := v.personalise(t.Context(), socket, contents(t, "扎西·多杰"))
			require.NoError(t, err)
			require.True(t, made.Genuine())
			require.Equal(t, "4.00", values(made.Values())["specVersion"])

			_, _, err = v.access(t.Context(), socket, "", test.items...)
			require.NoError(t, err)
			var paths []card.Item
			for _, item := range test.items {
				paths = append(paths, card.Item{Path: item.Path})
			}
			read, _, err := v.access(t.Context(), socket, "", paths...)
			require.NoError(t, err)
			require.True(t, read.Genuine())
			for _, item := range test.items {
				found := values(read.Values())
				require.Equal(t, item.Write.Text, found[item.Path[strings.LastIndex(item.Path, "/")+1:]])
			}
			for _, item := range test.refused {
				_, _, err = v.access(t.Context(), socket, "", item)
				require.ErrorIs(t, err, card.ErrNoTarget)
			}
			opened, err := card.Open(t.Context(), apdu.NewChannel(socket), v.profiles, socket.Chip.ATR(),
				func(p *profile.Profile) (*card.Script, error) { return card.Opening(p, card.ChallengeLength), nil })
			require.NoError(t, err)
			require.Same(t, v.profile, opened.Profile, "recognised by version and area")
		})
	}
	_, _, err = v.read(t.Context(), older)
	require.NoError(t, err, "cards of before are read as before")
}

// blankOf returns a blank whose card identification names an area.
func (v province) blankOf(t *testing.T, area string) *chip.Chip {
	t.Helper()
	p := *v.profile
	district, err := hex.DecodeString(area)
	require.NoError(t, err)
	p.Maker.Area = district
	image, err := chip.Blank(&p, [4]byte{0, 0, 0, 0xC2}, makerKey)
	require.NoError(t, err)
	image.Area = area
	return v.insert(t, image)
}

// TestJiangsu makes a card with the local extension that is known, and reads and
// writes everything on it.
func TestJiangsu(t *testing.T) {
	t.Parallel()
	v := newProvinceOf(t, "2.00")
	var err error
	v.profile, err = profile.Of(v.profiles, "2.00", "320100")
	require.NoError(t, err)
	require.NotEmpty(t, v.profile.Areas)
	for _, scope := range v.profile.Scopes {
		for _, key := range scope.Keys {
			if _, err := v.keeper.Current(v.profile.KeeperKey(key.Name)); err != nil {
				require.NoError(t, v.keeper.Add(keys.Spec{Name: v.profile.KeeperKey(key.Name), Usage: keys.Authentication, Algorithm: keys.TripleDES, Depth: 2}))
			}
		}
	}
	socket := &chip.Socket{Chip: v.blankOf(t, "320100")}
	made, _, err := v.personalise(t.Context(), socket, contents(t, "马秀兰"))
	require.NoError(t, err)
	require.True(t, made.Genuine())
	_, err = v.activate(t.Context(), socket, pin)
	require.NoError(t, err)

	vectors := vectors(t, v.profile)
	var items []card.Item
	for _, item := range card.ReadEverything(v.profile) {
		if vector, ok := vectors[item.Path]; ok && (strings.HasPrefix(item.Path, "SSSE/EF0D") || strings.HasPrefix(item.Path, "DF05") || strings.HasPrefix(item.Path, "DF06")) {
			item.Write = &card.Data{Text: vector.Text, Parts: vector.Parts}
			items = append(items, item)
		}
	}
	require.Greater(t, len(items), 40)
	_, _, err = v.access(t.Context(), socket, pin, items...)
	require.NoError(t, err)
	read, _, err := v.access(t.Context(), socket, pin, card.ReadEverything(v.profile)...)
	require.NoError(t, err)
	require.True(t, read.Genuine())
	found := map[string]string{}
	for _, value := range read.Values() {
		found[value.File+"/"+value.Name] = value.Value
	}
	for _, item := range items {
		if item.Write.Parts == nil {
			require.Equal(t, item.Write.Text, found[item.Path], item.Path)
		}
	}
}
