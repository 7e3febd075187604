package stock

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"onecard/registry"
)

// Announce enters a maker's list (送货清单): the cards, the boxes and a consignment
// on its way to the operator's office, which another person accepts.
func (s *Service) Announce(tx *registry.Tx, h Hands, d Delivery) (Consignment, error) {
	to := h.By.Institution
	rule, _ := Consignments.Rule(StateOutside, eventSend)
	if err := h.may(rule, to); err != nil {
		return Consignment{}, err
	}
	maker, _, err := way(tx.DB(), d.Maker, to)
	if err != nil {
		return Consignment{}, err
	}
	if maker.Kind != registry.KindMaker {
		return Consignment{}, naming(ErrWay, d.Maker)
	}
	if err := d.check(); err != nil {
		return Consignment{}, err
	}
	books, err := open(tx, d.Maker, to)
	if err != nil {
		return Consignment{}, err
	}
	c, err := newConsignment(tx, d.Maker, to, h, d.List)
	if err != nil {
		return Consignment{}, err
	}
	items, err := order(tx, books, h, c, d)
	if err != nil {
		return Consignment{}, err
	}
	for _, b := range d.Boxes {
		id, err := newID(tx)
		if err != nil {
			return Consignment{}, err
		}
		box := Box{ID: id, Label: b.Label, Kind: d.Kind, Place: d.Maker, State: StateSent, Maker: true, SealedAt: tx.Now()}
		if b.Seal != "" {
			box.Seal = &b.Seal
		}
		if err := writeBox(tx, box, b); err != nil {
			return Consignment{}, err
		}
		if err := tx.DB().Create(&load{Consignment: c.ID, Box: id, Underway: true}).Error; err != nil {
			return Consignment{}, fmt.Errorf("stock: load: %w", err)
		}
	}
	return c, tx.Audit("stock.announced", document("consignment", c.ID), map[string]string{"maker": d.Maker, "cards": strconv.Itoa(len(items)), "boxes": strconv.Itoa(len(d.Boxes))})
}

func (d Delivery) check() error {
	switch {
	case d.Kind != Blank && d.Kind != Finished:
		return &registry.FieldError{Field: "kind", ZH: "应为 blank 或 card", EN: "blank or card"}
	case d.Kind == Blank && (d.Product == "" || len(d.Product) > 64):
		return &registry.FieldError{Field: "product", ZH: "应为 1 至 64 个字符", EN: "1 to 64 characters"}
	}
	return checkBoxes(d.Boxes, false)
}

// order puts the cards of a list on the books, on their way from their maker.
func order(tx *registry.Tx, b books, h Hands, c Consignment, d Delivery) ([]item, error) {
	wanted := cardsOf(d.Boxes...)
	known, err := find(tx, d.Kind, wanted)
	if err != nil {
		return nil, err
	}
	if len(known) > 0 {
		return nil, naming(ErrKnown, known[0].Item)
	}
	if d.Kind == Finished {
		if err := atMaker(tx, wanted); err != nil {
			return nil, err
		}
	}
	items := make([]item, len(wanted))
	for n, name := range wanted {
		items[n] = item{Kind: d.Kind, Item: name, Holder: d.Maker, State: StateOutside}
	}
	paper := document("consignment", c.ID)
	for _, event := range []string{eventOrder, eventSend} {
		if items, err = write(tx, b, items, change{event: event, hands: &h, at: h.By.Institution, document: paper}); err != nil {
			return nil, err
		}
	}
	if d.Kind == Finished {
		return items, beginCards(tx, items)
	}
	rows, n := make([]blankRow, len(items)), 0
	for _, box := range d.Boxes {
		for range box.Cards {
			rows[n] = blankRow{
				Serial: items[n].Item, Maker: d.Maker, Product: d.Product, Box: box.Label, Holder: d.Maker,
				State: items[n].State, Seq: items[n].Seq, Stamp: tx.Stamp(paper),
			}
			n++
		}
	}
	if err := tx.DB().CreateInBatches(rows, batch).Error; err != nil {
		return nil, fmt.Errorf("stock: blank cards: %w", err)
	}
	return items, nil
}

// atMaker refuses cards that are not finished at a maker's.
func atMaker(tx *registry.Tx, numbers []string) error {
	for part := range slices.Chunk(numbers, named) {
		var found []string
		err := tx.ForUpdate().Table("cards").Where("number IN ? AND custody = 'maker' AND status = '0' AND production IN ('made', 'inspected')", part).
			Order("number").Pluck("number", &found).Error
		if err != nil {
			return fmt.Errorf("stock: cards: %w", err)
		}
		for _, number := range part {
			if !slices.Contains(found, number) {
				return naming(ErrNotFinished, number)
			}
		}
	}
	return nil
}

func newConsignment(tx *registry.Tx, from, to string, h Hands, list string) (Consignment, error) {
	id, err := newID(tx)
	if err != nil {
		return Consignment{}, err
	}
	c := Consignment{ID: id, From: from, To: to, State: StateSent, SentBy: h.By.Login, SentAt: tx.Now()}
	if list != "" {
		c.List = &list
	}
	if err := tx.DB().Create(&c).Error; err != nil {
		if errors.Is(err, registry.ErrDuplicate) {
			return c, naming(ErrKnown, list[:min(12, len(list))])
		}
		return c, fmt.Errorf("stock: consignment: %w", err)
	}
	return c, nil
}

// Send sends sealed boxes one step down or up (发运).
func (s *Service) Send(tx *registry.Tx, h Hands, to string, labels []string) (Consignment, error) {
	from := h.By.Institution
	rule, _ := Consignments.Rule(StateOutside, eventSend)
	if err := h.may(rule, from); err != nil {
		return Consignment{}, err
	}
	_, end, err := way(tx.DB(), from, to)
	if err != nil {
		return Consignment{}, err
	}
	if end.Kind == registry.KindMaker {
		return Consignment{}, naming(ErrWay, to)
	}
	if len(labels) == 0 {
		return Consignment{}, &registry.FieldError{Field: "boxes", ZH: "至少一箱", EN: "at least one box"}
	}
	books, err := open(tx, from, to)
	if err != nil {
		return Consignment{}, err
	}
	c, err := newConsignment(tx, from, to, h, "")
	if err != nil {
		return Consignment{}, err
	}
	for _, label := range slices.Sorted(slices.Values(labels)) {
		if err := s.ship(tx, books, h, c, label); err != nil {
			return Consignment{}, err
		}
	}
	return c, tx.Audit("stock.sent", document("consignment", c.ID), map[string]string{"to": to, "boxes": strconv.Itoa(len(labels))})
}

// ship puts a box on a consignment.
func (s *Service) ship(tx *registry.Tx, b books, h Hands, c Consignment, label string) error {
	box, err := lockBox(tx, label)
	if err != nil {
		return err
	}
	rule, ok := Boxes.Rule(box.State, eventSend)
	if !ok {
		return naming(ErrBoxState, label)
	}
	if err := h.may(rule, box.Place); err != nil {
		return err
	}
	cards, err := inside(tx.DB(), []Box{box})
	if err != nil {
		return err
	}
	items, err := find(tx, box.Kind, cards[box.ID])
	if err != nil {
		return err
	}
	if _, err := s.move(tx, b, items, change{event: eventSend, hands: &h, at: box.Place, document: document("consignment", c.ID)}); err != nil {
		return err
	}
	if err := tx.DB().Model(&Box{}).Where("id = ?", box.ID).Update("state", rule.To).Error; err != nil {
		return fmt.Errorf("stock: box: %w", err)
	}
	if err := tx.DB().Create(&load{Consignment: c.ID, Box: box.ID, Underway: true}).Error; err != nil {
		return fmt.Errorf("stock: load: %w", err)
	}
	return nil
}

// lockConsignment locks a consignment with its boxes.
func lockConsignment(tx *registry.Tx, id uuid.UUID) (Consignment, []Box, error) {
	var c Consignment
	if err := tx.ForUpdate().Where("id = ?", id).Take(&c).Error; err != nil {
		return c, nil, err
	}
	var boxes []Box
	err := tx.ForUpdate().Where("id IN (SELECT box FROM stock_loads WHERE consignment = ?)", id).Order("label").Find(&boxes).Error
	if err != nil {
		return c, nil, fmt.Errorf("stock: boxes: %w", err)
	}
	return c, boxes, nil
}
