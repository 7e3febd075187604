package sheet

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// read returns the rows of a file as text, bad ones as their code.
func read(t testing.TB, path string, options Options) ([]string, error) {
	t.Helper()
	info, err := Examine(path)
	if err != nil {
		return nil, err
	}
	options.Temp = t.TempDir()
	r, err := Open(path, info, options)
	if err != nil {
		return nil, err
	}
	defer func() { require.NoError(t, r.Close()) }()
	var rows []string
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		text := strings.Join(row.Cells, "|")
		if row.Err != nil {
			text = row.Err.Code
			require.NotEmpty(t, row.Err.ZH)
			require.NotEmpty(t, row.Err.EN)
		}
		rows = append(rows, fmt.Sprintf("%d:%s", row.Number, text))
	}
}

func gb(t testing.TB, text string) []byte {
	t.Helper()
	encoded, err := simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(text))
	require.NoError(t, err)
	return encoded
}

func TestCSV(t *testing.T) {
	t.Parallel()
	const table = "姓名,号码\n扎西·多杰,1\n马㛃𠅤,2\n"
	want := []string{"2:扎西·多杰|1", "3:马㛃𠅤|2"}
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes([]byte(table))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		content []byte
		want    []string
	}{
		"UTF-8":                {[]byte(table), want},
		"UTF-8 with BOM":       {append([]byte("\xef\xbb\xbf"), table...), want},
		"GB 18030":             {gb(t, table), want},
		"UTF-16":               {utf16, want},
		"CR LF":                {[]byte(strings.ReplaceAll(table, "\n", "\r\n")), want},
		"tabs":                 {[]byte(strings.ReplaceAll(table, ",", "\t")), want},
		"semicolons":           {[]byte(strings.ReplaceAll(table, ",", ";")), want},
		"no last line break":   {[]byte(strings.TrimSuffix(table, "\n")), want},
		"empty lines":          {[]byte("姓名,号码\n\n扎西·多杰,1\n\n马㛃𠅤,2\n\n"), []string{"3:扎西·多杰|1", "5:马㛃𠅤|2"}},
		"quotes":               {[]byte("姓名,号码\n\"扎西,\"\"多杰\",1\n\"a\nb\",2\n"), []string{"2:扎西,\"多杰|1", "3:a\nb|2"}},
		"columns":              {[]byte("姓名,号码\n甲\n乙,1,2\n丙,3\n"), []string{"2:columns", "3:columns", "4:丙|3"}},
		"a line of another":    {append([]byte(table), gb(t, "卓玛,3\n")...), append(append([]string{}, want...), "4:encoding")},
		"UTF-8 within GB":      {append(gb(t, table), "卓玛,3\n"...), append(append([]string{}, want...), "4:encoding")},
		"replacement":          {[]byte(table + "卓\uFFFD,3\n"), append(append([]string{}, want...), "4:encoding")},
		"private use":          {[]byte(table + "卓\uE123,3\n"), append(append([]string{}, want...), "4:private-character")},
		"NUL":                  {[]byte(table + "卓\x00,3\n"), append(append([]string{}, want...), "4:nul")},
		"half a file":          {[]byte(table + "\"卓玛,3"), append(append([]string{}, want...), "4:quote")},
		"a quote out of place": {[]byte(table + "\"卓\"玛,3\n丁,4\n"), append(append([]string{}, want...), "4:quote", "5:丁|4")},
		"a line without end":   {append([]byte(table), append(bytes.Repeat([]byte("x"), 3<<20), "\n丁,4\n"...)...), append(append([]string{}, want...), "4:too-long", "5:丁|4")},
	} {
		rows, err := read(t, write(t, "a.csv", c.content), Options{})
		require.NoError(t, err, name)
		require.Equal(t, c.want, rows, name)
	}
	for name, content := range map[string]string{
		"empty": "", "no heading": "姓名,,号码\n1,2,3\n", "a heading twice": "姓名,姓名\n1,2\n", "the old Excel": "\xd0\xcf\x11\xe0....",
	} {
		_, err := read(t, write(t, "a.csv", []byte(content)), Options{})
		var bad *FileError
		require.ErrorAs(t, err, &bad, name)
	}
}

// TestGoOn: reading goes on where it was stopped.
func TestGoOn(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	table.WriteString("姓名,号码\n")
	for i := range 1000 {
		fmt.Fprintf(&table, "\"扎西\n%d\",%d\n", i, i)
	}
	for name, content := range map[string][]byte{"UTF-8": []byte("\xef\xbb\xbf" + table.String()), "GB 18030": gb(t, table.String())} {
		path := write(t, "a.csv", content)
		whole, err := read(t, path, Options{})
		require.NoError(t, err)
		require.Len(t, whole, 1000)
		info, err := Examine(path)
		require.NoError(t, err)
		r, err := Open(path, info, Options{})
		require.NoError(t, err)
		var row Row
		for range 500 {
			row, err = r.Next()
			require.NoError(t, err)
		}
		require.NoError(t, r.Close())
		rest, err := read(t, path, Options{From: row.Next, Number: row.Last})
		require.NoError(t, err)
		require.Equal(t, whole[500:], rest, name)
	}
}

// TestLargeFile: the memory does not grow with the file.
func TestLargeFile(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100 MB")
	}
	path := filepath.Join(t.TempDir(), "large.csv")
	file, err := os.Create(path)
	require.NoError(t, err)
	_, err = file.WriteString("姓名,号码,地址\n")
	require.NoError(t, err)
	line := []byte("扎西·多杰,632701197507020111,青海省玉树藏族自治州玉树市某某街道某某路某某号\n")
	block := bytes.Repeat(line, 1000)
	for range 100 << 20 / len(block) {
		_, err = file.Write(block)
		require.NoError(t, err)
	}
	require.NoError(t, file.Close())
	info, err := Examine(path)
	require.NoError(t, err)
	r, err := Open(path, info, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(8<<20))
	require.Equal(t, info.Size, r.Position())
}

// sparse is a table with two good rows and between them a line of so many bytes.
func sparse(t testing.TB, size int64) string {
	t.Helper()
	const first, last = "姓名,号码\n扎西·多杰,1\n", "\n卓玛,2\n"
	path := write(t, "sparse.csv", []byte(first))
	require.NoError(t, os.Truncate(path, int64(len(first))+size))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = file.WriteString(last)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return path
}

// readSparse reads it, and says by how much the heap ever grew.
func readSparse(t testing.TB, path string) int64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	rows, err := read(t, path, Options{})
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	require.Equal(t, []string{"2:扎西·多杰|1", "3:too-long", "4:卓玛|2"}, rows)
	return int64(after.HeapSys) - int64(before.HeapSys)
}

// TestEndlessLine: a line without end takes no more memory than a long one.
func TestEndlessLine(t *testing.T) {
	require.Less(t, readSparse(t, sparse(t, 64<<20)), int64(16<<20))
}

// BenchmarkTwoGigabytes: a file of 2 GB in constant memory.
func BenchmarkTwoGigabytes(b *testing.B) {
	path := sparse(b, 2<<30)
	for b.Loop() {
		require.Less(b, readSparse(b, path), int64(16<<20))
	}
	b.SetBytes(2 << 30)
}

func workbook(t testing.TB, fill func(f *excelize.File)) string {
	t.Helper()
	f := excelize.NewFile()
	require.NoError(t, f.SetSheetRow("Sheet1", "A1", &[]any{"姓名", "号码", "日期"}))
	fill(f)
	path := filepath.Join(t.TempDir(), "a.xlsx")
	require.NoError(t, f.SaveAs(path))
	require.NoError(t, f.Close())
	return path
}

func TestExcel(t *testing.T) {
	t.Parallel()
	set := func(f *excelize.File, row int, values ...any) {
		require.NoError(t, f.SetSheetRow("Sheet1", fmt.Sprintf("A%d", row), &values))
	}
	rows, err := read(t, workbook(t, func(f *excelize.File) {
		set(f, 2, "扎西·多杰", "632701197507020111", 27577)
		set(f, 3, "马㛃𠅤", 13900001234.0, "")
		set(f, 5, "卓玛", 632701197507020111.0, "")
		set(f, 6, "丁", "1")
		require.NoError(t, f.SetCellFormula("Sheet1", "B7", "A1"))
		set(f, 8, "戊", "1", "", "多余")
	}), Options{})
	require.NoError(t, err)
	require.Equal(t, []string{"2:扎西·多杰|632701197507020111|27577", "3:马㛃𠅤|13900001234|", "5:digits-lost", "6:丁|1|", "7:formula", "8:columns"}, rows)

	codes := map[string]string{}
	for name, path := range map[string]string{
		"merged":     workbook(t, func(f *excelize.File) { set(f, 2, "甲"); require.NoError(t, f.MergeCell("Sheet1", "A2", "B3")) }),
		"two sheets": workbook(t, func(f *excelize.File) { _, err := f.NewSheet("Sheet2"); require.NoError(t, err) }),
		"cut":        cutOff(t, workbook(t, func(f *excelize.File) { set(f, 2, "甲") })),
		"bomb":       bomb(t),
	} {
		_, err := read(t, path, Options{})
		var bad *FileError
		require.ErrorAs(t, err, &bad, name)
		codes[name] = bad.Code
	}
	require.Equal(t, map[string]string{"merged": "merged", "two sheets": "sheets", "cut": "excel", "bomb": "bomb"}, codes)

	hidden := workbook(t, func(f *excelize.File) {
		set(f, 2, "甲", "1", "2")
		_, err := f.NewSheet("Sheet2")
		require.NoError(t, err)
		require.NoError(t, f.SetSheetVisible("Sheet2", false))
	})
	rows, err = read(t, hidden, Options{})
	require.NoError(t, err)
	require.Equal(t, []string{"2:甲|1|2"}, rows)
}

func cutOff(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return write(t, "half.xlsx", content[:len(content)/2])
}

// bomb is an Excel file whose sheet unpacks to a thousand times its size.
func bomb(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	part, err := archive.Create("xl/worksheets/sheet1.xml")
	require.NoError(t, err)
	zeroes := make([]byte, 1<<20)
	for range 64 {
		_, err = part.Write(zeroes)
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	return write(t, "bomb.xlsx", b.Bytes())
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("姓名,号码\n扎西·多杰,1\n"))
	f.Add([]byte("a;b\n\"x\"\"y\";2\n\"open"))
	f.Add([]byte("\xff\xfea\x00,\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		rows, err := read(t, write(t, "f.csv", content), Options{})
		if err == nil {
			require.LessOrEqual(t, len(rows), bytes.Count(content, []byte{'\n'})+bytes.Count(content, []byte{'\r'})+1)
		}
	})
}

func BenchmarkCSV(b *testing.B) {
	line := "扎西·多杰,632701197507020111,青海省玉树藏族自治州玉树市某某街道某某路某某号,13900000000,630102\n"
	path := write(b, "a.csv", gb(b, "姓名,号码,地址,电话,地区\n"+strings.Repeat(line, 100000)))
	info, err := Examine(path)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		r, err := Open(path, info, Options{})
		require.NoError(b, err)
		for err == nil {
			_, err = r.Next()
		}
		require.ErrorIs(b, err, io.EOF)
		require.NoError(b, r.Close())
	}
	b.ReportMetric(float64(b.N)*100000/b.Elapsed().Seconds(), "rows/s")
}
