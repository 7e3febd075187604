package bank

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/registry"
)

// fileSuffix ends the names of files (一卡通银行文件).
const fileSuffix = ".ocf"

func fileName(kind, bank, batch, digest string) string {
	return kind + "_" + bank + "_" + batch + "_" + digest + fileSuffix
}

// page is how many rows are read or written together.
const page = 200

// Made is a file that was made.
type Made struct {
	Path  string
	Rows  int64
	Again bool // it was there already
}

// ErrNoOrders: the batch has no orders that wait.
var ErrNoOrders = errors.New("批次没有待开户的指令 the batch has no orders that wait")

// MakeFile writes the account-opening file of a batch into a directory
// (生成开户文件). Again it says where the file is; when the file was lost it is made
// anew, with the same orders. Orders count as sent before the file has its
// name, under which alone it is given to the bank.
func (s *Service) MakeFile(ctx context.Context, actor registry.Actor, bank, batch, directory string) (Made, error) {
	p, err := s.peer(bank)
	if err != nil {
		return Made{}, err
	}
	var known fileRow
	err = s.db.Read(ctx).Where("bank = ? AND batch = ? AND kind = ?", p.Code, batch, kindOpen).Take(&known).Error
	switch {
	case err == nil:
		path := filepath.Join(directory, known.Name)
		if _, err := os.Stat(path); err == nil {
			return Made{Path: path, Rows: known.Rows, Again: true}, nil
		}
	case !errors.Is(err, gorm.ErrRecordNotFound):
		return Made{}, err
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return Made{}, err
	}
	part, err := os.CreateTemp(directory, ".part") // 0600; holds sealed pieces only
	if err != nil {
		return Made{}, err
	}
	defer func() { _ = os.Remove(part.Name()) }() // it has its name by then
	t, digest, err := s.writeOrders(ctx, p, batch, part)
	if err == nil {
		err = part.Sync()
	}
	if err := errors.Join(err, part.Close()); err != nil {
		return Made{}, err
	}
	name := fileName(kindOpen, p.Code, batch, digest)
	if err := s.fileSent(ctx, actor, known, p.Code, batch, name, digest, t.Rows); err != nil {
		return Made{}, err
	}
	path := filepath.Join(directory, name)
	return Made{Path: path, Rows: t.Rows}, os.Rename(part.Name(), path)
}

// writeOrders streams the orders of a batch that are still open.
func (s *Service) writeOrders(ctx context.Context, p Peer, batch string, out *os.File) (tail, string, error) {
	w, err := newFileWriter(out, p.credentials(), head{Kind: kindOpen, Bank: p.Code, Batch: batch, MadeAt: s.db.Now()})
	if err != nil {
		return tail{}, "", err
	}
	after := uuid.Nil
	for {
		var rows []order
		err := s.db.Read(ctx).Where("bank = ? AND batch = ? AND id > ? AND state IN ? AND reversal_id IS NULL", p.Code, batch, after, []string{Begun, Sent}).
			Order("id").Limit(page).Find(&rows).Error
		if err != nil {
			return tail{}, "", err
		}
		names, sealed := make([]string, len(rows)), make([][]byte, len(rows))
		for i, o := range rows {
			names[i], sealed[i] = o.ID.String(), o.Body
		}
		bodies, err := s.db.UnsealAll(ctx, columnBody, names, sealed)
		if err != nil {
			return tail{}, "", err
		}
		for i, o := range rows {
			ask, err := askOf(bodies[i])
			if err != nil {
				return tail{}, "", err
			}
			if err := w.row(0, o.ID.String(), ask.Application, ask.CardNumber, ask.Name, ask.IDType, ask.IDNumber, ask.Phone, ask.Place); err != nil {
				return tail{}, "", err
			}
			after = o.ID
		}
		if len(rows) < page {
			break
		}
	}
	if w.tail.Rows == 0 {
		return tail{}, "", ErrNoOrders
	}
	return w.finish()
}

// fileSent notes that a file holds the batch: its orders are sent.
func (s *Service) fileSent(ctx context.Context, actor registry.Actor, known fileRow, bank, batch, name, digest string, rows int64) error {
	return s.changes.InTx(ctx, actor, func(tx *registry.Tx) error {
		if err := lockBooks(tx, bank); err != nil {
			return err
		}
		open := tx.DB().Model(&order{}).Where("bank = ? AND batch = ? AND state IN ? AND reversal_id IS NULL", bank, batch, []string{Begun, Sent})
		var n int64
		if err := open.Session(&gorm.Session{}).Count(&n).Error; err != nil {
			return err
		}
		if n != rows {
			return fmt.Errorf("%w: the batch has changed meanwhile", registry.ErrConflict)
		}
		f := fileRow{ID: known.ID, Bank: bank, Kind: kindOpen, Batch: batch, Name: name, Digest: digest, State: "sent", Rows: rows, BegunAt: tx.Now()}
		var err error
		if known.ID == uuid.Nil {
			if f.ID, err = tx.NewID(); err == nil {
				err = tx.DB().Create(&f).Error
			}
		} else {
			err = tx.DB().Model(&fileRow{}).Where("id = ?", known.ID).Updates(map[string]any{"name": name, "digest": digest, "row_count": rows, "begun_at": tx.Now()}).Error
		}
		if err != nil {
			return err
		}
		err = open.Session(&gorm.Session{}).Where("state = ?", Begun).
			Updates(map[string]any{"state": Sent, "sent_at": tx.Now(), "attempts": gorm.Expr("attempts + 1")}).Error
		if err != nil {
			return err
		}
		return tx.Audit("bank.file.sent", f.subject(), map[string]string{"bank": bank, "batch": batch, "rows": strconv.FormatInt(rows, 10), "digest": digest})
	})
}

// openFile opens a file of a bank and says from its name which one.
func openFile(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrInvalid}
	}
	return os.Open(path)
}
