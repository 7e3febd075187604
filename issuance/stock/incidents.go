package stock

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"onecard/registry"
)

// Findings of incidents.
const (
	findingMissing    = "missing"
	findingExtra      = "extra"
	findingDamaged    = "damaged"
	findingSeal       = "seal"
	findingDifference = "difference"
)

// openIncident puts down what was found, with the person who has to clear it.
func openIncident(tx *registry.Tx, i Incident) error {
	var err error
	if i.ID, err = newID(tx); err != nil {
		return err
	}
	if strings.TrimSpace(i.Note) == "" {
		return &registry.FieldError{Field: "note", ZH: "请说明情况", EN: "say what was found"}
	}
	var known int64
	if err := tx.DB().Table("operators").Where("login = ? AND disabled_at IS NULL", i.Owner).Count(&known).Error; err != nil {
		return fmt.Errorf("stock: incident: %w", err)
	}
	if known == 0 {
		return naming(ErrUnknownOwner, i.Owner)
	}
	i.OpenedBy, i.OpenedAt = tx.Actor().Operator, tx.Now()
	if err := tx.DB().Create(&i).Error; err != nil {
		return fmt.Errorf("stock: incident: %w", err)
	}
	return tx.Audit("stock.incident", document("incident", i.ID), map[string]string{"finding": i.Finding, "document": i.Document, "owner": i.Owner})
}

// CloseIncident says how an incident was cleared; another than its owner does
// (异常办结).
func (s *Service) CloseIncident(tx *registry.Tx, h Hands, id uuid.UUID, outcome string) (Incident, error) {
	var i Incident
	if err := tx.ForUpdate().Where("id = ?", id).Take(&i).Error; err != nil {
		return i, err
	}
	if !(rule{Roles: heads}).Allows(h.By.Roles) {
		return i, ErrNoRight
	}
	if err := h.may(rule{Roles: heads}, i.Place); err != nil {
		return i, err
	}
	if i.ClosedAt != nil {
		return i, ErrClosedIssue
	}
	if i.Owner == h.By.Login {
		return i, ErrSamePerson
	}
	if strings.TrimSpace(outcome) == "" {
		return i, &registry.FieldError{Field: "outcome", ZH: "请填写处理结果", EN: "say how it was cleared"}
	}
	now := tx.Now()
	i.ClosedBy, i.ClosedAt, i.Outcome = &h.By.Login, &now, &outcome
	err := tx.DB().Model(&Incident{}).Where("id = ? AND closed_at IS NULL", id).
		Updates(map[string]any{"closed_by": i.ClosedBy, "closed_at": now, "outcome": outcome}).Error
	if err != nil {
		return i, fmt.Errorf("stock: incident: %w", err)
	}
	return i, tx.Audit("stock.incident-closed", document("incident", id), map[string]string{"finding": i.Finding})
}

// Report reports cards of a place as missing, found, or spoiled there (报失、找回、
// 作废), by two persons.
type Report struct {
	Event  string // lose, find or spoil
	Kind   string
	Cards  []string
	Reason string
	Owner  string // of the incident; default who reports
}

// Report carries a report out. What is missing becomes an incident.
func (s *Service) Report(tx *registry.Tx, h Hands, r Report) error {
	at := h.By.Institution
	if r.Event != eventLose && r.Event != eventFind && r.Event != eventSpoil {
		return &registry.FieldError{Field: "event", ZH: "应为 lose、find 或 spoil", EN: "lose, find or spoil"}
	}
	if err := h.both(at); err != nil {
		return err
	}
	items, b, err := s.reported(tx, at, r)
	if err != nil {
		return err
	}
	id, err := newID(tx)
	if err != nil {
		return err
	}
	c := change{event: r.Event, hands: &h, at: at, to: at, document: document("report", id), reason: r.Reason}
	if _, err := s.move(tx, b, items, c); err != nil {
		return err
	}
	for _, i := range items {
		if r.Event != eventLose {
			break
		}
		owner := r.Owner
		if owner == "" {
			owner = h.By.Login
		}
		err := openIncident(tx, Incident{Place: at, Finding: findingMissing, Kind: &i.Kind, Item: &i.Item, Document: c.document, Note: r.Reason, Owner: owner})
		if err != nil {
			return err
		}
	}
	return tx.Audit("stock."+r.Event, c.document, map[string]string{"cards": fmt.Sprint(len(items)), "witness": h.Witness.Login})
}

// reported locks the cards of a report with the books that it writes. A card is
// found where it is, whoever had it on the books.
func (s *Service) reported(tx *registry.Tx, at string, r Report) ([]item, books, error) {
	places := []string{at}
	if len(r.Cards) == 0 {
		return nil, nil, &registry.FieldError{Field: "cards", ZH: "至少一张卡", EN: "at least one card"}
	}
	if r.Event == eventFind {
		before, err := look(tx.DB(), r.Kind, r.Cards)
		if err != nil {
			return nil, nil, err
		}
		for _, i := range before {
			places = append(places, i.Holder)
		}
	}
	b, err := open(tx, places...)
	if err != nil {
		return nil, nil, err
	}
	if r.Event != eventFind {
		items, err := take(tx, r.Kind, at, r.Cards)
		return items, b, err
	}
	items, err := find(tx, r.Kind, r.Cards)
	if err == nil && len(items) != len(r.Cards) {
		err = naming(ErrNotThere, fmt.Sprint(len(items), "/", len(r.Cards)))
	}
	return items, b, errors.Join(err, loose(tx, r.Kind, r.Cards))
}
