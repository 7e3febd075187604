package production

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"onecard/card"
	"onecard/card/profile"
	"onecard/internal/signed"
	"onecard/registry"
)

// Send prepares the production file of a batch (制卡数据文件): sealed to the maker's
// certificate, signed by the province, in the directory of the files. Of a batch
// that was sent it returns the file that there is, and writes it again only if it
// is gone or damaged.
func (s *Service) Send(ctx context.Context, who Who, number string) (File, error) {
	if err := who.may(producers); err != nil {
		return File{}, err
	}
	w, err := s.begin(ctx, who, number)
	if err != nil {
		return File{}, err
	}
	file, err := w.send(ctx)
	return file, errors.Join(err, w.end(ctx))
}

func (w *work) send(ctx context.Context) (File, error) {
	switch w.batch.State {
	case StateBanked:
	case StateOrdered:
		return File{}, ErrBankWaits
	case StateSent:
		file, err := w.produced(ctx)
		if err != nil || w.whole(file) {
			return file, err
		}
	default:
		return File{}, ErrItem
	}
	var supplier Supplier
	if err := w.DB.Read(ctx).Where("id = ?", w.batch.Supplier).Take(&supplier).Error; err != nil {
		return File{}, err
	}
	to, err := supplier.leaf()
	if err != nil {
		return File{}, err
	}
	if err := w.bind(ctx, supplier); err != nil {
		return File{}, err
	}
	return w.write(ctx, supplier, to)
}

// produced returns the production file of a batch.
func (w *work) produced(ctx context.Context) (file File, err error) {
	return file, w.DB.Read(ctx).Where("batch_id = ? AND kind = 'production'", w.batch.ID).Take(&file).Error
}

// whole says whether a file and its signature lie where they should.
func (s *Service) whole(file File) bool {
	digest, _, err := signed.Digest(filepath.Join(s.Dir, file.Name))
	_, manifest, manifestErr := signed.Digest(filepath.Join(s.Dir, signed.ManifestName(file.Name)))
	return err == nil && manifestErr == nil && manifest > 0 && digest == file.Digest
}

// write writes the file and records it.
func (w *work) write(ctx context.Context, supplier Supplier, to *x509.Certificate) (File, error) {
	head, p, err := w.head(ctx, supplier)
	if err != nil {
		return File{}, err
	}
	parcel, err := signed.NewParcel(w.Dir, "production-"+strings.ToLower(safe(w.batch.Number)), to)
	if err != nil {
		return File{}, err
	}
	out := bufio.NewWriterSize(parcel, 1<<16)
	if err := errors.Join(w.records(ctx, p, head, json.NewEncoder(out)), out.Flush()); err != nil {
		return File{}, errors.Join(err, parcel.Discard())
	}
	return w.place(ctx, parcel, "production", head.Records, func(tx *registry.Tx, file File) error {
		if w.batch.State == StateSent {
			return tx.DB().Where("batch_id = ? AND kind = 'production'", w.batch.ID).Delete(&File{}).Error
		}
		return move(tx, &w.batch, "send", w.who, "", nil)
	})
}

// place finishes a file, signs it and records it, with what else happens then.
func (w *work) place(ctx context.Context, parcel *signed.Parcel, kind string, records int64, also func(tx *registry.Tx, file File) error) (File, error) {
	name, digest, err := parcel.Finish()
	if err != nil {
		return File{}, err
	}
	size := parcel.Size()
	with, err := w.Signing()
	if err != nil {
		return File{}, err
	}
	file := File{Digest: digest, BatchID: w.batch.ID, Kind: kind, Name: name, Size: size, Records: records, At: w.DB.Now(), Operator: w.who.Operator}
	told := manifest{formatManifest, kind, w.batch.Number, w.batch.Supplier, name, digest, size, records, file.At}
	if err := signed.WriteManifest(w.Dir, name, told, with); err != nil {
		return File{}, err
	}
	return file, w.step(ctx, func(tx *registry.Tx) error {
		if err := also(tx, file); err != nil {
			return err
		}
		if err := tx.DB().Create(&file).Error; err != nil {
			return err
		}
		return tx.Audit("batch.file."+kind, "batch:"+w.batch.ID.String(), map[string]string{"digest": digest, "records": fmt.Sprint(records)})
	})
}

// safe makes a batch's number fit for the name of a file.
func safe(number string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, number)
}

// head makes the first line.
func (w *work) head(ctx context.Context, supplier Supplier) (head productionHead, p *profile.Profile, err error) {
	if p, err = profile.ByVersion(w.Profiles, supplier.SpecVersion); err != nil {
		return head, nil, err
	}
	head = productionHead{
		Format: formatProduction, Batch: w.batch.Number, Kind: w.batch.Kind, Supplier: supplier.ID, Product: supplier.Product, SpecVersion: p.Version,
		Algorithm: p.Algorithm, Environment: upperHex(p.Environment), At: w.DB.Now(),
	}
	if head.DeliveryKey, err = w.told(ctx, headKey{Key: supplier.DeliveryKey, Name: supplier.DeliveryKey}); err != nil {
		return head, nil, err
	}
	if err := w.DB.Read(ctx).Model(&Item{}).Where("batch_id = ? AND atr IS NOT NULL", w.batch.ID).Count(&head.Records).Error; err != nil {
		return head, nil, err
	}
	if head.Records == 0 || w.batch.KeyVersion == nil {
		return head, nil, ErrEmpty
	}
	for _, slot := range card.KeySlots(p) {
		key, err := w.told(ctx, headKey{Name: slot.Name, Key: slot.Key, Version: *w.batch.KeyVersion, Scope: slot.Scope, ID: slot.ID, Usage: slot.Usage, Tries: slot.Tries})
		if err != nil {
			return head, nil, err
		}
		head.Keys = append(head.Keys, key)
	}
	return head, p, nil
}

// told adds a key's check value.
func (w *work) told(ctx context.Context, key headKey) (headKey, error) {
	kcv, method, err := w.Keeper.CheckValue(ctx, card.Key{Name: key.Key, Version: key.Version})
	key.CheckValue, key.Method = upperHex(kcv), method
	return key, err
}

// records writes the head, a line for each card, and the end.
func (w *work) records(ctx context.Context, p *profile.Profile, head productionHead, out *json.Encoder) error {
	names := make([]card.Key, len(head.Keys))
	for i, key := range head.Keys {
		names[i] = card.Key{Name: key.Key, Version: key.Version}
	}
	written, after := int64(0), int64(0)
	err := ahead(ctx, func(ctx context.Context) ([]productionRecord, error) {
		var items []Item
		err := w.DB.Read(ctx).Where("batch_id = ? AND seq > ? AND atr IS NOT NULL", w.batch.ID, after).Order("seq").Limit(w.chunk).Find(&items).Error
		if err != nil || len(items) == 0 {
			return nil, err
		}
		after = items[len(items)-1].Seq
		return w.lines(ctx, p, head.DeliveryKey.Key, names, items)
	}, func(lines []productionRecord) error {
		if written == 0 {
			head.Elements = lines[0].elements
			if err := out.Encode(head); err != nil {
				return err
			}
		}
		written += int64(len(lines))
		for i := range lines {
			if err := out.Encode(&lines[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if written != head.Records {
		return fmt.Errorf("production file: %d of %d rows: %w", written, head.Records, registry.ErrConflict)
	}
	return out.Encode(fileEnd{true, written})
}

// lines makes the records of some rows.
func (w *work) lines(ctx context.Context, p *profile.Profile, delivery string, names []card.Key, items []Item) ([]productionRecord, error) {
	contents, err := w.intentions(ctx, items)
	if err != nil {
		return nil, err
	}
	var opened []uuid.UUID
	for _, item := range items {
		if item.BankAccount != nil {
			opened = append(opened, *item.BankAccount)
		}
	}
	accounts, accountsErr := w.DB.AccountNumbers(ctx, opened)
	photos, photosErr := w.Issuance.Photos(ctx, applicationsOf(items))
	if err := errors.Join(accountsErr, photosErr); err != nil {
		return nil, err
	}
	factors, lines := make([][][]byte, len(items)), make([]productionRecord, len(items))
	for i, item := range items {
		atr, atrErr := hex.DecodeString(*item.ATR)
		cardID, idErr := hex.DecodeString(*item.ChipID)
		if err := errors.Join(atrErr, idErr); err != nil || len(cardID) != 16 {
			return nil, errors.Join(err, registry.ErrConflict)
		}
		order, err := card.NewOrder(p, card.Chip{ATR: atr, ID: cardID[:12]})
		if err != nil {
			return nil, err
		}
		factors[i] = order.Factors()
		elements, err := contents[i].Records(p, cardID)
		if err != nil {
			return nil, err
		}
		lines[i] = newRecord(item, contents[i], elements)
		if item.BankAccount != nil {
			lines[i].Account = accounts[*item.BankAccount]
		}
		if item.ApplicationID != nil {
			photo := photos[*item.ApplicationID]
			lines[i].Face.PhotoType, lines[i].Face.Photo = photo.MediaType, photo.Content
		}
	}
	return lines, w.wrap(ctx, card.Key{Name: delivery}, names, factors, lines)
}

// wrap has the keys of cards wrapped, on as many processors as there are.
func (w *work) wrap(ctx context.Context, under card.Key, names []card.Key, factors [][][]byte, lines []productionRecord) error {
	group, ctx := errgroup.WithContext(ctx)
	share := (len(lines) + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	for from := 0; from < len(lines); from += share {
		to := min(from+share, len(lines))
		group.Go(func() error {
			blocks, err := w.Keeper.WrapCards(ctx, under, names, factors[from:to])
			for i := range blocks {
				lines[from+i].Keys = blocks[i]
			}
			return err
		})
	}
	return group.Wait()
}

func newRecord(item Item, c intended, elements []card.Record) productionRecord {
	values, places := make([]string, len(elements)), make([]headElement, len(elements))
	for i, e := range elements {
		values[i], places[i] = upperHex(e.Value), headElement{e.Path, e.SFI, e.Number, e.Tag, len(e.Value)}
	}
	return productionRecord{
		elements: places,
		Seq:      item.Seq, Number: item.CardNumber, ATR: *item.ATR, CardID: *item.ChipID, Values: values,
		Face: face{Name: c.Name, NameTibetan: c.NameTibetan, IDNumber: c.IDNumber.String(), Number: c.CardNumber, IssuedOn: c.IssuedOn.String(), ExpiresOn: c.ExpiresOn.String()},
	}
}

// intentions opens those of rows.
func (s *Service) intentions(ctx context.Context, items []Item) ([]intended, error) {
	names, sealed := make([]string, len(items)), make([][]byte, len(items))
	for i, item := range items {
		names[i], sealed[i] = item.row(), item.Intention
	}
	plain, err := s.DB.UnsealAll(ctx, columnIntention, names, sealed)
	if err != nil {
		return nil, err
	}
	contents := make([]intended, len(items))
	for i := range plain {
		if err := json.Unmarshal(plain[i], &contents[i]); err != nil {
			return nil, fmt.Errorf("intention of row %d: %w", items[i].Seq, err)
		}
	}
	return contents, nil
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }
