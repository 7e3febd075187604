package intake

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/google/uuid"

	"onecard/internal/sheet"
	"onecard/registry"
)

// The columns of a check as a file (比对文件): what is asked, and what the answer
// must have. The file is UTF-8 with a mark at its beginning, as spreadsheets
// want it; the answer may be of any encoding, or Excel.
var (
	askedColumns = []string{"人员编号", "证件类型", "证件号码", "姓名", "性别", "出生日期", "行政区划"}
	answerID     = "人员编号"
	answerState  = "结果"
)

// checkBatch is how many persons go into one transaction.
const checkBatch = 500

// WriteChecks writes the residents whom a check has not been answered for, and
// returns how many they are. That they were given out is on record for each.
func WriteChecks(ctx context.Context, db *registry.DB, actor registry.Actor, check registry.PeerCheck, out io.Writer) (int, error) {
	if _, err := io.WriteString(out, "\uFEFF"); err != nil {
		return 0, err
	}
	lines := csv.NewWriter(out)
	if err := lines.Write(askedColumns); err != nil {
		return 0, err
	}
	written, after := 0, uuid.Nil
	for {
		persons, err := db.Unchecked(ctx, check, after, checkBatch)
		if err != nil || len(persons) == 0 {
			lines.Flush()
			return written, errors.Join(err, lines.Error())
		}
		err = db.InTx(ctx, actor, func(tx *registry.Tx) error {
			for _, p := range persons {
				if err := tx.Audit("person.told", "person:"+p.ID.String(), map[string]string{"to": check.Name}); err != nil {
					return err
				}
				// The file is UTF-8, whatever the peer's own record takes.
				if err := tx.TellName(p.ID, registry.PeerName{Peer: check.Name, Encoding: "UTF-8", Bytes: []byte(p.Name)}, "比对文件"); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return written, err
		}
		for _, p := range persons {
			row := []string{p.ID.String(), p.IDType, p.Number(), p.Name, string(p.Sex), p.Birth.String(), p.Place}
			if err := lines.Write(row); err != nil {
				return written, err
			}
		}
		written, after = written+len(persons), persons[len(persons)-1].ID
	}
}

// CheckRefused is a row of an answer that was not taken.
type CheckRefused struct {
	Row int64
	Err error
}

// ReadChecks takes the answers of a file and returns how many were taken and
// which were not. The same file again changes nothing: an answer that is on
// record already is passed over.
func ReadChecks(ctx context.Context, db *registry.DB, actor registry.Actor, check registry.PeerCheck, path, reason string) (taken int, refused []CheckRefused, err error) {
	info, err := sheet.Examine(path)
	if err != nil {
		return 0, nil, err
	}
	rows, err := sheet.Open(path, info, sheet.Options{})
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = rows.Close() }() // only read
	id, state := -1, -1
	for i, heading := range rows.Header() {
		switch heading {
		case answerID:
			id = i
		case answerState:
			state = i
		}
	}
	if id < 0 || state < 0 {
		return 0, nil, &registry.FieldError{Field: "file", ZH: "须有“" + answerID + "”和“" + answerState + "”两列", EN: "columns " + answerID + " and " + answerState}
	}
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return taken, refused, nil
		}
		if err != nil {
			return taken, refused, err
		}
		changed, err := takeCheck(ctx, db, actor, check, row, id, state, reason+" 第 "+strconv.FormatInt(row.Number, 10)+" 行")
		switch {
		case errors.Is(err, registry.ErrInvalid) || errors.Is(err, registry.ErrNotFound) || row.Err != nil:
			refused = append(refused, CheckRefused{row.Number, err})
		case err != nil:
			return taken, refused, err
		case changed:
			taken++
		}
	}
}

func takeCheck(ctx context.Context, db *registry.DB, actor registry.Actor, check registry.PeerCheck, row sheet.Row, id, state int, reason string) (changed bool, err error) {
	if row.Err != nil {
		return false, row.Err
	}
	person, err := uuid.Parse(row.Cells[id])
	if err != nil {
		return false, &registry.FieldError{Field: answerID, ZH: "应为比对文件中的人员编号", EN: "the person's id of the file that was given out"}
	}
	err = db.InTx(ctx, actor, func(tx *registry.Tx) error {
		var err error
		changed, err = tx.RecordCheck(check, person, row.Cells[state], reason)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("%s: %w", check.Name, err)
	}
	return changed, nil
}
