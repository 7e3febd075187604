package intake

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// rejects is the file of the rows that were not taken over (拒收文件): which, and
// why, without their values.
type rejects struct {
	file   *os.File
	buffer bytes.Buffer
	length int64
}

// ErrRejects: the file of rejected rows is not the one of this import.
var ErrRejects = errors.New("拒收文件不属于这次导入：请移走，或用 --rejects 指明 the file of rejected rows is not this import's: move it away, or name another with --rejects")

// openRejects opens the file of an import, cut to what is recorded of it: what a
// stopped run wrote beyond its last commit will come again. Another import's
// file is left as it is.
func openRejects(path, imported string, length int64) (*rejects, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("intake: %w", err)
	}
	r := &rejects{file: file, length: length}
	if err := r.begin(imported); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("intake: %w", err)
	}
	return r, nil
}

// rewind goes back to a length: what stands beyond was never counted on.
func (r *rejects) rewind(length int64) error {
	r.length = length
	if err := r.file.Truncate(length); err != nil {
		return err
	}
	_, err := r.file.Seek(length, io.SeekStart)
	return err
}

// begin sees that the file is this import's, or nobody's, and writes the heading.
func (r *rejects) begin(imported string) error {
	r.buffer.WriteString("\xef\xbb\xbf") // so that Excel reads it as UTF-8
	if err := r.record("行号", "字段", "列名", "原因代码", "原因", "reason", "导入编号 "+imported); err != nil {
		return err
	}
	heading := bytes.Clone(r.buffer.Bytes())
	there := make([]byte, len(heading))
	n, err := io.ReadFull(r.file, there)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	size, err := r.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(heading, there[:n]) || size < r.length {
		return ErrRejects
	}
	if r.length > 0 {
		r.buffer.Reset()
	}
	if err := r.rewind(r.length); err != nil {
		return err
	}
	return r.flush()
}

// record writes a line. No cell begins as a formula does: the file is opened in
// spreadsheets, and headings are another system's.
func (r *rejects) record(cells ...string) error {
	for i, cell := range cells {
		if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
			cells[i] = "'" + cell
		}
	}
	w := csv.NewWriter(&r.buffer)
	if err := w.Write(cells); err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}

func (r *rejects) add(p Problem) error {
	return r.record(strconv.FormatInt(p.Row, 10), p.Field, p.Column, p.Code, p.ZH, p.EN, "")
}

// flush writes what was added to the disk, before the database counts on it.
func (r *rejects) flush() error {
	if r.buffer.Len() == 0 {
		return nil
	}
	n, err := r.file.Write(r.buffer.Bytes())
	r.length += int64(n)
	r.buffer.Reset()
	if err != nil {
		return fmt.Errorf("intake: rejects: %w", err)
	}
	return r.file.Sync()
}
