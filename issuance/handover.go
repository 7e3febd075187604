package issuance

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/registry"
)

// What a place asks for before a card is activated (领卡要求).
const (
	HandoverNone      = "none"      // 不要求
	HandoverTaker     = "taker"     // 登记领卡人
	HandoverSignature = "signature" // 登记领卡人并签字
)

// Who takes a card (领卡人).
const (
	TakerHolder = "holder" // 本人
	TakerAgent  = "agent"  // 代领人
)

// AttachmentSignature is the kind of a signature among the papers of a holder.
const AttachmentSignature = "signature"

// proofs are what shows that an agent may take a card (代领证明).
var proofs = []string{"authorisation", "household-book", "birth-certificate", "institution-letter", "other"}

// Taker is who takes a card: the holder, or an agent with a proof.
type Taker struct {
	Agent *Agent // nil: the holder
	Proof string // one of authorisation 委托书, household-book 户口簿, birth-certificate 出生医学证明, institution-letter 单位介绍信, other
}

// Handover is on record of who takes a card (领卡登记).
type Handover struct {
	ID          uuid.UUID
	Taker       string
	Proof       string
	Agent       *Agent     // opened where it was asked for
	Signature   *uuid.UUID // of the attachment; nil: nobody signed
	Operator    string
	Workstation string
	At          time.Time
}

// handoverRow is a row of handovers.
type handoverRow struct {
	ID          uuid.UUID  `gorm:"column:id;primaryKey"`
	CardID      uuid.UUID  `gorm:"column:card_id"`
	Taker       string     `gorm:"column:taker"`
	Proof       string     `gorm:"column:proof"`
	AgentSealed []byte     `gorm:"column:agent_sealed"`
	Signature   *uuid.UUID `gorm:"column:signature"`
	Place       string     `gorm:"column:place"`
	Operator    string     `gorm:"column:operator"`
	Workstation string     `gorm:"column:workstation"`
	At          time.Time  `gorm:"column:at"`
}

// TableName implements gorm's schema.Tabler.
func (handoverRow) TableName() string { return "handovers" }

func (r handoverRow) domain() Handover {
	return Handover{ID: r.ID, Taker: r.Taker, Proof: r.Proof, Signature: r.Signature, Operator: r.Operator, Workstation: r.Workstation, At: r.At}
}

const columnTaker = "handovers.agent"

// HandOver records who takes a card that waits to be activated, with the
// signature where there is one (领卡登记). It stands until the end of the day: who
// comes on another day is another visit. Errors: ErrNotAllowed for a card that
// does not wait, ErrOtherRegion, ErrInvalid.
func (s *Service) HandOver(tx *registry.Tx, cardID uuid.UUID, taker Taker, signature *registry.Content) (Handover, error) {
	row, about, err := lockForEvent(tx, cardID, EventActivate)
	if err != nil {
		return Handover{}, err
	}
	rule, waits := Cards.Rule(row.Status, EventActivate)
	if !waits || about.place == "" {
		return Handover{}, ErrNotAllowed
	}
	for _, name := range rule.Needs {
		if name == NeedsTaker || name == NeedsPrinted {
			continue // what comes after this
		}
		if err := guards[name].holds(s, tx, about); err != nil {
			return Handover{}, err
		}
	}
	if err := s.mayTake(tx, about, &taker); err != nil {
		return Handover{}, err
	}
	entry := handoverRow{CardID: cardID, Taker: TakerHolder, Place: about.place, Operator: tx.Actor().Operator, Workstation: tx.Actor().Workstation, At: tx.Now()}
	if entry.ID, err = tx.NewID(); err != nil {
		return Handover{}, fmt.Errorf("handover: new id: %w", err)
	}
	if taker.Agent != nil {
		entry.Taker, entry.Proof = TakerAgent, taker.Proof
		if entry.AgentSealed, err = s.sealJSON(tx, columnTaker, entry.ID, taker.Agent); err != nil {
			return Handover{}, err
		}
	}
	if signature != nil {
		kept, err := tx.Attach(row.PersonID, *signature, "领卡签字 "+row.Number)
		if err != nil {
			return Handover{}, err
		}
		entry.Signature = &kept.ID
	}
	tx.Append(entry)
	detail := map[string]string{"taker": entry.Taker, "proof": entry.Proof, "signed": fmt.Sprint(signature != nil)}
	return entry.domain(), tx.Audit("card.taker", "card:"+cardID.String(), detail)
}

// mayTake brings an agent into the form in which it is stored and refuses who
// may not take a card.
func (s *Service) mayTake(tx *registry.Tx, about subject, taker *Taker) error {
	person, err := tx.PersonByID(about.person)
	if err != nil {
		return fmt.Errorf("holder: %w", err)
	}
	if taker.Agent == nil {
		policy, err := s.policy(about.place, tx.Now())
		if err != nil {
			return err
		}
		if taker.Proof != "" {
			return &registry.FieldError{Field: "proof", ZH: "本人领取不填", EN: "of an agent only"}
		}
		if person.Birth.Age(gb.DayOf(tx.Now())) < policy.GuardianAge {
			return &registry.FieldError{
				Field: "taker", ZH: fmt.Sprintf("未满 %d 周岁的，应由监护人或代领人领取", policy.GuardianAge), EN: fmt.Sprintf("below %d years: a guardian or another agent takes the card", policy.GuardianAge),
			}
		}
		return nil
	}
	agent, err := taker.Agent.told()
	var field *registry.FieldError
	if errors.As(err, &field) && field.Field == "agent.idNumber" {
		err = &registry.FieldError{Field: "agent.number", ZH: field.ZH, EN: field.EN}
	}
	if err != nil {
		return err
	}
	switch {
	case agent.Number == person.Number():
		return &registry.FieldError{Field: "agent.number", ZH: "代领人不能是持卡人本人", EN: "another person than the holder"}
	case strings.TrimSpace(agent.Relation) == "":
		return &registry.FieldError{Field: "agent.relation", ZH: "请填写与持卡人的关系", EN: "the agent's relation to the holder"}
	case taker.Proof == "authorisation" && strings.TrimSpace(agent.Authorisation) == "":
		return &registry.FieldError{Field: "agent.authorisation", ZH: "请填写委托书编号", EN: "the number of the authorisation"}
	}
	taker.Agent = &agent
	return oneOf("proof", taker.Proof, proofs...)
}

// Handing is how it stands with a card that waits to be handed over (领卡情况).
type Handing struct {
	Asked     string // what the place asks for: one of the Handover…
	Printed   bool   // the face is asked to be printed
	Lacks     []*Error
	Handovers []Handover // the latest first
}

// handoversMost bounds what is shown of one card.
const handoversMost = 50

// HandingOf returns what a card still lacks before it may be activated, and who
// was on record as taking it. Agents are opened: who asked is on record.
func (s *Service) HandingOf(tx *registry.Tx, cardID uuid.UUID) (Handing, error) {
	var row cardRow
	if err := tx.DB().Where("id = ?", cardID).Take(&row).Error; err != nil {
		return Handing{}, err
	}
	about, err := aboutCard(tx, &row)
	if err != nil {
		return Handing{}, err
	}
	policy, err := s.policyOf(tx, about)
	if err != nil {
		return Handing{}, err
	}
	h := Handing{Asked: policy.Handover, Printed: policy.PrintedFirst}
	rule, _ := Cards.Rule(row.Status, EventActivate)
	for _, name := range rule.Needs {
		var lack *Error
		switch err := guards[name].holds(s, tx, about); {
		case errors.As(err, &lack):
			h.Lacks = append(h.Lacks, lack)
		case err != nil:
			return Handing{}, err
		}
	}
	var rows []handoverRow
	if err := tx.DB().Where("card_id = ?", cardID).Order("id DESC").Limit(handoversMost).Find(&rows).Error; err != nil {
		return Handing{}, fmt.Errorf("handovers: %w", err)
	}
	for _, r := range rows {
		one := r.domain()
		if r.AgentSealed != nil {
			if one.Agent, err = s.taker(tx, r); err != nil {
				return Handing{}, err
			}
		}
		h.Handovers = append(h.Handovers, one)
	}
	return h, tx.Audit("card.taker.read", "card:"+cardID.String(), map[string]string{"handovers": fmt.Sprint(len(rows))})
}

func (s *Service) taker(tx *registry.Tx, row handoverRow) (*Agent, error) {
	plain, err := s.db.Unseal(tx.Context(), columnTaker, row.ID.String(), row.AgentSealed)
	if err != nil {
		return nil, err
	}
	var agent Agent
	if err := json.Unmarshal(plain, &agent); err != nil {
		return nil, fmt.Errorf("taker: %w", err)
	}
	return &agent, nil
}

// policyOf is what holds where a card was applied for.
func (s *Service) policyOf(tx *registry.Tx, about subject) (Policy, error) {
	if about.place == "" {
		return s.policy(tx.Actor().Place, tx.Now())
	}
	return s.policy(about.place, tx.Now())
}

// takerKnown holds that whoever takes a card is on record, of today, and has
// signed where the place asks for it.
func (s *Service) takerKnown(tx *registry.Tx, about subject) error {
	row, ok := about.row.(*cardRow)
	if !ok {
		return nil
	}
	policy, err := s.policyOf(tx, about)
	if err != nil || policy.Handover == HandoverNone {
		return err
	}
	var last []handoverRow
	if err := tx.DB().Where("card_id = ?", row.ID).Order("id DESC").Limit(1).Find(&last).Error; err != nil {
		return fmt.Errorf("handovers: %w", err)
	}
	switch {
	case len(last) == 0 || gb.DayOf(last[0].At) != gb.DayOf(tx.Now()):
		return ErrNoTaker
	case policy.Handover == HandoverSignature && last[0].Signature == nil:
		return ErrUnsigned
	}
	return nil
}

// wellPrinted holds that the face of a card that was made at a counter is
// printed well, where the place asks for it: a maker prints before it sends.
func (s *Service) wellPrinted(tx *registry.Tx, about subject) error {
	row, ok := about.row.(*cardRow)
	if !ok {
		return nil
	}
	policy, err := s.policyOf(tx, about)
	if err != nil || !policy.PrintedFirst {
		return err
	}
	byMaker, err := madeInBatch(tx.DB(), row)
	if err != nil || byMaker {
		return err
	}
	var last []string
	if err := tx.DB().Table("card_prints").Where("card_id = ?", row.ID).Order("attempt DESC").Limit(1).Pluck("outcome", &last).Error; err != nil {
		return fmt.Errorf("prints: %w", err)
	}
	if len(last) == 0 || last[0] != "printed" {
		return ErrNotPrinted
	}
	return nil
}

func madeInBatch(db *gorm.DB, row *cardRow) (bool, error) {
	if row.ApplicationID == nil {
		return true, nil // taken over from before
	}
	var methods []string
	if err := db.Model(&applicationRow{}).Where("id = ?", row.ApplicationID).Pluck("method", &methods).Error; err != nil {
		return false, fmt.Errorf("application of the card: %w", err)
	}
	return len(methods) == 1 && methods[0] == MethodBatch, nil
}
