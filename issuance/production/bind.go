package production

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"onecard/card"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/registry"
)

// intended is what a row's card is to be, on its chip and on its face.
type intended struct {
	card.Contents
	NameTibetan string `json:"nameTibetan,omitempty"`
}

// bound is a row with what it is to become.
type bound struct {
	item      *Item
	intention issuance.Intention
	chip      chipRow
	chipID    []byte
}

// bind gives each row that is ready a chip of the maker's list and its intention
// (制卡意图), as the records are now. What is bound stays so: the file that is
// written from it may be written again.
func (w *work) bind(ctx context.Context, supplier Supplier) error {
	p, err := profile.ByVersion(w.Profiles, supplier.SpecVersion)
	if err != nil {
		return err
	}
	after := int64(0)
	// Each step takes the batch anew; what runs ahead of it has its own copy.
	reading := *w
	return ahead(ctx, func(ctx context.Context) ([]bound, error) {
		var items []Item
		err := w.DB.Read(ctx).Where("batch_id = ? AND state = ? AND seq > ?", reading.batch.ID, ItemAccounted, after).Order("seq").Limit(w.chunk).Find(&items).Error
		if err != nil || len(items) == 0 {
			return nil, err
		}
		after = items[len(items)-1].Seq
		return reading.intend(ctx, p, items)
	}, func(rows []bound) error {
		return w.step(ctx, func(tx *registry.Tx) error { return w.bindAll(tx, p, rows) })
	})
}

// intend makes the intentions of rows.
func (w *work) intend(ctx context.Context, p *profile.Profile, items []Item) ([]bound, error) {
	intentions, err := w.Issuance.Intentions(ctx, p, applicationsOf(items))
	if err != nil {
		return nil, err
	}
	rows := make([]bound, len(items))
	for i := range items {
		row := &rows[i]
		row.item = &items[i]
		if items[i].ApplicationID == nil {
			if row.intention, err = w.test(p, items[i]); err != nil {
				return nil, err
			}
			continue
		}
		intention, known := intentions[*items[i].ApplicationID]
		if !known {
			return nil, fmt.Errorf("batch row %d: application: %w", items[i].Seq, registry.ErrConflict)
		}
		if row.intention = intention; intention.Refused == nil && intention.Contents.CardType != w.batch.CardType {
			row.intention.Refused = ErrCardType
		}
	}
	return rows, nil
}

// test makes the intention of a test card.
func (w *work) test(p *profile.Profile, item Item) (issuance.Intention, error) {
	policy, err := w.Policies.At(w.batch.Place, issuance.Day(w.DB.Now()))
	if err != nil {
		return issuance.Intention{}, err
	}
	birth, err := gb.ParseDate("1900-01-01")
	if err != nil {
		return issuance.Intention{}, err
	}
	number, err := gb.NewIDNumber("630000", birth, int(item.Seq%1000))
	if err != nil {
		return issuance.Intention{}, err
	}
	person := registry.Person{IDNumber: number, Name: policy.TestHolder, Sex: number.Sex(), Ethnic: "01", Place: w.batch.Place, Life: registry.LifeLiving}
	return w.Issuance.IntendTest(person, p, item.CardNumber), nil
}

// bindAll writes rows with their chips. A record that cannot become a card
// leaves the batch, and its application waits with the reason.
func (w *work) bindAll(tx *registry.Tx, p *profile.Profile, rows []bound) error {
	var ready []*bound
	for i := range rows {
		if row := &rows[i]; row.intention.Refused == nil {
			ready = append(ready, row)
		} else if err := w.leave(tx, *row.item, row.intention.Refused.Error()); err != nil {
			return err
		}
	}
	if len(ready) == 0 {
		return nil
	}
	if err := w.oneVersion(tx, ready); err != nil {
		return err
	}
	if err := w.takeChips(tx, p, ready); err != nil {
		return err
	}
	names, plain := make([]string, len(ready)), make([][]byte, len(ready))
	for i, row := range ready {
		var err error
		names[i] = row.item.row()
		if plain[i], err = json.Marshal(intended{row.intention.Contents, row.intention.NameTibetan}); err != nil {
			return err
		}
	}
	sealed, err := w.DB.SealAll(tx.Context(), columnIntention, names, plain)
	if err != nil {
		return err
	}
	items := make([]Item, len(ready))
	for i, row := range ready {
		chipID := upperHex(row.chipID)
		items[i] = *row.item
		items[i].State, items[i].ATR, items[i].ChipID, items[i].Intention, items[i].ChangedAt = ItemMaking, &row.chip.ATR, &chipID, sealed[i], tx.Now()
	}
	if err := rewrite(tx.DB(), ItemAccounted, items, "state", "atr", "chip_id", "intention", "changed_at"); err != nil {
		return err
	}
	return tx.Audit("batch.bound", "batch:"+w.batch.ID.String(), map[string]string{"rows": fmt.Sprint(len(ready)), "from": fmt.Sprint(ready[0].item.Seq)})
}

// oneVersion fixes the version of the keys of a batch with its first row; a
// policy that changes meanwhile does not change it.
func (w *work) oneVersion(tx *registry.Tx, rows []*bound) error {
	if w.batch.KeyVersion == nil {
		version := rows[0].intention.KeyVersion
		if err := tx.DB().Model(&Batch{}).Where("id = ?", w.batch.ID).Update("key_version", version).Error; err != nil {
			return err
		}
		w.batch.KeyVersion = &version
	}
	for _, row := range rows {
		row.intention.KeyVersion = *w.batch.KeyVersion
	}
	return nil
}

// takeChips takes as many chips off the maker's list, and computes what makes
// their identification whole (卡识别码校验码).
func (w *work) takeChips(tx *registry.Tx, p *profile.Profile, rows []*bound) error {
	var supplier Supplier
	if err := tx.ForUpdate().Where("id = ?", w.batch.Supplier).Take(&supplier).Error; err != nil {
		return err // one batch at a time takes chips off a list
	}
	var chips []chipRow
	if err := tx.DB().Where("supplier = ? AND state = 'free'", supplier.ID).Order("atr").Limit(len(rows)).Find(&chips).Error; err != nil {
		return err
	}
	if len(chips) < len(rows) {
		return ErrChips
	}
	atrs, bodies := make([]string, len(rows)), make([][]byte, len(rows))
	for i, row := range rows {
		var err error
		row.chip, atrs[i] = chips[i], chips[i].ATR
		if bodies[i], err = hex.DecodeString(chips[i].Prefix); err != nil {
			return err
		}
	}
	codes, err := w.Keeper.CodeAll(tx.Context(), card.Key{Name: card.CheckKey(p)}, bodies)
	if err != nil {
		return err
	}
	for i, row := range rows {
		row.chipID = append(bodies[i], codes[i]...)
	}
	return setChips(tx, atrs, "bound")
}

// leave takes a row out of a batch before production.
func (s *Service) leave(tx *registry.Tx, item Item, reason string) error {
	left := tx.DB().Model(&Item{}).Where("batch_id = ? AND seq = ? AND state = ?", item.BatchID, item.Seq, item.State).
		Updates(map[string]any{"state": ItemCancelled, "reason": reason, "changed_at": tx.Now()})
	if left.Error != nil {
		return left.Error
	}
	if left.RowsAffected != 1 {
		return registry.ErrConflict
	}
	if item.ApplicationID == nil {
		return nil
	}
	var b Batch
	if err := tx.DB().Where("id = ?", item.BatchID).Take(&b).Error; err != nil {
		return err
	}
	return errors.Join(s.unbatch(tx, item, issuance.ReasonOther, reason), reserve(tx, b.Supplier, -1))
}
