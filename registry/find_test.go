package registry_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// difficult are residents of names that are hard to type, to order and to tell
// apart. Births before 1900 are of nobody.
var difficult = []struct{ name, ethnic, place, birth string }{
	{"扎西·多杰", "04", "632723", "1888-05-01"},
	{"扎西多杰", "04", "632521", "1889-06-02"},
	{"札西多吉", "04", "630102", "1890-07-03"},
	{"尼玛·央金·卓玛", "04", "632723", "1891-01-04"},
	{"买买提·阿卜杜热西提", "05", "630105", "1892-02-05"},
	{"欧阳·娜仁花", "02", "632801", "1893-03-06"},
	{"乐乐", "01", "630102", "1894-04-07"},
	{"单于解", "01", "630102", "1895-05-08"},
	{"曾曌", "01", "630103", "1896-06-09"},
	{"王䶮", "01", "630104", "1897-07-10"},
	{"马㛃", "03", "630121", "1898-08-11"},
	{"李𠅤", "01", "630104", "1899-09-12"},
	{"索南才让", "04", "632623", "1887-10-13"},
	{"索南才让", "04", "632723", "1886-11-14"},
}

// typed is what clerks type, and what it means.
var typed = []struct {
	why string
	registry.Query
}{
	{"间隔号照证件输入 the dot as in the document", registry.Query{Name: "扎西·多杰"}},
	{"不输间隔号 without the dot", registry.Query{Name: "扎西多杰"}},
	{"全角圆点 another dot", registry.Query{Name: "扎西．多杰"}},
	{"用空格代替 a space in its place", registry.Query{Name: "扎西 多杰"}},
	{"同音字 other characters of the same sound", registry.Query{Name: "札西多吉"}},
	{"两个间隔号 two dots", registry.Query{Name: "尼玛央金卓玛"}},
	{"长名 a long name", registry.Query{Name: "买买提阿卜杜热西提"}},
	{"拼音首字母 first letters of the pinyin", registry.Query{Latin: "zxdj"}},
	{"首字母，多杰在本县的在前 the same, asked in 称多", registry.Query{Latin: "zxdj", Near: "632723"}},
	{"全拼 the whole name in pinyin", registry.Query{Latin: "zhaxiduojie"}},
	{"多音字：乐 a character of two readings", registry.Query{Latin: "lele"}},
	{"多音字的另一读音 its other reading", registry.Query{Latin: "yueyue"}},
	{"多音字：单、解 two of them", registry.Query{Latin: "dyj"}},
	{"多音字：曾 another", registry.Query{Latin: "zz"}},
	{"生僻字 a rare character (U+4DAE)", registry.Query{Name: "王䶮"}},
	{"生僻字用拼音 the same by pinyin", registry.Query{Latin: "wy"}},
	{"扩展 B 区 beyond the basic plane (U+20164)", registry.Query{Name: "李𠅤"}},
	{"同名，加出生日期 one of two of a name, by the day of birth", registry.Query{Name: "索南才让", Birth: mustDate("1886-11-14")}},
	{"同名，本县在前 the same name, asked in 称多", registry.Query{Name: "索南才让", Near: "632723"}},
	{"出生日期加地区 day of birth and place", registry.Query{Birth: mustDate("1898-08-11"), Place: "630100"}},
	{"查无此人 nobody", registry.Query{Name: "无此人"}},
	{"通配符 a wildcard", registry.Query{Name: "扎西*"}},
}

func mustDate(text string) gb.Date {
	date, err := gb.ParseDate(text)
	if err != nil {
		panic(err)
	}
	return date
}

// TestFindDifficult: what clerks find under difficult names is what docs/search.md
// shows, on both databases. UPDATE=1 writes the page anew.
func TestFindDifficult(t *testing.T) {
	t.Parallel()
	const page = "../docs/search.md"
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		for i, d := range difficult {
			addPerson(t, db, registry.NewPerson{IDNumber: idNumber(t, d.place, d.birth, 11+2*i), Name: d.name, Ethnic: d.ethnic, Place: d.place})
		}
		var b strings.Builder
		b.WriteString(searchHead)
		for _, d := range difficult {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", d.name, d.birth, gb.Divisions().FullName(d.place, db.Today()))
		}
		b.WriteString("\n| 输入 typed | 说明 what it is | 结果 found (分值 score, 依据 why) |\n|---|---|---|\n")
		for _, asked := range typed {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", queryText(asked.Query), asked.why, foundText(t, db, asked.Query))
		}
		if os.Getenv("UPDATE") != "" {
			require.NoError(t, os.WriteFile(page, []byte(b.String()), 0o644))
		}
		written, err := os.ReadFile(page)
		require.NoError(t, err)
		require.Equal(t, string(written), b.String())
	})
}

const searchHead = `# 查人：难查的姓名 Finding people of difficult names

This page is written by a test (` + "`UPDATE=1 go test ./registry -run FindDifficult`" + `), which holds both databases to it. Names are sealed; what is searched are keyed digests of the name, its sound and its initials, so no question scans a table. A character of several readings is found under its most frequent one: 乐 as le, 单 as dan.

登记的人 on record:

| 姓名 name | 出生 birth | 地区 place |
|---|---|---|
`

func queryText(q registry.Query) string {
	parts := []string{q.Name + q.Latin}
	if !q.Birth.IsZero() {
		parts = append(parts, q.Birth.String())
	}
	if q.Place != "" {
		parts = append(parts, "在 in "+q.Place)
	}
	if q.Near != "" {
		parts = append(parts, "柜员在 asked in "+q.Near)
	}
	return "`" + strings.TrimSpace(strings.Join(parts, " ")) + "`"
}

func foundText(t *testing.T, db *registry.DB, q registry.Query) string {
	t.Helper()
	found, err := db.Find(t.Context(), q)
	var refused *registry.FieldError
	if errors.As(err, &refused) {
		return "✘ " + refused.ZH
	}
	require.NoError(t, err)
	var hits []string
	for _, hit := range found.Hits {
		hits = append(hits, fmt.Sprintf("%s %s (%d, %s)", hit.Person.Name, hit.Person.Birth, hit.Score, hit.Why))
	}
	if len(hits) == 0 {
		return "—"
	}
	return strings.Join(hits, "<br>")
}
