package session

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"onecard/apdu"
)

// The status of a session.
const (
	statusOpen       = "open"
	statusDone       = "done"
	statusFailed     = "failed"
	statusSuperseded = "superseded"
)

// row is a row of chip_sessions.
type row struct {
	ID          uuid.UUID `gorm:"column:id"`
	Operation   string    `gorm:"column:operation"`
	Work        string    `gorm:"column:work"`
	Operator    string    `gorm:"column:operator"`
	Workstation string    `gorm:"column:workstation"`
	Place       string    `gorm:"column:place"`
	Reader      string    `gorm:"column:reader"`
	ATR         string    `gorm:"column:atr"`
	Subject     string    `gorm:"column:subject"`
	Seq         int       `gorm:"column:seq"`      // of the script that is out
	Attempts    int       `gorm:"column:attempts"` // floor; 0: none
	Status      string    `gorm:"column:status"`
	State       []byte    `gorm:"column:state"`  // sealed operation; empty at the end
	Asked       []byte    `gorm:"column:asked"`  // digest of the last answers taken
	Answer      []byte    `gorm:"column:answer"` // sealed turn that they got
	CreatedAt   time.Time `gorm:"column:created_at"`
	ChangedAt   time.Time `gorm:"column:changed_at"`
	ExpiresAt   time.Time `gorm:"column:expires_at"`
}

// TableName implements gorm's schema.Tabler.
func (row) TableName() string { return "chip_sessions" }

func (r *row) session() Session {
	return Session{
		ID: r.ID, Operation: r.Operation, Operator: r.Operator, Workstation: r.Workstation, Place: r.Place, Reader: r.Reader,
		ATR: r.ATR, Subject: r.Subject, Done: r.Status == statusDone, ChangedAt: r.ChangedAt,
	}
}

// put seals a value into a column of the row.
func (s *Store) put(ctx context.Context, r *row, column string, value any) ([]byte, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("session: encode %s: %w", column, err)
	}
	return s.config.DB.Seal(ctx, "chip_sessions."+column, r.ID.String(), plain)
}

// get opens what put sealed.
func (s *Store) get(ctx context.Context, r *row, column string, sealed []byte) ([]byte, error) {
	return s.config.DB.Unseal(ctx, "chip_sessions."+column, r.ID.String(), sealed)
}

// digest is a keyed digest of what a step was given.
func (s *Store) digest(ctx context.Context, seq int, responses []apdu.Response, pin string) ([]byte, error) {
	message := apdu.AppendTLV(nil, 0x80, []byte(pin))
	message = apdu.AppendTLV(message, 0x81, fmt.Append(nil, seq))
	for _, r := range responses {
		message = apdu.AppendTLV(message, 0x82, r.Bytes())
	}
	return s.config.DB.Index(ctx, "chip_sessions.asked", message)
}
