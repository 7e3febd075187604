package production

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/registry"
)

// Order is what a batch is to be (组批要求).
type Order struct {
	Number   string // 批次号; empty: the next of the day. The same again goes on with the same batch
	Kind     string // normal, test
	Supplier string
	Bank     string // bank that opens the accounts; empty: cards without
	CardType string // 卡的类别
	Place    string // of the applications, with all places below it
	Most     int64
}

func (o Order) check() error {
	switch {
	case o.Kind != KindNormal && o.Kind != KindTest:
		return field("kind", "normal 或 test", "normal or test")
	case len(o.CardType) != 1:
		return field("cardType", "一个字符", "one character")
	case o.Most < 1 || o.Most > 1_000_000:
		return field("most", "1 至 1000000", "1 to 1000000")
	case len(o.Number) > 32:
		return field("number", "至多 32 个字符", "at most 32 characters")
	case o.Kind == KindTest && o.Bank != "":
		return field("bank", "测试批次不开户", "no accounts are opened for test cards")
	}
	return nil
}

// Create makes a batch of the applications that wait in a place, oldest first
// (组批), and orders it: within the supplier's approval and quota. It may be
// repeated with the same number, and goes on where it stopped.
func (s *Service) Create(ctx context.Context, who Who, o Order) (Batch, error) {
	var b Batch
	err := s.DB.InTx(ctx, who.Actor, func(tx *registry.Tx) (err error) {
		b, err = s.Enter(tx, who, o)
		return err
	})
	if err != nil || b.State != StateOpen {
		return b, err
	}
	w, err := s.begin(ctx, who, b.Number)
	if err != nil {
		return b, err
	}
	if err = w.fill(ctx); err == nil {
		err = w.step(ctx, w.order)
	}
	return w.batch, errors.Join(err, w.end(ctx))
}

// Enter finds the batch of that number or makes it, with its cards off the
// supplier's quota: the first step of Create, which it leaves the rest to.
func (s *Service) Enter(tx *registry.Tx, who Who, o Order) (b Batch, err error) {
	if err := errors.Join(who.may(producers), o.check()); err != nil {
		return b, err
	}
	if err := s.bankOf(&o); err != nil {
		return b, err
	}
	if o.Number != "" {
		err := tx.ForUpdate().Where("number = ?", o.Number).Take(&b).Error
		switch {
		case err == nil && !b.is(o):
			return b, ErrOther
		case err == nil:
			return b, tx.Audit("batch.asked", "batch:"+b.ID.String(), nil)
		case !errors.Is(err, registry.ErrNotFound):
			return b, err
		}
	}
	return s.newBatch(tx, o)
}

func (b Batch) is(o Order) bool {
	bank := ""
	if b.Bank != nil {
		bank = *b.Bank
	}
	return b.Kind == o.Kind && b.Supplier == o.Supplier && bank == o.Bank && b.CardType == o.CardType && b.Place == o.Place && b.Most == o.Most
}

func (s *Service) newBatch(tx *registry.Tx, o Order) (b Batch, err error) {
	var supplier Supplier
	err = tx.ForUpdate().Where("id = ?", o.Supplier).Take(&supplier).Error
	if errors.Is(err, registry.ErrNotFound) {
		return b, ErrSupplier
	}
	if err == nil {
		err = supplier.usable(issuance.Day(tx.Now()))
	}
	if err == nil && o.Kind == KindNormal {
		err = s.somebodyWaits(tx, o.Place)
	}
	if err == nil && o.Kind == KindNormal {
		err = reserve(tx, supplier.ID, o.Most)
	}
	if err == nil && o.Number == "" {
		o.Number, err = nextNumber(tx)
	}
	if err != nil {
		return b, err
	}
	id, err := tx.NewID()
	if err != nil {
		return b, fmt.Errorf("batch: new id: %w", err)
	}
	b = Batch{
		ID: id, Number: o.Number, Kind: o.Kind, Supplier: o.Supplier, CardType: o.CardType, Place: o.Place, Most: o.Most, State: Batches.Initial,
		OrderedBy: tx.Actor().Operator, LeaseUntil: tx.Now(), CreatedAt: tx.Now(), Stamp: tx.Stamp(""),
	}
	if o.Bank != "" {
		b.Bank = &o.Bank
	}
	if err := tx.DB().Create(&b).Error; err != nil {
		return b, fmt.Errorf("batch: %w", err)
	}
	return b, tx.Audit("batch.opened", "batch:"+id.String(), map[string]string{"number": b.Number, "supplier": b.Supplier, "kind": b.Kind, "most": fmt.Sprint(b.Most)})
}

// somebodyWaits refuses a batch that would stay empty.
func (s *Service) somebodyWaits(tx *registry.Tx, place string) error {
	waiting, err := s.Issuance.Waiting(tx, place, uuid.Nil, 1)
	if err == nil && len(waiting) == 0 {
		err = ErrEmpty
	}
	return err
}

// nextNumber draws a batch number (批次号): the day and four digits.
func nextNumber(tx *registry.Tx) (string, error) {
	day := issuance.Day(tx.Now()).Compact()
	row := struct {
		Day  string
		Next int64
	}{day, 1}
	if err := tx.DB().Table("batch_sequence").Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
		return "", err
	}
	if err := tx.DB().Table("batch_sequence").Where("day = ?", day).Update("next", gorm.Expr("next + 1")).Error; err != nil {
		return "", err
	}
	if err := tx.DB().Table("batch_sequence").Where("day = ?", day).Take(&row).Error; err != nil {
		return "", err
	}
	return fmt.Sprintf("%s-%04d", day, row.Next-1), nil
}

// fill adds rows until the batch has as many as it may, or none is left.
func (w *work) fill(ctx context.Context) error {
	add := w.addTests
	if w.batch.Kind == KindNormal {
		add = w.addWaiting
	}
	var after uuid.UUID
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		var last uuid.UUID
		more := false
		err := w.step(ctx, func(tx *registry.Tx) error {
			room := min(w.batch.Most-w.batch.Size, int64(w.chunk))
			more = room > 0
			if !more {
				return nil
			}
			items, next, err := add(tx, after, int(room))
			if err != nil {
				return err
			}
			last, more = next, next != uuid.Nil
			if err := w.grow(tx, items); err != nil {
				return err
			}
			return w.ask(tx, items)
		})
		if err != nil || !more {
			return err
		}
		after = last
	}
}

// grow records rows that were added.
func (w *work) grow(tx *registry.Tx, items []Item) error {
	if len(items) > 0 {
		if err := tx.DB().Create(&items).Error; err != nil {
			return fmt.Errorf("rows of a batch: %w", err)
		}
	}
	w.batch.Size += int64(len(items))
	if err := tx.DB().Model(&Batch{}).Where("id = ?", w.batch.ID).Update("size", w.batch.Size).Error; err != nil {
		return err
	}
	return tx.Audit("batch.filled", "batch:"+w.batch.ID.String(), map[string]string{"added": fmt.Sprint(len(items)), "size": fmt.Sprint(w.batch.Size)})
}

// addWaiting adds applications that wait, oldest first; one that the
// workflow refuses is left out. It returns where to go on, or nothing at the end.
func (w *work) addWaiting(tx *registry.Tx, after uuid.UUID, room int) (items []Item, last uuid.UUID, err error) {
	waiting, err := w.Issuance.Waiting(tx, w.batch.Place, after, room)
	if err != nil {
		return nil, last, err
	}
	ids := make([]uuid.UUID, len(waiting))
	for i, a := range waiting {
		ids[i] = a.ID
	}
	if err := w.Issuance.Hold(tx, ids); err != nil {
		return nil, last, err
	}
	var left []uuid.UUID // for want of an account
	if err := tx.DB().Model(&Item{}).Where("batch_id = ? AND application_id IN ?", w.batch.ID, ids).Pluck("application_id", &left).Error; err != nil {
		return nil, last, err
	}
	for _, a := range waiting {
		if last = a.ID; slices.Contains(left, a.ID) {
			continue
		}
		_, _, err := w.Issuance.Batch(tx, a.ID, byBatch)
		if refused := new(issuance.Error); errors.As(err, &refused) {
			continue // dead, merged, to be reviewed again
		}
		if err != nil {
			return nil, last, err
		}
		items = append(items, Item{
			BatchID: w.batch.ID, Seq: w.batch.Size + int64(len(items)) + 1, Kind: w.batch.Kind, ApplicationID: &a.ID, PersonID: &a.PersonID,
			CardNumber: a.CardNumber, State: ItemOrdered, ChangedAt: tx.Now(),
		})
	}
	return items, last, nil
}

// addTests adds rows for test cards: numbers of a series of their own.
func (w *work) addTests(tx *registry.Tx, _ uuid.UUID, room int) (items []Item, last uuid.UUID, err error) {
	for range room {
		seq := w.batch.Size + int64(len(items)) + 1
		number, err := gb.NewCardNumber(fmt.Sprintf("TST%05d", seq%100_000))
		if err != nil {
			return nil, last, err
		}
		items = append(items, Item{BatchID: w.batch.ID, Seq: seq, Kind: w.batch.Kind, CardNumber: number.String(), State: ItemOrdered, ChangedAt: tx.Now()})
	}
	return items, w.batch.ID, nil
}

// order ends the filling: what was reserved and is not needed goes back. Cards
// without accounts are ready for production, the others when each is answered.
func (w *work) order(tx *registry.Tx) error {
	b := &w.batch
	if b.Size == 0 {
		return ErrEmpty
	}
	if b.Kind == KindNormal && b.Size < b.Most {
		if err := reserve(tx, b.Supplier, b.Size-b.Most); err != nil {
			return err
		}
	}
	if err := move(tx, b, "order", w.who, "", nil); err != nil {
		return err
	}
	if b.Bank != nil {
		return answered(tx, b)
	}
	if err := tx.DB().Model(&Item{}).Where("batch_id = ? AND state = ?", b.ID, ItemOrdered).Updates(map[string]any{"state": ItemAccounted, "changed_at": tx.Now()}).Error; err != nil {
		return err
	}
	return move(tx, b, "bank", w.who, "", nil)
}
