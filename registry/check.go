package registry

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// PeerCheck is a question about every resident that another authority answers.
type PeerCheck struct {
	Name   string // for the audit log
	Topic  string
	Answer string // topic of the answer
	Field  string // our name of the state in it
	column string
	first  string
	// States are those that the answer may give, by code.
	States map[string]string
}

// The checks of a resident (公安比对, 部级持卡库查重). The codes of the police
// comparison are those in use at another province; the ministry's interface is
// not public, its states are this platform's own.
var (
	Police = PeerCheck{Name: "police", Topic: TopicPoliceCheck, Answer: TopicPoliceResult, Field: "policeState", column: "police_state", first: "00", States: map[string]string{
		"01": "更新 updated", "02": "一致 the same", "03": "异常 differs", "04": "无数据 no data",
	}}
	Ministry = PeerCheck{Name: "ministry", Topic: TopicMinistryCheck, Answer: TopicMinistryResult, Field: "ministryState", column: "ministry_state", first: "unsent", States: map[string]string{
		"accepted": "无重复 no other card", "duplicate": "他处有卡 has a card elsewhere", "rejected": "退回 rejected", "unknown": "未知 unknown",
	}}
)

// askAbout asks the authorities about a person who is new or another than before.
func (tx *Tx) askAbout(person Person) error {
	for _, topic := range []string{TopicPoliceCheck, TopicMinistryCheck} {
		if err := tx.Tell(topic, person.Place, "person:"+person.ID.String(), nil); err != nil {
			return err
		}
	}
	return nil
}

// RecordCheck records the answer to a check of a person, and says whether it is
// another than before.
func (tx *Tx) RecordCheck(check PeerCheck, id uuid.UUID, state, reason string) (changed bool, err error) {
	if _, ok := check.States[state]; !ok {
		return false, &FieldError{Field: "state", ZH: "不是" + check.Name + "结果代码", EN: "not a code of the result of " + check.Name}
	}
	var before string
	if err := tx.gorm.Model(&personRow{}).Where("id = ?", id).Select(check.column).Take(&before).Error; err != nil {
		return false, err
	}
	if before != state {
		result := tx.gorm.Model(&personRow{}).Where("id = ?", id).Updates(tx.Change(map[string]any{check.column: state}, reason))
		if result.Error != nil {
			return false, fmt.Errorf("registry: record check: %w", result.Error)
		}
	}
	return before != state, tx.Audit("person.checked", "person:"+id.String(), map[string]string{"by": check.Name, "state": state})
}

// Unchecked returns persons whom a check has not been answered for, after a
// person, in the order of their ids. It is a reading of personal data: the
// caller records it.
func (db *DB) Unchecked(ctx context.Context, check PeerCheck, after uuid.UUID, most int) ([]Person, error) {
	var rows []personRow
	waiting := []string{check.first}
	if check.first == Ministry.first {
		waiting = append(waiting, "sent", "stale", "unknown")
	}
	err := db.Read(ctx).Where(check.column+" IN ? AND id > ? AND merged_into IS NULL", waiting, after).Order("id").Limit(most).Find(&rows).Error
	if err != nil {
		return nil, err
	}
	return db.openPersons(ctx, rows)
}
