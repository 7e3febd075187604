package intake

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strconv"
)

// rejects is the file of the rows that were not taken over (拒收文件): which, and
// why, without their values.
type rejects struct {
	file   *os.File
	buffer bytes.Buffer
	length int64
}

// openRejects opens the file, cut to what is recorded of it: what a stopped run
// wrote beyond its last commit will come again.
func openRejects(path string, length int64) (*rejects, error) {
	flags := os.O_RDWR | os.O_CREATE
	if length == 0 {
		flags |= os.O_EXCL
	}
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("intake: %w", err)
	}
	r := &rejects{file: file, length: length}
	if err := r.begin(); err != nil {
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

func (r *rejects) begin() error {
	if err := r.rewind(r.length); err != nil {
		return err
	}
	if r.length > 0 {
		return nil
	}
	r.buffer.WriteString("\xef\xbb\xbf") // so that Excel reads it as UTF-8
	if err := r.record("行号", "字段", "列名", "原因代码", "原因", "reason"); err != nil {
		return err
	}
	return r.flush()
}

func (r *rejects) record(cells ...string) error {
	w := csv.NewWriter(&r.buffer)
	if err := w.Write(cells); err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}

func (r *rejects) add(p Problem) error {
	return r.record(strconv.FormatInt(p.Row, 10), p.Field, p.Column, p.Code, p.ZH, p.EN)
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
