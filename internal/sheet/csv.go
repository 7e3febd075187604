package sheet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

type csvReader struct {
	file      *os.File
	counted   *counter
	in        *bufio.Reader
	decoder   *encoding.Decoder // nil for UTF-8
	separator byte
	header    []string
	number    int64 // lines read
	offset    int64 // bytes of the file read, unless the file is UTF-16
	line      []byte
	skip      int64 // lines to pass over: UTF-16 has no place to go on from
}

func openCSV(path string, info Info, options Options) (*csvReader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("sheet: %w", err)
	}
	r := &csvReader{file: file, counted: &counter{from: file}}
	var from io.Reader = r.counted
	switch info.Encoding {
	case encodingGB18030:
		r.decoder = simplifiedchinese.GB18030.NewDecoder()
	case encodingUTF16:
		from = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Reader(r.counted)
	}
	r.in = bufio.NewReaderSize(from, 1<<18)
	if err := r.begin(info, options); err != nil {
		_ = file.Close() // only read
		return nil, err
	}
	return r, nil
}

// begin reads the headings and goes to where reading is to go on.
func (r *csvReader) begin(info Info, options Options) error {
	if head, _ := r.in.Peek(3); bytes.Equal(head, []byte("\xef\xbb\xbf")) {
		_, _ = r.in.Discard(3) // just peeked at
		r.offset = 3
	}
	first, err := r.in.Peek(min(r.in.Size(), 1<<16))
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("sheet: %w", err)
	}
	if end := bytes.IndexByte(first, '\n'); end >= 0 {
		first = first[:end]
	}
	r.separator = separatorOf(first)
	row, err := r.record()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return fileError("empty", "文件为空", "the file is empty")
		}
		return err
	}
	if row.Err != nil {
		return fileError(row.Err.Code, "标题行："+row.Err.ZH, "the headings: "+row.Err.EN)
	}
	if r.header, err = heading(row.Cells); err != nil {
		return err
	}
	if options.From == 0 {
		return nil
	}
	if info.Encoding == encodingUTF16 {
		r.skip = options.Number
		return nil
	}
	if _, err := r.file.Seek(options.From, io.SeekStart); err != nil {
		return fmt.Errorf("sheet: %w", err)
	}
	r.counted.read, r.offset, r.number = options.From, options.From, options.Number
	r.in.Reset(r.counted)
	return nil
}

// separatorOf takes the separator of which the headings have most.
func separatorOf(line []byte) byte {
	best, most := byte(','), 0
	for _, separator := range []byte{',', '\t', ';', '|'} {
		if n := bytes.Count(line, []byte{separator}); n > most {
			best, most = separator, n
		}
	}
	return best
}

func (r *csvReader) Header() []string { return r.header }
func (r *csvReader) Position() int64  { return r.counted.read }
func (r *csvReader) Close() error     { return r.file.Close() }

func (r *csvReader) Next() (Row, error) {
	for {
		row, err := r.record()
		if err != nil {
			return Row{}, err
		}
		if row.Number <= r.skip {
			continue
		}
		if len(row.Cells) == 1 && row.Cells[0] == "" && row.Err == nil {
			continue // an empty line
		}
		if row.Err == nil && len(row.Cells) != len(r.header) {
			row.Err = &RowError{
				Code: "columns", ZH: fmt.Sprintf("应有 %d 列，实有 %d 列", len(r.header), len(row.Cells)),
				EN: fmt.Sprintf("%d columns instead of %d", len(row.Cells), len(r.header)),
			}
		}
		return row, nil
	}
}

// record reads a record, which may have line breaks inside quotes.
func (r *csvReader) record() (Row, error) {
	r.line = r.line[:0]
	row := Row{Number: r.number + 1}
	for {
		part, err := r.in.ReadSlice('\n')
		r.offset += int64(len(part))
		if len(r.line)+len(part) <= maxLine {
			r.line = append(r.line, part...)
		} else if row.Err == nil {
			row.Err = &RowError{Code: "too-long", ZH: "一行超过 1 MiB", EN: "the row is longer than 1 MiB"}
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			if len(r.line) == 0 {
				return Row{}, io.EOF
			}
		case err != nil:
			return Row{}, fmt.Errorf("sheet: %w", err)
		}
		r.number++
		open := bytes.Count(r.line, []byte{'"'})%2 == 1 && row.Err == nil
		if !open || errors.Is(err, io.EOF) || r.number-row.Number >= maxQuotedLines {
			if open {
				row.Err = &RowError{Code: "quote", ZH: "引号不配对，文件可能不完整", EN: "a quote is not closed: the file may be incomplete"}
			}
			break
		}
	}
	row.Next, row.Last = r.offset, r.number
	if row.Err != nil {
		return row, nil
	}
	row.Cells, row.Err = r.split()
	return row, nil
}

// maxQuotedLines bounds the lines of one record.
const maxQuotedLines = 50

// split decodes the record and cuts it into cells.
func (r *csvReader) split() ([]string, *RowError) {
	line := bytes.TrimSuffix(bytes.TrimSuffix(r.line, []byte{'\n'}), []byte{'\r'})
	if bytes.IndexByte(line, 0) >= 0 {
		return nil, &RowError{Code: "nul", ZH: "含有空字符", EN: "a NUL character"}
	}
	text, bad := r.decode(line)
	if bad != nil {
		return nil, bad
	}
	cells := make([]string, 0, len(r.header)+1)
	for {
		cell, rest, more, ok := cut(text, r.separator)
		if !ok {
			return nil, &RowError{Code: "quote", ZH: "引号位置不对", EN: "a quote is out of place"}
		}
		cells = append(cells, cell)
		if !more {
			return cells, nil
		}
		text = rest
	}
}

// decode returns a line as UTF-8. In a file of GB 18030 a line that is good
// UTF-8 of Chinese text was put there by another program.
func (r *csvReader) decode(line []byte) (string, *RowError) {
	wrong := &RowError{Code: "encoding", ZH: "编码与文件其余部分不同，或含无法识别的字符", EN: "not in the encoding of the rest of the file, or characters that cannot be read"}
	if ascii(line) {
		return string(line), nil
	}
	if r.decoder == nil {
		if !utf8.Valid(line) {
			return "", wrong
		}
		return checked(string(line), wrong)
	}
	if utf8.Valid(line) {
		return "", wrong
	}
	decoded, err := r.decoder.Bytes(line)
	if err != nil {
		return "", wrong
	}
	return checked(string(decoded), wrong)
}

// checked refuses what stands for lost or unassigned characters.
func checked(text string, wrong *RowError) (string, *RowError) {
	for _, c := range text {
		if c == utf8.RuneError {
			return "", wrong
		}
		if c >= 0xE000 && c <= 0xF8FF {
			return "", &RowError{Code: "private-character", ZH: "含自造字，请改用标准字符", EN: "a character of private use: write the standard one"}
		}
	}
	return text, nil
}

// cut takes the first cell from a record (RFC 4180).
func cut(text string, separator byte) (cell, rest string, more, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		cell, rest, more = strings.Cut(text, string(separator))
		return strings.TrimSpace(cell), rest, more, true
	}
	text = text[1:]
	var b strings.Builder
	for {
		end := strings.IndexByte(text, '"')
		if end < 0 {
			return "", "", false, false
		}
		b.WriteString(text[:end])
		text = text[end+1:]
		if !strings.HasPrefix(text, `"`) {
			break
		}
		b.WriteByte('"')
		text = text[1:]
	}
	if text == "" {
		return strings.TrimSpace(b.String()), "", false, true
	}
	if text[0] != separator {
		return "", "", false, false
	}
	return strings.TrimSpace(b.String()), text[1:], true, true
}
