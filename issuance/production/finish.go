package production

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"onecard/issuance"
	"onecard/registry"
)

// row locks a row of a batch by its card number.
func row(tx *registry.Tx, batch uuid.UUID, number string) (item Item, err error) {
	if err := tx.ForUpdate().Where("batch_id = ? AND card_number = ?", batch, number).Take(&item).Error; err != nil {
		return item, fmt.Errorf("batch row: %w", err)
	}
	return item, nil
}

// comparedWithin is how long a comparison at a counter stands for an inspection.
const comparedWithin = 30 * time.Minute

// Inspection is what an inspector found (质检): the comparison of a card at a
// counter (芯片与省库比对) by the inspector, or why the card is rejected.
type Inspection struct {
	Number  string    // 卡号
	Session uuid.UUID // of the comparison; needed to pass
	Reject  string    // reason; empty: face, chip and records say the same
}

// Inspect records the inspection of one card of a returned batch. The inspector
// is not who ordered the batch, and what passes was read by them at a counter:
// genuine, and the same as the records in everything. A rejected card is taken
// back; it is to be destroyed, and the application waits again.
func (s *Service) Inspect(ctx context.Context, who Who, number string, i Inspection) error {
	if err := who.may(closers); err != nil {
		return err
	}
	var compared issuance.Comparison
	if i.Reject == "" {
		var err error
		if compared, err = s.Issuance.Compared(ctx, i.Session); err != nil {
			return errors.Join(ErrCompared, err)
		}
	}
	return s.DB.InTx(ctx, who.Actor, func(tx *registry.Tx) error {
		b, err := s.locked(tx, number)
		if err != nil {
			return err
		}
		item, err := row(tx, b.ID, i.Number)
		switch {
		case err != nil:
			return err
		case b.OrderedBy == who.Operator:
			return ErrInspector
		case b.State != StateReturned || item.State != ItemMade && item.State != ItemInspected:
			return ErrItem
		case i.Reject != "":
		case item.CardID == nil || compared.CardID != *item.CardID || compared.Operator != who.Operator || tx.Now().Sub(compared.At) > comparedWithin:
			return ErrCompared
		case !compared.Same:
			return field("session", "比对结果不一致，应填写不合格原因", "the comparison found differences: reject the card")
		}
		return s.inspected(tx, b, item, i)
	})
}

func (s *Service) inspected(tx *registry.Tx, b Batch, item Item, i Inspection) error {
	record := inspectionRow{BatchID: b.ID, Seq: item.Seq, At: tx.Now(), Inspector: tx.Actor().Operator, OrderedBy: b.OrderedBy, Passed: i.Reject == "", Reason: i.Reject}
	if i.Session != uuid.Nil {
		record.Session = &i.Session
	}
	if err := tx.DB().Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "batch_id"}, {Name: "seq"}}, UpdateAll: true}).Create(&record).Error; err != nil {
		return fmt.Errorf("inspection: %w", err)
	}
	detail := map[string]string{"row": fmt.Sprint(item.Seq), "passed": fmt.Sprint(record.Passed)}
	err := tx.Audit("batch.inspected", "batch:"+b.ID.String(), detail)
	switch {
	case err != nil:
		return err
	case !record.Passed:
		if item.CardID != nil {
			_, err = s.Issuance.FireCard(tx, *item.CardID, issuance.Asked{Event: issuance.EventScrap, Code: "quality", Reason: i.Reject, Roles: byBatch})
		}
		change(tx, item, map[string]any{"state": ItemFailed, "reason": i.Reject, "changed_at": tx.Now()})
		chip(tx, item, "spoiled")
		return err
	case item.State == ItemMade:
		change(tx, item, map[string]any{"state": ItemInspected, "changed_at": tx.Now()})
		if item.CardID == nil {
			return nil
		}
		return s.Issuance.Inspected(tx, *item.CardID)
	}
	return nil
}

// Pass ends the quality check of a batch (质检合格): as many cards were inspected
// as the policy asks for. Test cards have no record to be compared with: of them
// the ministry's tests decide.
func (s *Service) Pass(ctx context.Context, who Who, number string) error {
	return s.DB.InTx(ctx, who.Actor, func(tx *registry.Tx) error {
		b, err := s.locked(tx, number)
		if err != nil {
			return err
		}
		if b.OrderedBy == who.Operator {
			return ErrInspector
		}
		counts, err := s.counts(tx, b.ID)
		if err != nil {
			return err
		}
		policy, err := s.Policies.At(b.Place, issuance.Day(tx.Now()))
		if err != nil {
			return err
		}
		good := counts[ItemMade] + counts[ItemInspected]
		if b.Kind == KindNormal && counts[ItemInspected] < policy.sample(good) {
			return ErrSample
		}
		return move(tx, &b, "inspect", who, "", nil)
	})
}

// counts counts the rows of a batch by state.
func (s *Service) counts(tx *registry.Tx, batch uuid.UUID) (map[string]int64, error) {
	var rows []struct {
		State string
		N     int64
	}
	if err := tx.DB().Model(&Item{}).Select("state, count(*) AS n").Where("batch_id = ?", batch).Group("state").Scan(&rows).Error; err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for _, r := range rows {
		counts[r.State] = r.N
	}
	return counts, nil
}

// methods are how cards are destroyed.
var methods = []string{"shredded", "punched", "melted"}

// Scrap signs that a spoiled card was destroyed (销毁). The first signature opens
// the record, another person's closes it; then the card is destroyed.
func (s *Service) Scrap(tx *registry.Tx, who Who, number, cardNumber, method, reason string) (done bool, err error) {
	if err := who.may(closers); err != nil {
		return false, err
	}
	b, err := s.locked(tx, number)
	if err != nil {
		return false, err
	}
	item, err := row(tx, b.ID, cardNumber)
	if err != nil {
		return false, err
	}
	var known []Destruction
	if err := tx.ForUpdate().Where("batch_id = ? AND seq = ?", b.ID, item.Seq).Limit(1).Find(&known).Error; err != nil {
		return false, err
	}
	detail := map[string]string{"row": fmt.Sprint(item.Seq)}
	switch {
	case item.State == ItemScrapped:
		return true, tx.Audit("batch.scrap.asked", "batch:"+b.ID.String(), detail)
	case item.State != ItemFailed && item.State != ItemKeyError:
		return false, ErrItem
	case len(known) == 0:
		switch {
		case !slices.Contains(methods, method):
			return false, field("method", "销毁方式应为 shredded（粉碎）、punched（打孔）或 melted（熔毁）", "how: shredded, punched or melted")
		case reason == "":
			return false, field("reason", "请填写原因", "say why")
		}
		record := Destruction{BatchID: b.ID, Seq: item.Seq, Method: method, Reason: reason, FirstBy: who.Operator, FirstAt: tx.Now()}
		return false, errors.Join(tx.DB().Create(&record).Error, tx.Audit("batch.scrap.first", "batch:"+b.ID.String(), detail))
	case known[0].FirstBy == who.Operator:
		return false, ErrWitness
	}
	return true, s.destroyed(tx, b, item, detail)
}

func (s *Service) destroyed(tx *registry.Tx, b Batch, item Item, detail map[string]string) error {
	second := tx.DB().Model(&Destruction{}).Where("batch_id = ? AND seq = ? AND second_by IS NULL", b.ID, item.Seq).
		Updates(map[string]any{"second_by": tx.Actor().Operator, "second_at": tx.Now()})
	if second.Error != nil {
		return second.Error
	}
	if second.RowsAffected != 1 {
		return registry.ErrConflict
	}
	if item.CardID != nil {
		if err := s.Issuance.Destroyed(tx, *item.CardID); err != nil {
			return err
		}
	}
	change(tx, item, map[string]any{"state": ItemScrapped, "changed_at": tx.Now()})
	chip(tx, item, "destroyed")
	return tx.Audit("batch.scrapped", "batch:"+b.ID.String(), detail)
}

// Close closes a batch (结批): each row left before production, became exactly one
// card, or was destroyed. The database holds the sum as well.
func (s *Service) Close(tx *registry.Tx, who Who, number string) (Batch, error) {
	b, err := s.locked(tx, number)
	if err != nil {
		return b, err
	}
	counts, err := s.counts(tx, b.ID)
	if err != nil {
		return b, err
	}
	unmade, made, scrapped := counts[ItemNoAccount]+counts[ItemCancelled], counts[ItemMade]+counts[ItemInspected], counts[ItemScrapped]
	if b.State == StateInspected && unmade+made+scrapped != b.Size {
		return b, ErrUndestroyed
	}
	err = move(tx, &b, "close", who, "", map[string]any{"unmade": unmade, "made": made, "scrapped": scrapped})
	b.Unmade, b.Made, b.Scrapped = &unmade, &made, &scrapped
	return b, err
}

// Cancel gives a batch up that was not sent (取消): its applications wait again.
func (s *Service) Cancel(ctx context.Context, who Who, number, reason string) error {
	if err := who.may(supervisors); err != nil {
		return err
	}
	if reason == "" {
		return issuance.ErrNeedsReason
	}
	w, err := s.begin(ctx, who, number)
	if err != nil {
		return err
	}
	return errors.Join(w.cancel(ctx, reason), w.end(ctx))
}

func (w *work) cancel(ctx context.Context, reason string) error {
	if _, ok := Batches.Rule(w.batch.State, "cancel"); !ok {
		return issuance.ErrNotAllowed
	}
	for done := false; !done; {
		err := w.step(ctx, func(tx *registry.Tx) error {
			var items []Item
			active := []string{ItemOrdered, ItemAccounted, ItemMaking}
			if err := tx.DB().Where("batch_id = ? AND state IN ?", w.batch.ID, active).Order("seq").Limit(w.chunk).Find(&items).Error; err != nil {
				return err
			}
			for _, item := range items {
				if err := w.unbind(tx, &item); err != nil {
					return err
				}
				if err := w.leave(tx, item, reason); err != nil {
					return err
				}
			}
			if done = len(items) == 0; !done {
				return nil
			}
			if w.batch.State == StateOpen && w.batch.Kind == KindNormal && w.batch.Size < w.batch.Most {
				if err := reserve(tx, w.batch.Supplier, w.batch.Size-w.batch.Most); err != nil {
					return err
				}
			}
			return move(tx, &w.batch, "cancel", w.who, reason, nil)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unbind frees the chip of a row that no file has named.
func (w *work) unbind(tx *registry.Tx, item *Item) error {
	if item.ATR == nil {
		return nil
	}
	change(tx, *item, map[string]any{"state": ItemAccounted, "atr": nil, "chip_id": nil, "intention": nil, "changed_at": tx.Now()})
	chip(tx, *item, "free")
	item.State, item.ATR = ItemAccounted, nil
	return nil
}
