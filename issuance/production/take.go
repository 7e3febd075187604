package production

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"onecard/internal/signed"
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
