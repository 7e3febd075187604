package stock

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/registry"
)

// Acceptance is what the receiver found (签收). Without a difference it is
// empty: count and seals are right.
type Acceptance struct {
	MissingBoxes []string // labels
	BrokenSeals  []string // labels: opened and counted
	Missing      []string // cards of the list that are not there
	Damaged      []string // cards of the list that are there and spoiled
	Extra        []string // cards that no list has
	Note         string   // what was found, in words
	Owner        string   // who has to clear it; default who accepts
}

func (a Acceptance) differs() bool {
	return len(a.MissingBoxes)+len(a.BrokenSeals)+len(a.Missing)+len(a.Damaged)+len(a.Extra) > 0
}

// arrival is a consignment while it is accepted.
type arrival struct {
	Acceptance
	c     Consignment
	hands Hands
	books books
	boxes []Box
	cards map[uuid.UUID][]string
	known map[string]string // the difference of a card, by its name
}

// Accept accepts a consignment, or accepts it with the difference, once. Who
// sent it cannot; a difference is found by two persons. What is missing stays
// with the sender and becomes an incident.
func (s *Service) Accept(tx *registry.Tx, h Hands, id uuid.UUID, found Acceptance) (Consignment, error) {
	// Books before papers: the order of everybody, so that nobody waits in a ring.
	var c Consignment
	if err := tx.DB().Where("id = ?", id).Take(&c).Error; err != nil {
		return Consignment{}, err
	}
	books, err := open(tx, c.From, c.To)
	if err != nil {
		return Consignment{}, err
	}
	a := &arrival{Acceptance: found, hands: h, books: books}
	if a.c, a.boxes, err = lockConsignment(tx, id); err != nil {
		return Consignment{}, err
	}
	event := eventReceive
	if found.differs() {
		event = eventDiffer
	}
	rule, ok := Consignments.Rule(a.c.State, event)
	if !ok {
		return Consignment{}, ErrReceived
	}
	if err := h.may(rule, a.c.To); err != nil {
		return Consignment{}, err
	}
	if h.By.Login == a.c.SentBy {
		return Consignment{}, ErrSamePerson
	}
	if err := a.compare(tx.DB()); err != nil {
		return Consignment{}, err
	}
	if err := s.unload(tx, a); err != nil {
		return Consignment{}, err
	}
	now := tx.Now()
	a.c.State, a.c.AcceptedBy, a.c.AcceptedAt = rule.To, &h.By.Login, &now
	if found.differs() {
		a.c.WitnessedBy = h.witness()
	}
	result := tx.DB().Model(&Consignment{}).Where("id = ? AND state = ?", id, rule.From).
		Updates(map[string]any{"state": rule.To, "accepted_by": a.c.AcceptedBy, "witnessed_by": a.c.WitnessedBy, "accepted_at": now})
	if result.Error != nil {
		return Consignment{}, fmt.Errorf("stock: consignment: %w", result.Error)
	}
	if result.RowsAffected != 1 {
		return Consignment{}, ErrReceived
	}
	return a.c, tx.Audit("stock.accepted", document("consignment", id), map[string]string{
		"state": rule.To, "missing": strconv.Itoa(len(a.Missing)), "damaged": strconv.Itoa(len(a.Damaged)), "extra": strconv.Itoa(len(a.Extra)),
	})
}

// compare holds the difference against the list.
func (a *arrival) compare(db *gorm.DB) (err error) {
	if a.cards, err = inside(db, a.boxes); err != nil {
		return err
	}
	wrong := func(field string, n int) error {
		return &registry.FieldError{Field: fmt.Sprintf("%s[%d]", field, n), ZH: "与本次发运的清单不符，或重复列出", EN: "does not fit the list of this consignment, or stands twice"}
	}
	for field, labels := range map[string][]string{"missingBoxes": a.MissingBoxes, "brokenSeals": a.BrokenSeals} {
		for n, label := range labels {
			if !slices.ContainsFunc(a.boxes, func(b Box) bool { return b.Label == label }) || slices.Contains(labels[:n], label) {
				return wrong(field, n)
			}
		}
	}
	listed := map[string]bool{}
	for _, b := range a.boxes {
		for _, name := range a.cards[b.ID] {
			listed[name] = true
			if slices.Contains(a.MissingBoxes, b.Label) && !slices.Contains(a.Missing, name) {
				a.Missing = append(a.Missing, name)
			}
		}
	}
	a.known = map[string]string{}
	for field, names := range map[string][]string{"missing": a.Missing, "damaged": a.Damaged, "extra": a.Extra} {
		for n, name := range names {
			if listed[name] == (field == "extra") || a.known[name] != "" || !serialForm.MatchString(name) {
				return wrong(field, n)
			}
			a.known[name] = field
		}
	}
	return nil
}

// unload moves what came, in each box.
func (s *Service) unload(tx *registry.Tx, a *arrival) error {
	for _, box := range a.boxes {
		items, err := find(tx, box.Kind, a.cards[box.ID])
		if err != nil {
			return err
		}
		byEvent := map[string][]item{}
		for _, i := range items {
			event := map[string]string{"": eventReceive, "missing": eventLose, "damaged": eventDamage}[a.known[i.Item]]
			byEvent[event] = append(byEvent[event], i)
		}
		for _, event := range []string{eventReceive, eventDamage, eventLose} {
			c := a.change(event)
			if event == eventLose {
				c.to = ""
			}
			if _, err := s.move(tx, a.books, byEvent[event], c); err != nil {
				return err
			}
		}
		if err := a.put(tx, box, len(byEvent[eventReceive]) < len(items)); err != nil {
			return err
		}
		if err := a.report(tx, box, byEvent); err != nil {
			return err
		}
	}
	if err := tx.DB().Model(&load{}).Where("consignment = ?", a.c.ID).Update("underway", false).Error; err != nil {
		return fmt.Errorf("stock: load: %w", err)
	}
	return s.surplus(tx, a)
}

func (a *arrival) change(event string) change {
	return change{event: event, hands: &a.hands, at: a.c.To, to: a.c.To, document: document("consignment", a.c.ID), reason: a.Note}
}

// put stores a box as it came, or as opened when its cards had to be counted.
func (a *arrival) put(tx *registry.Tx, box Box, counted bool) error {
	if counted || slices.Contains(a.BrokenSeals, box.Label) {
		box.Place = a.c.To
		return openBox(tx, &box, StateDifference, a.hands)
	}
	err := tx.DB().Model(&Box{}).Where("id = ?", box.ID).Updates(map[string]any{"state": StateReceived, "place": a.c.To}).Error
	if err != nil {
		return fmt.Errorf("stock: box: %w", err)
	}
	return nil
}

// report opens the incidents of a box.
func (a *arrival) report(tx *registry.Tx, box Box, byEvent map[string][]item) error {
	for event, finding := range map[string]string{eventLose: findingMissing, eventDamage: findingDamaged} {
		for _, i := range byEvent[event] {
			if err := openIncident(tx, a.incident(finding, box.Kind, i.Item)); err != nil {
				return err
			}
		}
	}
	if slices.Contains(a.BrokenSeals, box.Label) {
		return openIncident(tx, a.incident(findingSeal, "", box.Label))
	}
	return nil
}

func (a *arrival) incident(finding, kind, name string) Incident {
	i := Incident{Place: a.c.To, Finding: finding, Document: document("consignment", a.c.ID), Note: a.Note, Owner: a.Owner}
	if i.Owner == "" {
		i.Owner = a.hands.By.Login
	}
	i.Item = &name
	if kind != "" {
		i.Kind = &kind
	}
	return i
}

// surplus takes in what no list has: a card that the sender has on its books,
// or had missing, came with this consignment. What is known otherwise, or not
// at all, is an incident and nothing else.
func (s *Service) surplus(tx *registry.Tx, a *arrival) error {
	for _, name := range slices.Sorted(slices.Values(a.Extra)) {
		kind := a.boxes[0].Kind
		items, err := find(tx, kind, []string{name})
		if err != nil {
			return err
		}
		if len(items) == 1 && items[0].Holder == a.c.From && loose(tx, kind, []string{name}) == nil {
			if err := s.takeIn(tx, a, items); err != nil {
				return err
			}
		}
		if err := openIncident(tx, a.incident(findingExtra, kind, name)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) takeIn(tx *registry.Tx, a *arrival, items []item) error {
	switch items[0].State {
	case StateMissing:
		_, err := s.move(tx, a.books, items, a.change(eventFind))
		return err
	case StateStored:
		send := a.change(eventSend)
		send.to = ""
		moved, err := s.move(tx, a.books, items, send)
		if err != nil {
			return err
		}
		_, err = s.move(tx, a.books, moved, a.change(eventReceive))
		return err
	default:
		return nil
	}
}
