package gb

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEmbeddedDivisions(t *testing.T) {
	t.Parallel()
	_, err := embedded()
	require.NoError(t, err)
	count := func(day Date) (coded, uncoded int) {
		for _, d := range Divisions().Current(day) {
			if d.Level == County && d.Kind == NationalCode {
				coded++
			} else if d.Level == County {
				uncoded++
			}
		}
		return coded, uncoded
	}
	coded, uncoded := count(mustDate(t, 2011, time.December, 31))
	require.Equal(t, 43, coded)
	require.Equal(t, 3, uncoded, "administrative committees")
	coded, uncoded = count(mustDate(t, 2024, time.January, 1))
	require.Equal(t, 44, coded)
	require.Equal(t, 1, uncoded, "大柴旦")
	require.Len(t, Divisions().Children("630000", mustDate(t, 2011, time.December, 31)), 8)
	require.Len(t, Divisions().Children("630000", mustDate(t, 2024, time.January, 1)), 8)
}

func TestDivisionAt(t *testing.T) {
	t.Parallel()
	table := Divisions()
	for _, c := range []struct {
		code, name string
		day        Date
	}{
		{"630000", "青海省", mustDate(t, 1970, time.January, 1)},
		{"632100", "海东地区", mustDate(t, 2013, time.February, 7)},
		{"632100", "", mustDate(t, 2013, time.February, 8)},
		{"630200", "", mustDate(t, 2013, time.February, 7)},
		{"630200", "海东市", mustDate(t, 2013, time.February, 8)},
		{"630121", "大通县", mustDate(t, 1980, time.January, 1)},
		{"630121", "大通回族土族自治县", mustDate(t, 2020, time.January, 1)},
		{"632857", "大柴旦行政委员会", mustDate(t, 2020, time.January, 1)},
		{"", "", mustDate(t, 2011, time.January, 1)},
		{"110000", "", mustDate(t, 2011, time.January, 1)},
	} {
		division, ok := table.At(c.code, c.day)
		require.Equal(t, c.name != "", ok, c.code)
		require.Equal(t, c.name, division.Name)
	}
}

func TestDivisionAncestors(t *testing.T) {
	t.Parallel()
	names := func(code string, day Date) (list []string) {
		for _, d := range Divisions().Ancestors(code, day) {
			list = append(list, d.Name)
		}
		return list
	}
	require.Equal(t, []string{"海东地区", "青海省"}, names("632124", mustDate(t, 1990, time.January, 1)))
	require.Equal(t, []string{"西宁市", "青海省"}, names("630122", mustDate(t, 2011, time.January, 1)))
	require.Empty(t, names("630000", mustDate(t, 2011, time.January, 1)))
	require.Empty(t, names("632124", mustDate(t, 2011, time.January, 1)))
}

func TestDivisionSuccessor(t *testing.T) {
	t.Parallel()
	day := mustDate(t, 2024, time.January, 1)
	for code, name := range map[string]string{
		"632100": "海东市", "632121": "平安区", "632122": "民和回族土族自治县", "632123": "乐都区",
		"632124": "湟中区", "632125": "湟源县", "630111": "城北区", "632721": "玉树市", "632321": "同仁市",
		"632803": "茫崖市", "630102": "城东区", "630121": "大通回族土族自治县",
	} {
		division, ok := Divisions().Successor(code, day)
		require.True(t, ok, code)
		require.Equal(t, name, division.Name, code)
		require.True(t, division.ValidOn(day))
	}
	between, ok := Divisions().Successor("632121", mustDate(t, 2014, time.June, 1))
	require.True(t, ok)
	require.Equal(t, "630221", between.Code)
	_, ok = Divisions().Successor("639900", day)
	require.False(t, ok)
	_, ok = Divisions().Successor("", day)
	require.False(t, ok)
	_, ok = Divisions().Successor("630203", mustDate(t, 2011, time.January, 1))
	require.False(t, ok, "not yet founded")
}

const divisionHeader = "code,name,level,parent,valid_from,valid_to,successor,kind,source,assumed\n"

func TestParseDivisionsRefuses(t *testing.T) {
	t.Parallel()
	const province = "630000,青海省,province,,,,,gb,s,false\n"
	const prefecture = "630100,西宁市,prefecture,630000,,,,gb,s,false\n"
	for name, text := range map[string]string{
		"empty":            "",
		"header":           "code,name\n",
		"columns":          divisionHeader + "630000,青海省\n",
		"assumed":          divisionHeader + "630000,青海省,province,,,,,gb,s,perhaps\n",
		"level":            divisionHeader + "630000,青海省,state,,,,,gb,s,false\n",
		"kind":             divisionHeader + "630000,青海省,province,,,,,iso,s,false\n",
		"code":             divisionHeader + "63000,青海省,province,,,,,gb,s,false\n",
		"code not digits":  divisionHeader + "63000A,青海省,province,,,,,gb,s,false\n",
		"no name":          divisionHeader + "630000,,province,,,,,gb,s,false\n",
		"date":             divisionHeader + "630000,青海省,province,,2011-02-30,,,gb,s,false\n",
		"ends, no heir":    divisionHeader + "630000,青海省,province,,,2011-01-01,,gb,s,false\n",
		"heir unknown":     divisionHeader + "630000,青海省,province,,,2011-01-01,640000,gb,s,false\n",
		"code twice":       divisionHeader + province + "630000,青海,province,,,,,gb,s,false\n",
		"parent unknown":   divisionHeader + province + "630100,西宁市,prefecture,640000,,,,gb,s,false\n",
		"parent missing":   divisionHeader + province + "630100,西宁市,prefecture,,,,,gb,s,false\n",
		"parent too short": divisionHeader + province + strings.Replace(prefecture, "630000,,", "630000,2011-01-01,", 1) + "630102,城东区,county,630100,,,,gb,s,false\n",
		"uncoded, kind gb": divisionHeader + province + ",某行委,county,630000,,,,gb,s,false\n",
		"own parent":       divisionHeader + province + "630100,西宁市,prefecture,630100,,,,gb,s,false\n",
		"stray quote":      divisionHeader + "000000\"000",
		"backwards":        divisionHeader + province + "630100,西宁市,prefecture,630000,2012-01-01,2011-01-01,630100,gb,s,false\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseDivisions(strings.NewReader(text))
			require.ErrorIs(t, err, ErrTable)
		})
	}
	table, err := ParseDivisions(strings.NewReader(divisionHeader + province + prefecture))
	require.NoError(t, err)
	require.Len(t, table.All(), 2)
}

func FuzzParseDivisions(f *testing.F) {
	f.Add([]byte(divisionHeader + "630000,青海省,province,,,,,gb,s,false\n"))
	f.Add([]byte(divisionHeader + "630000,青海,province,,,2011-01-01,630000,gb,s,true\n630000,青海省,province,,2011-01-01,,,gb,s,false\n"))
	f.Add([]byte(""))
	f.Add([]byte(divisionHeader + "000000\"000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := ParseDivisions(bytes.NewReader(data))
		if err != nil {
			require.ErrorIs(t, err, ErrTable)
			return
		}
		day := mustDate(t, 2011, time.December, 31)
		for _, d := range table.Current(day) {
			if found, ok := table.At(d.Code, day); d.Code != "" {
				require.True(t, ok)
				require.Equal(t, d, found)
			}
			table.Ancestors(d.Code, day)
		}
		for _, d := range table.All() {
			table.Successor(d.Code, day)
		}
	})
}
