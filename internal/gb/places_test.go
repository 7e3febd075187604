package gb

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDivisionsOnDays counts the divisions on days between which something
// changed: prefectures, counties with a national code, and others.
func TestDivisionsOnDays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		day                       Date
		prefectures, coded, other int
		others, there, notThere   string
	}{
		{mustDate(t, 2011, time.December, 31), 8, 43, 3, "冷湖行政委员会 大柴旦行政委员会 茫崖行政委员会", "632100 632123 632721 630122", "630200 632803 632857"},
		{mustDate(t, 2013, time.February, 7), 8, 43, 3, "冷湖行政委员会 大柴旦行政委员会 茫崖行政委员会", "632100 632123", "630200"},
		{mustDate(t, 2013, time.December, 31), 8, 43, 3, "冷湖行政委员会 大柴旦行政委员会 茫崖行政委员会", "630200 630202 630221 632701", "632100 632123 632721"},
		{mustDate(t, 2017, time.December, 31), 8, 43, 3, "冷湖行政委员会 大柴旦行政委员会 茫崖行政委员会", "630203 632857 632858 632859", "630221 632803"},
		{mustDate(t, 2018, time.February, 22), 8, 44, 1, "大柴旦行政委员会", "632803 632857", "632858 632859"},
		{mustDate(t, 2020, time.December, 31), 8, 44, 1, "大柴旦行政委员会", "630106 632301", "630122 632321"},
		{mustDate(t, 2026, time.January, 1), 8, 44, 1, "大柴旦行政委员会", "630106 632301", "630122 632321"},
	} {
		t.Run(c.day.String(), func(t *testing.T) {
			t.Parallel()
			var prefectures, coded int
			var others []string
			for _, d := range Divisions().Current(c.day) {
				switch {
				case d.Level == Prefecture:
					prefectures++
				case d.Level == County && d.Kind == NationalCode:
					coded++
				case d.Level == County:
					others = append(others, d.Name)
				}
			}
			require.Equal(t, c.prefectures, prefectures)
			require.Equal(t, c.coded, coded)
			require.Len(t, others, c.other)
			require.ElementsMatch(t, strings.Fields(c.others), others)
			for _, code := range strings.Fields(c.there) {
				_, ok := Divisions().At(code, c.day)
				require.True(t, ok, code)
			}
			for _, code := range strings.Fields(c.notThere) {
				_, ok := Divisions().At(code, c.day)
				require.False(t, ok, code)
			}
		})
	}
}

func TestEmbeddedPlaces(t *testing.T) {
	t.Parallel()
	table, err := embeddedPlaces()
	require.NoError(t, err)
	require.Same(t, table, Places())
	townships, communities := 0, 0
	for _, d := range table.Current(mustDate(t, 2026, time.January, 1)) {
		switch d.Level {
		case Township:
			townships++
		case Community:
			communities++
		}
		if d.Level == Township || d.Level == Community {
			require.Len(t, table.Path(d.Code, mustDate(t, 2026, time.January, 1)), map[Level]int{Township: 4, Community: 5}[d.Level], d.Code)
		}
	}
	require.Equal(t, 422, townships)
	require.Equal(t, 4716, communities)
	localities, err := ParseLocalities(bytes.NewReader(localitiesFile), Divisions())
	require.NoError(t, err)
	var again bytes.Buffer
	require.NoError(t, localities.Write(&again))
	require.Equal(t, string(localitiesFile), again.String())
}

// TestLies holds places against places: old and new codes, all levels.
func TestLies(t *testing.T) {
	t.Parallel()
	now := mustDate(t, 2026, time.January, 1)
	for _, c := range []struct {
		within string
		yes    string
		no     string
	}{
		{"630000", "630000 630202 632121 632100 630202001 630122100200 639999", "620000 510104"},
		{"630200", "630200 632100 632121 630221 630203 632128 632128100", "632124 632125 630122 630100 630000 632200"},
		{"632100", "630200 632121 630202", "632124 630100"},
		{"630202", "630202 632123 630202100 630202001 630202001001", "630200 632100 630203 630203001"},
		{"632123", "630202 632123 630202001", "630203"},
		{"630106", "630106 630122 632124 630122100 630106102 630122100200", "630123 630100"},
		{"632803", "632803 632858 632859 632858100 632803102", "632857 632801 632800"},
		{"630106102", "630106102 630122100 630106102200 630122100200", "630106101 630122101 630106 630106101200"},
		{"630122100", "630106102 630122100 630106102200", "630106100"},
		{"630202001", "630202001 630202100", "630202002 630202"},
		{"630106102200", "630106102200 630122100200", "630106102201 630106102"},
		{"510000", "510000 510100 510104", "630000 520000"},
		{"", "", "630000"},
		{"63", "", "630000 63"},
	} {
		for _, place := range strings.Fields(c.yes) {
			require.True(t, Places().Lies(place, c.within, now), "%s within %s", place, c.within)
		}
		for _, place := range strings.Fields(c.no) {
			require.False(t, Places().Lies(place, c.within, now), "%s within %s", place, c.within)
		}
	}
	before := mustDate(t, 2012, time.January, 1)
	require.True(t, Places().Lies("632123", "632100", before))
	require.False(t, Places().Lies("630202", "632100", before), "not yet founded")
	require.ElementsMatch(t, []string{"630202", "632123"}, Divisions().Within("630202", now))
	require.Subset(t, Places().Within("630106102", now), []string{"630106102", "630122100", "630106102200", "630122100200"})
	require.Empty(t, Divisions().Within("999900", now))
	require.Equal(t, 1, Divisions().Nearest("632123", []string{"630000", "630200", "632800"}, now))
	require.Equal(t, -1, Divisions().Nearest("632123", []string{"620000", "63"}, now))
}

const localityHeader = "# edition: 2020-01-01\n# source: s\ncode,name,valid_from,valid_to,successor\n"

func TestParseLocalitiesRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, message string }{
		"empty":           {"", "# edition"},
		"no source":       {"# edition: 2020-01-01\ncode,name\n", "# source"},
		"edition no day":  {"# edition: soon\n", "edition"},
		"header":          {"# edition: 2020-01-01\n# source: s\ncode,name\n", "表头"},
		"columns":         {localityHeader + "630102001,某街道\n", "第 4 行"},
		"code":            {localityHeader + "6301020,某街道,,,\n", "第 4 行"},
		"a division":      {localityHeader + "630102,某区,,,\n", "9 位"},
		"not digits":      {localityHeader + "63010200A,某街道,,,\n", "第 4 行"},
		"no name":         {localityHeader + "630102001,某街道,,,\n630102002,,,,\n", "第 5 行"},
		"date":            {localityHeader + "630102001,某街道,2019-02-30,,\n", "YYYY-MM-DD"},
		"backwards":       {localityHeader + "630102001,某街道,2019-02-02,2018-01-01,\n", "晚于"},
		"code twice":      {localityHeader + "630102001,某街道,,,\n630102001,另街道,,,\n", "第 4 行"},
		"parent unknown":  {localityHeader + "639902001,某街道,,,\n", "上级代码 639902"},
		"no township":     {localityHeader + "630102001,某街道,,,\n630102002001,某社区,,,\n", "第 5 行"},
		"parent later":    {localityHeader + "630106001,某街道,,2019-01-01,\n", "同期无效"},
		"heir unknown":    {localityHeader + "630102001,某街道,,2019-01-01,630102002\n", "承继者"},
		"heir of a level": {localityHeader + "630102001,某街道,,,\n630102002,某街道,,2019-01-01,630102\n", "承继者"},
		"heir of a valid": {localityHeader + "630102001,某街道,,,630102002\n630102002,某街道,,,\n", "承继者"},
		"stray quote":     {localityHeader + "630102001,\"某\"街道,,,\n", "乡村表"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseLocalities(strings.NewReader(c.text), Divisions())
			require.ErrorIs(t, err, ErrTable)
			require.ErrorContains(t, err, c.message)
		})
	}
	_, err := ParseLocalities(strings.NewReader(localityHeader+"630102001,某街道,,,\n630102001001,某社区,,,\n"), Divisions())
	require.NoError(t, err)
}

// TestYearly puts invented years onto each other.
func TestYearly(t *testing.T) {
	t.Parallel()
	var l Localities
	add := func(edition, rows string) {
		t.Helper()
		y := Yearly{Source: "s"}
		require.NoError(t, y.Edition.UnmarshalText([]byte(edition)))
		require.NoError(t, y.ReadYearly(strings.NewReader("code,name,other\n"+rows), "63"))
		require.NoError(t, l.Add(y, Divisions()))
	}
	add("2018-01-01", "110101001,某,x\n630122100,甲镇,x\n630122100200,乙村委会,x\n630122200,丙乡,x\n630102001,丁街道办事处,x\n")
	add("2021-01-01", "630106102,甲镇,x\n630106102201,乙社区居民委员会,x\n630102001,丁街道,x\n")
	var text bytes.Buffer
	require.NoError(t, l.Write(&text))
	_, rows, _ := strings.Cut(text.String(), "successor\n630")
	require.Equal(t, `102001,丁街道办事处,,2021-01-01,630102001
630102001,丁街道,2021-01-01,,
630106102,甲镇,2020-07-22,,
630106102201,乙社区居民委员会,2020-07-22,,
630122100,甲镇,,2020-07-22,630106102
630122100200,乙村委会,,2020-07-22,630106102201
630122200,丙乡,,2020-07-22,
`, rows)
	again, err := ParseLocalities(bytes.NewReader(text.Bytes()), Divisions())
	require.NoError(t, err)
	require.Len(t, again.Rows, 7)
	require.ErrorIs(t, l.Add(Yearly{Edition: l.Edition, Source: "s", Names: map[string]string{"630102001": "丁"}}, Divisions()), ErrTable, "not newer")
	require.ErrorIs(t, new(Yearly).ReadYearly(strings.NewReader("a,b\n"), "63"), ErrTable)
}

func FuzzParseLocalities(f *testing.F) {
	f.Add([]byte(localityHeader + "630102001,某街道,,,\n630102001001,某社区,,,\n"))
	f.Add([]byte(localityHeader + "630102001,某街道,,2019-01-01,630102002\n630102002,某街道,2019-01-01,,\n"))
	f.Add([]byte("# edition: 2020-01-01\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := ParseLocalities(bytes.NewReader(text), Divisions())
		if err != nil {
			require.ErrorIs(t, err, ErrTable)
			return
		}
		table := Divisions().With(found)
		for _, d := range found.Rows {
			require.True(t, table.Lies(d.Code, "630000", found.Edition) || !strings.HasPrefix(d.Code, "63"), d.Code)
		}
	})
}
