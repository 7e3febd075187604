// Package tell carries to each peer what it must know of a card or a person
// (通知各方): the bank, the ministry, the holder. What is to be told is written in
// the transaction of the change that it tells of; a worker hands it over, in
// the order of danger, until the peer has it. Terminals, insurance and
// employment are told in other ways: by the list of invalid cards and by the
// exchange store.
package tell

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/registry"
)

// The peers that are told one by one, and how dangerous it is that they do not
// know yet: who can spend money first.
const (
	Bank     = "bank"     // 合作银行
	Ministry = "ministry" // 部级持卡库
	Holder   = "holder"   // 持卡人
)

var ranks = map[string]int{Bank: 3, Ministry: 4, Holder: 5}

// Known says whether there is such a peer.
func Known(peer string) bool { return ranks[peer] > 0 }

// Message is what a peer must know.
type Message struct {
	Peer, Topic, Place, Subject string
	Body                        any // without personal data; nil is made when it leaves
}

// States of a delivery.
const (
	Waiting      = "waiting"
	Acknowledged = "acknowledged"
	Refused      = "refused" // for good: a person must look
)

// Delivery is a message on its way to a peer.
type Delivery struct {
	ID       uuid.UUID  `gorm:"column:id;primaryKey"`
	Peer     string     `gorm:"column:peer"`
	Rank     int        `gorm:"column:rank"`
	Topic    string     `gorm:"column:topic"`
	Place    string     `gorm:"column:place"` // GB/T 2260, of the person
	Subject  string     `gorm:"column:subject"`
	Body     string     `gorm:"column:body"` // JSON, or empty
	State    string     `gorm:"column:state"`
	Attempts int        `gorm:"column:attempts"`
	At       time.Time  `gorm:"column:at"` // of the change
	NextAt   time.Time  `gorm:"column:next_at"`
	EndedAt  *time.Time `gorm:"column:ended_at"`
	Code     string     `gorm:"column:code"`   // the peer's last answer, or why there was none
	Answer   string     `gorm:"column:answer"` // in words
}

// TableName implements gorm's schema.Tabler.
func (Delivery) TableName() string { return "deliveries" }

// Write stores what peers must know, in the transaction of the change.
func Write(tx *registry.Tx, messages ...Message) error {
	for _, m := range messages {
		id, err := tx.NewID()
		if err != nil {
			return fmt.Errorf("tell: %w", err)
		}
		row := Delivery{
			ID: id, Peer: m.Peer, Rank: ranks[m.Peer], Topic: m.Topic, Place: m.Place, Subject: m.Subject,
			State: Waiting, At: tx.Now(), NextAt: tx.Now(),
		}
		if m.Body != nil {
			text, err := json.Marshal(m.Body)
			if err != nil {
				return fmt.Errorf("tell: %w", err)
			}
			row.Body = string(text)
		}
		tx.Append(row)
	}
	return nil
}

// Of returns what peers were told of a subject, and whether they know it, the
// latest first.
func Of(db *gorm.DB, subject string, most int) (told []Delivery, err error) {
	return told, db.Where("subject = ?", subject).Order("id DESC").Limit(most).Find(&told).Error
}

// Answer is what a peer said to a message.
type Answer struct {
	Code, Text string
	// Acknowledged: the peer has it. If not, and there was no error, it refuses
	// for good.
	Acknowledged bool
}

// Deliverer hands one message to a peer. It is called again, with the same id,
// until it says that the peer has it: the peer must see one effect.
type Deliverer interface {
	Deliver(ctx context.Context, d Delivery) (Answer, error)
}
