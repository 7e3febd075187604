package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// idempotencyRow is a row of idempotency.
type idempotencyRow struct {
	Operator  string    `gorm:"column:operator"`
	Key       string    `gorm:"column:key"`
	Request   []byte    `gorm:"column:request"`
	Answer    []byte    `gorm:"column:answer"`
	CreatedAt time.Time `gorm:"column:created_at"`
}

// TableName implements gorm's schema.Tabler.
func (idempotencyRow) TableName() string { return "idempotency" }

func (r *idempotencyRow) place() string { return r.Operator + "/" + r.Key }

// longRequest is the length in bytes from which the vault is given a request's
// SHA-256 in its place: one with a scanned paper is of several megabytes.
const longRequest = 2 << 20

// Once runs change like [DB.InTx], but only once for a key of this operator:
// change's answer (anything that encodes as JSON) is stored, sealed, in the
// same transaction, and given again to every later call with the same key and
// the same request, for which replayed is true. Another request under the same
// key gives [ErrKeyReused]. Of two calls at once the second waits for the
// first. A change that fails leaves no trace of the key.
func (db *DB) Once(ctx context.Context, actor Actor, key string, request []byte, change func(tx *Tx) (any, error)) (answer json.RawMessage, replayed bool, err error) {
	if key == "" || len(key) > 255 {
		return nil, false, &FieldError{Field: "idempotencyKey", ZH: "应为 1 至 255 字节", EN: "1 to 255 bytes"}
	}
	// A keyed digest: a request holds personal data that a plain one would betray.
	if len(request) > longRequest {
		sum := sha256.Sum256(request)
		request = sum[:]
	}
	digest, err := db.vault.Index(ctx, firstIndex, "idempotency", request)
	if err != nil {
		return nil, false, fmt.Errorf("registry: once: %w", err)
	}
	err = db.InTx(ctx, actor, func(tx *Tx) error {
		row := idempotencyRow{Operator: actor.Operator, Key: key, Request: digest, CreatedAt: tx.now}
		claimed := tx.gorm.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		if claimed.Error != nil {
			return claimed.Error
		}
		var err error
		if claimed.RowsAffected == 0 {
			tx.replayed, replayed = true, true
			answer, err = tx.storedAnswer(row)
			return err
		}
		replayed = false
		answer, err = tx.newAnswer(row, change)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return answer, replayed, nil
}

func (tx *Tx) storedAnswer(asked idempotencyRow) (json.RawMessage, error) {
	var stored idempotencyRow
	if err := tx.gorm.Where("operator = ? AND key = ?", asked.Operator, asked.Key).Take(&stored).Error; err != nil {
		return nil, err
	}
	if string(stored.Request) != string(asked.Request) {
		return nil, ErrKeyReused
	}
	return tx.db.Unseal(tx.ctx, "idempotency.answer", asked.place(), stored.Answer)
}

func (tx *Tx) newAnswer(row idempotencyRow, change func(tx *Tx) (any, error)) (json.RawMessage, error) {
	value, err := change(tx)
	if err != nil {
		return nil, err
	}
	answer, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("registry: once: answer: %w", err)
	}
	sealed, err := tx.db.Seal(tx.ctx, "idempotency.answer", row.place(), answer)
	if err != nil {
		return nil, err
	}
	tx.Queue(func(db *gorm.DB) *gorm.DB {
		return db.Model(&idempotencyRow{}).Where("operator = ? AND key = ?", row.Operator, row.Key).Update("answer", sealed)
	}, nil)
	return answer, nil
}
