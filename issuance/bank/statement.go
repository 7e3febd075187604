package bank

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"strconv"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"onecard/registry"
)

// statementRow is a row of bank_statement_rows.
type statementRow struct {
	Bank  string `gorm:"column:bank"`
	Day   string `gorm:"column:day"`
	Kind  string `gorm:"column:kind"`
	Key   string `gorm:"column:item_key"`
	Index []byte `gorm:"column:account_index"`
	Said  string `gorm:"column:said"`
}

// TableName implements gorm's schema.Tabler.
func (statementRow) TableName() string { return "bank_statement_rows" }

// statementPage is how many rows of a statement are stored together.
const statementPage = 2000

// Rows of a statement: A, account, state; or F, order, operation, receipt, fen.
const (
	rowAccount = "A"
	rowFee     = "F"
)

func checkStatement(fields []string) error {
	switch {
	case len(fields) == 3 && fields[0] == rowAccount:
		if Accounts.State(fields[2]).Name == notOpened {
			return errors.New("账户状态不对")
		}
		return nil
	case len(fields) == 5 && fields[0] == rowFee:
		_, err := uuid.Parse(fields[1])
		amount, other := strconv.ParseInt(fields[4], 10, 64)
		if err != nil || other != nil || amount < 0 || fields[2] != ChargeFee && fields[2] != RefundFee {
			return errors.New("收费记录不对")
		}
		return nil
	}
	return errors.New("应为账户（A）3 个字段或收费（F）5 个字段")
}

// amountOf is what a row adds to the sum of its file, in fen.
func amountOf(fields []string) int64 {
	if fields[0] != rowFee || len(fields) != 5 {
		return 0
	}
	amount, err := strconv.ParseInt(fields[4], 10, 64)
	if err != nil {
		return 0 // it was checked
	}
	if fields[2] == RefundFee {
		return -amount
	}
	return amount
}

// loadStatement stores the rows of a statement to be compared. What an
// interrupted run has left is replaced.
func (s *Service) loadStatement(ctx context.Context, file *os.File, p Peer, f fileRow) error {
	store := func(first bool, rows []statementRow) error {
		return s.changes.InTx(ctx, s.theBank(p.Code), func(tx *registry.Tx) error {
			if first {
				if err := tx.DB().Where("bank = ? AND day = ?", p.Code, f.Batch).Delete(&statementRow{}).Error; err != nil {
					return err
				}
			}
			if len(rows) > 0 {
				created := tx.DB().Clauses(clause.OnConflict{DoNothing: true}).Create(&rows)
				if created.Error != nil {
					return created.Error
				}
				if created.RowsAffected != int64(len(rows)) {
					return refuse("twice", "同一账户或收费出现两次", "an account or a fee stands twice")
				}
			}
			return tx.Audit("bank.statement.rows", f.subject(), map[string]string{"rows": strconv.Itoa(len(rows))})
		})
	}
	if err := store(true, nil); err != nil {
		return err
	}
	var pending [][]string
	flush := func() error {
		if len(pending) == 0 {
			return nil
		}
		rows, err := s.statementRows(ctx, p, f, pending)
		if err != nil {
			return err
		}
		pending = pending[:0]
		return store(false, rows)
	}
	_, _, err := readFile(file, p.credentials(), s.db.Now(), func(_ int64, fields []string) error {
		if pending = append(pending, fields); len(pending) == statementPage {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	return err
}

// statementRows makes rows to be stored; an account is known by its digest.
func (s *Service) statementRows(ctx context.Context, p Peer, f fileRow, told [][]string) ([]statementRow, error) {
	var numbers [][]byte
	for _, fields := range told {
		if fields[0] == rowAccount {
			numbers = append(numbers, []byte(fields[1]))
		}
	}
	digests, err := s.db.IndexAll(ctx, columnAccount, numbers)
	if err != nil {
		return nil, err
	}
	rows := make([]statementRow, len(told))
	for i, fields := range told {
		if fields[0] == rowFee {
			rows[i] = statementRow{Bank: p.Code, Day: f.Batch, Kind: "fee", Key: fields[1], Said: fields[2] + " " + fields[4]}
			continue
		}
		index := digests[0][:accountIndex]
		digests = digests[1:]
		rows[i] = statementRow{Bank: p.Code, Day: f.Batch, Kind: "account", Index: index, Key: hex.EncodeToString(index), Said: fields[2]}
	}
	return rows, nil
}
