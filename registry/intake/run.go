package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"onecard/internal/gb"
	"onecard/internal/sheet"
	"onecard/registry"
)

// ErrDone: the file was taken over before.
var ErrDone = errors.New("此文件已经导入过 this file has been imported already")

// Run is one import of one file.
type Run struct {
	DB      *registry.DB
	Actor   registry.Actor
	Mapping *Mapping
	Path    string
	Rejects string // path of the file of rejected rows
	Sheet   string // of Excel; empty: the only one
	Temp    string // directory for what Excel's reader cannot hold in memory
	Owner   string // this process
	// Gone says of the owner of an import that shows no progress whether it has
	// ended for certain; nil: it is waited for.
	Gone   func(owner string) bool
	Batch  int // rows in a transaction; 0: 5,000
	Report func(Status)
}

// Status is how far an import has come.
type Status struct {
	registry.Import
	Position, Size int64 // of the file; of Excel rows, and 0
	Rate           float64
	Left           time.Duration // estimate; 0: not known
}

const usualBatch = 5000

// Do takes the file over, or goes on where a run was stopped. When ctx ends it
// stops after the batch at hand: nothing is half done. It returns what became
// of the file's rows; with ErrDone what became of them earlier.
func (r *Run) Do(ctx context.Context) (registry.Import, error) {
	info, err := sheet.Examine(r.Path)
	if err != nil {
		return registry.Import{}, err
	}
	progress, err := r.DB.BeginImport(ctx, r.Actor, r.Mapping.System, r.Actor.Place, info.Digest[:], info.Size, r.Owner, r.Gone)
	if err != nil {
		return progress, err
	}
	if progress.State == "done" {
		return progress, ErrDone
	}
	progress.LeaseOwner = r.Owner
	progress, err = r.take(ctx, info, progress)
	if err != nil || progress.State != "done" {
		// Whatever stopped it, another run may go on at once.
		err = errors.Join(err, r.DB.ReleaseImport(context.WithoutCancel(ctx), r.Actor, progress))
	}
	return progress, err
}

// batch is rows on their way from the file to the database.
type batch struct {
	rows     []registry.LoadRow
	numbers  []int64 // their row numbers
	problems []Problem
	rejected int64
	read     int64
	row      int64 // last line of the last one
	next     int64 // where reading goes on
	position int64
	last     bool
	err      error
	loading  *registry.Loading
}

func (r *Run) take(ctx context.Context, info sheet.Info, progress registry.Import) (registry.Import, error) {
	file, err := sheet.Open(r.Path, info, sheet.Options{From: progress.Offset, Number: progress.Row, Sheet: r.Sheet, Temp: r.Temp})
	if err != nil {
		return progress, err
	}
	defer file.Close()
	layout, err := r.Mapping.bind(file.Header())
	if err != nil {
		return progress, err
	}
	rejects, err := openRejects(r.Rejects, progress.ID.String(), progress.RejectLength)
	if err != nil {
		return progress, err
	}
	defer rejects.file.Close()

	reading, stop := context.WithCancel(ctx)
	defer stop()
	// One batch is read and one prepared while one is written.
	batches := make(chan batch, 1)
	prepared := make(chan batch, 1)
	go r.read(reading, file, layout, batches)
	go r.prepare(reading, batches, prepared)
	clock := &speed{began: time.Now(), rows: progress.Read, position: progress.Offset}
	for b := range prepared {
		if b.err != nil {
			return progress, b.err
		}
		if progress, err = r.write(ctx, layout, rejects, progress, b); err != nil {
			return progress, err
		}
		if r.Report != nil {
			r.Report(clock.status(progress, b.position, info))
		}
		if b.last {
			return progress, nil
		}
		if ctx.Err() != nil {
			return progress, context.Cause(ctx)
		}
	}
	return progress, context.Cause(ctx)
}

// read cuts the file into batches. It ends with the file, with an error, or
// when ctx ends.
func (r *Run) read(ctx context.Context, file sheet.Reader, l *layout, batches chan<- batch) {
	defer close(batches)
	size := r.Batch
	if size == 0 {
		size = usualBatch
	}
	today := gb.DateOf(r.DB.Now())
	for {
		b := batch{rows: make([]registry.LoadRow, 0, size)}
		for b.read < int64(size) {
			row, err := file.Next()
			if errors.Is(err, io.EOF) {
				b.last = true
				break
			}
			if err != nil {
				b.err = err
				break
			}
			b.add(l, row, today)
		}
		b.position = file.Position()
		select {
		case batches <- b:
		case <-ctx.Done():
			return
		}
		if b.last || b.err != nil {
			return
		}
	}
}

// prepare compares and seals batches, one ahead of the writing.
func (r *Run) prepare(ctx context.Context, batches <-chan batch, prepared chan<- batch) {
	defer close(prepared)
	for b := range batches {
		if b.err == nil {
			b.loading, b.err = r.DB.PrepareLoad(ctx, r.Actor, "导入 import: "+r.Mapping.System, b.rows)
		}
		select {
		case prepared <- b:
		case <-ctx.Done():
			return
		}
		if b.err != nil {
			return
		}
	}
}

func (b *batch) add(l *layout, row sheet.Row, today gb.Date) {
	b.read++
	b.row, b.next = row.Last, row.Next
	loaded, problems := l.take(row, today)
	if len(problems) > 0 {
		b.problems = append(b.problems, problems...)
		b.rejected++
		return
	}
	b.rows = append(b.rows, loaded)
	b.numbers = append(b.numbers, row.Number)
}

// write takes a batch over: its rejected rows reach the disk first, then
// residents and progress are one transaction.
func (r *Run) write(ctx context.Context, l *layout, rejects *rejects, progress registry.Import, b batch) (registry.Import, error) {
	for _, problem := range b.problems {
		if err := rejects.add(problem); err != nil {
			return progress, err
		}
	}
	var after registry.Import
	length := rejects.length
	// A transaction may be tried several times: what it refuses is written anew
	// each time, over what the try before had written.
	own := rejects.buffer.String()
	_, err := b.loading.Write(context.WithoutCancel(ctx), func(tx *registry.Tx, result registry.LoadResult) error {
		rejects.buffer.Reset()
		rejects.buffer.WriteString(own)
		if err := rejects.rewind(length); err != nil {
			return err
		}
		for i, refusal := range result.Refusal {
			if refusal == "" {
				continue
			}
			if err := rejects.add(refused(l, b.numbers[i], refusal)); err != nil {
				return err
			}
		}
		if err := rejects.flush(); err != nil {
			return err
		}
		after = advance(progress, b, result)
		after.RejectLength = rejects.length
		return tx.AdvanceImport(after)
	})
	if err != nil {
		return progress, fmt.Errorf("intake: row %d: %w", b.row, err)
	}
	return after, nil
}

func advance(progress registry.Import, b batch, result registry.LoadResult) registry.Import {
	added, changed, unchanged, refused := result.Counts()
	progress.Read += b.read
	progress.Added += added
	progress.Changed += changed
	progress.Unchanged += unchanged
	progress.Rejected += refused + b.rejected
	if b.read > 0 {
		progress.Row, progress.Offset = b.row, b.next
	}
	if b.last {
		progress.State = "done"
	}
	return progress
}

// refusals are the words for what the records refuse.
var refusals = map[string]struct{ field, zh, en string }{
	registry.RefusedOtherName: {"name", "此号码已登记为另一姓名，已列入疑似重复，请核实", "the number is registered under another name: a case for a decision was opened"},
	registry.RefusedTwice:     {"idNumber", "同一号码在文件中重复出现", "the number stands in the file before"},
	registry.RefusedNumber:    {"key", "系统编号、旧卡号或银行账号已属他人", "the system's number, the old card or the account is another person's"},
}

func refused(l *layout, row int64, refusal string) Problem {
	words := refusals[refusal]
	return Problem{Row: row, Field: words.field, Column: l.Fields[words.field].Column, Code: refusal, ZH: words.zh, EN: words.en}
}

// speed estimates what is left.
type speed struct {
	began    time.Time
	rows     int64 // read before
	position int64 // of the file before
}

func (s *speed) status(progress registry.Import, position int64, info sheet.Info) Status {
	status := Status{Import: progress, Position: position, Size: info.Size}
	if info.Encoding == "xlsx" { // positions are rows
		status.Size = 0
	}
	passed := time.Since(s.began).Seconds()
	status.Rate = float64(progress.Read-s.rows) / passed
	if done := position - s.position; done > 0 && status.Size > position {
		status.Left = time.Duration(passed / float64(done) * float64(status.Size-position) * float64(time.Second)).Round(time.Second)
	}
	return status
}
