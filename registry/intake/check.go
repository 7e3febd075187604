package intake

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"onecard/internal/sheet"
	"onecard/registry"
	"onecard/registry/indicator"
)

// checkBatch is how many persons go into one transaction.
const checkBatch = 500

// WriteChecks writes a check as a file (比对文件): the residents whom it has not
// been answered for, under the codes and in the encoding of the peer's mapping
// table. It returns how many they are, and whom the table cannot tell of. That
// they were given out is on record for each.
func WriteChecks(ctx context.Context, db *registry.DB, actor registry.Actor, check registry.PeerCheck, table *indicator.Table, out io.Writer) (written int, untold []Untold, err error) {
	columns, err := table.Columns(check.Topic)
	if err != nil {
		return 0, nil, err
	}
	text, err := table.Writer(out)
	if err != nil {
		return 0, nil, err
	}
	lines := csv.NewWriter(text)
	if err := lines.Write(columns); err != nil {
		return 0, nil, err
	}
	for after := uuid.Nil; ; {
		persons, err := db.Unchecked(ctx, check, after, checkBatch)
		if err != nil || len(persons) == 0 {
			lines.Flush()
			return written, untold, errors.Join(err, lines.Error(), text.Close())
		}
		after = persons[len(persons)-1].ID
		rows, told, not := tellOf(check, table, persons)
		untold = append(untold, not...)
		if err := recordTold(ctx, db, actor, check, told); err != nil {
			return written, untold, err
		}
		if err := lines.WriteAll(rows); err != nil {
			return written, untold, err
		}
		written += len(rows)
	}
}

// Untold is a person of whom the peer's table cannot tell.
type Untold struct {
	Person uuid.UUID
	Err    error
}

// told is a person whom the file tells of, and the name as it stands there.
type told struct {
	person uuid.UUID
	name   registry.PeerName
	named  bool
}

// tellOf makes the lines of a file.
func tellOf(check registry.PeerCheck, table *indicator.Table, persons []registry.Person) (rows [][]string, all []told, untold []Untold) {
	for _, p := range persons {
		record := indicator.OfPerson(p)
		row, err := table.Values(check.Topic, record)
		one := told{person: p.ID}
		if err == nil {
			one.name, one.named, err = table.NameBytes(check.Topic, check.Name, record)
		}
		if err != nil {
			untold = append(untold, Untold{p.ID, err})
			continue
		}
		rows, all = append(rows, row), append(all, one)
	}
	return rows, all, untold
}

func recordTold(ctx context.Context, db *registry.DB, actor registry.Actor, check registry.PeerCheck, all []told) error {
	if len(all) == 0 {
		return nil
	}
	return db.InTx(ctx, actor, func(tx *registry.Tx) error {
		for _, one := range all {
			if err := tx.Audit("person.told", "person:"+one.person.String(), map[string]string{"to": check.Name}); err != nil {
				return err
			}
			if !one.named {
				continue
			}
			if err := tx.TellName(one.person, one.name, "比对文件"); err != nil {
				return err
			}
		}
		return nil
	})
}

// CheckRefused is a row of an answer that was not taken.
type CheckRefused struct {
	Row int64
	Err error
}

// ReadChecks takes the answers of a file, under the codes of the peer's mapping
// table, and returns how many were taken and which were not. The same file again
// changes nothing: an answer that is on record already is passed over.
func ReadChecks(ctx context.Context, db *registry.DB, actor registry.Actor, check registry.PeerCheck, table *indicator.Table, path, reason string) (taken int, refused []CheckRefused, err error) {
	columns, err := table.Columns(check.Answer)
	if err != nil {
		return 0, nil, err
	}
	info, err := sheet.Examine(path)
	if err != nil {
		return 0, nil, err
	}
	rows, err := sheet.Open(path, info, sheet.Options{})
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = rows.Close() }() // only read
	at := make([]int, len(columns))
	for i, column := range columns {
		if at[i] = slices.Index(rows.Header(), column); at[i] < 0 {
			return 0, nil, &registry.FieldError{Field: "file", ZH: "须有列 " + strings.Join(columns, "、"), EN: "columns " + strings.Join(columns, ", ")}
		}
	}
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return taken, refused, nil
		}
		if err != nil {
			return taken, refused, err
		}
		if row.Err != nil {
			refused = append(refused, CheckRefused{row.Number, row.Err})
			continue
		}
		values := make([]string, len(columns))
		for i := range columns {
			values[i] = row.Cells[at[i]]
		}
		changed, err := takeCheck(ctx, db, actor, check, table, values, reason+" 第 "+strconv.FormatInt(row.Number, 10)+" 行")
		switch {
		case errors.Is(err, registry.ErrInvalid) || errors.Is(err, registry.ErrNotFound):
			refused = append(refused, CheckRefused{row.Number, err})
		case err != nil:
			return taken, refused, err
		case changed:
			taken++
		}
	}
}

func takeCheck(ctx context.Context, db *registry.DB, actor registry.Actor, check registry.PeerCheck, table *indicator.Table, values []string, reason string) (changed bool, err error) {
	answer, err := table.Record(check.Answer, values)
	if err != nil {
		return false, err
	}
	person, err := uuid.Parse(answer["person"])
	if err != nil {
		return false, &registry.FieldError{Field: "person", ZH: "应为比对文件中的人员编号", EN: "the person's id of the file that was given out"}
	}
	err = db.InTx(ctx, actor, func(tx *registry.Tx) error {
		var err error
		changed, err = tx.RecordCheck(check, person, answer[check.Field], reason)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("%s: %w", check.Name, err)
	}
	return changed, nil
}
