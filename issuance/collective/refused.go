package collective

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"onecard/internal/sheet"
	"onecard/registry"
)

// headingReason is the column in which a refused row has its reason; a list that
// is brought again may have it.
const headingReason = "未受理原因"

// open opens a list, which lies nowhere but in memory.
func (l List) open() (rows sheet.Reader, digest []byte, close func(), err error) {
	if len(l.Content) == 0 || len(l.Content) > MaxSize {
		return nil, nil, nil, wrong("content", "应为 1 字节至 4 MiB", "1 byte to 4 MiB")
	}
	path, memory, err := inMemory(l.Content)
	if err != nil {
		return nil, nil, nil, err
	}
	info, err := sheet.Examine(path)
	if err == nil {
		rows, err = sheet.Open(path, info, sheet.Options{Sheet: l.Sheet})
	}
	if err != nil {
		return nil, nil, nil, errors.Join(fileProblem(err), memory.Close())
	}
	return rows, info.Digest[:], func() { _, _ = rows.Close(), memory.Close() }, nil // only read
}

// WriteRefused writes the rows of an order's list that were refused, as they
// stand in it, each with its reason (未受理名单): an Excel file that is corrected
// and brought again. The list is not kept: whoever brought it gives it once more.
func (s *Service) WriteRefused(ctx context.Context, id uuid.UUID, list List, out io.Writer) error {
	var order orderRow
	if err := s.DB.Read(ctx).Where("id = ?", id).Take(&order).Error; err != nil {
		return err
	}
	rows, digest, done, err := list.open()
	if err != nil {
		return err
	}
	defer done()
	if !bytes.Equal(digest, order.Digest) {
		return wrong("content", "与受理的名册不是同一文件", "not the list that was taken")
	}
	var refused []outcomeRow
	if err := s.DB.Read(ctx).Where("order_id = ? AND outcome = ?", id, Refused).Find(&refused).Error; err != nil {
		return fmt.Errorf("rows of a list: %w", err)
	}
	reasons := make(map[int64]string, len(refused))
	for _, r := range refused {
		reasons[r.RowNumber] = r.Reason
	}
	// An earlier reason gives way to the one of today.
	header, earlier := rows.Header(), -1
	lines := [][]string{{}}
	for i, heading := range header {
		if heading == headingReason {
			earlier = i
			continue
		}
		lines[0] = append(lines[0], heading)
	}
	lines[0] = append(lines[0], headingReason)
	for {
		row, err := rows.Next()
		switch {
		case errors.Is(err, io.EOF):
			return sheet.WriteExcel(out, lines)
		case err != nil:
			return fileProblem(err)
		}
		reason, bad := reasons[row.Number]
		if !bad {
			continue
		}
		line := make([]string, 0, len(header)+1)
		for i := range header {
			if i == earlier {
				continue
			}
			cell := ""
			if i < len(row.Cells) {
				cell = row.Cells[i]
			}
			line = append(line, cell)
		}
		lines = append(lines, append(line, reason))
	}
}

// Orders returns the orders that were brought in a scope, newest first.
func (s *Service) Orders(ctx context.Context, scope registry.Scope, most int) ([]Order, error) {
	var ids []uuid.UUID
	found := s.DB.Read(ctx).Table("collective_orders o").Joins("JOIN institutions i ON i.id = o.institution").Order("o.id DESC").Limit(most)
	if err := scope.In(found, "i.place", "i.locality").Pluck("o.id", &ids).Error; err != nil {
		return nil, fmt.Errorf("orders of lists: %w", err)
	}
	orders := make([]Order, len(ids))
	for i, id := range ids {
		var err error
		if orders[i], err = s.Order(ctx, id); err != nil {
			return nil, err
		}
	}
	return orders, nil
}

// Unit is an institution that brings lists (申领单位).
type Unit struct{ ID, Kind, Name, Place string }

// bringers are the kinds of institution that bring lists.
var bringers = []string{"employer", "school", "community", "bank"}

// Units returns the institutions of a scope that bring lists, by name.
func (s *Service) Units(ctx context.Context, scope registry.Scope, most int) (units []Unit, err error) {
	found := scope.In(s.DB.Read(ctx).Table("institutions").Where("kind IN ?", bringers), "place", "locality")
	if err := found.Order("name, id").Limit(most).Select("id, kind, name, place").Scan(&units).Error; err != nil {
		return nil, fmt.Errorf("institutions that bring lists: %w", err)
	}
	return units, nil
}
