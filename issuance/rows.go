package issuance

import (
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"

	"onecard/internal/gb"
	"onecard/registry"
)

// Application is a person's application for a card (申领).
type Application struct {
	ID         uuid.UUID
	PersonID   uuid.UUID
	Kind       string     // one of the Kind…
	Method     string     // instant 即时制卡, batch 批量制卡
	Channel    string     // 申领渠道: counter, web, kiosk, bank, …
	Applicant  string     // 申领人: holder, guardian, agent, employer, school, community, bank
	Ground     string     // why another card: a reason code; empty for a first one
	PreviousID *uuid.UUID // the card in whose place it is
	// Institution is for whom it is: employer, school, community or bank; else empty.
	Institution string
	ValidFrom   gb.Date    // 证件有效期起 of the holder's identity document; may be zero
	ValidUntil  gb.Date    // 证件有效期止; LongTerm: without end
	HasAgent    bool       // somebody who acts for the holder was named
	ConfirmedBy string     // who recorded that the applicant confirmed the proof picture
	ConfirmedAt *time.Time // 校样确认
	Place       string     // where it was entered
	State       string
	CardNumber  string     // 卡号, once reviewed
	CardID      *uuid.UUID // once made
	EnteredBy   string
	ReviewedBy  string
	MadeBy      string
	HandedBy    string
	Reason      string // of the last event that asks for one
	CreatedAt   time.Time
	// Ministry is how the question to the ministry stands (部级查重), a state of
	// Questions; MinistryProvince where there is a card, if it told.
	Ministry, MinistryProvince string
	MinistryAt                 *time.Time // asked or answered
	Since                      time.Time  // when it came into this state
	Due                        *time.Time // when this stage is to be over; nil: nobody waits
}

// Card is a card of record (卡).
type Card struct {
	ID          uuid.UUID
	Number      string // 卡号 AAZ500
	ChipID      string // 卡识别码 AAZ501, 32 hexadecimal digits
	ChipSerial  string
	ATR         string // 卡复位信息 AAZ507
	PersonID    uuid.UUID
	SpecVersion string     // 规范版本 AAZ508
	KeyVersion  int        // of the province's keys that the card holds
	Kind        string     // permanent 正式卡, temporary 临时卡
	Status      string     // 卡应用状态 AAZ502
	LossEnds    *time.Time // when a temporary loss report ends by itself
	Production  string     // 制作：ordered, making, made, inspected, scrapped
	Custody     string     // 保管：maker, province, prefecture, county, township, holder, returned, destroyed
	Chip        string     // 芯片：blank, keyed, personalised, in-use, application-locked, pin-locked, blocked, destroyed
	Ministry    string     // 部级持卡库：unsent, sent, accepted, duplicate, rejected, unknown, stale
	IssuedOn    gb.Date
	ExpiresOn   gb.Date
	Stamp       registry.Stamp
	// Held says that the chip did not authenticate several times in a row and is
	// not asked until a supervisor has looked at it; of a list of cards only.
	Held bool
}

// applicationRow is a row of applications.
type applicationRow struct {
	ID         uuid.UUID  `gorm:"column:id"`
	PersonID   uuid.UUID  `gorm:"column:person_id"`
	Kind       string     `gorm:"column:kind"`
	Place      string     `gorm:"column:place"`
	Locality   *string    `gorm:"column:locality"`
	State      string     `gorm:"column:state"`
	CardNumber *string    `gorm:"column:card_number"`
	CardID     *uuid.UUID `gorm:"column:card_id"`
	EnteredBy  string     `gorm:"column:entered_by"`
	ReviewedBy *string    `gorm:"column:reviewed_by"`
	Reason     string     `gorm:"column:reason"`
	CreatedAt  time.Time  `gorm:"column:created_at"`
	ChangedAt  time.Time  `gorm:"column:changed_at"`
	Method     string     `gorm:"column:method"`
	Channel    string     `gorm:"column:channel"`
	Applicant  string     `gorm:"column:applicant"`
	Ground     string     `gorm:"column:ground"`
	PreviousID *uuid.UUID `gorm:"column:previous_id"`
	// HolderIndex is a keyed digest of what was reviewed of the holder.
	HolderIndex []byte     `gorm:"column:holder_index"`
	MadeBy      *string    `gorm:"column:made_by"`
	HandedBy    *string    `gorm:"column:handed_by"`
	StageSince  *time.Time `gorm:"column:stage_since"`
	DueAt       *time.Time `gorm:"column:due_at"`
	AgentSealed []byte     `gorm:"column:agent_sealed"`
	Institution *string    `gorm:"column:institution"`
	ValidFrom   *string    `gorm:"column:valid_from"`
	ValidUntil  *string    `gorm:"column:valid_until"`
	// PhotoIndex is the keyed digest of the photograph that was confirmed.
	PhotoIndex  []byte     `gorm:"column:photo_index"`
	ConfirmedAt *time.Time `gorm:"column:confirmed_at"`
	ConfirmedBy *string    `gorm:"column:confirmed_by"`
	// MinistryState is how the question to the ministry stands.
	MinistryState    string     `gorm:"column:ministry_state"`
	MinistryProvince string     `gorm:"column:ministry_province"`
	MinistryAt       *time.Time `gorm:"column:ministry_at"`
}

// TableName implements gorm's schema.Tabler.
func (applicationRow) TableName() string { return "applications" }

// take makes changes of columns to a row that was read before.
func (r *applicationRow) take(changes map[string]any) {
	fields := map[string]any{
		"state": &r.State, "reason": &r.Reason, "changed_at": &r.ChangedAt, "stage_since": &r.StageSince, "due_at": &r.DueAt,
		"card_number": &r.CardNumber, "card_id": &r.CardID, "holder_index": &r.HolderIndex, "reviewed_by": &r.ReviewedBy,
		"made_by": &r.MadeBy, "handed_by": &r.HandedBy,
		"ministry_state": &r.MinistryState, "ministry_province": &r.MinistryProvince, "ministry_at": &r.MinistryAt,
	}
	for column, value := range changes {
		field := reflect.ValueOf(fields[column]).Elem()
		switch v := reflect.ValueOf(value); {
		case value == nil:
			field.SetZero()
		case v.Type().AssignableTo(field.Type()):
			field.Set(v)
		default:
			field.Set(reflect.New(v.Type()))
			field.Elem().Set(v)
		}
	}
}

func (r applicationRow) domain() Application {
	a := Application{
		ID: r.ID, PersonID: r.PersonID, Kind: r.Kind, Place: r.Place, State: r.State, CardID: r.CardID,
		EnteredBy: r.EnteredBy, Reason: r.Reason, CreatedAt: r.CreatedAt, Method: r.Method, Channel: r.Channel, Applicant: r.Applicant,
		Ground: r.Ground, PreviousID: r.PreviousID, Since: r.ChangedAt, Due: r.DueAt,
		HasAgent: r.AgentSealed != nil, ConfirmedAt: r.ConfirmedAt,
		Ministry: r.MinistryState, MinistryProvince: r.MinistryProvince, MinistryAt: r.MinistryAt,
	}
	for to, from := range map[*string]*string{&a.MadeBy: r.MadeBy, &a.HandedBy: r.HandedBy, &a.Institution: r.Institution, &a.ConfirmedBy: r.ConfirmedBy} {
		if from != nil {
			*to = *from
		}
	}
	a.ValidFrom, a.ValidUntil = dateOf(r.ValidFrom), dateOf(r.ValidUntil)
	if r.StageSince != nil {
		a.Since = *r.StageSince
	}
	if r.CardNumber != nil {
		a.CardNumber = *r.CardNumber
	}
	if r.ReviewedBy != nil {
		a.ReviewedBy = *r.ReviewedBy
	}
	return a
}

// dateOf reads a day that this package wrote.
func dateOf(text *string) gb.Date {
	if text == nil {
		return gb.Date{}
	}
	date, _ := gb.ParseDate(*text) // none other is written
	return date
}

func (r applicationRow) about() subject {
	return subject{person: r.PersonID, enteredBy: r.EnteredBy, place: r.Place, row: &r}
}

// cardRow is a row of cards.
type cardRow struct {
	ID             uuid.UUID  `gorm:"column:id"`
	Number         string     `gorm:"column:number"`
	ChipID         string     `gorm:"column:chip_id"`
	ChipSerial     string     `gorm:"column:chip_serial"`
	ATR            string     `gorm:"column:atr"`
	PersonID       uuid.UUID  `gorm:"column:person_id"`
	SpecVersion    string     `gorm:"column:spec_version"`
	KeyVersion     int        `gorm:"column:key_version"`
	Status         string     `gorm:"column:status"`
	IssuedOn       string     `gorm:"column:issued_on"`
	ExpiresOn      string     `gorm:"column:expires_on"`
	CreatedAt      time.Time  `gorm:"column:created_at"`
	Production     string     `gorm:"column:production"`
	Custody        string     `gorm:"column:custody"`
	Chip           string     `gorm:"column:chip"`
	Ministry       string     `gorm:"column:ministry_state"`
	Kind           string     `gorm:"column:kind"`
	ApplicationID  *uuid.UUID `gorm:"column:application_id"`
	LossEndsAt     *time.Time `gorm:"column:loss_ends_at"`
	registry.Stamp `gorm:"embedded"`

	around      *around         // nil: not asked for
	application *applicationRow // nil: not read
}

// TableName implements gorm's schema.Tabler.
func (cardRow) TableName() string { return "cards" }

func (r cardRow) domain() (Card, error) {
	issued, err := gb.ParseDate(r.IssuedOn)
	if err != nil {
		return Card{}, fmt.Errorf("card %s: issued on: %w", r.ID, err)
	}
	expires, err := gb.ParseDate(r.ExpiresOn)
	if err != nil {
		return Card{}, fmt.Errorf("card %s: expires on: %w", r.ID, err)
	}
	return Card{
		ID: r.ID, Number: r.Number, ChipID: r.ChipID, ChipSerial: r.ChipSerial, ATR: r.ATR, PersonID: r.PersonID,
		SpecVersion: r.SpecVersion, KeyVersion: r.KeyVersion, Status: r.Status, IssuedOn: issued, ExpiresOn: expires,
		Production: r.Production, Custody: r.Custody, Chip: r.Chip, Ministry: r.Ministry, Stamp: r.Stamp,
		Kind: r.Kind, LossEnds: r.LossEndsAt,
	}, nil
}

// The states of a personalisation in the journal.
const (
	journalBegun   = "begun"
	journalMade    = "made"
	journalSpoiled = "spoiled"
)

// personalisationRow is a row of personalisations, the journal (制卡流水).
type personalisationRow struct {
	ID            uuid.UUID  `gorm:"column:id"`
	ApplicationID uuid.UUID  `gorm:"column:application_id"`
	ChipSerial    string     `gorm:"column:chip_serial"`
	ATR           string     `gorm:"column:atr"`
	CardNumber    string     `gorm:"column:card_number"`
	Intention     []byte     `gorm:"column:intention"` // sealed card.Contents
	Receipt       []byte     `gorm:"column:receipt"`   // sealed []card.Value as read back
	KeyVersion    int        `gorm:"column:key_version"`
	State         string     `gorm:"column:state"`
	Attempts      int        `gorm:"column:attempts"`
	BegunAt       time.Time  `gorm:"column:begun_at"`
	EndedAt       *time.Time `gorm:"column:ended_at"`
}

// TableName implements gorm's schema.Tabler.
func (personalisationRow) TableName() string { return "personalisations" }

// statusRow is a row of card_status_log.
type statusRow struct {
	ID          uuid.UUID `gorm:"column:id"`
	CardID      uuid.UUID `gorm:"column:card_id"`
	Event       string    `gorm:"column:event"`
	From        string    `gorm:"column:from_status"`
	To          string    `gorm:"column:to_status"`
	Reason      string    `gorm:"column:reason"`
	Operator    string    `gorm:"column:operator"`
	Workstation string    `gorm:"column:workstation"`
	At          time.Time `gorm:"column:at"`
	ReasonCode  string    `gorm:"column:reason_code"`
	Channel     string    `gorm:"column:channel"`
}

// TableName implements gorm's schema.Tabler.
func (statusRow) TableName() string { return "card_status_log" }

// invalidRow is a row of invalid_cards.
type invalidRow struct {
	Seq        int64     `gorm:"column:seq"`
	CardID     uuid.UUID `gorm:"column:card_id"`
	ChipID     string    `gorm:"column:chip_id"`
	CardNumber string    `gorm:"column:card_number"`
	Status     string    `gorm:"column:status"`
	At         time.Time `gorm:"column:at"`
}

// TableName implements gorm's schema.Tabler.
func (invalidRow) TableName() string { return "invalid_cards" }
