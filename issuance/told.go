package issuance

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/issuance/tell"
	"onecard/registry"
)

// StatusMessage is what peers are told when a card's status (AAZ502) has
// changed, under the field names of package indicator.
type StatusMessage struct {
	CardNumber   string    `json:"cardNumber"` // AAZ500
	ChipID       string    `json:"chipId"`     // AAZ501
	Status       string    `json:"cardStatus"` // AAZ502
	Event        string    `json:"event"`
	Version      int64     `json:"version"` // of the card: a later one is newer
	Consequences []string  `json:"consequences,omitempty"`
	At           time.Time `json:"at"`
}

// TopicNotice is the topic of what holders are told.
const TopicNotice = "holder.notice"

// Notice is what a holder is told: what has happened, for the words and the
// telephone number are found when it is sent (短信通知).
type Notice struct {
	Machine string     `json:"machine"` // application or card
	Event   string     `json:"event"`
	State   string     `json:"state"`
	Code    string     `json:"code,omitempty"` // of the reason
	Until   *time.Time `json:"until,omitempty"`
}

// tell lets everybody know of a card's change whom the rule names, the most
// dangerous first.
func (s *Service) tell(tx *registry.Tx, row cardRow, rule Rule, reason Reason) error {
	if slices.Contains(rule.Tell, TellTerminals) {
		listInvalid(tx, row)
	}
	place, err := row.holderAt(tx)
	if err != nil {
		return err
	}
	subject := "card:" + row.ID.String()
	message := StatusMessage{
		CardNumber: row.Number, ChipID: row.ChipID, Status: rule.To, Event: rule.Event, Version: row.Version + 1, Consequences: reason.Then, At: tx.Now(),
	}
	if err := tx.Tell(registry.TopicCardStatus, place, subject, message); err != nil {
		return err
	}
	var messages []tell.Message
	for _, peer := range rule.Tell {
		if peer == TellBank || peer == TellMinistry {
			messages = append(messages, tell.Message{Peer: peer, Topic: registry.TopicCardStatus, Place: place, Subject: subject, Body: message})
		}
	}
	if slices.Contains(rule.Tell, TellHolder) {
		notice := Notice{Machine: Cards.Name, Event: rule.Event, State: rule.To, Until: row.LossEndsAt}
		messages = append(messages, tell.Message{Peer: tell.Holder, Topic: TopicNotice, Place: place, Subject: "person:" + row.PersonID.String(), Body: notice})
	}
	return tell.Write(tx, messages...)
}

// holderAt is where the holder of a card lives.
func (r cardRow) holderAt(tx *registry.Tx) (string, error) {
	if r.around != nil {
		return r.around.HolderAt, nil
	}
	return tx.PlaceOf(r.PersonID)
}

func tellHolder(tx *registry.Tx, place string, person uuid.UUID, notice Notice) error {
	return tell.Write(tx, tell.Message{Peer: tell.Holder, Topic: TopicNotice, Place: place, Subject: "person:" + person.String(), Body: notice})
}

// Told is one peer that was told of a change of a card, and whether it knows.
type Told struct {
	Peer, Event, State string
	Attempts           int
	Answer             string
	At                 time.Time
	EndedAt            *time.Time
}

// toldMost bounds what is shown of one card.
const toldMost = 200

// Told returns whom the changes of a card were told to, the latest first: what
// was delivered one by one, and what lies ready for the back ends until it is
// handed over (通知情况).
func (s *Service) Told(ctx context.Context, cardID uuid.UUID) ([]Told, error) {
	if _, err := s.Card(ctx, cardID); err != nil {
		return nil, err
	}
	subject := "card:" + cardID.String()
	deliveries, err := tell.Of(s.db.Read(ctx), subject, toldMost)
	if err != nil {
		return nil, fmt.Errorf("told: %w", err)
	}
	var handed []registry.Outgoing
	if err := s.db.Read(ctx).Where("subject = ?", subject).Order("id DESC").Limit(toldMost).Find(&handed).Error; err != nil {
		return nil, fmt.Errorf("told: %w", err)
	}
	var all []Told
	for _, d := range deliveries {
		all = append(all, Told{Peer: d.Peer, Event: eventOf(d.Body), State: d.State, Attempts: d.Attempts, Answer: strings.TrimSpace(d.Code + " " + d.Answer), At: d.At, EndedAt: d.EndedAt})
	}
	for _, m := range handed {
		t := Told{Peer: TellBackEnds, Event: eventOf(m.Body), State: tell.Waiting, At: m.At, EndedAt: m.HandedAt}
		if m.HandedAt != nil {
			t.State = tell.Acknowledged // it is in the exchange store, from which back ends fetch
		}
		all = append(all, t)
	}
	slices.SortStableFunc(all, func(a, b Told) int { return b.At.Compare(a.At) })
	return all, nil
}

func eventOf(body string) string {
	var message struct{ Event string }
	_ = json.Unmarshal([]byte(body), &message) // a body without an event has none
	return message.Event
}
