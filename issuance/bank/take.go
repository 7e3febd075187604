package bank

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/registry"
)

// Taken is what became of a file of a bank.
type Taken struct {
	Kind, Bank, Batch string
	Rows, Done, Bad   int64
	Again             bool // it was taken before
	Day               *Day // of a statement
}

// TakeFile takes a file of a bank: the return of an account-opening file
// (开户回盘) or the statement of a day (日终对账文件). The file is verified to its
// last byte before anything is taken; what is wrong with it as a whole is a
// *FileError, and nothing has changed. Rows that cannot be taken are on record
// with their reasons. An interrupted file goes on where it stopped.
func (s *Service) TakeFile(ctx context.Context, path string) (Taken, error) {
	file, err := openFile(path)
	if err != nil {
		return Taken{}, err
	}
	defer func() { _ = file.Close() }() // only read
	p, t, err := s.verify(file)
	if err != nil {
		var refused *FileError
		if errors.As(err, &refused) {
			err = errors.Join(err, s.fileRefused(ctx, refused))
		}
		return Taken{}, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return Taken{}, err
	}
	take := s.takeReturn
	if t.Kind == kindStatement {
		take = s.takeStatement
	}
	return take(ctx, file, p, t)
}

func (s *Service) fileRefused(ctx context.Context, refused *FileError) error {
	return s.changes.InTx(ctx, s.system(), func(tx *registry.Tx) error {
		return tx.Audit("bank.file.refused", "bank-file:unknown", map[string]string{"code": refused.Code})
	})
}

// verify reads a file without acting on it.
func (s *Service) verify(file *os.File) (Peer, tail, error) {
	parts := strings.Split(strings.TrimSuffix(filepath.Base(file.Name()), fileSuffix), "_")
	if len(parts) != 4 {
		return Peer{}, tail{}, refuse("name", "文件名应为 种类_银行_批次_摘要"+fileSuffix, "the name is not KIND_BANK_BATCH_DIGEST"+fileSuffix)
	}
	p, err := s.peer(parts[1])
	if err != nil {
		return Peer{}, tail{}, err
	}
	form := map[string]func([]string) error{kindReturn: checkReturn, kindStatement: checkStatement}[parts[0]]
	if form == nil {
		return Peer{}, tail{}, refuse("kind", "文件种类应为 "+kindReturn+" 或 "+kindStatement, "the kind is not "+kindReturn+" or "+kindStatement)
	}
	var amount int64
	t, digest, err := readFile(file, p.credentials(), s.db.Now(), func(row int64, fields []string) error {
		if err := form(fields); err != nil {
			return refuse("row", fmt.Sprintf("第 %d 行：%v", row, err), fmt.Sprintf("row %d is not of its form", row))
		}
		amount += amountOf(fields)
		return nil
	})
	switch {
	case err != nil:
		return Peer{}, tail{}, err
	case t.Kind != parts[0] || t.Bank != p.Code || t.Batch != parts[2]:
		return Peer{}, tail{}, refuse("name", "文件名与内容不符", "its name says something else than it")
	case digest != parts[3]:
		return Peer{}, tail{}, refuse("digest", "文件名中的摘要不符，传输中损坏或被改动", "its digest is not the one of its name")
	case t.AmountFen != amount:
		return Peer{}, tail{}, refuse("amount", "各行金额之和与总金额不符", "its rows do not add up to its sum")
	}
	return p, t, nil
}

// enterFile writes down that a file is being taken, or returns how far that is.
func (s *Service) enterFile(ctx context.Context, p Peer, t tail, name string) (f fileRow, err error) {
	err = s.changes.InTx(ctx, s.theBank(p.Code), func(tx *registry.Tx) error {
		digest := strings.Split(strings.TrimSuffix(name, fileSuffix), "_")[3]
		f = fileRow{Bank: p.Code, Kind: t.Kind, Batch: t.Batch, Name: name, Digest: digest, State: "taking", Rows: t.Rows, BegunAt: tx.Now()}
		var err error
		if f.ID, err = tx.NewID(); err != nil {
			return err
		}
		created := tx.DB().Clauses(clause.OnConflict{DoNothing: true}).Create(&f)
		if created.Error != nil {
			return created.Error
		}
		if created.RowsAffected == 0 {
			f = fileRow{}
			if err := tx.DB().Where("name = ?", name).Take(&f).Error; err != nil {
				return err
			}
		}
		return tx.Audit("bank.file.taking", f.subject(), map[string]string{"bank": p.Code, "kind": t.Kind, "batch": t.Batch, "rows": strconv.FormatInt(t.Rows, 10)})
	})
	return f, err
}

// returned is a row of the return of an account-opening file: order, card
// number, name, number, account, result, code, reason.
const returnFields = 8

func checkReturn(fields []string) error {
	if len(fields) != returnFields {
		return errors.New("应有 8 个字段")
	}
	if _, err := uuid.Parse(fields[0]); err != nil {
		return errors.New("指令编号应为 UUID")
	}
	if fields[5] != resultDone && fields[5] != resultRefused {
		return errors.New("结果应为 done 或 refused")
	}
	return nil
}

func (s *Service) takeReturn(ctx context.Context, file *os.File, p Peer, t tail) (Taken, error) {
	var sent fileRow
	err := s.db.Read(ctx).Where("bank = ? AND batch = ? AND kind = ?", p.Code, t.Batch, kindOpen).Take(&sent).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return Taken{}, refuse("batch", "没有发出过此批次的开户文件", "no file of this batch was sent")
	case err != nil:
		return Taken{}, err
	case sent.Rows != t.Rows:
		return Taken{}, refuse("count", fmt.Sprintf("回盘 %d 行，开户文件 %d 行", t.Rows, sent.Rows), "it has another number of rows than the file that it answers")
	}
	f, err := s.enterFile(ctx, p, t, filepath.Base(file.Name()))
	if err != nil || f.State == "taken" {
		return f.taken(err == nil), err
	}
	var pending [][]string
	first := f.Done + f.Bad + 1
	flush := func() error {
		if len(pending) == 0 {
			return nil
		}
		rows := pending
		pending = nil
		return s.takePage(ctx, p, &f, first, rows, &first)
	}
	_, _, err = readFile(file, p.credentials(), s.db.Now(), func(row int64, fields []string) error {
		if row < first {
			return nil
		}
		if pending = append(pending, fields); len(pending) == page {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = s.endReturn(ctx, p, &f)
	}
	return f.taken(false), err
}

func (f fileRow) taken(again bool) Taken {
	return Taken{Kind: f.Kind, Bank: f.Bank, Batch: f.Batch, Rows: f.Rows, Done: f.Done, Bad: f.Bad, Again: again}
}

// takePage takes some rows in one transaction with how far the file is then.
func (s *Service) takePage(ctx context.Context, p Peer, f *fileRow, first int64, rows [][]string, next *int64) error {
	var bad []rowOutcome
	err := s.changes.InTx(ctx, s.theBank(p.Code), func(tx *registry.Tx) error {
		misfits, err := s.takeRows(tx, p, f.Batch, rows)
		if err != nil {
			return err
		}
		bad = nil
		for i, misfit := range misfits {
			if misfit != "" {
				id := uuid.MustParse(rows[i][0]) // it was checked
				bad = append(bad, rowOutcome{FileID: f.ID, Row: first + int64(i), Order: &id, Code: short(rows[i][6], 16), Reason: misfit})
			}
		}
		if len(bad) > 0 {
			if err := tx.DB().Create(&bad).Error; err != nil {
				return err
			}
		}
		moved := tx.DB().Model(&fileRow{}).Where("id = ? AND done_rows + bad_rows = ?", f.ID, first-1).
			Updates(map[string]any{"done_rows": f.Done + int64(len(rows)-len(bad)), "bad_rows": f.Bad + int64(len(bad))})
		if moved.Error != nil {
			return moved.Error
		}
		if moved.RowsAffected == 0 {
			return registry.ErrConflict // somebody else is taking it
		}
		return tx.Audit("bank.file.rows", f.subject(), map[string]string{"done": strconv.Itoa(len(rows) - len(bad)), "refused": strconv.Itoa(len(bad))})
	})
	if err == nil {
		f.Done, f.Bad = f.Done+int64(len(rows)-len(bad)), f.Bad+int64(len(bad))
		*next = first + int64(len(rows))
	}
	return err
}

// endReturn ends the taking. Orders that the bank has left out leave the batch:
// the bank is asked about them by real-time message.
func (s *Service) endReturn(ctx context.Context, p Peer, f *fileRow) error {
	return s.changes.InTx(ctx, s.theBank(p.Code), func(tx *registry.Tx) error {
		err := tx.DB().Model(&order{}).Where("bank = ? AND batch = ? AND state = ? AND reversal_id IS NULL", p.Code, f.Batch, Sent).
			Updates(map[string]any{"state": Unknown, "batch": nil, "answer": "回盘文件中没有此指令", "next_at": tx.Now()}).Error
		if err != nil {
			return err
		}
		if err := tx.DB().Model(&fileRow{}).Where("id = ?", f.ID).Updates(map[string]any{"state": "taken", "ended_at": tx.Now()}).Error; err != nil {
			return err
		}
		return tx.Audit("bank.file.taken", f.subject(), map[string]string{"done": strconv.FormatInt(f.Done, 10), "refused": strconv.FormatInt(f.Bad, 10)})
	})
}

// Outcome is a row of a file that could not be taken.
type Outcome struct {
	Row          int64
	Code, Reason string
}

// Outcomes returns the rows of a batch's return that could not be taken.
func (s *Service) Outcomes(ctx context.Context, bank, batch string) (all []Outcome, err error) {
	return all, s.db.Read(ctx).Table("bank_file_rows").Select("row_number AS row, code, reason").
		Joins("JOIN bank_files ON bank_files.id = bank_file_rows.file_id").
		Where("bank_files.bank = ? AND bank_files.batch = ?", bank, batch).Order("bank_files.id, row_number").Scan(&all).Error
}
