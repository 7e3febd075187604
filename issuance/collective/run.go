package collective

import (
	"context"
	"errors"
	"fmt"
	"io"

	"onecard/internal/sheet"
	"onecard/registry"
)

// chunkRows is how many rows are decided in one transaction.
const chunkRows = 100

// run is one way through a list.
type run struct {
	*Service
	actor       registry.Actor
	order       orderRow
	institution registry.Institution
	columns     layout
	most        int
}

func (r run) through(ctx context.Context, rows sheet.Reader, report func(Order)) error {
	known, err := r.known(ctx)
	if err != nil {
		return err
	}
	for read, decided, ended := 0, 0, false; !ended; {
		size := chunkRows
		if r.most > 0 {
			size = min(size, r.most-decided)
		}
		var chunk []sheet.Row
		for len(chunk) < max(size, 1) {
			row, err := rows.Next()
			if errors.Is(err, io.EOF) {
				ended = true
				break
			}
			if err != nil {
				return fileProblem(err)
			}
			if read++; read > MaxRows {
				return wrong("content", fmt.Sprintf("名册最多 %d 行", MaxRows), fmt.Sprintf("a list of at most %d rows", MaxRows))
			}
			if !known[row.Number].settled(r.order.Pass) {
				chunk = append(chunk, row)
			}
		}
		switch {
		case len(chunk) == 0:
			continue
		case size == 0:
			return nil // there is more, for the next request
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.decide(ctx, chunk); err != nil {
			return err
		}
		if decided += len(chunk); report != nil {
			order, err := r.Order(ctx, r.order.ID)
			if err != nil {
				return err
			}
			report(order)
		}
	}
	return r.finish(ctx)
}

func (r run) known(ctx context.Context) (map[int64]outcomeRow, error) {
	var rows []outcomeRow
	if err := r.DB.Read(ctx).Where("order_id = ?", r.order.ID).Find(&rows).Error; err != nil {
		return nil, err
	}
	return byNumber(rows), nil
}

func byNumber(rows []outcomeRow) map[int64]outcomeRow {
	known := make(map[int64]outcomeRow, len(rows))
	for _, row := range rows {
		known[row.RowNumber] = row
	}
	return known
}

// settled says whether there is nothing more to do for a row in this pass.
func (o outcomeRow) settled(pass int) bool {
	return o.Outcome == Applied || o.Outcome == Withdrawn || o.Pass >= pass
}

// decide decides rows in one transaction. What another counter did at the same
// instant spoils that for all of them: then they are decided by halves, and in
// the end each by itself.
func (r run) decide(ctx context.Context, rows []sheet.Row) error {
	err := r.DB.InTx(ctx, r.actor, func(tx *registry.Tx) error {
		c, err := r.begin(tx, rows)
		if err != nil {
			return err
		}
		if err := c.outcomes(); err != nil {
			return err
		}
		return c.note()
	})
	if _, _, _, known := words(err); !known {
		return err
	}
	if half := len(rows) / 2; half > 0 {
		if err := r.decide(ctx, rows[:half]); err != nil {
			return err
		}
		return r.decide(ctx, rows[half:])
	}
	refused := err
	return r.DB.InTx(ctx, r.actor, func(tx *registry.Tx) error {
		c, err := r.begin(tx, rows)
		if err != nil {
			return err
		}
		for _, e := range c.entries {
			if err := e.stays(refused); err != nil {
				return err
			}
		}
		return c.note()
	})
}

func (r run) finish(ctx context.Context) error {
	return r.DB.InTx(ctx, r.actor, func(tx *registry.Tx) error {
		done := tx.DB().Model(&orderRow{}).Where("id = ? AND pass = ?", r.order.ID, r.order.Pass)
		if err := done.Updates(map[string]any{"state": Done, "changed_at": tx.Now()}).Error; err != nil {
			return err
		}
		return tx.Audit("collective.done", r.order.subject(), nil)
	})
}
