package production

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/card/profile"
	"onecard/issuance"
	"onecard/registry"
)

// The outcomes of a record.
const (
	outcomeAccepted = "accepted"
	outcomeRepeated = "repeated"
	outcomeRefused  = "refused"
)

// judge judges records of a return of one batch.
type judge struct {
	*work
	supplier Supplier
	profile  *profile.Profile
}

func (w *work) judge(supplier Supplier) (*judge, error) {
	p, err := profile.ByVersion(w.Profiles, supplier.SpecVersion)
	return &judge{w, supplier, p}, err
}

// all judges records and draws the consequences of those that fit.
func (j *judge) all(tx *registry.Tx, records []returnRecord) ([]outcomeRecord, error) {
	numbers := make([]string, len(records))
	for i, r := range records {
		numbers[i] = r.Number
	}
	var items []Item
	if err := tx.ForUpdate().Where("batch_id = ? AND card_number IN ?", j.batch.ID, numbers).Order("seq").Find(&items).Error; err != nil {
		return nil, err
	}
	opened, err := j.openItems(tx.Context(), items)
	if err != nil {
		return nil, err
	}
	if err := j.hold(tx, items); err != nil {
		return nil, err
	}
	told := make([]outcomeRecord, len(records))
	var done []Item
	for i, r := range records {
		told[i] = outcomeRecord{Number: r.Number, Outcome: outcomeRefused}
		at := slices.IndexFunc(items, func(item Item) bool { return item.CardNumber == r.Number })
		if at < 0 {
			told[i].Reason = "此批次没有此卡号 no such number in the batch"
			continue
		}
		outcome, reason := j.fits(items[at], opened[items[at].Seq], r)
		if outcome == outcomeAccepted {
			if err := j.accept(tx, &items[at], opened[items[at].Seq], r); err != nil {
				return nil, err
			}
			done = append(done, items[at])
		}
		told[i].Outcome, told[i].Reason = outcome, reason
	}
	return told, j.record(tx, done)
}

// record writes what became of rows that were being made, and of their chips.
func (j *judge) record(tx *registry.Tx, done []Item) error {
	if err := rewrite(tx.DB(), ItemMaking, done, "state", "reason", "card_id", "changed_at"); err != nil {
		return err
	}
	atrs := map[string][]string{}
	for _, item := range done {
		state := "spoiled"
		if item.State == ItemMade {
			state = "made"
		}
		atrs[state] = append(atrs[state], *item.ATR)
	}
	return errors.Join(setChips(tx, atrs["made"], "made"), setChips(tx, atrs["spoiled"], "spoiled"))
}

// openItems opens the intentions of rows that were made, by row.
func (j *judge) openItems(ctx context.Context, items []Item) (map[int64]intended, error) {
	bound := slices.DeleteFunc(slices.Clone(items), func(item Item) bool { return item.Intention == nil })
	contents, err := j.intentions(ctx, bound)
	if err != nil {
		return nil, err
	}
	opened := make(map[int64]intended, len(bound))
	for i, item := range bound {
		opened[item.Seq] = contents[i]
	}
	return opened, nil
}

// fits holds a record against its row.
func (j *judge) fits(item Item, c intended, r returnRecord) (outcome, reason string) {
	if item.ATR == nil {
		return outcomeRefused, "此卡未在制卡文件中 not in the production file"
	}
	wrong := ""
	switch {
	case r.ATR != *item.ATR:
		wrong = "复位信息不是指定的芯片 not the chip that was ordered"
	case r.Result != resultMade:
	case r.CardID != *item.ChipID:
		wrong = "卡识别码不符 another card identification"
	case r.ChipSerial != r.ATR[len(r.ATR)-8:]:
		wrong = "芯片序列号与复位信息不符 the serial number is not that of the answer to reset"
	case r.SpecVersion != j.profile.Version:
		wrong = "规范版本不符 another specification version"
	case r.Maker != j.supplier.ID:
		wrong = "卡商不符 another maker"
	case !j.same(item, c, r.Read):
		wrong = "读回内容与制卡文件不符 what was read back is not what was ordered"
	}
	switch {
	case wrong != "":
		return outcomeRefused, wrong
	case item.State == ItemMaking:
		return outcomeAccepted, ""
	case had(item.State, item.CardID != nil || item.Kind == KindTest, r.Result):
		return outcomeRepeated, ""
	}
	return outcomeRefused, "已有另一结果 there is another result already"
}

// had says whether a row's state is that which the result led to.
func had(state string, made bool, result string) bool {
	switch result {
	case resultMade:
		return made && (state == ItemMade || state == ItemInspected || state == ItemFailed || state == ItemScrapped)
	case resultKeyError:
		return state == ItemKeyError || state == ItemScrapped
	}
	return state == ItemFailed || state == ItemScrapped
}

// same says whether the values read back are those that were to be written.
func (j *judge) same(item Item, c intended, read []string) bool {
	cardID, err := hex.DecodeString(*item.ChipID)
	if err != nil {
		return false
	}
	elements, err := c.Records(j.profile, cardID)
	if err != nil || len(elements) != len(read) {
		return false
	}
	for i, e := range elements {
		if upperHex(e.Value) != read[i] {
			return false
		}
	}
	return true
}

// accept draws the consequences of a result, but for the row itself.
func (j *judge) accept(tx *registry.Tx, item *Item, c intended, r returnRecord) error {
	item.ChangedAt = tx.Now()
	if r.Result != resultMade {
		code := "not-made"
		item.State, item.Reason = ItemFailed, r.Reason
		if r.Result == resultKeyError {
			item.State, code = ItemKeyError, "key-error"
		}
		// The card body is to be destroyed, and the application waits again.
		return j.unbatch(tx, *item, code, r.Reason)
	}
	item.State = ItemMade
	if item.ApplicationID != nil {
		made, err := j.Issuance.Make(tx, *item.ApplicationID, issuance.MadeCard{
			Number: item.CardNumber, ChipID: *item.ChipID, ChipSerial: r.ChipSerial, ATR: *item.ATR, SpecVersion: r.SpecVersion,
			KeyVersion: *j.batch.KeyVersion, IssuedOn: c.IssuedOn, ExpiresOn: c.ExpiresOn, Custody: "maker",
		}, j.supplier.ID, byBatch)
		if err != nil {
			return err
		}
		item.CardID = &made.ID
	}
	return nil
}

// hold locks the applications of rows.
func (s *Service) hold(tx *registry.Tx, items []Item) error {
	return s.Issuance.Hold(tx, applicationsOf(items))
}

// applicationsOf are the applications of rows; test cards have none.
func applicationsOf(items []Item) []uuid.UUID {
	ids := make([]uuid.UUID, 0, len(items))
	for _, item := range items {
		if item.ApplicationID != nil {
			ids = append(ids, *item.ApplicationID)
		}
	}
	return ids
}

// change changes a row that is still in the state in which it was read.
func change(tx *registry.Tx, item Item, changes map[string]any) {
	tx.Queue(func(db *gorm.DB) *gorm.DB {
		return db.Model(&Item{}).Where("batch_id = ? AND seq = ? AND state = ?", item.BatchID, item.Seq, item.State).Updates(changes)
	}, nil)
}

// rewriteTogether is how many rows one statement writes: the embedded database
// binds each value in a time that grows with their number.
const rewriteTogether = 50

// rewrite writes columns of rows that are there already, some in one statement,
// each if it is still in the state from.
func rewrite(db *gorm.DB, from string, items []Item, columns ...string) error {
	db = db.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "batch_id"}, {Name: "seq"}},
		DoUpdates: clause.AssignmentColumns(columns),
		Where:     clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: "batch_items.state = ?", Vars: []any{from}}}},
	}).Session(&gorm.Session{})
	for part := range slices.Chunk(items, rewriteTogether) {
		result := db.Create(&part)
		switch {
		case result.Error != nil:
			return result.Error
		case result.RowsAffected != int64(len(part)):
			return registry.ErrConflict
		}
	}
	return nil
}

// setChips notes what has become of chips.
func setChips(tx *registry.Tx, atrs []string, state string) error {
	if len(atrs) == 0 {
		return nil
	}
	return tx.DB().Model(&chipRow{}).Where("atr IN ?", atrs).Updates(map[string]any{"state": state, "changed_at": tx.Now()}).Error
}

func chip(tx *registry.Tx, item Item, state string) {
	tx.Queue(func(db *gorm.DB) *gorm.DB {
		return db.Model(&chipRow{}).Where("atr = ?", *item.ATR).Updates(map[string]any{"state": state, "changed_at": tx.Now()})
	}, nil)
}
