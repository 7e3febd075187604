package registry

import (
	"fmt"
	"reflect"

	"gorm.io/gorm"
)

// drawing takes n numbers from a sequence; its row stays locked until the
// transaction ends, so that numbers are without gaps and in the order of the
// commits.
const drawing = "UPDATE card_number_sequence SET next = next + ? WHERE name = ? RETURNING next - ?"

// Draw takes the next number of a sequence, for good.
func (tx *Tx) Draw(sequence string) (int64, error) {
	if r := tx.reserved[sequence]; r.n > 0 {
		tx.reserved[sequence] = reserve{r.first + 1, r.n - 1}
		return r.first, nil
	}
	return tx.draw(sequence, 1)
}

// reserve is n numbers of a sequence.
type reserve struct {
	first int64
	n     int
}

// Reserve takes n numbers of a sequence at once, for [Tx.Draw] to hand out.
// Those that are left when the transaction ends are never used.
func (tx *Tx) Reserve(sequence string, n int) error {
	if n == 0 {
		return nil
	}
	first, err := tx.draw(sequence, n)
	if tx.reserved == nil {
		tx.reserved = map[string]reserve{}
	}
	tx.reserved[sequence] = reserve{first, n}
	return err
}

func (tx *Tx) draw(sequence string, n int) (first int64, err error) {
	drawn := tx.gorm.Raw(drawing, n, sequence, n).Scan(&first)
	switch {
	case drawn.Error != nil:
		return 0, fmt.Errorf("draw from sequence %s: %w", sequence, drawn.Error)
	case drawn.RowsAffected != 1:
		return 0, fmt.Errorf("draw from sequence %s: %w", sequence, ErrNotFound)
	}
	return first, nil
}

// numbered are rows of one sequence that wait for their numbers.
type numbered struct {
	sequence string
	rows     []func(number int64) any
}

// AppendNumbered is [Tx.Append] for a row that bears the next number of a
// sequence. The number is drawn as the last thing before the commit: whoever
// has drawn one lets the whole province wait until then.
func (tx *Tx) AppendNumbered(sequence string, row func(number int64) any) {
	for i := range tx.numbered {
		if n := &tx.numbered[i]; n.sequence == sequence {
			n.rows = append(n.rows, row)
			return
		}
	}
	tx.numbered = append(tx.numbered, numbered{sequence, []func(int64) any{row}})
}

// writeNumbered carries statements out, and with them draws the numbers that are
// wanted; then it writes the rows that bear them.
func (tx *Tx) writeNumbered(before []statement) error {
	first := make([]int64, len(tx.numbered))
	for i, n := range tx.numbered {
		draw := tx.written(func(dry *gorm.DB) *gorm.DB { return dry.Exec(drawing, len(n.rows), n.sequence, len(n.rows)) })
		draw.into = []any{&first[i]}
		before = append(before, draw)
	}
	if err := tx.together(before...); err != nil {
		return err
	}
	var after []statement
	for i, n := range tx.numbered {
		var rows reflect.Value
		for k, row := range n.rows {
			made := reflect.ValueOf(row(first[i] + int64(k)))
			if k == 0 {
				rows = reflect.MakeSlice(reflect.SliceOf(made.Type()), 0, len(n.rows))
			}
			rows = reflect.Append(rows, made)
		}
		after = append(after, tx.creates(rows)...)
	}
	return tx.together(after...)
}
