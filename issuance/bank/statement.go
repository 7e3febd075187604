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

	account []byte // number, of which Index and Key are made
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
// interrupted run has left is replaced. Their digests are those of the mark.
func (s *Service) loadStatement(ctx context.Context, file *os.File, p Peer, f fileRow, mark string) error {
	store := func(first bool, rows []statementRow) error {
		if err := s.digestRows(ctx, rows); err != nil {
			return err
		}
		return s.changes.InTx(ctx, s.theBank(p.Code), func(tx *registry.Tx) error {
			if err := tx.StillSettled(mark); err != nil {
				return err
			}
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
	var rows []statementRow
	_, _, err := readFile(file, p.credentials(), s.db.Now(), func(_ int64, fields []string) error {
		row := statementRow{Bank: p.Code, Day: f.Batch, Kind: "fee", Key: fields[1]}
		if fields[0] == rowAccount {
			row.Kind, row.account, row.Said = "account", []byte(fields[1]), fields[2]
		} else {
			row.Said = fields[2] + " " + fields[4]
		}
		if rows = append(rows, row); len(rows) == statementPage {
			defer func() { rows = rows[:0] }()
			return store(false, rows)
		}
		return nil
	})
	if err == nil && len(rows) > 0 {
		err = store(false, rows)
	}
	return err
}

// digestRows fills in the digest by which an account is met among ours, and the
// one by which it is named for ever.
func (s *Service) digestRows(ctx context.Context, rows []statementRow) error {
	var accounts [][]byte
	var at []int
	for i, row := range rows {
		if row.account != nil {
			accounts, at = append(accounts, row.account), append(at, i)
		}
	}
	indexes, err := s.db.IndexAll(ctx, columnAccount, accounts)
	if err != nil {
		return err
	}
	names, err := s.db.IndexNames(ctx, columnAccount, accounts)
	if err != nil {
		return err
	}
	for n, i := range at {
		rows[i].Index, rows[i].Key = indexes[n][:accountIndex], hex.EncodeToString(names[n][:accountIndex])
	}
	return nil
}
