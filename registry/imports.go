package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"
)

// ErrImporting: another import of the same file is running.
var ErrImporting = errors.New("同一文件正在导入 the same file is being imported")

// importLease is for how long an import that shows no progress keeps others
// away from its file.
const importLease = 2 * time.Minute

// Import is the taking over of one file (导入), and how far it has come.
type Import struct {
	ID            uuid.UUID `gorm:"column:id"`
	Mapping       string    `gorm:"column:mapping"`
	Place         string    `gorm:"column:place"`
	Digest        []byte    `gorm:"column:digest"` // SHA-256 of the file
	Size          int64     `gorm:"column:size"`
	State         string    `gorm:"column:state"`       // running, done
	Offset        int64     `gorm:"column:byte_offset"` // where reading goes on
	Row           int64     `gorm:"column:row_number"`  // of the last row that was dealt with
	RejectLength  int64     `gorm:"column:reject_length"`
	Read          int64     `gorm:"column:read_rows"` // = Added + Changed + Unchanged + Rejected
	Added         int64     `gorm:"column:added"`
	Changed       int64     `gorm:"column:changed"`
	Unchanged     int64     `gorm:"column:unchanged"`
	Rejected      int64     `gorm:"column:rejected"`
	PersonsBefore int64     `gorm:"column:persons_before"`
	LeaseOwner    string    `gorm:"column:lease_owner"`
	LeaseUntil    time.Time `gorm:"column:lease_until"`
	BegunAt       time.Time `gorm:"column:begun_at"`
	ChangedAt     time.Time `gorm:"column:changed_at"`
	BegunBy       string    `gorm:"column:begun_by"`
}

// TableName implements gorm's schema.Tabler.
func (Import) TableName() string { return "imports" }

// BeginImport begins to take over a file, or takes up again what was stopped.
// The file is known by mapping and digest: what was done is done, and comes
// back with State done. owner is this process; while another shows progress
// the answer is ErrImporting, unless gone says that it has ended.
func (db *DB) BeginImport(ctx context.Context, actor Actor, mapping, place string, digest []byte, size int64, owner string, gone func(owner string) bool) (Import, error) {
	persons, err := db.CountPersons(ctx)
	if err != nil {
		return Import{}, err
	}
	var current Import
	err = db.InTx(ctx, actor, func(tx *Tx) error {
		id, err := tx.NewID()
		if err != nil {
			return fmt.Errorf("registry: new id: %w", err)
		}
		fresh := Import{
			ID: id, Mapping: mapping, Place: place, Digest: digest, Size: size, State: "running", PersonsBefore: persons,
			LeaseOwner: owner, LeaseUntil: tx.now.Add(importLease), BegunAt: tx.now, ChangedAt: tx.now, BegunBy: actor.Operator,
		}
		if err := tx.gorm.Clauses(clause.OnConflict{DoNothing: true}).Create(&fresh).Error; err != nil {
			return err
		}
		current = Import{}
		find := tx.ForUpdate().Where("mapping = ? AND digest = ?", mapping, digest)
		if err := find.Take(&current).Error; err != nil {
			return err
		}
		if current.State == "running" && current.LeaseOwner != owner && tx.now.Before(current.LeaseUntil) && (gone == nil || !gone(current.LeaseOwner)) {
			return ErrImporting
		}
		take := tx.gorm.Model(&Import{}).Where("id = ?", current.ID).Updates(map[string]any{"lease_owner": owner, "lease_until": tx.now.Add(importLease)})
		if take.Error != nil {
			return take.Error
		}
		return tx.Audit("import.begun", "import:"+current.ID.String(), map[string]string{"mapping": mapping, "row": fmt.Sprint(current.Row)})
	})
	return current, err
}

// AdvanceImport records progress, in the transaction that made it. Who has lost
// the lease to another process is refused with ErrImporting.
func (tx *Tx) AdvanceImport(progress Import) error {
	moved := tx.gorm.Model(&Import{}).Where("id = ? AND lease_owner = ? AND state = 'running'", progress.ID, progress.LeaseOwner).
		Updates(map[string]any{
			"byte_offset": progress.Offset, "row_number": progress.Row, "reject_length": progress.RejectLength, "read_rows": progress.Read,
			"added": progress.Added, "changed": progress.Changed, "unchanged": progress.Unchanged, "rejected": progress.Rejected,
			"state": progress.State, "lease_until": tx.now.Add(importLease), "changed_at": tx.now,
		})
	if moved.Error != nil {
		return moved.Error
	}
	if moved.RowsAffected == 0 {
		return ErrImporting
	}
	return tx.Audit("import.advanced", "import:"+progress.ID.String(), map[string]string{"row": fmt.Sprint(progress.Row), "state": progress.State})
}

// ReleaseImport lets another process go on at once.
func (db *DB) ReleaseImport(ctx context.Context, actor Actor, progress Import) error {
	return db.InTx(ctx, actor, func(tx *Tx) error {
		err := tx.gorm.Model(&Import{}).Where("id = ? AND lease_owner = ?", progress.ID, progress.LeaseOwner).Update("lease_until", tx.now).Error
		if err != nil {
			return err
		}
		return tx.Audit("import.stopped", "import:"+progress.ID.String(), map[string]string{"row": fmt.Sprint(progress.Row)})
	})
}

// CountPersons counts the files of residents, merged ones included. It goes
// through the table: for the proof of an import, not for pages.
func (db *DB) CountPersons(ctx context.Context) (int64, error) {
	var n int64
	err := db.Read(ctx).Table("persons").Count(&n).Error
	return n, err
}
