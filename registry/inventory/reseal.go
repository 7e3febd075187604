package inventory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"onecard/registry"
)

// Resealing enciphers every sealed value of production anew, under the newest
// version of the field key (换密钥). It may run while the platform serves: a row
// is written only if it is still as it was read, a batch is one transaction with
// its audit record and its place, and a run that was stopped goes on there.
type Resealing struct {
	DB    *registry.DB
	Actor registry.Actor
	Batch int // most rows in a transaction; 0: 500
	Rate  int // most rows a second; 0: as fast as it goes
	// Settle is how long the other programs may go on sealing under the old key
	// after the new one was made.
	Settle time.Duration
	Report func(Progress)

	head   []byte
	states map[string]*progress
	all    Progress
	begun  time.Time
	first  int64 // rows seen by earlier runs
}

// Progress is how far a run has come, in rows.
type Progress struct {
	Table                 string
	Seen, Total, Resealed int64
	Left                  time.Duration // estimate
	Unreadable            []string      // values that do not open, by column and row: they stay as they are
}

const (
	usualBatch = 500
	firstBatch = 8 // rows may hold photographs of megabytes
	smallBatch = 1 << 20
	largeBatch = 4 << 20
	maxPasses  = 5
	maxNamed   = 20
)

// Do runs to the end and proves that no value under an older key is left:
// ErrRemaining otherwise. When ctx ends it stops after the batch at hand.
func (r *Resealing) Do(ctx context.Context) (Progress, error) {
	tables, err := sealedTables(ctx, r.DB)
	if err != nil {
		return r.all, err
	}
	if err := r.begin(ctx, tables); err != nil {
		return r.all, err
	}
	for range maxPasses {
		for _, t := range tables {
			if err := r.table(ctx, t); err != nil {
				return r.all, fmt.Errorf("%s: %w", t.name, err)
			}
		}
		left, err := r.remaining(ctx, tables)
		if err != nil {
			return r.all, err
		}
		if left == 0 {
			return r.all, r.finish(ctx)
		}
		if int64(len(r.all.Unreadable)) >= left {
			break
		}
		r.all.Unreadable = nil // they are found again
	}
	return r.all, fmt.Errorf("%w: %s", ErrRemaining, strings.Join(r.all.Unreadable[:min(len(r.all.Unreadable), maxNamed)], "; "))
}

// begin finds the key to seal with, where an earlier run was stopped, and how
// many rows there are.
func (r *Resealing) begin(ctx context.Context, tables []sealedTable) (err error) {
	r.Batch, r.begun = cmp.Or(r.Batch, usualBatch), time.Now()
	if r.head, err = r.DB.SealHead(ctx); err != nil {
		return err
	}
	if r.states, err = loadProgress(ctx, r.DB, r.head); err != nil {
		return err
	}
	for _, t := range tables {
		var rows int64
		if err := r.DB.Read(ctx).Table(t.name).Count(&rows).Error; err != nil {
			return err
		}
		state, known := r.states[t.name]
		if !known {
			state = &progress{Table: t.name, Head: r.head}
			r.states[t.name] = state
		}
		r.all.Total += rows
		r.all.Seen += state.Seen
		r.all.Resealed += state.Resealed
	}
	r.first = r.all.Seen
	return nil
}

// remaining counts what is not sealed under the newest key once the other
// programs have settled, and lets the tables that have such be gone through
// again.
func (r *Resealing) remaining(ctx context.Context, tables []sealedTable) (left int64, err error) {
	if err := registry.Pause(ctx, time.Until(r.begun.Add(r.Settle))); err != nil {
		return 0, err
	}
	for _, t := range tables {
		heads, err := r.DB.SealHeads(ctx, t.name, t.names())
		if err != nil {
			return 0, err
		}
		for head, count := range heads {
			if head != string(r.head) {
				left += count
				r.states[t.name].Done, r.states[t.name].After = false, ""
			}
		}
	}
	return left, nil
}

// table goes through a table from where it was left.
func (r *Resealing) table(ctx context.Context, t sealedTable) error {
	state := r.states[t.name]
	for limit := min(firstBatch, r.Batch); !state.Done; {
		began := time.Now()
		after, err := registry.Position(state.After)
		if err != nil {
			return err
		}
		rows, size, err := t.read(ctx, r.DB, after, limit)
		if err != nil {
			return err
		}
		if err := r.batch(ctx, t, rows, len(rows) < limit); err != nil {
			return err
		}
		switch {
		case size > largeBatch:
			limit = max(1, limit/4)
		case size < smallBatch:
			limit = min(r.Batch, 2*limit)
		}
		r.report(t.name)
		if r.Rate > 0 {
			err = registry.Pause(ctx, time.Duration(len(rows))*time.Second/time.Duration(r.Rate)-time.Since(began))
		}
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

func (r *Resealing) report(table string) {
	if r.Report == nil {
		return
	}
	r.all.Table, r.all.Left = table, registry.Left(r.begun, r.all.Seen-r.first, r.all.Total-r.all.Seen)
	r.Report(r.all)
}

// batch seals the values of some rows anew and writes them in one transaction.
func (r *Resealing) batch(ctx context.Context, t sealedTable, rows []sealedRow, last bool) error {
	var old []registry.SealedValue
	for _, row := range rows {
		for _, v := range row.values {
			if !bytes.HasPrefix(v.Value, r.head) {
				old = append(old, v.SealedValue)
			}
		}
	}
	anew, err := r.reseal(ctx, old)
	if err != nil {
		return err
	}
	next := *r.states[t.name]
	next.Seen += int64(len(rows))
	next.Done = last
	if len(rows) > 0 {
		if next.After, err = registry.Cursor(rows[len(rows)-1].key); err != nil {
			return err
		}
	}
	counted := next.Resealed
	if len(old) > 0 || last {
		err = r.DB.InTx(context.WithoutCancel(ctx), r.Actor, func(tx *registry.Tx) error {
			next.Resealed = counted
			at := 0
			for _, row := range rows {
				written, err := t.write(tx, row, r.head, anew, &at)
				if err != nil {
					return err
				}
				next.Resealed += written
			}
			if err := next.save(tx); err != nil {
				return err
			}
			return tx.Audit("keys.reseal", "table:"+t.name, r.detail(int64(len(rows)), next.Resealed-counted))
		})
	}
	if err == nil {
		r.all.Seen, r.all.Resealed = r.all.Seen+int64(len(rows)), r.all.Resealed+next.Resealed-counted
		*r.states[t.name] = next
	}
	return err
}

func (r *Resealing) detail(rows, resealed int64) map[string]string {
	return map[string]string{"rows": strconv.FormatInt(rows, 10), "resealed": strconv.FormatInt(resealed, 10), "key": fmt.Sprintf("%x", r.head)}
}

func (r *Resealing) finish(ctx context.Context) error {
	return r.DB.InTx(ctx, r.Actor, func(tx *registry.Tx) error {
		return tx.Audit("keys.resealed", "key:DATA", r.detail(r.all.Seen, r.all.Resealed))
	})
}

// reseal seals values anew; nil for one that does not open, which stays as it
// is. A Vault that is away is an error.
func (r *Resealing) reseal(ctx context.Context, old []registry.SealedValue) ([][]byte, error) {
	if len(old) == 0 {
		return nil, nil
	}
	anew, together := r.DB.Reseal(ctx, old)
	if together == nil {
		return anew, nil
	}
	anew = make([][]byte, len(old))
	for i, value := range old {
		one, err := r.DB.Reseal(ctx, old[i:i+1])
		if err == nil {
			anew[i] = one[0]
			continue
		}
		if _, away := r.DB.SealHead(ctx); away != nil {
			return nil, away
		}
		r.all.Unreadable = append(r.all.Unreadable, fmt.Sprintf("%s %s: %v", value.Column, value.Row, err))
	}
	return anew, nil
}
