package intake_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"onecard/internal/sheet"
	"onecard/registry"
	"onecard/registry/intake"
	"onecard/registry/registrytest"
)

// book is an Excel file of the pension system; each row holds good values with
// changes by column.
func book(t *testing.T, fill func(f *excelize.File), rows ...map[string]any) []byte {
	t.Helper()
	f := excelize.NewFile()
	columns := strings.Split(pensionHeading, ",")
	require.NoError(t, f.SetSheetRow("Sheet1", "A1", &columns))
	for n, changes := range rows {
		var cells []any
		for i, text := range strings.Split(row(t, 100+n, nil), ",") {
			var cell any = text
			if changed, ok := changes[columns[i]]; ok {
				cell = changed
			}
			cells = append(cells, cell)
		}
		require.NoError(t, f.SetSheetRow("Sheet1", fmt.Sprintf("A%d", n+2), &cells))
	}
	if fill != nil {
		fill(f)
	}
	var b bytes.Buffer
	require.NoError(t, f.Write(&b))
	require.NoError(t, f.Close())
	return b.Bytes()
}

// bomb is an Excel file whose sheet unpacks to a thousand times its size.
func bomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	part, err := archive.Create("xl/worksheets/sheet1.xml")
	require.NoError(t, err)
	for range 16 {
		_, err = part.Write(make([]byte, 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	return b.Bytes()
}

// TestBadFiles: each way in which a file can be bad, through the import itself:
// what can be read is taken over right, each bad row is named by number, field and
// reason, and of a file that cannot be read nothing is taken.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	table := pensionHeading + "\n" + row(t, 100, nil) + "\n" + row(t, 101, nil) + "\n"
	encode := func(text string, with interface{ String(string) (string, error) }) string {
		encoded, err := with.String(text)
		require.NoError(t, err)
		return encoded
	}
	gbk := encode(table, simplifiedchinese.GBK.NewEncoder())
	utf16 := encode(table, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder())
	third := row(t, 102, nil) + "\n"
	good := string(book(t, nil, nil, nil))
	for name, c := range map[string]struct {
		content string
		refused string // code of the file
		added   int64
		rows    []string // row, column and code of each problem
	}{
		"GBK":               {content: gbk, added: 2},
		"GB 18030":          {content: encode(table, simplifiedchinese.GB18030.NewEncoder()), added: 2},
		"UTF-8 with BOM":    {content: "\xef\xbb\xbf" + table, added: 2},
		"UTF-16":            {content: utf16, added: 2},
		"GBK within UTF-8":  {content: table + encode(third, simplifiedchinese.GBK.NewEncoder()), added: 2, rows: []string{"4  encoding"}},
		"UTF-8 within GBK":  {content: gbk + third, added: 2, rows: []string{"4  encoding"}},
		"half a row":        {content: table + third[:len(third)/2], added: 2, rows: []string{"4  columns"}},
		"half a quote":      {content: table + "\"" + third[:30], added: 2, rows: []string{"4  quote"}},
		"a number as text":  {content: strings.Replace(table, "13900000100", "1.3900000100E+10", 1), added: 1, rows: []string{"2 移动电话 invalid-phone"}},
		"a formula in CSV":  {content: strings.Replace(table, "青海省", "=HYPERLINK(1)", 1), added: 1, rows: []string{"2 通讯地址 formula"}},
		"the old Excel":     {content: "\xd0\xcf\x11\xe0....", refused: "old-excel"},
		"empty":             {content: "", refused: "empty"},
		"Excel":             {content: good, added: 2},
		"half of Excel":     {content: good[:len(good)/2], refused: "excel"},
		"a zip bomb":        {content: string(bomb(t)), refused: "bomb"},
		"numbers as floats": {content: string(book(t, nil, map[string]any{"移动电话": 13900000100.0, "出生日期": "1810/01/01"}, map[string]any{"公民身份号码": 632701197507020111.0})), rows: []string{"2 出生日期 birth-number", "3  digits-lost"}},
		"floats and dates":  {content: string(book(t, nil, map[string]any{"移动电话": 13900000100.0, "邮政编码": 815000.0, "参加工作日期": 36342})), added: 1},
		"merged cells":      {content: string(book(t, func(f *excelize.File) { require.NoError(t, f.MergeCell("Sheet1", "A2", "A3")) }, nil, nil)), refused: "merged"},
		"a formula":         {content: string(book(t, func(f *excelize.File) { require.NoError(t, f.SetCellFormula("Sheet1", "B3", "B2")) }, nil, nil)), added: 1, rows: []string{"3  formula"}},
		"several sheets": {content: string(book(t, func(f *excelize.File) {
			_, err := f.NewSheet("Sheet2")
			require.NoError(t, err)
		}, nil)), refused: "sheets"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := registrytest.Open(t, registrytest.Config(registrytest.SQLite(t), registrytest.NewClock()))
			f := put(t, c.content)
			done, err := run(t, db, f).Do(t.Context())
			persons, counted := db.CountPersons(t.Context())
			require.NoError(t, counted)
			if c.refused != "" {
				var file *sheet.FileError
				require.True(t, errors.As(err, &file), "%v", err)
				require.Equal(t, c.refused, file.Code)
				require.NotEmpty(t, file.ZH)
				require.Zero(t, persons, "nothing half loaded")
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.added, done.Added)
			require.Equal(t, c.added, persons)
			require.EqualValues(t, done.Read, done.Added+done.Rejected)
			var problems []string
			for _, record := range rejected(t, f) {
				problems = append(problems, strings.Join([]string{record[0], record[2], record[3]}, " "))
				require.NotEmpty(t, record[4], "words for people")
			}
			require.Equal(t, c.rows, problems)
			if c.added > 0 && c.rows == nil {
				found, err := db.Find(t.Context(), registry.Query{Number: number(t, 100)})
				require.NoError(t, err)
				require.Equal(t, "扎西·多杰", found.Hits[0].Person.Name)
				require.Equal(t, "13900000100", found.Hits[0].Person.Phone)
			}
		})
	}
}

// TestRejectsNoFormula: opened in a spreadsheet, the file of rejected rows runs
// nothing, whatever the other system's headings are.
func TestRejectsNoFormula(t *testing.T) {
	t.Parallel()
	mappings, err := intake.ReadMappings(fstest.MapFS{"x.yaml": {Data: []byte(
		"system: x\ntitle: {zh: 甲, en: a}\nfields: {idNumber: {column: a}, name: {column: '=1+1', required: true}, ethnic: {column: c}, place: {column: d}}\n")}})
	require.NoError(t, err)
	db := registrytest.Open(t, registrytest.Config(registrytest.SQLite(t), registrytest.NewClock()))
	f := put(t, "a,=1+1,c,d\n"+number(t, 1)+",,藏族,630102\n")
	r := run(t, db, f)
	r.Mapping = mappings["x"]
	_, err = r.Do(t.Context())
	require.NoError(t, err)
	require.Equal(t, "'=1+1", rejected(t, f)[0][2])
	content, err := os.ReadFile(f.rejects)
	require.NoError(t, err)
	require.NotContains(t, string(content), ",=")
}

// TestOtherFileSamePeople: two files that hold the same residents, taken over at
// the same time, register each of them once.
func TestOtherFileSamePeople(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		lines := []string{pensionHeading}
		for n := range 40 {
			lines = append(lines, row(t, n, nil))
		}
		ended := make(chan error, 2)
		counts := make(chan registry.Import, 2)
		for i := range 2 {
			f := put(t, strings.Join(lines, "\n")+strings.Repeat("\n", i)) // another digest
			r := run(t, db, f)
			r.Owner = fmt.Sprint(filepath.Base(f.path), i)
			go func() {
				done, err := r.Do(t.Context())
				counts <- done
				ended <- err
			}()
		}
		var added, known int64
		for range 2 {
			require.NoError(t, <-ended)
			done := <-counts
			added += done.Added
			known += done.Unchanged
		}
		require.EqualValues(t, 40, added)
		require.EqualValues(t, 40, known)
		persons, err := db.CountPersons(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 40, persons)
	})
}
