package registry

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// States of an attachment (附件状态).
const (
	AttachmentValid    = "valid"    // 有效
	AttachmentReplaced = "replaced" // 已被替换
	AttachmentRefused  = "refused"  // 审核不合格
)

// Attachment is a photograph, a signature or a paper of a person, without its
// content (照片与附件).
type Attachment struct {
	ID        uuid.UUID
	Kind      AttachmentKind
	MediaType string
	Size      int64 // in bytes
	State     string
	Stamp     Stamp
}

type attachmentRow struct {
	ID            uuid.UUID `gorm:"column:id"`
	PersonID      uuid.UUID `gorm:"column:person_id"`
	Kind          string    `gorm:"column:kind"`
	MediaType     string    `gorm:"column:media_type"`
	ContentSealed []byte    `gorm:"column:content_sealed"`
	ContentIndex  []byte    `gorm:"column:content_index"`
	Size          int64     `gorm:"column:size"`
	State         string    `gorm:"column:state"`
	Stamp         `gorm:"embedded"`
}

// TableName implements gorm's schema.Tabler.
func (attachmentRow) TableName() string { return "attachments" }

func (r attachmentRow) domain() Attachment {
	kind, err := attachmentKind(r.Kind)
	if err != nil {
		kind = AttachmentKind{Kind: r.Kind, ZH: r.Kind, EN: r.Kind} // a kind that the rules had once
	}
	return Attachment{ID: r.ID, Kind: kind, MediaType: r.MediaType, Size: r.Size, State: r.State, Stamp: r.Stamp}
}

const columnContent = "attachments.content"

// Attach puts a content into a person's file. Of a kind of which there is one
// only, the one before is kept as replaced. A photograph that is another
// person's too becomes a case for a human to decide. Errors: ErrNotFound,
// ErrConflict for a file that was merged into another, ErrInvalid.
func (tx *Tx) Attach(person uuid.UUID, content Content, reason string) (Attachment, error) {
	if err := checkReason(reason); err != nil {
		return Attachment{}, err
	}
	_, _, err := tx.lockFile(person)
	if err != nil {
		return Attachment{}, err
	}
	plain, index, err := tx.stored(content)
	if err != nil {
		return Attachment{}, err
	}
	id, err := tx.NewID()
	if err != nil {
		return Attachment{}, err
	}
	sealed, err := tx.db.Seal(tx.ctx, columnContent, id.String(), plain)
	if err != nil {
		return Attachment{}, err
	}
	if content.kind.Single {
		before := tx.gorm.Model(&attachmentRow{}).Where("person_id = ? AND kind = ? AND state = ?", person, content.kind.Kind, AttachmentValid)
		if err := before.Updates(tx.Change(map[string]any{"state": AttachmentReplaced}, reason)).Error; err != nil {
			return Attachment{}, err
		}
	}
	row := attachmentRow{
		ID: id, PersonID: person, Kind: content.kind.Kind, MediaType: content.media, ContentSealed: sealed, ContentIndex: index,
		Size: int64(len(plain)), State: AttachmentValid, Stamp: tx.Stamp(reason),
	}
	if err := tx.gorm.Create(&row).Error; err != nil {
		return Attachment{}, err
	}
	if row.Kind == kindPhoto {
		if err := tx.suspectPhoto(index); err != nil {
			return Attachment{}, err
		}
	}
	return row.domain(), tx.Audit("person.attached", "person:"+person.String(), map[string]string{"kind": row.Kind, "attachment": id.String()})
}

const kindPhoto = "photo"

// stored decides which bytes are kept, with their digest. What is kept
// somewhere already was cleaned when it came: written anew it would no longer
// be known as the same.
func (tx *Tx) stored(content Content) (plain, index []byte, err error) {
	if index, err = tx.db.contentIndex(tx.ctx, content.told); err != nil {
		return nil, nil, err
	}
	var known []uuid.UUID
	if err := tx.gorm.Model(&attachmentRow{}).Where("content_index = ?", index).Limit(1).Pluck("id", &known).Error; err != nil {
		return nil, nil, err
	}
	if len(known) > 0 {
		return content.told, index, nil
	}
	index, err = tx.db.contentIndex(tx.ctx, content.clean)
	return content.clean, index, err
}

// contentIndex is the keyed digest of a content; the vault is given its SHA-256.
func (db *DB) contentIndex(ctx context.Context, content []byte) ([]byte, error) {
	digest := sha256.Sum256(content)
	index, err := db.Index(ctx, columnContent, digest[:])
	if err != nil {
		return nil, err
	}
	return index[:numberIndex], nil
}

// RefuseAttachment notes that an attachment does not do (审核不合格). Errors:
// ErrNotFound for one that is not valid, or not the person's.
func (tx *Tx) RefuseAttachment(person, id uuid.UUID, reason string) error {
	if err := checkReason(reason); err != nil {
		return err
	}
	valid := tx.gorm.Model(&attachmentRow{}).Where("id = ? AND person_id = ? AND state = ?", id, person, AttachmentValid)
	if err := tx.changeOne(valid.Updates(tx.Change(map[string]any{"state": AttachmentRefused}, reason))); err != nil {
		return err
	}
	return tx.Audit("attachment.refused", "person:"+person.String(), map[string]string{"attachment": id.String()})
}

// Brought is what lies in a person's file and does (有效附件): the kinds, and of
// the photograph its id and the keyed digest of its content.
type Brought struct {
	Kinds       []string
	Photo       uuid.UUID
	PhotoDigest []byte // 16 bytes; nil: there is no photograph
}

// Brought returns what was attached to a person's file and was neither
// replaced nor refused.
func (tx *Tx) Brought(person uuid.UUID) (Brought, error) {
	if _, ok := tx.knownPerson(person); ok {
		return tx.known.brought[person], nil
	}
	var rows []attachmentRow
	valid := tx.gorm.Select("id", "kind", "content_index").Where("person_id = ? AND state = ?", person, AttachmentValid)
	if err := valid.Find(&rows).Error; err != nil {
		return Brought{}, err
	}
	var b Brought
	for _, row := range rows {
		b = b.with(row)
	}
	return b, nil
}

// with is what was brought with one thing more.
func (b Brought) with(row attachmentRow) Brought {
	b.Kinds = append(b.Kinds, row.Kind)
	if row.Kind == kindPhoto {
		b.Photo, b.PhotoDigest = row.ID, row.ContentIndex
	}
	return b
}

// PhotoDigests returns the digests of the valid photographs of persons; who has
// none is left out.
func (db *DB) PhotoDigests(ctx context.Context, persons []uuid.UUID) (map[uuid.UUID][]byte, error) {
	var rows []attachmentRow
	err := db.Read(ctx).Select("person_id", "content_index").Where("person_id IN ? AND kind = ? AND state = ?", persons, kindPhoto, AttachmentValid).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("registry: photographs: %w", err)
	}
	digests := make(map[uuid.UUID][]byte, len(rows))
	for _, row := range rows {
		digests[row.PersonID] = row.ContentIndex
	}
	return digests, nil
}

// AttachmentsAt returns what was attached to a person's file at an instant, as
// the record had it, the oldest first.
func (db *DB) AttachmentsAt(ctx context.Context, person uuid.UUID, at time.Time) ([]Attachment, error) {
	rows, err := rowsAt[attachmentRow](ctx, db, "attachments", "person_id", person, at, func(q *gorm.DB) *gorm.DB {
		return q.Select("id", "kind", "media_type", "size", "state", "version", "changed_at", "changed_by", "changed_on", "change_reason")
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b attachmentRow) int { return slices.Compare(a.ID[:], b.ID[:]) })
	attachments := make([]Attachment, len(rows))
	for i, row := range rows {
		attachments[i] = row.domain()
	}
	return attachments, nil
}

// OpenAttachment returns an attachment of a person with its content. Who asked
// and why is recorded in the same transaction: without the record nothing is
// shown. All but the photograph needs a reason. Errors: ErrNotFound, ErrInvalid.
func (db *DB) OpenAttachment(ctx context.Context, actor Actor, person, id uuid.UUID, reason string) (Attachment, []byte, error) {
	var attachment Attachment
	var content []byte
	err := db.InTx(ctx, actor, func(tx *Tx) error {
		var row attachmentRow
		if err := tx.gorm.Where("id = ? AND person_id = ?", id, person).Take(&row).Error; err != nil {
			return err
		}
		attachment = row.domain()
		if !attachment.Kind.Open {
			if err := checkReason(reason); err != nil {
				return err
			}
		}
		var err error
		if content, err = db.Unseal(tx.ctx, columnContent, id.String(), row.ContentSealed); err != nil {
			return err
		}
		return tx.Audit("attachment.read", "person:"+person.String(), map[string]string{"kind": row.Kind, "attachment": id.String(), "reason": reason})
	})
	if err != nil {
		return Attachment{}, nil, err
	}
	return attachment, content, nil
}
