package stock

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/registry"
)

// Pack packs cards of a place into a box and seals it, by two persons (装箱封签).
// Finished cards that lie at the place and are not on the books yet are taken
// over.
func (s *Service) Pack(tx *registry.Tx, h Hands, kind string, b NewBox) (Box, error) {
	at := h.By.Institution
	rule, _ := Boxes.Rule(StateOutside, eventPack)
	if err := h.may(rule, at); err != nil {
		return Box{}, err
	}
	if err := checkBoxes([]NewBox{b}, true); err != nil {
		return Box{}, err
	}
	books, err := open(tx, at)
	if err != nil {
		return Box{}, err
	}
	id, err := newID(tx)
	if err != nil {
		return Box{}, err
	}
	wanted := cardsOf(b)
	if kind == Finished {
		if err := s.enter(tx, books, h, document("box", id), wanted); err != nil {
			return Box{}, err
		}
	}
	items, err := take(tx, kind, at, wanted)
	if err != nil {
		return Box{}, err
	}
	if n := slices.IndexFunc(items, func(i item) bool { return i.State != StateStored }); n >= 0 {
		return Box{}, naming(ErrNotThere, items[n].Item)
	}
	box := Box{
		ID: id, Label: b.Label, Kind: kind, Place: at, State: rule.To, Seal: &b.Seal,
		SealedBy: &h.By.Login, WitnessedBy: h.witness(), SealedAt: tx.Now(),
	}
	if err := writeBox(tx, box, b); err != nil {
		return Box{}, err
	}
	return box, tx.Audit("stock.packed", document("box", id), map[string]string{"label": b.Label, "seal": b.Seal, "cards": strconv.Itoa(len(items)), "witness": h.Witness.Login})
}

func cardsOf(boxes ...NewBox) []string {
	var all []string
	for _, b := range boxes {
		for _, c := range b.Cards {
			all = append(all, c.Card)
		}
	}
	return all
}

// writeBox writes a box with its list.
func writeBox(tx *registry.Tx, box Box, b NewBox) error {
	if err := tx.DB().Create(&box).Error; err != nil {
		if errors.Is(err, registry.ErrDuplicate) {
			return naming(ErrKnown, b.Label)
		}
		return fmt.Errorf("stock: box: %w", err)
	}
	rows := make([]content, len(b.Cards))
	for n, c := range b.Cards {
		rows[n] = content{Box: box.ID, Slot: c.Slot, Kind: box.Kind, Item: c.Card, Inside: true}
	}
	if err := tx.DB().CreateInBatches(rows, named).Error; err != nil {
		return fmt.Errorf("stock: contents: %w", err)
	}
	return nil
}

// enter takes finished cards over that lie at a place and are not on the books:
// made there, not handed over.
func (s *Service) enter(tx *registry.Tx, b books, h Hands, document string, numbers []string) error {
	at, err := place(tx.DB(), h.By.Institution)
	if err != nil {
		return err
	}
	known, err := find(tx, Finished, numbers)
	if err != nil {
		return err
	}
	var fresh []item
	for _, number := range numbers {
		if slices.ContainsFunc(known, func(i item) bool { return i.Item == number }) {
			continue
		}
		var from []string
		err := tx.ForUpdate().Table("cards").Joins("JOIN applications ON applications.card_id = cards.id").
			Where("cards.number = ? AND cards.status = '0' AND cards.custody = ?", number, at.custody()).Pluck("applications.place", &from).Error
		if err != nil {
			return fmt.Errorf("stock: cards: %w", err)
		}
		if len(from) != 1 || !gb.Divisions().Lies(from[0], at.Code, s.db.Today()) {
			return naming(ErrNotFinished, number)
		}
		fresh = append(fresh, item{Kind: Finished, Item: number, Holder: at.ID, State: StateOutside})
	}
	moved, err := write(tx, b, fresh, change{event: eventEnter, hands: &h, at: at.ID, document: document})
	if err != nil {
		return err
	}
	return beginCards(tx, moved)
}

// beginCards puts the heads of finished cards on the books.
func beginCards(tx *registry.Tx, moved []item) error {
	rows := make([]cardRow, len(moved))
	for n, i := range moved {
		rows[n] = cardRow{Number: i.Item, Holder: i.Holder, State: i.State, Seq: i.Seq}
	}
	if err := tx.DB().CreateInBatches(rows, named).Error; err != nil {
		return fmt.Errorf("stock: cards: %w", err)
	}
	return nil
}

// Open opens a sealed box of a place, by two persons (开箱): its cards lie loose
// from then on.
func (s *Service) Open(tx *registry.Tx, h Hands, label string) (Box, error) {
	box, err := lockBox(tx, label)
	if err != nil {
		return Box{}, err
	}
	rule, ok := Boxes.Rule(box.State, eventOpen)
	if !ok {
		return Box{}, naming(ErrBoxState, label)
	}
	if err := h.may(rule, box.Place); err != nil {
		return Box{}, err
	}
	if err := openBox(tx, &box, rule.To, h); err != nil {
		return Box{}, err
	}
	return box, tx.Audit("stock.opened", document("box", box.ID), map[string]string{"label": label, "witness": h.Witness.Login})
}

// openBox ends a box: nothing lies in it any more.
func openBox(tx *registry.Tx, box *Box, to string, h Hands) error {
	box.State, box.OpenedBy, box.OpenedWith = to, &h.By.Login, h.witness()
	err := tx.DB().Model(&Box{}).Where("id = ?", box.ID).
		Updates(map[string]any{"state": to, "place": box.Place, "opened_by": box.OpenedBy, "opened_with": box.OpenedWith}).Error
	if err != nil {
		return fmt.Errorf("stock: box: %w", err)
	}
	if err := tx.DB().Model(&content{}).Where("box = ?", box.ID).Update("inside", false).Error; err != nil {
		return fmt.Errorf("stock: contents: %w", err)
	}
	return nil
}

// lockBox locks the box that has a label now.
func lockBox(tx *registry.Tx, label string) (Box, error) {
	var box Box
	err := tx.ForUpdate().Where("label = ? AND state NOT IN ('"+StateOpened+"', '"+StateDifference+"')", label).Take(&box).Error
	if errors.Is(err, registry.ErrNotFound) {
		return box, naming(ErrBoxState, label)
	}
	return box, err
}

// inside returns the cards that lie in boxes, by box.
func inside(db *gorm.DB, boxes []Box) (map[uuid.UUID][]string, error) {
	found := map[uuid.UUID][]string{}
	for _, b := range boxes {
		var cards []string
		if err := db.Model(&content{}).Where("box = ? AND inside", b.ID).Order("slot").Pluck("item", &cards).Error; err != nil {
			return nil, fmt.Errorf("stock: contents: %w", err)
		}
		found[b.ID] = cards
	}
	return found, nil
}
