// Package sheet reads the tables in which other systems hand over what they
// know (表格文件): CSV in the encodings that are met in practice, and Excel. It
// streams: a file of any length takes the same memory. What is wrong with a row
// is said of that row, in Chinese and English, without its values.
package sheet

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// Row is a row below the heading.
type Row struct {
	Number int64    // as a person sees it: line of a CSV file's record, row of the sheet
	Last   int64    // its last line: a cell may have line breaks
	Cells  []string // as many as the heading has
	Next   int64    // where the next row begins, for Options.From; of Excel the row's number
	Err    *RowError
}

// RowError says what is wrong with a row. It holds no value.
type RowError struct {
	Column string // heading, empty when the whole row is meant
	Code   string // stable word
	ZH, EN string
}

func (e *RowError) Error() string { return e.Code + ": " + e.ZH + " " + e.EN }

// FileError says why a file cannot be read at all, or no further.
type FileError struct {
	Code   string
	ZH, EN string
}

func (e *FileError) Error() string { return e.ZH + " " + e.EN }

func fileError(code, zh, en string) error { return &FileError{code, zh, en} }

// Limits. Excel itself knows 1,048,576 rows; a file of another kind has none.
const (
	maxLine     = 1 << 20 // bytes of a record
	maxColumns  = 500
	maxUnzipped = 4 << 30 // bytes of all parts of an Excel file
	maxRatio    = 200     // of a part's size to its compressed size
)

// Reader reads the rows of one file.
type Reader interface {
	// Header returns the headings.
	Header() []string
	// Next returns the next row, or io.EOF. A row that cannot be read has Err;
	// after an error nothing more can be read.
	Next() (Row, error)
	// Position is how much of Size has been read, for progress.
	Position() int64
	Close() error
}

// Info is what a first pass through a file found.
type Info struct {
	Digest   [32]byte // SHA-256 of the file
	Size     int64
	Encoding string // of CSV: UTF-8, GB 18030, UTF-16; of Excel "xlsx"
	Mixed    int64  // lines that are not in that encoding
}

// Examine reads a file once: its digest and how it is encoded.
func Examine(path string) (Info, error) {
	file, err := os.Open(path)
	if err != nil {
		return Info{}, fmt.Errorf("sheet: %w", err)
	}
	defer file.Close()
	hash := sha256.New()
	counted := &counter{from: io.TeeReader(file, hash)}
	in := bufio.NewReaderSize(counted, 1<<20)
	info := Info{Encoding: "UTF-8"}
	head, _ := in.Peek(4) // a shorter file is seen below
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		info.Encoding = encodingExcel
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		info.Encoding = encodingUTF16
	case bytes.HasPrefix(head, []byte{0xd0, 0xcf, 0x11, 0xe0}):
		return Info{}, fileError("old-excel", "旧版 Excel（.xls）不能读取，请另存为 .xlsx 或 CSV", "the old Excel form (.xls) is not read: save it as .xlsx or CSV")
	}
	if info.Encoding == "UTF-8" {
		err = info.countLines(in)
	} else {
		_, err = io.Copy(io.Discard, in)
	}
	if err != nil {
		return Info{}, fmt.Errorf("sheet: %w", err)
	}
	if info.Size = counted.read; info.Size == 0 {
		return Info{}, fileError("empty", "文件为空", "the file is empty")
	}
	hash.Sum(info.Digest[:0])
	return info, nil
}

const (
	encodingUTF8    = "UTF-8"
	encodingGB18030 = "GB 18030"
	encodingUTF16   = "UTF-16"
	encodingExcel   = "xlsx"
)

// countLines decides between UTF-8 and GB 18030 (which holds GBK) by what most
// lines are.
func (i *Info) countLines(in *bufio.Reader) error {
	var utf, other int64
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 && !ascii(line) && !errors.Is(err, bufio.ErrBufferFull) {
			if utf8.Valid(line) {
				utf++
			} else {
				other++
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
	i.Mixed = other
	if other > utf {
		i.Encoding, i.Mixed = encodingGB18030, utf
	}
	return nil
}

func ascii(line []byte) bool {
	for _, b := range line {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Options say where to begin and which sheet of an Excel file to read.
type Options struct {
	From   int64  // Row.Next of the last row that was read; 0: from the beginning
	Number int64  // Row.Last of that row
	Sheet  string // empty: the only one that is visible
	Temp   string // directory for what does not fit into memory
}

// Open opens a file that Examine has seen.
func Open(path string, info Info, options Options) (Reader, error) {
	if info.Encoding == encodingExcel {
		return openExcel(path, options)
	}
	return openCSV(path, info, options)
}

// heading checks the headings and brings them into one form.
func heading(cells []string) ([]string, error) {
	header := make([]string, len(cells))
	seen := map[string]bool{}
	for i, cell := range cells {
		header[i] = strings.Join(strings.Fields(cell), "")
		if header[i] == "" && i < len(cells)-1 {
			return nil, fileError("heading", fmt.Sprintf("第 %d 列没有标题", i+1), fmt.Sprintf("column %d has no heading", i+1))
		}
		if seen[header[i]] && header[i] != "" {
			return nil, fileError("heading-twice", "标题“"+header[i]+"”出现两次", "a heading stands twice: "+header[i])
		}
		seen[header[i]] = true
	}
	for len(header) > 0 && header[len(header)-1] == "" {
		header = header[:len(header)-1]
	}
	if len(header) == 0 || len(header) > maxColumns {
		return nil, fileError("heading", "第一行应为列标题", "the first row must hold the headings")
	}
	return header, nil
}

// counter counts what was read through it.
type counter struct {
	from io.Reader
	read int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.read += int64(n)
	return n, err
}
