package sheet

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"
)

type excelReader struct {
	file   *excelize.File
	rows   *excelize.Rows
	header []string
	number int64
	from   int64
	parts  parts
}

func openExcel(path string, options Options) (*excelReader, error) {
	found, err := examineParts(path)
	if err != nil {
		return nil, err
	}
	file, err := excelize.OpenFile(path, excelize.Options{RawCellValue: true, UnzipSizeLimit: maxUnzipped, TmpDir: options.Temp})
	if err != nil {
		return nil, fileError("excel", "不是完整的 Excel 文件", "not a whole Excel file")
	}
	r := &excelReader{file: file, parts: found, from: options.Number}
	if err := r.begin(options.Sheet); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *excelReader) begin(sheet string) error {
	if sheet == "" {
		for _, name := range r.file.GetSheetList() {
			visible, err := r.file.GetSheetVisible(name)
			if err != nil || !visible {
				continue
			}
			if sheet != "" {
				return fileError("sheets", "有多个工作表，请指明一个", "there are several sheets: name one")
			}
			sheet = name
		}
	}
	var err error
	if r.rows, err = r.file.Rows(sheet); err != nil {
		return fileError("sheet", "没有这个工作表", "no such sheet")
	}
	if r.parts.merged != "" {
		return fileError("merged", "有合并单元格（"+r.parts.merged+"），请先取消合并", "merged cells ("+r.parts.merged+"): undo the merging first")
	}
	if !r.rows.Next() {
		return fileError("empty", "工作表为空", "the sheet is empty")
	}
	r.number++
	cells, err := r.rows.Columns()
	if err != nil {
		return fileError("excel", "不是完整的 Excel 文件", "not a whole Excel file")
	}
	r.header, err = heading(cells)
	return err
}

func (r *excelReader) Header() []string { return r.header }

// Position counts rows: how many there are is not known before the end.
func (r *excelReader) Position() int64 { return r.number }

func (r *excelReader) Close() error {
	var err error
	if r.rows != nil {
		err = r.rows.Close()
	}
	return errors.Join(err, r.file.Close())
}

func (r *excelReader) Next() (Row, error) {
	for r.rows.Next() {
		r.number++
		if r.number <= r.from {
			if _, err := r.rows.Columns(); err != nil {
				return Row{}, fileError("excel", "不是完整的 Excel 文件", "not a whole Excel file")
			}
			continue
		}
		cells, err := r.rows.Columns()
		if err != nil {
			return Row{}, fileError("excel", "不是完整的 Excel 文件", "not a whole Excel file")
		}
		if _, formula := r.parts.formulas[r.number]; !formula && strings.TrimSpace(strings.Join(cells, "")) == "" {
			continue
		}
		return r.row(cells), nil
	}
	if err := r.rows.Error(); err != nil {
		return Row{}, fileError("excel", "不是完整的 Excel 文件", "not a whole Excel file")
	}
	return Row{}, io.EOF
}

func (r *excelReader) row(cells []string) Row {
	row := Row{Number: r.number, Last: r.number, Next: r.number, Cells: make([]string, len(r.header))}
	if column, ok := r.parts.formulas[r.number]; ok {
		row.Err = &RowError{Code: "formula", ZH: "第 " + column + " 列是公式，请粘贴为值", EN: "column " + column + " holds a formula: paste the value"}
		return row
	}
	if column, ok := r.parts.lost[r.number]; ok {
		row.Err = lostDigits()
		row.Err.ZH = "第 " + column + " 列：" + row.Err.ZH
		return row
	}
	if len(cells) > len(r.header) && strings.TrimSpace(strings.Join(cells[len(r.header):], "")) != "" {
		row.Err = &RowError{Code: "columns", ZH: fmt.Sprintf("多于标题的 %d 列", len(r.header)), EN: fmt.Sprintf("more cells than the %d headings", len(r.header))}
		return row
	}
	for i := range row.Cells {
		if i >= len(cells) {
			break
		}
		value, bad := plainNumber(strings.TrimSpace(cells[i]))
		if bad != nil {
			bad.Column, row.Err = r.header[i], bad
			return row
		}
		row.Cells[i] = value
	}
	return row
}

// maxExact is the greatest integer up to which Excel's numbers are exact.
const maxExact = 1 << 53

// plainNumber puts right what Excel makes of numbers: 1.39E+10 becomes
// 13900000000. A number of more digits than Excel keeps has lost some.
func plainNumber(cell string) (string, *RowError) {
	if !strings.ContainsAny(cell, "eE.") || strings.Trim(cell, "0123456789.eE+-") != "" {
		return cell, nil
	}
	number, err := strconv.ParseFloat(cell, 64)
	if err != nil || number != math.Trunc(number) {
		return cell, nil // text, or a number with decimals
	}
	if math.Abs(number) >= maxExact {
		return "", lostDigits()
	}
	return strconv.FormatInt(int64(number), 10), nil
}

func lostDigits() *RowError {
	return &RowError{Code: "digits-lost", ZH: "长号码存成了数字，末几位已丢失，请将该列设为文本后重新导出", EN: "a long number was stored as a number and has lost its last digits: make the column text and export again"}
}

// parts is what the parts of an Excel file say that its rows do not.
type parts struct {
	formulas map[int64]string // row → column of the first formula in it
	lost     map[int64]string // row → column of the first number with more digits than Excel keeps
	merged   string           // a merged range
}

// maxTold bounds the rows with formulas, and those with lost digits, that are
// told one by one.
const maxTold = 100_000

// maxDigits is how many digits of a number Excel keeps.
const maxDigits = 15

// examineParts reads every part once, as it is, before any of it is taken
// apart: a part that grows beyond all measure is found here, in constant memory.
func examineParts(path string) (parts, error) {
	found := parts{formulas: map[int64]string{}, lost: map[int64]string{}}
	archive, err := zip.OpenReader(path)
	if err != nil {
		return found, fileError("excel", "不是完整的 Excel 文件", "not a whole Excel file")
	}
	defer archive.Close()
	var total int64
	for _, part := range archive.File {
		content, err := part.Open()
		if err != nil {
			return found, fileError("excel", "不是完整的 Excel 文件", "not a whole Excel file")
		}
		most := min(int64(part.CompressedSize64)*maxRatio+1<<20, maxUnzipped-total)
		limited := &counter{from: io.LimitReader(content, most+1)}
		if strings.HasPrefix(part.Name, "xl/worksheets/sheet") {
			err = found.scan(limited)
		} else {
			_, err = io.Copy(io.Discard, limited)
		}
		_ = content.Close() // only read
		if limited.read > most {
			return found, fileError("bomb", "解压后过大，拒绝读取", "it unpacks to far more than it should: refused")
		}
		if err != nil {
			return found, fileError("excel", "不是完整的 Excel 文件", "not a whole Excel file")
		}
		total += limited.read
	}
	return found, nil
}

// scan looks through a sheet's XML for formulas and merged cells.
func (p *parts) scan(in io.Reader) error {
	tags := bufio.NewReaderSize(in, 1<<16)
	var cell string
	numeric := false
	for {
		tag, err := tags.ReadSlice('>')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		start := bytes.LastIndexByte(tag, '<')
		if start < 0 {
			continue
		}
		switch name, _, _ := bytes.Cut(bytes.TrimRight(tag[start+1:], "/>"), []byte{' '}); string(name) {
		case "c":
			kind := attribute(tag[start:], "t")
			cell, numeric = attribute(tag[start:], "r"), kind == "" || kind == "n"
		case "f":
			tell(p.formulas, cell)
		case "/v":
			if numeric && start > maxDigits && len(bytes.Trim(tag[:start], "0123456789")) == 0 {
				tell(p.lost, cell)
			}
		case "mergeCell":
			if p.merged == "" {
				p.merged = attribute(tag[start:], "ref")
			}
		}
	}
}

// tell notes the first cell of a row.
func tell(rows map[int64]string, cell string) {
	column, row, err := excelize.SplitCellName(cell)
	if err != nil || len(rows) >= maxTold {
		return
	}
	if _, known := rows[int64(row)]; !known {
		rows[int64(row)] = column
	}
}

func attribute(tag []byte, name string) string {
	_, rest, found := bytes.Cut(tag, []byte(" "+name+`="`))
	if !found {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(value)
}
