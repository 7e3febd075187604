package intake_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"onecard/internal/gb"
	"onecard/internal/sheet"
	"onecard/registry"
	"onecard/registry/intake"
	"onecard/registry/registrytest"
)

var importer = registry.Actor{Operator: "import", Workstation: "", Place: "630000"}

const pensionHeading = "个人编号,姓名,证件类型,公民身份号码,性别,民族,出生日期,户口性质,户口所在地行政区划,户籍地址,通讯地址,邮政编码,移动电话,参保险种,参保状态,单位编号,单位名称,参加工作日期,开户银行,银行账号,藏文姓名,户号,与户主关系,监护人姓名,监护人证件号码,生存状态"

// number makes the identity number of a person born before 1900.
func number(t testing.TB, n int) string {
	t.Helper()
	birth, err := gb.ParseDate(fmt.Sprintf("18%02d-%02d-%02d", 10+n/336/12%80, n/28%12+1, n%28+1))
	require.NoError(t, err)
	made, err := gb.NewIDNumber("630102", birth, n/28%500*2+1)
	require.NoError(t, err)
	return made.String()
}

// row is a good row of the pension system, with changes by column.
func row(t testing.TB, n int, changes map[string]string) string {
	t.Helper()
	id := number(t, n)
	values := map[string]string{
		"个人编号": fmt.Sprintf("P%07d", n), "姓名": "扎西·多杰", "证件类型": "居民身份证", "公民身份号码": id, "性别": "男", "民族": "藏族",
		"出生日期": id[6:10] + "-" + id[10:12] + "-" + id[12:14], "户口性质": "农业户口", "户口所在地行政区划": "632721",
		"通讯地址": "青海省玉树市某某镇", "邮政编码": "815000", "移动电话": fmt.Sprintf("139%08d", n), "参保险种": "养老、医疗", "参保状态": "正常参保",
		"参加工作日期": "1999/7/1", "开户银行": "建设银行", "银行账号": fmt.Sprintf("6227%014d", n), "户号": "H1",
	}
	for column, value := range changes {
		values[column] = value
	}
	var cells []string
	for _, column := range strings.Split(pensionHeading, ",") {
		cells = append(cells, values[column])
	}
	return strings.Join(cells, ",")
}

type files struct{ path, rejects string }

func put(t testing.TB, content string) files {
	t.Helper()
	directory := t.TempDir()
	f := files{directory + "/in.csv", directory + "/rejects.csv"}
	require.NoError(t, os.WriteFile(f.path, []byte(content), 0o600))
	return f
}

func run(t testing.TB, db *registry.DB, f files) *intake.Run {
	t.Helper()
	mappings, err := intake.Mappings()
	require.NoError(t, err)
	return &intake.Run{DB: db, Actor: importer, Mapping: mappings["pension"], Path: f.path, Rejects: f.rejects, Temp: t.TempDir(), Owner: t.Name(), Batch: 10}
}

func rejected(t testing.TB, f files) [][]string {
	t.Helper()
	content, err := os.ReadFile(f.rejects)
	require.NoError(t, err)
	records, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(content), "\xef\xbb\xbf"))).ReadAll()
	require.NoError(t, err)
	return records[1:]
}

// TestImport: good rows become residents, each bad one is named with its reason
// and without its values, and the counts agree.
func TestImport(t *testing.T) {
	t.Parallel()
	bad := []struct {
		changes map[string]string
		codes   []string
	}{
		{map[string]string{"公民身份号码": number(t, 1000)[:17] + "Z"}, []string{"invalid-idNumber"}},
		{map[string]string{"公民身份号码": "632701197507020000"}, []string{"digits-lost"}},
		{map[string]string{"公民身份号码": ""}, []string{"empty"}},
		{map[string]string{"姓名": ""}, []string{"empty"}},
		{map[string]string{"姓名": "扎西\u200b"}, []string{"invalid-name"}},
		{map[string]string{"性别": "女"}, []string{"sex-number"}},
		{map[string]string{"性别": "雄"}, []string{"unknown-code"}},
		{map[string]string{"出生日期": "1999-01-01"}, []string{"birth-number"}},
		{map[string]string{"出生日期": "18-1-1x"}, []string{"date"}},
		{map[string]string{"民族": "高山流水族"}, []string{"unknown-code"}},
		{map[string]string{"户口所在地行政区划": "110101"}, []string{"unknown-place"}},
		{map[string]string{"移动电话": "电话"}, []string{"invalid-phone"}},
		{map[string]string{"参保险种": "养老、彩票"}, []string{"unknown-code"}},
		{map[string]string{"银行账号": "123", "性别": "雄"}, []string{"unknown-code", "account"}},
		{map[string]string{"藏文姓名": "扎西"}, []string{"invalid-nameTibetan"}},
		{map[string]string{"邮政编码": "8150001"}, []string{"invalid-postcode"}},
	}
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		lines := []string{pensionHeading}
		for n := range 25 {
			lines = append(lines, row(t, n, nil))
		}
		var want [][]string
		for i, b := range bad {
			for _, code := range b.codes {
				want = append(want, []string{fmt.Sprint(len(lines) + 1), code})
			}
			lines = append(lines, row(t, 1000+i, b.changes))
		}
		lines = append(lines, row(t, 3, nil), row(t, 4, map[string]string{"姓名": "韩梅", "个人编号": "P99"}))
		want = append(want, []string{fmt.Sprint(len(lines) - 1), "number-twice"}, []string{fmt.Sprint(len(lines)), "number-other-name"})
		f := put(t, strings.Join(lines, "\n"))
		done, err := run(t, db, f).Do(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 25+len(bad)+2, done.Read)
		// The row that comes again outside its batch is known already.
		require.EqualValues(t, 25, done.Added)
		require.EqualValues(t, done.Read, done.Added+done.Changed+done.Unchanged+done.Rejected)
		persons, err := db.CountPersons(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, done.PersonsBefore+done.Added, persons)

		got := map[string]string{}
		for _, record := range rejected(t, f) {
			got[record[0]+" "+record[3]] = record[4] + record[5]
		}
		for _, w := range want[:len(want)-2] {
			require.NotEmpty(t, got[w[0]+" "+w[1]], "%v", w)
		}
		require.NotEmpty(t, got[want[len(want)-1][0]+" number-other-name"])
		report, err := os.ReadFile(f.rejects)
		require.NoError(t, err)
		for _, value := range []string{"扎西", "139000", number(t, 1000)[:16], "高山流水", "6227"} {
			require.NotContains(t, string(report), value)
		}

		found, err := db.Find(t.Context(), registry.Query{Number: number(t, 7)})
		require.NoError(t, err)
		person := found.Hits[0].Person
		require.Equal(t, "632701", person.Place, "the old code's successor")
		insured, err := db.InsuredAt(t.Context(), person.ID, db.Now())
		require.NoError(t, err)
		require.Len(t, insured, 2)
		_, err = run(t, db, f).Do(t.Context())
		require.ErrorIs(t, err, intake.ErrDone)
		cases, err := db.OpenCases(t.Context(), "630000", [16]byte{}, 10)
		require.NoError(t, err)
		require.Len(t, cases, 1)
		require.Equal(t, "韩梅", cases[0].Told.Name)
	})
}

// TestStopAndGoOn: an import that is stopped again and again ends with what one
// run would have made, and its rejects are told once.
func TestStopAndGoOn(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		lines := []string{pensionHeading}
		for n := range 95 {
			changes := map[string]string{}
			if n%9 == 0 {
				changes["性别"] = "女"
			}
			lines = append(lines, row(t, n, changes))
		}
		content, err := simplifiedchinese.GB18030.NewEncoder().String(strings.Join(lines, "\r\n"))
		require.NoError(t, err)
		f := put(t, content)
		stops := 0
		for {
			ctx, stop := context.WithCancel(t.Context())
			r := run(t, db, f)
			r.Owner = fmt.Sprint("run", stops)
			batches := 0
			r.Report = func(intake.Status) {
				if batches++; batches == 2 {
					stop()
				}
			}
			done, err := r.Do(ctx)
			stop()
			if err == nil {
				require.EqualValues(t, 84, done.Added)
				require.EqualValues(t, 11, done.Rejected)
				break
			}
			require.ErrorIs(t, err, context.Canceled)
			stops++
		}
		require.GreaterOrEqual(t, stops, 3)
		require.Len(t, rejected(t, f), 11)
		persons, err := db.CountPersons(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 84, persons)
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

// TestTwoImports: the same file at the same time is taken over once.
func TestTwoImports(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		f := put(t, pensionHeading+"\n"+row(t, 1, nil)+"\n"+row(t, 2, nil)+"\n"+row(t, 3, nil))
		first := run(t, db, f)
		first.Batch = 1
		var second error
		first.Report = func(intake.Status) {
			other := run(t, db, files{f.path, f.rejects + "2"})
			other.Owner = "another"
			if second == nil {
				_, second = other.Do(t.Context())
			}
		}
		done, err := first.Do(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 3, done.Added)
		require.ErrorIs(t, second, registry.ErrImporting)
	})
}

func TestFilesRefused(t *testing.T) {
	t.Parallel()
	db := registrytest.Open(t, registrytest.Config("sqlite:"+filepath.Join(t.TempDir(), "r.db"), registrytest.NewClock()))
	for name, content := range map[string]string{
		"a column missing": strings.Replace(pensionHeading, "公民身份号码,", "", 1) + "\n",
		"a column unknown": pensionHeading + ",血型\n",
	} {
		_, err := run(t, db, put(t, content)).Do(t.Context())
		var heading *intake.HeadingError
		require.ErrorAs(t, err, &heading, name)
	}
	_, err := run(t, db, put(t, "")).Do(t.Context())
	var file *sheet.FileError
	require.True(t, errors.As(err, &file))
	missing := run(t, db, files{t.TempDir() + "/none", t.TempDir() + "/r"})
	_, err = missing.Do(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)
	f := put(t, pensionHeading+"\n"+row(t, 1, nil))
	// The file of rejected rows is another's, or is not what was left.
	require.NoError(t, os.WriteFile(f.rejects, []byte("\xef\xbb\xbf行号,字段\n1,name\n"), 0o600))
	_, err = run(t, db, f).Do(t.Context())
	require.ErrorIs(t, err, intake.ErrRejects)
	kept, err := os.ReadFile(f.rejects)
	require.NoError(t, err)
	require.Contains(t, string(kept), "1,name")
	persons, err := db.CountPersons(t.Context())
	require.NoError(t, err)
	require.Zero(t, persons, "nothing half loaded")
}

func TestMappings(t *testing.T) {
	t.Parallel()
	mappings, err := intake.Mappings()
	require.NoError(t, err)
	require.Len(t, mappings, 4)
	good := "system: x\ntitle: {zh: 甲, en: a}\nfields: {idNumber: {column: a}, name: {column: b}, ethnic: {column: c}, place: {column: d}}\n"
	for name, content := range map[string]string{
		"unknown field": good + "extra: 1\n",
		"unknown ours":  strings.Replace(good, "place:", "plaice: {column: e}, place:", 1),
		"no name":       strings.Replace(good, "name: {column: b}, ", "", 1),
		"no place":      strings.Replace(good, ", place: {column: d}", "", 1),
		"no peer":       strings.Replace(good, "{column: c}", "{column: c, codes: [nobody]}", 1),
		"not its codes": strings.Replace(good, "{column: c}", "{column: c, codes: [police]}", 1),
		"no such value": strings.Replace(good, "place:", "sex: {column: e, words: {雄: male}}, place:", 1),
		"two meanings":  strings.Replace(good, "place:", "sex: {column: e, words: {男: '2'}}, place:", 1),
		"not of codes":  strings.Replace(good, "{column: b}", "{column: b, words: {甲: a}}", 1),
	} {
		_, err := intake.ReadMappings(fstest.MapFS{"x.yaml": {Data: []byte(content)}})
		require.Error(t, err, name)
	}
	_, err = intake.ReadMappings(fstest.MapFS{"x.yaml": {Data: []byte(good)}})
	require.NoError(t, err)
}
