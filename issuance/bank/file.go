package bank

import (
	"time"

	"github.com/google/uuid"
)

// Kinds of files (文件种类).
const (
	kindOpen      = "account-open"   // 开户文件, to the bank
	kindReturn    = "account-return" // 开户回盘, from the bank
	kindStatement = "statement"      // 日终对账文件, from the bank
)

// fileRow is a row of bank_files.
type fileRow struct {
	ID      uuid.UUID  `gorm:"column:id;primaryKey"`
	Bank    string     `gorm:"column:bank"`
	Kind    string     `gorm:"column:kind"`
	Batch   string     `gorm:"column:batch"`
	Name    string     `gorm:"column:name"`
	Digest  string     `gorm:"column:digest"`
	State   string     `gorm:"column:state"`
	Rows    int64      `gorm:"column:row_count"`
	Done    int64      `gorm:"column:done_rows"`
	Bad     int64      `gorm:"column:bad_rows"`
	BegunAt time.Time  `gorm:"column:begun_at"`
	EndedAt *time.Time `gorm:"column:ended_at"`
}

// TableName implements gorm's schema.Tabler.
func (fileRow) TableName() string { return "bank_files" }

func (f fileRow) subject() string { return "bank-file:" + f.ID.String() }

// rowOutcome is a row of bank_file_rows.
type rowOutcome struct {
	FileID uuid.UUID  `gorm:"column:file_id;primaryKey"`
	Row    int64      `gorm:"column:row_number;primaryKey"`
	Order  *uuid.UUID `gorm:"column:order_id"`
	Code   string     `gorm:"column:code"`
	Reason string     `gorm:"column:reason"`
}

// TableName implements gorm's schema.Tabler.
func (rowOutcome) TableName() string { return "bank_file_rows" }
