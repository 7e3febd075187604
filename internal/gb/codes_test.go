package gb

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
)

func TestEthnicGroups(t *testing.T) {
	t.Parallel()
	groups := EthnicGroups()
	require.Len(t, groups, 58)
	names, letters := map[string]bool{}, map[string]bool{}
	for i, group := range groups {
		if i < 56 {
			require.Equal(t, fmt.Sprintf("%02d", i+1), group.Code)
			require.Len(t, group.Letters, 2)
			require.False(t, letters[group.Letters], group.Letters)
			letters[group.Letters] = true
		}
		require.False(t, names[group.Name], group.Name)
		names[group.Name] = true
		byCode, err := EthnicByCode(group.Code)
		require.NoError(t, err)
		require.Equal(t, group, byCode)
		byName, err := EthnicByName(group.Name + "族")
		require.NoError(t, err)
		require.Equal(t, group, byName)
	}
	// The groups of Qinghai, by name.
	for code, name := range map[string]string{
		"01": "汉", "02": "蒙古", "03": "回", "04": "藏", "26": "东乡", "30": "土", "35": "撒拉", "47": "保安",
		"97": "其他", "98": "外国血统中国籍人士",
	} {
		group, err := EthnicByCode(code)
		require.NoError(t, err)
		require.Equal(t, name, group.Name)
	}
	for _, code := range []string{"", "0", "00", "57", "99", "1"} {
		_, err := EthnicByCode(code)
		require.ErrorIs(t, err, ErrUnknownCode)
	}
	_, err := EthnicByName("")
	require.ErrorIs(t, err, ErrUnknownCode)
}

func TestSex(t *testing.T) {
	t.Parallel()
	for code, zh := range map[string]string{"0": "未知", "1": "男", "2": "女", "9": "未说明"} {
		sex, err := ParseSex(code)
		require.NoError(t, err)
		require.Equal(t, zh, sex.ZH())
		require.NotEmpty(t, sex.EN())
	}
	for _, code := range []string{"", "3", "男", "01"} {
		_, err := ParseSex(code)
		require.ErrorIs(t, err, ErrUnknownCode)
	}
}

func TestDate(t *testing.T) {
	t.Parallel()
	day := mustDate(t, 2012, time.February, 29)
	require.Equal(t, "2012-02-29", day.String())
	require.Equal(t, "20120229", day.Compact())
	for _, text := range []string{"2012-02-29", "20120229"} {
		parsed, err := ParseDate(text)
		require.NoError(t, err)
		require.Equal(t, day, parsed)
	}
	for _, text := range []string{"", "2011-02-29", "20110229", "2012-2-29", "2012/02/29", "00000101", "2012-02-29T00:00:00Z"} {
		_, err := ParseDate(text)
		require.ErrorIs(t, err, ErrDate, text)
	}
	_, err := NewDate(2011, time.February, 29)
	require.ErrorIs(t, err, ErrDate)
	_, err = NewDate(0, time.January, 1)
	require.ErrorIs(t, err, ErrDate)
	require.True(t, day.Before(mustDate(t, 2012, time.March, 1)))
	require.False(t, day.Before(day))
	require.Equal(t, 1, day.Compare(Date{}))
	require.Equal(t, 2012, day.Year())
	require.Equal(t, time.February, day.Month())
	require.Equal(t, 29, day.Day())
	require.Equal(t, 0, day.Age(mustDate(t, 2013, time.February, 28)))
	require.Equal(t, 1, day.Age(mustDate(t, 2013, time.March, 1)))
	zone := time.FixedZone("CST", 8*3600)
	require.Equal(t, day, DateOf(day.Time(zone)))
	require.Empty(t, Date{}.String())
	require.Empty(t, Date{}.Compact())

	for _, d := range []Date{day, {}} {
		text, err := json.Marshal(d)
		require.NoError(t, err)
		back := day
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, d, back)
	}
	require.ErrorIs(t, new(Date).UnmarshalText([]byte("x")), ErrDate)
}

func FuzzParseDate(f *testing.F) {
	for _, seed := range []string{"2012-02-29", "20120229", "", "0000-00-00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		day, err := ParseDate(text)
		if err != nil {
			require.ErrorIs(t, err, ErrDate)
			return
		}
		require.Contains(t, []string{day.String(), day.Compact()}, text)
	})
}

func TestNormaliseName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"扎西·多杰":           "扎西·多杰",
		"扎西•多杰":           "扎西·多杰",
		"扎西・多杰":           "扎西·多杰",
		"扎西‧多杰":           "扎西·多杰",
		"扎西．多杰":           "扎西·多杰",
		"扎西.多杰":           "扎西·多杰",
		" 扎西 · 多杰\u3000":  "扎西·多杰",
		"扎西\u00a0.  多杰":   "扎西·多杰",
		"马  秀英":           "马 秀英",
		"𠮷田":              "𠮷田",
		"㛃":               "㛃",
		"Jose\u0301 A. 王": "José A. 王",
		"བཀྲ་ཤིས":         "བཀྲ་ཤིས",
	} {
		name, err := NormaliseName(text)
		require.NoError(t, err, text)
		require.Equal(t, want, name)
	}
	for text, problem := range map[string]*Problem{
		"":             ErrEmpty,
		" \u3000":      ErrEmpty,
		"张\n三":         ErrCharacter,
		"张\x00":        ErrCharacter,
		"张\u200b三":     ErrCharacter,
		"张\u202e三":     ErrCharacter,
		"张\ufffd":      ErrCharacter,
		"\xd5\xc5\xc8": ErrCharacter,
	} {
		_, err := NormaliseName(text)
		require.ErrorIs(t, err, problem, "%q", text)
	}
	_, err := NormaliseName("王\u200b")
	var format *FormatError
	require.ErrorAs(t, err, &format)
	require.Equal(t, 2, format.Position)
}

func FuzzNormaliseName(f *testing.F) {
	for _, seed := range []string{"扎西•多杰", " J. · 王 ", "Jose\u0301", "\xff", "· ·", "가́"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := NormaliseName(text)
		if err != nil {
			var format *FormatError
			require.ErrorAs(t, err, &format)
			return
		}
		require.True(t, utf8.ValidString(name))
		require.True(t, norm.NFC.IsNormalString(name))
		again, err := NormaliseName(name)
		require.NoError(t, err)
		require.Equal(t, name, again)
	})
}
