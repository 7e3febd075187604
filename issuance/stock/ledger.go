package stock

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/internal/gb"
	"onecard/registry"
)

// batch bounds the rows of one statement that writes all their columns, and named
// those that one names.
const (
	batch = 40
	named = 200
)

// books are the places whose books a change writes, each with the day on which
// it counts there: today, or the day after a day that is closed already.
type books map[string]string

// open opens the books of places until the transaction ends, beside others that
// write in them: whose card it is says the card, which each locks for itself. No
// day is closed meanwhile.
func open(tx *registry.Tx, places ...string) (books, error) {
	return opened(tx, clause.LockingStrengthShare, places)
}

// alone opens the book of a place with nobody else writing in it: for whoever
// looks for what lies there before locking it.
func alone(tx *registry.Tx, place string) (books, error) {
	return opened(tx, clause.LockingStrengthUpdate, []string{place})
}

// opened locks the books of places in an order that is the same for everybody.
func opened(tx *registry.Tx, strength string, places []string) (books, error) {
	slices.Sort(places)
	b := books{}
	for _, p := range slices.Compact(places) {
		take := func() error {
			return tx.DB().Clauses(clause.Locking{Strength: strength}).Where("place = ?", p).Take(&placeRow{}).Error
		}
		err := take()
		if errors.Is(err, registry.ErrNotFound) { // the first time
			err = tx.DB().Clauses(clause.OnConflict{DoNothing: true}).Create(&placeRow{Place: p}).Error
			if err == nil {
				err = take()
			}
		}
		if err != nil {
			return nil, fmt.Errorf("stock: book: %w", err)
		}
		last, err := lastDay(tx, p)
		if err != nil {
			return nil, err
		}
		b[p] = gb.DayOf(tx.Now()).String()
		if last >= b[p] {
			if b[p], err = dayAfter(last); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// lastDay returns the last closed day of a place, or "".
func lastDay(tx *registry.Tx, place string) (string, error) {
	var last *string
	if err := tx.DB().Model(&Day{}).Where("place = ?", place).Select("MAX(day)").Scan(&last).Error; err != nil || last == nil {
		return "", err
	}
	return *last, nil
}

func dayAfter(text string) (string, error) {
	d, err := gb.ParseDate(text)
	if err != nil {
		return "", fmt.Errorf("stock: closed day: %w", err)
	}
	return gb.DateOf(d.Time(gb.Beijing).AddDate(0, 0, 1)).String(), nil
}

// heads is where the heads of a kind's movements stand.
var headsOf = map[string]struct{ table, key, lease string }{
	Blank:    {"blank_cards", "serial", "lease"},
	Finished: {"stock_cards", "number", "NULL"},
}

// find locks the cards of a kind that are on the books, in the order of their
// names. Books are opened before, so that nobody waits in a ring.
func find(tx *registry.Tx, kind string, names []string) ([]item, error) {
	return look(tx.ForUpdate(), kind, names)
}

// look is find without locking.
func look(db *gorm.DB, kind string, names []string) ([]item, error) {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	head := headsOf[kind]
	var found []item
	for part := range slices.Chunk(names, named) {
		var items []item
		err := db.Session(&gorm.Session{}).Table(head.table).Select("kind, "+head.key+" AS item, holder, state, seq, "+head.lease+" AS lease").
			Where(head.key+" IN ?", part).Order(head.key).Find(&items).Error
		if err != nil {
			return nil, fmt.Errorf("stock: %s: %w", kind, err)
		}
		found = append(found, items...)
	}
	return found, nil
}

// take locks cards that must lie loose at a place.
func take(tx *registry.Tx, kind, at string, names []string) ([]item, error) {
	items, err := find(tx, kind, names)
	if err != nil {
		return nil, err
	}
	holder := map[string]string{}
	for _, i := range items {
		holder[i.Item] = i.Holder
	}
	for i, name := range slices.Sorted(slices.Values(names)) {
		if holder[name] != at {
			return nil, naming(ErrNotThere, name)
		}
		if i >= len(items) || items[i].Item != name {
			return nil, twice(name)
		}
	}
	return items, loose(tx, kind, names)
}

// twice refuses a list that names a card twice.
func twice(name string) error {
	return &registry.FieldError{Field: "cards", ZH: "卡重复列出 " + name, EN: "a card is listed twice " + name}
}

// loose refuses cards that lie in a sealed box.
func loose(tx *registry.Tx, kind string, names []string) error {
	for part := range slices.Chunk(names, named) {
		var boxed []string
		err := tx.DB().Model(&content{}).Where("inside AND kind = ? AND item IN ?", kind, part).Limit(1).Pluck("item", &boxed).Error
		if err != nil {
			return fmt.Errorf("stock: boxes: %w", err)
		}
		if len(boxed) > 0 {
			return naming(ErrBoxed, boxed[0])
		}
	}
	return nil
}

// change is an event that happens to cards.
type change struct {
	event       string
	hands       *Hands // nil: the workflow of issuance has judged who may
	at          string // the place whose people do it
	to          string // place; "" where the cards are
	document    string
	reason      string
	lease       *uuid.UUID
	destruction *uuid.UUID
}

// move lets an event happen to cards that are locked, all to the same state:
// a line of the ledger each, and then the heads.
func (s *Service) move(tx *registry.Tx, b books, items []item, c change) ([]item, error) {
	moved, err := write(tx, b, items, c)
	if err != nil {
		return nil, err
	}
	for part := range slices.Chunk(moved, named) {
		if err := setHeads(tx, part, c); err != nil {
			return nil, err
		}
	}
	if len(moved) == 0 {
		return nil, nil
	}
	return moved, errors.Join(s.keepCustody(tx, moved, c), s.retire(tx, moved, c))
}

// write writes the lines of an event into the ledger, and returns the cards as
// they are then: where the heads of their movements have to follow.
func write(tx *registry.Tx, b books, items []item, c change) ([]item, error) {
	if len(items) == 0 {
		return nil, nil
	}
	lines := make([]Movement, len(items))
	moved := slices.Clone(items)
	for n, i := range items {
		rule, ok := Machine(i.Kind).Rule(i.State, c.event)
		if !ok || n > 0 && rule.To != lines[0].ToState {
			return nil, naming(ErrNotThere, i.Item)
		}
		if c.hands != nil {
			if err := c.hands.may(rule, c.at); err != nil {
				return nil, err
			}
		}
		if rule.Reasons != "" && strings.TrimSpace(c.reason) == "" {
			return nil, &registry.FieldError{Field: "reason", ZH: "请填写原因", EN: "a reason is needed"}
		}
		to := c.to
		if to == "" {
			to = i.Holder
		}
		lines[n] = Movement{
			Kind: i.Kind, Item: i.Item, Seq: i.Seq + 1, Event: c.event, FromPlace: i.Holder, FromState: i.State, FromDay: b[i.Holder],
			ToPlace: to, ToState: rule.To, ToDay: b[to], Document: c.document, Reason: c.reason,
			At: tx.Now(), Operator: tx.Actor().Operator, Workstation: tx.Actor().Workstation,
		}
		if i.Seq > 0 {
			lines[n].PrevSeq = &items[n].Seq
		}
		moved[n].Holder, moved[n].State, moved[n].Seq, moved[n].Lease = to, rule.To, i.Seq+1, c.lease
	}
	if err := tx.DB().CreateInBatches(lines, batch).Error; err != nil {
		if errors.Is(err, registry.ErrDuplicate) {
			return nil, registry.ErrBusy // another moved it first
		}
		return nil, fmt.Errorf("stock: ledger: %w", err)
	}
	return moved, nil
}

// setHeads makes the heads of cards follow their last movement.
func setHeads(tx *registry.Tx, moved []item, c change) error {
	head := headsOf[moved[0].Kind]
	byHolder := map[string][]string{}
	for _, i := range moved {
		byHolder[i.Holder] = append(byHolder[i.Holder], i.Item)
	}
	for _, holder := range slices.Sorted(maps.Keys(byHolder)) {
		values := map[string]any{"holder": holder, "state": moved[0].State, "seq": gorm.Expr("seq + 1"), "destruction": c.destruction}
		if moved[0].Kind == Blank {
			values["lease"] = c.lease
			if moved[0].State != StateUsed {
				values["card_id"] = nil
			}
			values = tx.Change(values, c.reason)
		}
		result := tx.DB().Table(head.table).Where(head.key+" IN ?", byHolder[holder]).Updates(values)
		if result.Error != nil {
			return fmt.Errorf("stock: %s: %w", head.table, result.Error)
		}
		if result.RowsAffected != int64(len(byHolder[holder])) {
			return registry.ErrConflict
		}
	}
	return nil
}

// keepCustody tells the records of finished cards in whose custody they are
// (保管). A card that its holder has stays his.
func (s *Service) keepCustody(tx *registry.Tx, moved []item, c change) error {
	if moved[0].Kind != Finished {
		return nil
	}
	custody := map[string]string{StateOrdered: "maker", StateDestroyed: "destroyed"}[moved[0].State]
	if moved[0].State == StateStored || moved[0].State == StateSpoiled && c.event == eventDamage {
		p, err := place(tx.DB(), moved[0].Holder)
		if err != nil {
			return err
		}
		custody = p.custody()
	}
	if custody == "" {
		return nil
	}
	for part := range slices.Chunk(names(moved), named) {
		err := tx.DB().Table("cards").Where("number IN ? AND custody <> ?", part, custody).
			Updates(tx.Change(map[string]any{"custody": custody}, c.document)).Error
		if err != nil {
			return fmt.Errorf("stock: custody: %w", err)
		}
	}
	return nil
}

// retire takes finished cards out of use that are missing or waste.
func (s *Service) retire(tx *registry.Tx, moved []item, c change) error {
	if moved[0].Kind != Finished || moved[0].State != StateMissing && moved[0].State != StateSpoiled {
		return nil
	}
	for part := range slices.Chunk(names(moved), named) {
		var ids []uuid.UUID
		if err := tx.DB().Table("cards").Where("number IN ?", part).Order("id").Pluck("id", &ids).Error; err != nil {
			return fmt.Errorf("stock: cards: %w", err)
		}
		for _, id := range ids {
			if err := s.lost.Invalidate(tx, id, Machine(Finished).State(moved[0].State).Text.ZH+"："+c.document); err != nil {
				return err
			}
		}
	}
	return nil
}

func names(items []item) []string {
	all := make([]string, len(items))
	for n, i := range items {
		all[n] = i.Item
	}
	return all
}
