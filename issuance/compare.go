package issuance

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"onecard/card"
	"onecard/card/profile"
	"onecard/issuance/session"
	"onecard/registry"
)

// operationCompare holds the chip in a reader against the province's records
// (芯片与省库比对). It changes nothing and refuses nothing that it can say.
const operationCompare = "compare"

// comparers may compare: what is found is shown masked, yet it is about persons.
var comparers = []string{registry.RoleClerk, registry.RoleReviewer, registry.RoleIssuer, registry.RoleSupervisor}

// The keys that a comparison uses, by the profiles' names.
var comparingKeys = []string{"IRK", "RKSSSE"}

// held is what the province holds of a chip: a card of record, or a
// personalisation whose card is not on record.
type held struct {
	card    *cardRow            // nil while there is none
	journal *personalisationRow // nil for a card of which there is no journal
	person  registry.Person
	written card.Contents // the last known write
	now     card.Contents // what would be written today
}

func (h held) keyVersion() int {
	if h.card != nil {
		return h.card.KeyVersion
	}
	return h.journal.KeyVersion
}

// heldBy finds the card that a chip is by its answer to reset, else the one that
// it says it is, else the personalisation of the chip.
func (s *Service) heldBy(ctx context.Context, id *card.Identity) (h held, err error) {
	for _, by := range []struct{ column, value string }{{"atr", upperHex(id.ATR)}, {"chip_id", upperHex(id.CardID)}} {
		var rows []cardRow
		if err := s.db.Read(ctx).Where(by.column+" = ?", by.value).Limit(1).Find(&rows).Error; err != nil {
			return held{}, fmt.Errorf("compare: find card: %w", err)
		}
		if len(rows) > 0 {
			return held{card: &rows[0]}, nil
		}
	}
	var rows []personalisationRow
	if err := s.db.Read(ctx).Where("atr = ?", upperHex(id.ATR)).Limit(1).Find(&rows).Error; err != nil {
		return held{}, fmt.Errorf("compare: find personalisation: %w", err)
	}
	switch {
	case len(rows) > 0:
		return held{journal: &rows[0]}, nil
	case id.Blank():
		return held{}, card.ErrNotPersonalised
	}
	return held{}, ErrUnknownCard
}

// compare prepares a comparison of the chip with what the province holds of it.
func (s *Service) compare(ctx context.Context, p *profile.Profile, id *card.Identity, roles []string) (job, error) {
	if !slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(comparers, role) }) {
		return job{}, ErrNoRight
	}
	found, err := s.heldBy(ctx, id)
	if err != nil {
		return job{}, err
	}
	j := job{kind: operationCompare}
	person := uuid.Nil
	if found.card != nil {
		j.subject, person = found.card.ID, found.card.PersonID
	} else {
		j.subject = found.journal.ID
		application, err := s.Application(ctx, found.journal.ApplicationID)
		if err != nil {
			return job{}, err
		}
		person = application.PersonID
	}
	usable := !slices.ContainsFunc(comparingKeys, func(name string) bool { return id.Keys[name] != found.keyVersion() })
	j.work = card.NewInspect(p, id, usable)
	j.prepare = func(tx *registry.Tx) error {
		// What is read is personal: it is on record before the reading begins.
		return tx.Audit("person.read", "person:"+person.String(), map[string]string{"purpose": "compare card"})
	}
	return j, nil
}

// compared ends a comparison: the findings, on record without any value.
func (s *Service) compared(tx *registry.Tx, subject uuid.UUID, work session.Work) (any, error) {
	inspected, ok := work.(*card.Inspect)
	if !ok {
		return nil, fmt.Errorf("a comparison ended as %T", work)
	}
	h, err := s.held(tx, subject)
	if err != nil {
		return nil, err
	}
	p, err := s.closest(inspected.Identity)
	if err != nil {
		return nil, err
	}
	result := Result{Operation: operationCompare, Genuine: inspected.Genuine(), PersonID: h.person.ID, CardNumber: h.now.CardNumber, Fields: []card.Value{}}
	var about string
	if h.card != nil {
		result.CardID, result.CardNumber, result.ChipID, result.Status = h.card.ID, h.card.Number, h.card.ChipID, h.card.Status
		about = "card:" + h.card.ID.String()
	} else {
		about = "application:" + h.journal.ApplicationID.String()
	}
	c := comparison{tx: tx, profile: p, held: h, chip: inspected}
	if result.Findings, err = c.all(); err != nil {
		return nil, err
	}
	return result, tx.Audit("card.compared", about, summary(result.Findings))
}

// summary says for the audit log which elements had which finding.
func summary(findings []Finding) map[string]string {
	names := map[string][]string{}
	for _, f := range findings {
		if f.Kind != FoundSame {
			names[f.Kind] = append(names[f.Kind], f.Element)
		}
	}
	detail := map[string]string{"differences": fmt.Sprint(len(findings) - count(findings, FoundSame))}
	for kind, elements := range names {
		detail[kind] = strings.Join(elements, " ")
	}
	return detail
}

func count(findings []Finding, kind string) (n int) {
	for _, f := range findings {
		if f.Kind == kind {
			n++
		}
	}
	return n
}

// held loads what the province holds of the subject of a comparison.
func (s *Service) held(tx *registry.Tx, subject uuid.UUID) (h held, err error) {
	row, err := lockCard(tx, subject)
	condition, value := "id = ?", subject.String()
	switch {
	case err == nil:
		h.card = &row
		condition, value = "atr = ?", row.ATR
	case !errors.Is(err, registry.ErrNotFound):
		return held{}, err
	}
	var rows []personalisationRow
	if err := tx.DB().Where(condition, value).Limit(1).Find(&rows).Error; err != nil {
		return held{}, fmt.Errorf("journal of personalisation: %w", err)
	}
	var personID uuid.UUID
	switch {
	case len(rows) > 0:
		h.journal = &rows[0]
		application, err := lockApplication(tx, h.journal.ApplicationID)
		if err != nil {
			return held{}, err
		}
		personID = application.PersonID
	case h.card == nil:
		return held{}, registry.ErrNotFound
	}
	if h.card != nil {
		personID = h.card.PersonID
	}
	if h.person, err = tx.PersonByID(personID); err != nil {
		return held{}, err
	}
	return h, s.contentsHeld(tx, &h)
}

// contentsHeld fills in what was written last and what the records say now.
func (s *Service) contentsHeld(tx *registry.Tx, h *held) error {
	policy, err := s.policy(h.person.Place, tx.Now())
	if err != nil {
		return err
	}
	h.now = contents(h.person, policy, KindFirst, "", tx.Now())
	if h.journal != nil {
		plain, err := s.db.Unseal(tx.Context(), "personalisations.intention", h.journal.ID.String(), h.journal.Intention)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(plain, &h.written); err != nil {
			return fmt.Errorf("journal of personalisation: %w", err)
		}
		// Of these there is no other record.
		w := h.written
		h.now.CardType, h.now.Issuer, h.now.CardNumber, h.now.IssuedOn, h.now.ExpiresOn = w.CardType, w.Issuer, w.CardNumber, w.IssuedOn, w.ExpiresOn
	}
	if h.card != nil {
		c, err := h.card.domain()
		if err != nil {
			return err
		}
		h.now.CardNumber, h.now.IssuedOn, h.now.ExpiresOn = c.Number, c.IssuedOn, c.ExpiresOn
	}
	if h.journal == nil {
		h.written = h.now
	}
	return nil
}

// chipID returns the identification that the record has, or what the chip says
// where there is no record of it.
func (c comparison) chipID() ([]byte, error) {
	if c.held.card == nil {
		return c.chip.Identity.CardID, nil
	}
	chipID, err := hex.DecodeString(c.held.card.ChipID)
	if err != nil {
		return nil, fmt.Errorf("card %s: identification: %w", c.held.card.ID, err)
	}
	return chipID, nil
}
