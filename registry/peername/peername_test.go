package peername

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"onecard/registry"
)

// The bytes are those that GB 18030-2022 and its code tables give.
func TestEncode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		profile Profile
		name    string
		bytes   string
		text    string
		cut     bool
	}{
		"dot in GBK":              {Profile{Encoding: "GBK"}, "扎西·多杰", "\xd4\xfa\xce\xf7\xa1\xa4\xb6\xe0\xbd\xdc", "扎西·多杰", false},
		"rare in GB 18030":        {Profile{Encoding: "GB 18030"}, "㛃", "\x82\x30\xb7\x31", "㛃", false},
		"rare beyond the plane":   {Profile{Encoding: "GB 18030"}, "𠅤", "\x95\x32\xa6\x32", "𠅤", false},
		"replaced in GBK":         {Profile{Encoding: "GBK", Replace: "?"}, "王㛃", "\xcd\xf5?", "王?", false},
		"cut before half a char":  {Profile{Encoding: "GBK", Limit: 5}, "扎西·", "\xd4\xfa\xce\xf7", "扎西", true},
		"fits to the last byte":   {Profile{Encoding: "GBK", Limit: 4}, "扎西", "\xd4\xfa\xce\xf7", "扎西", false},
		"cut in four-byte script": {Profile{Encoding: "GB 18030", Limit: 7}, "王㛃㛃", "\xcd\xf5\x82\x30\xb7\x31", "王㛃", true},
		"UTF-8 as it is":          {Profile{Encoding: "UTF-8", Limit: 7}, "扎西多", "扎西", "扎西", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told, text := c.profile.Encode(c.name)
			require.Equal(t, c.bytes, string(told.Bytes))
			require.Equal(t, c.text, text)
			require.Equal(t, c.cut, told.Cut)
		})
	}
	told, text, err := For("nobody", "扎西·多杰")
	require.NoError(t, err)
	require.Equal(t, registry.PeerName{Peer: "nobody", Encoding: "UTF-8", Bytes: []byte("扎西·多杰")}, told)
	require.Equal(t, "扎西·多杰", text)
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	all, err := Profiles()
	require.NoError(t, err)
	require.Equal(t, 30, all["bank"].Limit)
	for name, text := range map[string]string{
		"unknown field":    "peers: [{peer: '', encoding: UTF-8, size: 3}]",
		"unknown encoding": "peers: [{peer: '', encoding: Big5}]",
		"twice":            "peers: [{peer: '', encoding: UTF-8}, {peer: '', encoding: GBK}]",
		"no default":       "peers: [{peer: bank, encoding: UTF-8}]",
		"too short":        "peers: [{peer: '', encoding: UTF-8, limit: 3}]",
		"nothing for GBK":  "peers: [{peer: '', encoding: GBK}]",
		"replaced in vain": "peers: [{peer: '', encoding: UTF-8, replace: '?'}]",
		"no YAML":          "\t",
	} {
		_, err := read([]byte(text))
		require.Error(t, err, name)
	}
}

// FuzzEncode: never above the limit, never half a character.
func FuzzEncode(f *testing.F) {
	f.Add("扎西·多杰", 5, false)
	f.Add("\xff王㛃", 4, true)
	f.Fuzz(func(t *testing.T, name string, limit int, gbk bool) {
		p := Profile{Encoding: "GB 18030", Limit: max(4, limit), Replace: "?"}
		if gbk {
			p.Encoding = "GBK"
		}
		told, text := p.Encode(name)
		require.LessOrEqual(t, len(told.Bytes), p.Limit)
		require.True(t, utf8.ValidString(text))
		back, err := encodings[p.Encoding].NewDecoder().Bytes(told.Bytes)
		require.NoError(t, err)
		require.Equal(t, text, string(back))
	})
}
