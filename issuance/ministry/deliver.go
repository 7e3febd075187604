package ministry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/issuance/tell"
	"onecard/registry"
)

// Service tells the ministry. It may be used by several goroutines.
type Service struct {
	DB    *registry.DB
	Line  *Line
	Place string // in whose name (GB/T 2260)
}

// limitOfOne is how long the ministry may take for a message.
const limitOfOne = 20 * time.Second

func (s *Service) us() registry.Actor { return registry.Actor{Operator: "system", Place: s.Place} }
func (s *Service) them() registry.Actor {
	return registry.Actor{Operator: "peer:ministry", Place: s.Place}
}

// Deliver tells the ministry of a card (card:ID) or of all cards of a person
// (person:ID), or asks about the holder of an application (application:ID). Told
// again, it has one effect: a card's content has a version, and a message its id
// by them; a question's is that of the delivery.
func (s *Service) Deliver(ctx context.Context, d tell.Delivery) (tell.Answer, error) {
	what, text, _ := strings.Cut(d.Subject, ":")
	id, err := uuid.Parse(text)
	if err != nil || what != "card" && what != "person" && what != "application" {
		return tell.Answer{Code: "subject", Text: "不是卡、人员或申领 neither a card, a person nor an application"}, nil
	}
	switch what {
	case "card":
		return s.Tell(ctx, id)
	case "application":
		return s.Ask(ctx, d.ID, id)
	}
	var cards []uuid.UUID
	if err := s.DB.Read(ctx).Table("cards").Where("person_id = ?", id).Order("id").Pluck("id", &cards).Error; err != nil {
		return tell.Answer{}, err
	}
	all := tell.Answer{Acknowledged: true}
	for _, card := range cards {
		one, err := s.Tell(ctx, card)
		if err != nil {
			return one, err
		}
		if !one.Acknowledged {
			all = one
		}
	}
	return all, nil
}

// copyRow is a row of ministry_copies.
type copyRow struct {
	CardID     uuid.UUID  `gorm:"column:card_id;primaryKey"`
	Version    int64      `gorm:"column:version"`
	Digest     []byte     `gorm:"column:digest"`
	Status     string     `gorm:"column:status"`
	Known      bool       `gorm:"column:known"`
	Code       string     `gorm:"column:code"`
	Answer     string     `gorm:"column:answer"`
	SentAt     time.Time  `gorm:"column:sent_at"`
	AnsweredAt *time.Time `gorm:"column:answered_at"`
}

// TableName implements gorm's schema.Tabler.
func (copyRow) TableName() string { return "ministry_copies" }

// cardRow is what of a card is told.
type cardRow struct {
	ID            uuid.UUID `gorm:"column:id"`
	Number        string    `gorm:"column:number"`
	ChipID        string    `gorm:"column:chip_id"`
	PersonID      uuid.UUID `gorm:"column:person_id"`
	Specification string    `gorm:"column:spec_version"`
	Status        string    `gorm:"column:status"`
	IssuedOn      string    `gorm:"column:issued_on"`
	ExpiresOn     string    `gorm:"column:expires_on"`
	Ministry      string    `gorm:"column:ministry_state"`
}

// TableName implements gorm's schema.Tabler.
func (cardRow) TableName() string { return "cards" }

// message is a card on its way to the ministry.
type message struct {
	kind    string
	id      uuid.UUID
	card    uuid.UUID
	version int64
	items   map[string]string
	invalid error   // the schema does not take it: it is not sent
	known   copyRow // it is not sent either: with errKnown
}

// errKnown ends a transaction in which there was nothing to tell: the ministry
// has accepted the card as it stands.
var errKnown = errors.New("ministry: the card is known as it is")

// Tell tells the ministry of a card as it stands now.
func (s *Service) Tell(ctx context.Context, card uuid.UUID) (tell.Answer, error) {
	m, err := s.prepare(ctx, card)
	if errors.Is(err, errKnown) {
		return tell.Answer{Code: m.known.Code, Text: m.known.Answer, Acknowledged: true}, nil
	}
	if err != nil {
		return tell.Answer{}, err
	}
	if m.invalid != nil {
		return s.conclude(ctx, m, "refuse", reply{Code: "local", Text: m.invalid.Error()})
	}
	limited, cancel := context.WithTimeout(ctx, limitOfOne)
	defer cancel()
	r, sending := s.Line.send(limited, m.kind, m.id, m.items, nil)
	// What was said is written down even when the program is stopping.
	ctx = context.WithoutCancel(ctx)
	if sending != nil {
		answer, err := s.conclude(ctx, m, eventLose, reply{Code: "99"})
		return answer, errors.Join(sending, err)
	}
	return s.conclude(ctx, m, s.Line.Schema.Answers[r.Code], r)
}

// prepare makes the message of a card as it stands, under the lock of the card:
// a later version never tells of an earlier state.
func (s *Service) prepare(ctx context.Context, id uuid.UUID) (m message, err error) {
	err = s.DB.InTx(ctx, s.us(), func(tx *registry.Tx) error {
		var card cardRow
		if err := tx.ForUpdate().Where("id = ?", id).Take(&card).Error; err != nil {
			return err
		}
		person, err := tx.PersonByID(card.PersonID)
		if err != nil {
			return err
		}
		values := map[string]string{
			"card": card.Number, "chip": card.ChipID, "idType": person.IDType, "number": person.Number(), "person": person.Name,
			"sex": string(person.Sex), "birth": person.Birth.Compact(), "place": person.Place, "specification": card.Specification,
			"issuedOn": strings.ReplaceAll(card.IssuedOn, "-", ""), "expiresOn": strings.ReplaceAll(card.ExpiresOn, "-", ""),
		}
		row, changed, err := s.version(tx, card, values)
		if err != nil {
			return err
		}
		if !changed && row.Known && card.Ministry == Accepted {
			m.known = row
			return errKnown
		}
		m = s.compose(row, values)
		if err := move(tx, card, eventSend, "向部级上传 sent to the ministry"); err != nil {
			return err
		}
		return tx.Audit("ministry.sent", "card:"+id.String(), map[string]string{"message": m.id.String(), "kind": m.kind, "version": strconv.FormatInt(m.version, 10)})
	})
	return m, err
}

// columnContent is the purpose of the digest of what was told.
const columnContent = "ministry_copies.content"

// version finds the version of what is told now: the last one if it is the same,
// else the next, and says whether it is.
func (s *Service) version(tx *registry.Tx, card cardRow, values map[string]string) (row copyRow, changed bool, err error) {
	content, err := json.Marshal(values)
	if err != nil {
		return row, false, err
	}
	digest, err := s.DB.Index(tx.Context(), columnContent, content)
	if err != nil {
		return row, false, err
	}
	digest = digest[:16]
	var rows []copyRow
	if err := tx.DB().Where("card_id = ?", card.ID).Limit(1).Find(&rows).Error; err != nil {
		return row, false, err
	}
	if len(rows) == 0 {
		row := copyRow{CardID: card.ID, Version: 1, Digest: digest, Status: card.Status, SentAt: tx.Now()}
		return row, true, tx.DB().Create(&row).Error
	}
	row = rows[0]
	other := !bytes.Equal(row.Digest, digest)
	changed = other || row.Status != card.Status
	if changed {
		row.Version++
	}
	row.Known = row.Known && !other // what has changed is more than the status: it is registered anew
	row.Digest, row.Status, row.SentAt = digest, card.Status, tx.Now()
	return row, changed, tx.DB().Model(&copyRow{}).Where("card_id = ?", card.ID).Select("version", "digest", "status", "known", "sent_at").Updates(&row).Error
}

// messages is the space of the ids of messages (RFC 9562, version 5): the same
// content of a card has the same id.
var messages = uuid.MustParse("0b6fd7ce-7f8e-5d0c-9a53-6f6c1b8a4d02")

func (s *Service) compose(row copyRow, values map[string]string) message {
	m := message{kind: "status", card: row.CardID, version: row.Version}
	if !row.Known {
		m.kind = "register"
	}
	told := map[string]string{"status": row.Status, "version": strconv.FormatInt(row.Version, 10)}
	for _, f := range s.Line.Schema.Messages[m.kind].Fields {
		if value, ok := values[f.Name]; ok {
			told[f.Name] = value
		}
	}
	m.id = uuid.NewSHA1(messages, fmt.Appendf(nil, "%s %s %d %s %x", m.card, m.kind, m.version, row.Status, row.Digest))
	m.items, m.invalid = s.Line.Schema.encode(m.kind, told)
	return m
}

// move lets an event happen to the ministry's copy of a card. One that the copy's
// state does not have changes nothing: another answer came first.
func move(tx *registry.Tx, card cardRow, event, reason string) error {
	rule, ok := Copies.Rule(card.Ministry, event)
	if !ok || rule.To == card.Ministry {
		return nil
	}
	return tx.DB().Model(&cardRow{}).Where("id = ?", card.ID).Updates(tx.Change(map[string]any{"ministry_state": rule.To}, reason)).Error
}

// conclude writes down what the ministry said to a message. The answer to a
// version that is not the last one says nothing of the copy any more.
func (s *Service) conclude(ctx context.Context, m message, event string, r reply) (tell.Answer, error) {
	answer := tell.Answer{Code: r.Code, Text: words(r), Acknowledged: event == "accept"}
	var again error
	err := s.DB.InTx(ctx, s.them(), func(tx *registry.Tx) error {
		again = nil
		var card cardRow
		if err := tx.ForUpdate().Where("id = ?", m.card).Take(&card).Error; err != nil {
			return err
		}
		var row copyRow
		if err := tx.DB().Where("card_id = ?", m.card).Take(&row).Error; err != nil {
			return err
		}
		superseded := row.Version != m.version
		detail := map[string]string{"message": m.id.String(), "code": r.Code, "superseded": strconv.FormatBool(superseded)}
		if err := tx.Audit("ministry."+event, "card:"+m.card.String(), detail); err != nil || superseded {
			return err
		}
		if event == eventLose || event == "outdated" {
			again = fmt.Errorf("%w: %s", ErrNoAnswer, event)
		}
		if err := move(tx, card, event, answer.Text); err != nil {
			return err
		}
		now := tx.Now()
		row.Code, row.Answer, row.AnsweredAt = r.Code, answer.Text, &now
		row.Known = row.Known || event == "accept"
		if event != "accept" && event != eventLose {
			// Told again it is another message: it goes on after the ministry's version
			// and registers the card anew.
			row.Version, row.Digest, row.Known = max(row.Version, r.Version), make([]byte, 16), false
		}
		return tx.DB().Model(&copyRow{}).Where("card_id = ?", m.card).Select("version", "digest", "known", "code", "answer", "answered_at").Updates(&row).Error
	})
	return answer, errors.Join(err, again)
}

// maxWords bounds what is kept of an answer's text, in characters.
const maxWords = 200

func words(r reply) string {
	text := []rune(r.Text)
	told := string(text[:min(len(text), maxWords)])
	if r.Province != "" {
		told = strings.TrimSpace(told + "（" + r.province() + "）")
	}
	return told
}
