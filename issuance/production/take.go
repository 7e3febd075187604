package production

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"onecard/card/profile"
	"onecard/internal/signed"
	"onecard/issuance"
	"onecard/registry"
)

// Taken is what became of a return.
type Taken struct {
	Return  File // with its counts
	Outcome File // what the maker is told, record by record
	State   string
}

// maxSkew is how far a maker's clock may be ahead.
const maxSkew = 10 * time.Minute

// Take takes a maker's return (回盘): the sealed file, with its signed manifest
// beside it. It is read as a whole before anything changes: a file that is not
// this maker's, not whole, malformed or of wrong counts changes nothing
// (ErrSigner, ErrReturn). Then each record is judged for itself: one that does not
// fit its row is refused with the reason and the others count. A return may come
// again, whole or in other files; what was taken is taken. A batch is returned
// when each of its cards has a result.
func (s *Service) Take(ctx context.Context, who Who, path string) (Taken, error) {
	if err := who.may(producers); err != nil {
		return Taken{}, err
	}
	told, supplier, err := s.opened(ctx, path)
	if err != nil {
		return Taken{}, err
	}
	w, err := s.begin(ctx, who, told.Batch)
	if err != nil {
		return Taken{}, err
	}
	taken, err := w.take(ctx, path, told, supplier)
	return taken, errors.Join(err, w.end(ctx))
}

// opened checks a file against its manifest, and who signed that.
func (s *Service) opened(ctx context.Context, path string) (told manifest, supplier Supplier, err error) {
	token, err := os.ReadFile(filepath.Join(filepath.Dir(path), signed.ManifestName(filepath.Base(path))))
	if err != nil {
		return told, supplier, errors.Join(ErrSigner, err)
	}
	peek, err := unverified(string(token))
	if err != nil || json.Unmarshal(peek, &told) != nil {
		return told, supplier, ErrSigner
	}
	if err := s.DB.Read(ctx).Where("id = ?", told.Supplier).Take(&supplier).Error; err != nil {
		return told, supplier, errors.Join(ErrSigner, err)
	}
	payload, err := supplier.open(string(token), func(payload []byte) (time.Time, error) {
		var dated manifest
		err := json.Unmarshal(payload, &dated)
		if err == nil && dated.At.After(s.DB.Now().Add(maxSkew)) {
			err = errors.New("from the future")
		}
		return dated.At, err
	})
	if err != nil {
		return told, supplier, err
	}
	told = manifest{}
	if strictJSON(payload, &told) != nil || told.Format != formatManifest || told.Kind != "return" || told.Supplier != supplier.ID || told.Records < 1 {
		return told, supplier, ErrReturn
	}
	digest, size, err := signed.Digest(path)
	named, ok := signed.ParcelDigest(path)
	switch {
	case err != nil:
		return told, supplier, err
	case digest != told.Digest || size != told.Size || !ok || named != digest:
		return told, supplier, fmt.Errorf("%w: %w", ErrReturn, signed.ErrParcel)
	}
	return told, supplier, nil
}

func (w *work) take(ctx context.Context, path string, told manifest, supplier Supplier) (Taken, error) {
	if w.batch.Supplier != supplier.ID {
		return Taken{}, ErrSigner
	}
	if w.batch.State == StateOpen || w.batch.State == StateOrdered || w.batch.State == StateBanked || w.batch.State == StateCancelled {
		return Taken{}, ErrItem
	}
	produced, err := w.produced(ctx)
	if err != nil {
		return Taken{}, err
	}
	// First all of it, to the end, without changing anything.
	head, err := w.read(path, func(returnHead, int64, returnRecord) error { return nil })
	if err != nil {
		return Taken{}, err
	}
	if head.Batch != w.batch.Number || head.Supplier != supplier.ID || head.Production != produced.Digest || head.Records != told.Records {
		return Taken{}, malformed(1, "不是对本批次制卡文件的回盘 not the return of this batch's production file")
	}
	file := File{Digest: told.Digest, BatchID: w.batch.ID, Kind: "return", Name: filepath.Base(path), Size: told.Size, Records: told.Records, At: w.DB.Now(), Operator: w.who.Operator}
	if err := w.step(ctx, func(tx *registry.Tx) error { return w.received(tx, &file) }); err != nil {
		return Taken{}, err
	}
	outcomes, err := w.apply(ctx, path, supplier, &file)
	if err != nil {
		return Taken{Return: file}, err
	}
	outcome, err := w.outcome(ctx, supplier, file, outcomes)
	return Taken{Return: file, Outcome: outcome, State: w.batch.State}, err
}

// read opens the file and reads it to its end.
func (w *work) read(path string, each func(returnHead, int64, returnRecord) error) (head returnHead, err error) {
	with, err := w.Receiving()
	if err != nil {
		return head, err
	}
	file, err := os.Open(path)
	if err != nil {
		return head, fmt.Errorf("production: %w", err)
	}
	defer file.Close()
	plain, err := signed.OpenParcel(file, with)
	if err != nil {
		return head, errors.Join(ErrReturn, err)
	}
	if head, err = readReturn(plain, each); err == nil {
		_, err = io.Copy(io.Discard, plain)
	}
	return head, err
}

// received finds what is known of a return, or records it.
func (w *work) received(tx *registry.Tx, file *File) error {
	var known []File
	if err := tx.DB().Where("digest = ?", file.Digest).Limit(1).Find(&known).Error; err != nil {
		return err
	}
	if len(known) > 0 {
		*file = known[0]
		return nil
	}
	return errors.Join(tx.DB().Create(file).Error, tx.Audit("batch.file.return", "batch:"+w.batch.ID.String(), map[string]string{"digest": file.Digest, "records": fmt.Sprint(file.Records)}))
}

// apply judges the records, some hundred in a transaction; those that were dealt
// with before are judged again for the outcome only: they are repetitions then.
func (w *work) apply(ctx context.Context, path string, supplier Supplier, file *File) ([]outcomeRecord, error) {
	j, err := w.judge(supplier)
	if err != nil {
		return nil, err
	}
	var outcomes []outcomeRecord
	var waiting []returnRecord
	flush := func(last bool) error {
		if len(waiting) == 0 && !last {
			return nil
		}
		var told []outcomeRecord
		err := w.step(ctx, func(tx *registry.Tx) (err error) {
			if told, err = j.all(tx, waiting); err != nil {
				return err
			}
			if err := w.progress(tx, file, int64(len(outcomes)), told); err != nil || !last {
				return err
			}
			return w.complete(tx)
		})
		outcomes, waiting = append(outcomes, told...), waiting[:0]
		return err
	}
	_, err = w.read(path, func(_ returnHead, _ int64, r returnRecord) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if waiting = append(waiting, r); len(waiting) < w.chunk {
			return nil
		}
		return flush(false)
	})
	if err == nil {
		err = flush(true)
	}
	return outcomes, err
}

// progress counts records that had not been dealt with before.
func (w *work) progress(tx *registry.Tx, file *File, before int64, told []outcomeRecord) error {
	fresh := *file
	for i, outcome := range told {
		if before+int64(i) < file.Taken {
			continue
		}
		fresh.Taken++
		switch outcome.Outcome {
		case outcomeAccepted:
			fresh.Accepted++
		case outcomeRepeated:
			fresh.Repeated++
		default:
			fresh.Refused++
		}
	}
	if fresh.Taken == file.Taken {
		return nil
	}
	err := tx.DB().Model(&File{}).Where("digest = ? AND taken = ?", file.Digest, file.Taken).Updates(map[string]any{
		"taken": fresh.Taken, "accepted": fresh.Accepted, "repeated": fresh.Repeated, "refused": fresh.Refused,
	}).Error
	*file = fresh
	return err
}

// complete moves the batch on when each of its cards has a result.
func (w *work) complete(tx *registry.Tx) error {
	var waits []Item
	if err := tx.DB().Select("seq").Where("batch_id = ? AND state = ?", w.batch.ID, ItemMaking).Limit(1).Find(&waits).Error; err != nil {
		return err
	}
	if len(waits) > 0 || w.batch.State != StateSent {
		return nil
	}
	return move(tx, &w.batch, "take", w.who, "", nil)
}

// outcome writes what the maker is told. The outcome of the same records is
// another file each time, for it is sealed anew; it stands with the return that
// it answers.
func (w *work) outcome(ctx context.Context, supplier Supplier, file File, outcomes []outcomeRecord) (File, error) {
	to, err := supplier.leaf()
	if err != nil {
		return File{}, err
	}
	parcel, err := signed.NewParcel(w.Dir, "outcome-"+safe(w.batch.Number), to)
	if err != nil {
		return File{}, err
	}
	out := json.NewEncoder(parcel)
	err = out.Encode(outcomeHead{formatOutcome, w.batch.Number, supplier.ID, file.Digest, int64(len(outcomes)), w.DB.Now()})
	for i := 0; err == nil && i < len(outcomes); i++ {
		err = out.Encode(&outcomes[i])
	}
	if err == nil {
		err = out.Encode(fileEnd{true, int64(len(outcomes))})
	}
	if err != nil {
		return File{}, errors.Join(err, parcel.Discard())
	}
	return w.place(ctx, parcel, "outcome", int64(len(outcomes)), func(*registry.Tx, File) error { return nil })
}

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
	if err := forUpdate(tx).Where("batch_id = ? AND card_number IN ?", j.batch.ID, numbers).Order("seq").Find(&items).Error; err != nil {
		return nil, err
	}
	opened, err := j.openItems(tx.Context(), items)
	if err != nil {
		return nil, err
	}
	told := make([]outcomeRecord, len(records))
	for i, r := range records {
		told[i] = outcomeRecord{Number: r.Number, Outcome: outcomeRefused}
		at := slices.IndexFunc(items, func(item Item) bool { return item.CardNumber == r.Number })
		if at < 0 {
			told[i].Reason = "此批次没有此卡号 no such number in the batch"
			continue
		}
		outcome, reason := j.fits(items[at], opened[items[at].Seq], r)
		if outcome == outcomeAccepted {
			if err := j.accept(tx, items[at], opened[items[at].Seq], r); err != nil {
				return nil, err
			}
		}
		told[i].Outcome, told[i].Reason = outcome, reason
	}
	return told, nil
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
	cardID, err := hexBytes(*item.ChipID)
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

// accept draws the consequences of a result.
func (j *judge) accept(tx *registry.Tx, item Item, c intended, r returnRecord) error {
	if r.Result != resultMade {
		to := map[string]string{resultSpoiled: ItemFailed, resultKeyError: ItemKeyError}[r.Result]
		return j.fail(tx, item, to, r.Reason)
	}
	changes := map[string]any{"state": ItemMade, "changed_at": tx.Now()}
	if item.ApplicationID != nil {
		id, err := j.Applications.Make(tx, *item.ApplicationID, issuance.MadeCard{
			Number: item.CardNumber, ChipID: *item.ChipID, ChipSerial: r.ChipSerial, ATR: *item.ATR, SpecVersion: r.SpecVersion,
			KeyVersion: *j.batch.KeyVersion, IssuedOn: c.IssuedOn, ExpiresOn: c.ExpiresOn,
		})
		if err != nil {
			return err
		}
		changes["card_id"] = id
	}
	return errors.Join(change(tx, item, changes), chip(tx, item, "made"))
}

// fail takes a row out of production whose card body is spoiled: it is to be
// destroyed, and the application waits again.
func (s *Service) fail(tx *registry.Tx, item Item, to, reason string) error {
	err := errors.Join(change(tx, item, map[string]any{"state": to, "reason": reason, "changed_at": tx.Now()}), chip(tx, item, "spoiled"))
	if err != nil || item.ApplicationID == nil {
		return err
	}
	return s.Applications.Unbatch(tx, *item.ApplicationID, reason)
}

// change changes a row that is still in the state in which it was read.
func change(tx *registry.Tx, item Item, changes map[string]any) error {
	result := tx.DB().Model(&Item{}).Where("batch_id = ? AND seq = ? AND state = ?", item.BatchID, item.Seq, item.State).Updates(changes)
	if result.Error == nil && result.RowsAffected != 1 {
		return registry.ErrConflict
	}
	return result.Error
}

func chip(tx *registry.Tx, item Item, state string) error {
	return tx.DB().Model(&chipRow{}).Where("atr = ?", *item.ATR).Updates(map[string]any{"state": state, "changed_at": tx.Now()}).Error
}
