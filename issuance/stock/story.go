package stock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/registry"
)

// Position is where a card lay in which box.
type Position struct {
	Label string
	Slot  int
	State string // of the box
}

// Story is everything that the books say of a card (流转记录).
type Story struct {
	Kind, Card string
	Place      string
	State      string
	Product    string // of a blank
	Became     string // the number of the card that a blank has become
	Movements  []Movement
	Positions  []Position
	Incidents  []Incident
}

// Story tells the story of a blank by its serial or of a finished card by its
// number, or registry.ErrNotFound.
func (s *Service) Story(ctx context.Context, card string) (Story, error) {
	db := s.db.Read(ctx)
	story := Story{Card: card}
	for _, kind := range []string{Blank, Finished} {
		heads, err := look(db, kind, []string{card})
		if err != nil {
			return story, err
		}
		if len(heads) == 1 {
			story.Kind, story.Place, story.State = kind, heads[0].Holder, heads[0].State
			break
		}
	}
	err := db.Where("item = ?", card).Order("opened_at, id").Find(&story.Incidents).Error
	switch {
	case err != nil:
		return story, fmt.Errorf("stock: incidents: %w", err)
	case story.Kind == "" && len(story.Incidents) == 0:
		return story, registry.ErrNotFound
	case story.Kind == "":
		return story, nil // known as a surplus only
	}
	err = db.Where("kind = ? AND item = ?", story.Kind, card).Order("seq").Find(&story.Movements).Error
	if err != nil {
		return story, fmt.Errorf("stock: story: %w", err)
	}
	err = db.Table("stock_contents").Joins("JOIN stock_boxes ON stock_boxes.id = stock_contents.box").
		Where("stock_contents.kind = ? AND item = ?", story.Kind, card).Order("stock_boxes.sealed_at, stock_boxes.id").
		Select("label, slot, state").Scan(&story.Positions).Error
	if err != nil {
		return story, fmt.Errorf("stock: story: %w", err)
	}
	return story, s.became(db, &story)
}

func (s *Service) became(db *gorm.DB, story *Story) error {
	if story.Kind != Blank {
		return nil
	}
	var row struct {
		Product string
		Number  *string
	}
	err := db.Table("blank_cards").Joins("LEFT JOIN cards ON cards.id = blank_cards.card_id").Where("serial = ?", story.Card).
		Select("product, number").Scan(&row).Error
	if err != nil {
		return fmt.Errorf("stock: story: %w", err)
	}
	story.Product = row.Product
	if row.Number != nil {
		story.Became = *row.Number
	}
	return nil
}

// Held is how many cards of a kind a place has in a state.
type Held struct {
	Kind, State string
	Cards       int64
}

// View is the stock of a place as it stands (库存).
type View struct {
	Place     Place
	Held      []Held
	Arriving  []Consignment // on their way here
	Leaving   []Consignment // on their way from here
	Boxes     []Box         // sealed, here
	Leases    []Lease       // not returned
	Incidents []Incident    // open
	Days      []Day         // the last closed day
	Counters  []string      // workstations
	People    []Colleague
}

// View shows the stock of a place.
func (s *Service) View(ctx context.Context, at string) (View, error) {
	db := s.db.Read(ctx)
	var v View
	var err error
	if v.Place, err = place(db, at); err != nil {
		return v, err
	}
	for _, kind := range []string{Blank, Finished} {
		var held []Held
		err := db.Table(headsOf[kind].table).Where("holder = ?", at).Group("kind, state").Order("state").Select("kind, state, COUNT(*) AS cards").Scan(&held).Error
		if err != nil {
			return v, fmt.Errorf("stock: view: %w", err)
		}
		v.Held = append(v.Held, held...)
	}
	err = errors.Join(
		db.Where("to_place = ? AND state = ?", at, StateSent).Order("sent_at").Find(&v.Arriving).Error,
		db.Where("from_place = ? AND state = ?", at, StateSent).Order("sent_at").Find(&v.Leaving).Error,
		db.Where("place = ? AND state IN ?", at, []string{StatePacked, StateReceived}).Order("label").Find(&v.Boxes).Error,
		db.Where("place = ? AND returned_at IS NULL", at).Order("expires_at").Find(&v.Leases).Error,
		db.Where("place = ? AND closed_at IS NULL", at).Order("opened_at, id").Find(&v.Incidents).Error,
		db.Where("place = ? AND day = (SELECT MAX(day) FROM stock_days WHERE place = ?)", at, at).Order("kind, bin").Find(&v.Days).Error,
	)
	if err != nil {
		return v, fmt.Errorf("stock: view: %w", err)
	}
	if err := staff(db, &v); err != nil {
		return v, fmt.Errorf("stock: view: %w", err)
	}
	return v, nil
}

// Packed returns what lies in the boxes of a consignment, by box.
func (s *Service) Packed(ctx context.Context, c Consignment) ([]Box, []NewBox, error) {
	db := s.db.Read(ctx)
	var boxes []Box
	err := db.Where("id IN (SELECT box FROM stock_loads WHERE consignment = ?)", c.ID).Order("label").Find(&boxes).Error
	if err != nil {
		return nil, nil, fmt.Errorf("stock: boxes: %w", err)
	}
	lists := make([]NewBox, len(boxes))
	for n, b := range boxes {
		lists[n].Label = b.Label
		var rows []content
		if err := db.Where("box = ?", b.ID).Order("slot").Find(&rows).Error; err != nil {
			return nil, nil, fmt.Errorf("stock: contents: %w", err)
		}
		for _, r := range rows {
			lists[n].Cards = append(lists[n].Cards, Slot{r.Slot, r.Item})
		}
	}
	return boxes, lists, nil
}

// Unclaimed is a finished card that nobody has fetched (逾期未领).
type Unclaimed struct {
	Number string    `gorm:"column:number"`
	Since  time.Time `gorm:"column:at"` // when it came here
}

// Unclaimed lists the finished cards of a place that have lain there longer than
// its policy lets them: they go back to store, by a consignment up.
func (s *Service) Unclaimed(ctx context.Context, at string) ([]Unclaimed, error) {
	db := s.db.Read(ctx)
	p, err := place(db, at)
	if err != nil {
		return nil, err
	}
	policy, err := s.policies.At(p.Code, gb.DayOf(s.db.Now()))
	if err != nil {
		return nil, err
	}
	var cards []Unclaimed
	err = db.Table("stock_cards").Joins("JOIN cards ON cards.number = stock_cards.number").
		Joins("JOIN stock_movements m ON m.kind = 'card' AND m.item = stock_cards.number AND m.seq = stock_cards.seq").
		Where("stock_cards.holder = ? AND stock_cards.state = ? AND cards.custody <> 'holder' AND m.at < ?", at, StateStored, s.db.Now().AddDate(0, 0, -policy.UnclaimedDays)).
		Order("m.at, stock_cards.number").Select("stock_cards.number, m.at").Scan(&cards).Error
	if err != nil {
		return nil, fmt.Errorf("stock: unclaimed: %w", err)
	}
	return cards, nil
}
