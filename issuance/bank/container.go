package bank

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"

	"onecard/internal/gb"
	"onecard/internal/signed"
)

// A file is lines of text: the first a JWS that says what it is, then JWEs of
// pieces of the content, the last a JWS with counts and digest. The content is
// records with fields between bars, in GB 18030: H, then D for each row, then T.
// Neither end holds more than one piece in memory.
const (
	pieceSize = 64 << 10 // of content, before it is sealed
	maxLine   = 256 << 10
	maxRecord = 4 << 10
)

// head is what the first and the last line of a file say.
type head struct {
	Protocol string    `json:"protocol"`
	Kind     string    `json:"kind"`
	Bank     string    `json:"bank"`
	Batch    string    `json:"batch"`
	MadeAt   time.Time `json:"madeAt"`
}

// tail is what the last line says besides.
type tail struct {
	head
	Pieces    int    `json:"pieces"`
	Rows      int64  `json:"rows"`
	AmountFen int64  `json:"amountFen"`
	Digest    string `json:"digest"` // SHA-256 of the content, in hex
}

// FileError says why a whole file is refused. It is ErrFile.
type FileError struct{ Code, ZH, EN string }

func (e *FileError) Error() string { return "文件拒收：" + e.ZH + " file refused: " + e.EN }

// Unwrap returns ErrFile.
func (e *FileError) Unwrap() error { return ErrFile }

// ErrFile: a file is refused as a whole and has changed nothing.
var ErrFile = errors.New("文件拒收 the file is refused")

func refuse(code, zh, en string) error { return &FileError{code, zh, en} }

// fileWriter writes a file.
type fileWriter struct {
	out     *bufio.Writer
	keys    credentials
	whole   hash.Hash // of the file as it leaves
	content hash.Hash
	encoder *encoding.Encoder
	piece   bytes.Buffer
	tail    tail
}

func newFileWriter(out io.Writer, keys credentials, h head) (*fileWriter, error) {
	h.Protocol = Protocol
	w := &fileWriter{keys: keys, whole: sha256.New(), content: sha256.New(), encoder: simplifiedchinese.GB18030.NewEncoder(), tail: tail{head: h}}
	w.out = bufio.NewWriter(io.MultiWriter(out, w.whole))
	if err := w.sign(h); err != nil {
		return nil, err
	}
	return w, w.record("H", h.Kind, h.Bank, h.Batch, h.MadeAt.In(gb.Beijing).Format("20060102"))
}

func (w *fileWriter) sign(payload any) error {
	with, err := w.keys.sign()
	if err != nil {
		return err
	}
	token, err := signed.Sign(payload, with)
	if err != nil {
		return err
	}
	_, err = w.out.WriteString(token + "\n")
	return err
}

// row writes a row; its number is the first field.
func (w *fileWriter) row(amountFen int64, fields ...string) error {
	w.tail.Rows++
	w.tail.AmountFen += amountFen
	return w.record(append([]string{"D", strconv.FormatInt(w.tail.Rows, 10)}, fields...)...)
}

func (w *fileWriter) record(fields ...string) error {
	for _, field := range fields {
		if strings.ContainsAny(field, "|\r\n") {
			return &FileError{"field", "字段内不能有竖线和换行", "no bar and no line break in a field"}
		}
	}
	line, err := w.encoder.String(strings.Join(fields, "|") + "\n")
	if err != nil {
		return fmt.Errorf("bank: GB 18030: %w", err)
	}
	w.content.Write([]byte(line))
	w.piece.WriteString(line)
	if w.piece.Len() >= pieceSize {
		return w.flush()
	}
	return nil
}

func (w *fileWriter) flush() error {
	if w.piece.Len() == 0 {
		return nil
	}
	sealed, err := signed.Seal(w.piece.Bytes(), w.keys.seal)
	if err != nil {
		return err
	}
	w.piece.Reset()
	w.tail.Pieces++
	_, err = w.out.WriteString(sealed + "\n")
	return err
}

// finish ends the file and returns what its last line says and the digest of
// the whole, which is part of its name.
func (w *fileWriter) finish() (tail, string, error) {
	if err := w.record("T", strconv.FormatInt(w.tail.Rows, 10), strconv.FormatInt(w.tail.AmountFen, 10)); err != nil {
		return tail{}, "", err
	}
	if err := w.flush(); err != nil {
		return tail{}, "", err
	}
	w.tail.Digest = hex.EncodeToString(w.content.Sum(nil))
	if err := w.sign(w.tail); err != nil {
		return tail{}, "", err
	}
	if err := w.out.Flush(); err != nil {
		return tail{}, "", err
	}
	return w.tail, hex.EncodeToString(w.whole.Sum(nil)), nil
}

// fileReader reads a file. Nothing of it is certain before the end was reached.
type fileReader struct {
	keys    credentials
	now     time.Time
	content hash.Hash
	decoder *encoding.Decoder
	head    head
	pieces  int
	rows    int64
	ended   bool // the record T was read
	amount  int64
}

// readFile reads a file from its first to its last line and gives each row's
// fields to each. It returns the first thing that is wrong with the file as a
// *FileError. Rows are given before the signature of the last line is known to
// be good: who acts on them reads a file that was verified before.
func readFile(in io.Reader, keys credentials, now time.Time, each func(row int64, fields []string) error) (tail, string, error) {
	whole := sha256.New()
	lines := bufio.NewScanner(io.TeeReader(in, whole))
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	r := &fileReader{keys: keys, now: now, content: sha256.New(), decoder: newDecoder()}
	if !lines.Scan() {
		return tail{}, "", refuse("empty", "文件为空", "it is empty")
	}
	if err := r.open(lines.Text(), &r.head); err != nil {
		return tail{}, "", err
	}
	var last string
	for have := lines.Scan(); have; {
		line := lines.Text()
		if have = lines.Scan(); !have {
			last = line
			break
		}
		if err := r.unseal(line, each); err != nil {
			return tail{}, "", err
		}
	}
	if err := lines.Err(); err != nil {
		return tail{}, "", refuse("line", "行过长或无法读取", "a line is too long or cannot be read")
	}
	t, err := r.finish(last)
	return t, hex.EncodeToString(whole.Sum(nil)), err
}

func newDecoder() *encoding.Decoder { return simplifiedchinese.GB18030.NewDecoder() }

func (r *fileReader) open(line string, into any) error {
	payload, err := signed.Open(line, r.keys.roots, func([]byte) (time.Time, error) { return r.now, nil })
	if err != nil {
		return refuse("signature", "首尾签名不是本行的，或文件不完整", "its first or last line is not signed by the bank, or the file is not whole")
	}
	if err := json.Unmarshal(payload, into); err != nil {
		return refuse("form", "首尾行内容不符合格式", "its first or last line is not of the form")
	}
	return nil
}

func (r *fileReader) unseal(line string, each func(int64, []string) error) error {
	with, err := r.keys.open()
	if err != nil {
		return err
	}
	plain, err := signed.Unseal(line, with)
	if err != nil {
		return refuse("sealed", "内容不是加密给本省的，或被改动", "a piece is not sealed to the province, or was altered")
	}
	r.pieces++
	r.content.Write(plain)
	for record := range bytes.Lines(plain) {
		if err := r.record(record, each); err != nil {
			return err
		}
	}
	return nil
}

func (r *fileReader) record(raw []byte, each func(int64, []string) error) error {
	bad := func(zh, en string) error {
		return refuse("record", fmt.Sprintf("第 %d 行之后：%s", r.rows, zh), fmt.Sprintf("after row %d: %s", r.rows, en))
	}
	if len(raw) > maxRecord || raw[len(raw)-1] != '\n' || r.ended {
		return bad("记录过长、不完整或在结尾之后", "a record is too long, not whole or after the end")
	}
	text, err := r.decoder.String(string(raw[:len(raw)-1]))
	if err != nil || strings.ContainsRune(text, '\uFFFD') {
		return bad("不是 GB 18030", "not GB 18030")
	}
	fields := strings.Split(text, "|")
	switch {
	case r.pieces == 1 && r.rows == 0 && fields[0] == "H":
		if len(fields) != 5 || fields[1] != r.head.Kind || fields[2] != r.head.Bank || fields[3] != r.head.Batch {
			return bad("文件头与首行不符", "record H says something else than the first line")
		}
	case fields[0] == "D":
		r.rows++
		if len(fields) < 2 || fields[1] != strconv.FormatInt(r.rows, 10) {
			return bad("行号不连续", "the numbers of the rows do not count up")
		}
		return each(r.rows, fields[2:])
	case fields[0] == "T" && len(fields) == 3:
		rows, err := strconv.ParseInt(fields[1], 10, 64)
		amount, other := strconv.ParseInt(fields[2], 10, 64)
		if err != nil || other != nil || rows != r.rows {
			return bad("文件尾的行数不符", "record T counts other rows")
		}
		r.ended, r.amount = true, amount
	default:
		return bad("记录类型不对", "not a record H, D or T")
	}
	return nil
}

func (r *fileReader) finish(last string) (t tail, err error) {
	if err := r.open(last, &t); err != nil {
		return tail{}, err
	}
	h := t.head
	switch {
	case h != r.head || h.Protocol != Protocol:
		return tail{}, refuse("head", "首尾两行不是同一文件的", "its first and last line belong to different files")
	case !r.ended || t.Pieces != r.pieces || t.Rows != r.rows:
		return tail{}, refuse("count", "行数或段数不符，文件不完整", "its rows or pieces are not as many as it says")
	case t.AmountFen != r.amount:
		return tail{}, refuse("amount", "总金额不符", "its sums differ")
	case t.Digest != hex.EncodeToString(r.content.Sum(nil)):
		return tail{}, refuse("digest", "摘要不符，内容被改动", "its digest is another")
	}
	return t, nil
}
