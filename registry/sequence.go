package registry

import (
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"
)

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

// draw takes n numbers and returns the first. The sequence's row stays locked
// until the transaction ends: numbers are without gaps and in the order of the
// commits.
func (tx *Tx) draw(sequence string, n int) (first int64, err error) {
	drawn := tx.gorm.Raw("UPDATE card_number_sequence SET next = next + ? WHERE name = ? RETURNING next - ?", n, sequence, n).Scan(&first)
	switch {
	case drawn.Error != nil:
		return 0, fmt.Errorf("draw from sequence %s: %w", sequence, drawn.Error)
	case drawn.RowsAffected != 1:
		return 0, fmt.Errorf("draw from sequence %s: %w", sequence, ErrNotFound)
	}
	return first, nil
}

// numbered is a row that waits for the number of a sequence.
type numbered struct {
	sequence, column string
	model            any
	values           map[string]any
}

// AppendNumbered is [Tx.Append] for a row, by its columns, of which one bears the
// next number of a sequence and is never null. The number is drawn as the last thing before the
// commit: whoever has drawn one lets the whole province wait until then.
func (tx *Tx) AppendNumbered(sequence, column string, model any, values map[string]any) {
	tx.numbered = append(tx.numbered, numbered{sequence, column, model, values})
}

// number makes the statements that draw the numbers and write the rows.
func (tx *Tx) number() (all []statement) {
	rows := map[string]int{}
	for _, n := range tx.numbered {
		rows[n.sequence]++
	}
	for _, sequence := range slices.Sorted(maps.Keys(rows)) {
		// Without the sequence the row would have no number, which its column refuses.
		all = append(all, tx.written(func(dry *gorm.DB) *gorm.DB {
			return dry.Exec("UPDATE card_number_sequence SET next = next + ? WHERE name = ?", rows[sequence], sequence)
		}))
		for _, n := range tx.numbered {
			if n.sequence != sequence {
				continue
			}
			n.values[n.column] = gorm.Expr("(SELECT next - CAST(? AS BIGINT) FROM card_number_sequence WHERE name = ?)", rows[sequence], sequence)
			rows[sequence]--
			all = append(all, tx.written(func(dry *gorm.DB) *gorm.DB { return dry.Model(n.model).Create(n.values) }))
		}
	}
	return all
}
