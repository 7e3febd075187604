package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"
)

// What peers are told of, and what they answer (消息主题).
const (
	TopicCardStatus     = "card.status"     // a card's status has changed
	TopicPoliceCheck    = "police.check"    // 公安比对: is this person as the police have them?
	TopicPoliceResult   = "police.result"   // the answer
	TopicMinistryCheck  = "ministry.check"  // 部级持卡库查重: does this person have a card elsewhere?
	TopicMinistryResult = "ministry.result" // the answer
)

// Outgoing is a message that waits to be handed over (待发消息).
type Outgoing struct {
	ID       uuid.UUID  `gorm:"column:id;primaryKey"`
	At       time.Time  `gorm:"column:at"`
	Topic    string     `gorm:"column:topic"`
	Place    string     `gorm:"column:place"`   // whom it concerns, by place
	Subject  string     `gorm:"column:subject"` // such as card:018f…
	Body     string     `gorm:"column:body"`    // JSON without personal data; "" is made when it is handed over
	HandedAt *time.Time `gorm:"column:handed_at"`
}

// TableName implements gorm's schema.Tabler.
func (Outgoing) TableName() string { return "outbox" }

// Tell writes a message for peers in the same transaction. What the body would
// say of a person stays out of it: nil has it made at the time it is handed
// over.
func (tx *Tx) Tell(topic, place, subject string, body any) error {
	id, err := tx.NewID()
	if err != nil {
		return fmt.Errorf("registry: tell: %w", err)
	}
	message := Outgoing{ID: id, At: tx.now, Topic: topic, Place: place, Subject: subject}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("registry: tell: %w", err)
		}
		message.Body = string(text)
	}
	tx.Append(message)
	return nil
}

// PlaceOf returns the place (GB/T 2260) of a person.
func (tx *Tx) PlaceOf(person uuid.UUID) (place string, err error) {
	err = tx.gorm.Model(&personRow{}).Where("id = ?", person).Select("place").Take(&place).Error
	return place, err
}

// Waiting returns messages that have not been handed over, in the order of
// their making.
func (db *DB) Waiting(ctx context.Context, most int) (messages []Outgoing, err error) {
	return messages, db.Read(ctx).Where("handed_at IS NULL").Order("id").Limit(most).Find(&messages).Error
}

// HandedOver notes that messages are in the exchange store. It is no act of a
// person and changes no fact: the message itself is on record.
func (db *DB) HandedOver(ctx context.Context, messages []Outgoing) error {
	ids := make([]uuid.UUID, len(messages))
	for i, m := range messages {
		ids[i] = m.ID
	}
	return translate(db.write.WithContext(ctx).Model(&Outgoing{}).Where("id IN ?", ids).Update("handed_at", db.Now()).Error)
}

// Incoming is a message of a peer's.
type Incoming struct {
	Peer  string
	ID    uuid.UUID
	Topic string
	// Record is what it says under our own field names; Unread why it could not be
	// read as such.
	Record map[string]string
	Unread error
	// Body is what it says as it was sent, for topics of other packages: see Taker.
	Body []byte
}

// receivedRow is a row of received.
type receivedRow struct {
	Peer    string    `gorm:"column:peer;primaryKey"`
	ID      uuid.UUID `gorm:"column:id;primaryKey"`
	Topic   string    `gorm:"column:topic"`
	At      time.Time `gorm:"column:at"`
	Outcome string    `gorm:"column:outcome"`
}

func (receivedRow) TableName() string { return "received" }

// OutcomeTaken is what becomes of a message that was taken; any other outcome
// says why it was not.
const OutcomeTaken = "taken"

// Taker does what a message of a peer's says. A *FieldError or ErrNotFound says
// why it cannot be done; any other error has the message tried again.
type Taker func(tx *Tx, m Incoming) error

// Take takes a message of a peer's, once: again it says what became of it the
// first time. A message that cannot be taken changes nothing, and why stays on
// record. Topics that are not the registry's own have their takers.
func (db *DB) Take(ctx context.Context, place string, m Incoming, takers map[string]Taker) (outcome string, err error) {
	receive := (*Tx).receive
	if taker, ok := takers[m.Topic]; ok {
		receive = taker
	}
	actor := Actor{Operator: "peer:" + m.Peer, Place: place}
	take := func(outcome *string, change func(tx *Tx) error) error {
		return db.InTx(ctx, actor, func(tx *Tx) error {
			var known receivedRow
			found := tx.gorm.Where("peer = ? AND id = ?", m.Peer, m.ID).Limit(1).Find(&known)
			if found.Error != nil {
				return found.Error
			}
			if found.RowsAffected == 1 {
				*outcome, tx.replayed = known.Outcome, true
				return nil
			}
			if err := change(tx); err != nil {
				return err
			}
			row := receivedRow{Peer: m.Peer, ID: m.ID, Topic: m.Topic, At: tx.now, Outcome: *outcome}
			if err := tx.gorm.Create(&row).Error; err != nil {
				return err
			}
			return tx.Audit("message.received", "message:"+m.ID.String(), map[string]string{"peer": m.Peer, "topic": m.Topic, "outcome": *outcome})
		})
	}
	outcome = OutcomeTaken
	err = take(&outcome, func(tx *Tx) error { return receive(tx, m) })
	var refused *FieldError
	if errors.As(err, &refused) || errors.Is(err, ErrNotFound) {
		outcome = err.Error()
		err = take(&outcome, func(*Tx) error { return nil })
	}
	return outcome, err
}

// receive does what a message says.
func (tx *Tx) receive(m Incoming) error {
	if m.Unread != nil {
		return m.Unread
	}
	for _, check := range []PeerCheck{Police, Ministry} {
		if check.Answer != m.Topic {
			continue
		}
		person, err := uuid.Parse(m.Record["person"])
		if err != nil {
			return &FieldError{Field: "person", ZH: "应为所问人员的编号", EN: "the id of the person who was asked about"}
		}
		_, err = tx.RecordCheck(check, person, m.Record[check.Field], "peer:"+m.Peer)
		return err
	}
	return &FieldError{Field: "topic", ZH: "不是可接收的主题", EN: "not a topic that is taken"}
}

// Undelivered is a message that a peer could not be told: its mapping table has
// no way to say it. It holds no value.
type Undelivered struct {
	Message uuid.UUID `gorm:"column:message_id;primaryKey"`
	Peer    string    `gorm:"column:peer;primaryKey"`
	Topic   string    `gorm:"column:topic"`
	Subject string    `gorm:"column:subject"`
	Why     string    `gorm:"column:why"`
	At      time.Time `gorm:"column:at"`
}

// TableName implements gorm's schema.Tabler.
func (Undelivered) TableName() string { return "undelivered" }

// Withhold puts messages on record that peers could not be told.
func (db *DB) Withhold(ctx context.Context, place string, messages []Undelivered) error {
	if len(messages) == 0 {
		return nil
	}
	return db.InTx(ctx, Actor{Operator: "exchange", Place: place}, func(tx *Tx) error {
		for _, m := range messages {
			m.At = tx.now
			made := tx.gorm.Clauses(clause.OnConflict{DoNothing: true}).Create(&m)
			if made.Error != nil {
				return made.Error
			}
			if err := tx.Audit("message.withheld", "message:"+m.Message.String(), map[string]string{"peer": m.Peer, "topic": m.Topic, "why": m.Why}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Withheld returns what peers could not be told, in the order of its making.
func (db *DB) Withheld(ctx context.Context) (messages []Undelivered, err error) {
	return messages, db.Read(ctx).Order("message_id, peer").Find(&messages).Error
}

// TellAgain lets all that peers could not be told be handed over once more, and
// returns how many messages these are. Who has a message already does not get it
// twice.
func (db *DB) TellAgain(ctx context.Context, actor Actor) (n int64, err error) {
	err = db.InTx(ctx, actor, func(tx *Tx) error {
		waiting := tx.gorm.Model(&Undelivered{}).Distinct("message_id")
		again := tx.gorm.Model(&Outgoing{}).Where("id IN (?)", waiting).Update("handed_at", nil)
		if again.Error != nil {
			return again.Error
		}
		n = again.RowsAffected
		if err := tx.gorm.Where("1 = 1").Delete(&Undelivered{}).Error; err != nil {
			return err
		}
		return tx.Audit("messages.again", "outbox", map[string]string{"messages": fmt.Sprint(n)})
	})
	return n, err
}
