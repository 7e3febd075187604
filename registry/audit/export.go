package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Names of the files of an export. Each chain has a file <chain>.tsv: a line for
// each entry with the fields of columns, separated by tabs; backslash, tab and
// line ends within a field are \\, \t, \n and \r.
const (
	FileHeads       = "heads.jws"       // the signed statement of the chains' ends
	FileCheckpoints = "checkpoints.jws" // earlier signed statements, one on a line
	chainSuffix     = ".tsv"
)

var columns = []string{"seq", "at", "operator", "workstation", "place", "action", "subject", "detail", "prev_hash", "hash"}

const instant = "2006-01-02T15:04:05.000000Z"

// Export writes chains into a directory.
type Export struct{ dir string }

// NewExport begins an export in a directory, which must be empty or new.
func NewExport(dir string) (*Export, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit: export: %w", err)
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("audit: export: %w", err)
	}
	if len(there) > 0 {
		return nil, fmt.Errorf("audit: export: %w: %s", errNotEmpty, dir)
	}
	return &Export{dir}, nil
}

var errNotEmpty = errors.New("目录不为空 the directory is not empty")

// Chain writes the entries of a chain.
func (x *Export) Chain(chain string, entries func(take func(*Entry) error) error) error {
	return x.write(chain+chainSuffix, func(out *bufio.Writer) error {
		fmt.Fprintln(out, strings.Join(columns, "\t"))
		var line []byte
		return entries(func(e *Entry) error {
			line = e.line(line[:0])
			_, err := out.Write(line)
			return err
		})
	})
}

// Finish writes the signed statements. The statement of the ends comes last: an
// export without it is half an export.
func (x *Export) Finish(heads string, checkpoints []string) error {
	err := x.write(FileCheckpoints, func(out *bufio.Writer) error {
		for _, token := range checkpoints {
			fmt.Fprintln(out, token)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return x.write(FileHeads, func(out *bufio.Writer) error {
		_, err := fmt.Fprintln(out, heads)
		return err
	})
}

func (x *Export) write(name string, fill func(*bufio.Writer) error) error {
	file, err := os.OpenFile(filepath.Join(x.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("audit: export: %w", err)
	}
	out := bufio.NewWriterSize(file, 1<<16)
	err = fill(out)
	if err := cmp.Or(err, out.Flush(), file.Sync(), file.Close()); err != nil {
		_ = file.Close() // the first error tells
		return fmt.Errorf("audit: export: %w", err)
	}
	return nil
}

func (e *Entry) line(b []byte) []byte {
	b = append(strconv.AppendInt(b, e.Seq, 10), '\t')
	b = append(e.Time().AppendFormat(b, instant), '\t')
	for _, field := range [...][]byte{e.Operator, e.Workstation, e.Place, e.Action, e.Subject, e.Detail} {
		b = append(escape(b, field), '\t')
	}
	b = append(hex.AppendEncode(b, e.PrevHash), '\t')
	return append(hex.AppendEncode(b, e.Hash), '\n')
}

var escapes = strings.NewReplacer("\\", `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)
var unescapes = strings.NewReplacer(`\\`, "\\", `\t`, "\t", `\n`, "\n", `\r`, "\r")

func escape(b, field []byte) []byte {
	if bytes.ContainsAny(field, "\\\t\n\r") {
		return append(b, escapes.Replace(string(field))...)
	}
	return append(b, field...)
}

// parse reads a line that was written by line. What is of another form gives an
// entry that follows from nothing.
func (e *Entry) parse(line []byte) bool {
	var fields [10][]byte
	rest, more := bytes.TrimRight(line, "\n"), true
	for i := range fields {
		if !more {
			return false
		}
		fields[i], rest, more = bytes.Cut(rest, []byte{'\t'})
		if bytes.IndexByte(fields[i], '\\') >= 0 {
			fields[i] = []byte(unescapes.Replace(string(fields[i])))
		}
	}
	seq, err := strconv.ParseInt(string(fields[0]), 10, 64)
	at, bad := time.Parse(instant, string(fields[1]))
	if more || err != nil || bad != nil {
		return false
	}
	e.Seq, e.At = seq, at.UnixMicro()
	e.Operator, e.Workstation, e.Place, e.Action, e.Subject, e.Detail = fields[2], fields[3], fields[4], fields[5], fields[6], fields[7]
	return e.hash(&e.PrevHash, fields[8]) && e.hash(&e.Hash, fields[9])
}

func (e *Entry) hash(into *[]byte, text []byte) (ok bool) {
	var err error
	*into, err = hex.AppendDecode((*into)[:0], text)
	return err == nil
}

// Report is what a verification saw.
type Report struct {
	Ends     map[string]Point // the last entry that holds, by chain
	Entries  int64
	Findings []*Finding
}

// Join returns the findings as one error, nil when there are none.
func (r *Report) Join() error {
	found := make([]error, len(r.Findings))
	for i, f := range r.Findings {
		found[i] = f
	}
	return errors.Join(found...)
}

// VerifyExport verifies an export with nothing but the province's certificate
// and, if there are any, points vouched for by others: earlier exports.
func VerifyExport(dir string, roots *x509.CertPool, points Points) (*Report, error) {
	token, err := os.ReadFile(filepath.Join(dir, FileHeads))
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	statement, err := OpenStatement(strings.TrimSpace(string(token)), roots)
	if err != nil {
		return nil, fmt.Errorf("audit: %s: %w", FileHeads, err)
	}
	heads, all := Points{}, Points{}
	for chain, known := range points {
		all[chain] = slices.Clone(known)
	}
	if err := cmp.Or(heads.Add(statement), all.AddFile(filepath.Join(dir, FileCheckpoints), roots)); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"+chainSuffix))
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	chains := map[string]bool{}
	for _, file := range files {
		chains[strings.TrimSuffix(filepath.Base(file), chainSuffix)] = true
	}
	for chain := range heads {
		chains[chain] = true
	}
	return VerifyChains(sorted(chains), func(chain string) (Verified, error) {
		v := NewVerifier(chain, Point{}, all[chain])
		n, err := v.readFile(filepath.Join(dir, chain+chainSuffix))
		var head *Point
		if known := heads[chain]; len(known) > 0 {
			head = &known[0]
		}
		return Verified{Findings: v.Close(head), End: v.Last(), Entries: n}, err
	})
}

// Verified is what was seen of one chain.
type Verified struct {
	Findings []*Finding
	End      Point
	Entries  int64
}

// VerifyChains verifies chains side by side, on all processors.
func VerifyChains(chains []string, verify func(chain string) (Verified, error)) (*Report, error) {
	report := &Report{Ends: map[string]Point{}}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	for _, chain := range chains {
		group.Go(func() error {
			seen, err := verify(chain)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			report.Entries += seen.Entries
			report.Findings = append(report.Findings, seen.Findings...)
			report.Ends[chain] = Point{Seq: seen.End.Seq, Hash: bytes.Clone(seen.End.Hash)}
			return nil
		})
	}
	err := group.Wait()
	slices.SortStableFunc(report.Findings, func(a, b *Finding) int {
		return cmp.Or(strings.Compare(a.Chain, b.Chain), cmp.Compare(a.Seq, b.Seq))
	})
	return report, err
}

// AddFile takes the signed statements of a file, one on a line.
func (p Points) AddFile(path string, roots *x509.CertPool) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		statement, err := OpenStatement(strings.TrimSpace(line), roots)
		if err == nil {
			err = p.Add(statement)
		}
		if err != nil {
			return fmt.Errorf("audit: %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

// readFile reads the entries of a chain's file. A file that is not there has
// none.
func (v *Verifier) readFile(path string) (n int64, err error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("audit: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	lines := bufio.NewReaderSize(file, 1<<20)
	entry := Entry{Chain: []byte(v.chain)}
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return n, fmt.Errorf("audit: %s: 行过长 a line is too long", filepath.Base(path))
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return n, fmt.Errorf("audit: %w", err)
		}
		heading := n == 0 && bytes.HasPrefix(line, []byte(columns[0]+"\t"))
		if len(line) > 0 && !heading {
			n++
			if !entry.parse(line) {
				entry = Entry{Chain: entry.Chain, Seq: v.expected()}
			}
			v.Add(&entry)
		}
		if err != nil {
			return n, nil
		}
	}
}
