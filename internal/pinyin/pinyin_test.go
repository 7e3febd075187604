package pinyin

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVariantsFile(t *testing.T) {
	t.Parallel()
	r, err := readers()
	require.NoError(t, err)
	require.Greater(t, len(r.known), 390, "syllables")
	for _, broken := range []string{"syllables: [[a, b], [c, b]]", "surnames: {单单: shan}", "unknown: 1"} {
		_, err := newReader([]byte(broken))
		require.Error(t, err, broken)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ initials, sound string }{
		"扎西·多杰":      {"zxdj", "zaxiduojie"},
		"扎西多杰":       {"zxdj", "zaxiduojie"},
		"单小红":        {"sxh", "shanxiaohong"},
		"马单":         {"md", "madan"},
		"尕藏才让":       {"gzcr", "gazangcirang"},
		"John Smith": {"js", "johnsmith"},
		"㛃":          {"j", "jie"},
		"ཀུན":        {"ཀན", "ཀན"},
	} {
		require.Equal(t, want.initials, Initials(name), name)
		require.Equal(t, want.sound, Sound(name), name)
	}
}

func TestSameSound(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{"扎西·多杰", "札西多吉"}, {"才让卓玛", "才郎卓么"}, {"次仁", "才仁"}, {"洛桑", "罗桑"}, {"多杰", "道吉"},
	} {
		require.Equal(t, Sound(pair[0]), Sound(pair[1]), pair)
	}
	require.NotEqual(t, Sound("王伟"), Sound("李伟"))
}

func TestTyped(t *testing.T) {
	t.Parallel()
	for typed, name := range map[string]string{"zhaxiduojie": "扎西多杰", "ZhaxiDuoji": "扎西·多杰", "wangwei": "王伟", "xian": "西安"} {
		sound, ok := SoundOf(typed)
		require.True(t, ok, typed)
		if typed != "xian" { // also one syllable
			require.Equal(t, Sound(name), sound)
		}
	}
	_, ok := SoundOf("zxdj")
	require.False(t, ok)
	_, ok = SoundOf(strings.Repeat("q", 60))
	require.False(t, ok)
}

func BenchmarkSound(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Sound("阿旺洛桑图登嘉措·索南旺杰")
	}
}
