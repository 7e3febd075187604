package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ErrTwoCards: both files have a card in force; one has to be cancelled first.
var ErrTwoCards = fmt.Errorf("%w: 两份档案都有有效的卡，请先注销一张 both files have a card in force: cancel one first", ErrConflict)

// ErrOwnFile: whoever merges has entered or changed the file to which a card in
// force would go.
var ErrOwnFile = fmt.Errorf("%w: 保留的档案由您登记或更正过，带卡的合并请由另一人办理 you entered or changed the file that is kept: let another merge them, for there is a card", ErrConflict)

// mergeRow is a row of merges.
type mergeRow struct {
	ID          uuid.UUID  `gorm:"column:id"`
	KeptID      uuid.UUID  `gorm:"column:kept_id"`
	AbsorbedID  uuid.UUID  `gorm:"column:absorbed_id"`
	At          time.Time  `gorm:"column:at"`
	Operator    string     `gorm:"column:operator"`
	Workstation string     `gorm:"column:workstation"`
	Reason      string     `gorm:"column:reason"`
	UndoneAt    *time.Time `gorm:"column:undone_at"`
	UndoneBy    *string    `gorm:"column:undone_by"`
	UndoneOn    *string    `gorm:"column:undone_on"`
	UndoReason  *string    `gorm:"column:undo_reason"`
}

// TableName implements gorm's schema.Tabler.
func (mergeRow) TableName() string { return "merges" }

// moveRow is a row of merge_moves: what changed hands.
type moveRow struct {
	MergeID uuid.UUID `gorm:"column:merge_id"`
	Kind    string    `gorm:"column:kind"`
	RowKey  string    `gorm:"column:row_key"`
}

// TableName implements gorm's schema.Tabler.
func (moveRow) TableName() string { return "merge_moves" }

// MergePersons makes two files of one person one (合并档案): the cards, accounts,
// insured kinds and numbers of the absorbed file go over to the kept one;
// whoever is found by the absorbed file's number is shown the kept one. Both
// histories stay, and it can be undone. A card in force goes to no file that
// whoever merges has entered or changed: nobody alone says whose card it is.
// Errors: ErrNotFound, ErrTwoCards, ErrOwnFile, ErrConflict for a file that was
// merged already.
func (tx *Tx) MergePersons(kept, absorbed uuid.UUID, reason string) (uuid.UUID, error) {
	if err := checkReason(reason); err != nil {
		return uuid.Nil, err
	}
	if kept == absorbed {
		return uuid.Nil, &FieldError{Field: "absorbed", ZH: "不能与自身合并", EN: "another file than the one that is kept"}
	}
	if err := tx.lockPair(kept, absorbed); err != nil {
		return uuid.Nil, err
	}
	if err := tx.otherHand(kept, absorbed); err != nil {
		return uuid.Nil, err
	}
	id, err := tx.NewID()
	if err != nil {
		return uuid.Nil, fmt.Errorf("registry: new id: %w", err)
	}
	merge := mergeRow{ID: id, KeptID: kept, AbsorbedID: absorbed, At: tx.now, Operator: tx.actor.Operator, Workstation: tx.actor.Workstation, Reason: reason}
	if err := tx.gorm.Create(&merge).Error; err != nil {
		return uuid.Nil, err
	}
	if err := tx.handOver(id, absorbed, kept, reason); err != nil {
		return uuid.Nil, err
	}
	into := tx.gorm.Model(&personRow{}).Where("id = ?", absorbed).Updates(tx.Change(map[string]any{"merged_into": kept}, reason))
	if into.Error != nil {
		return uuid.Nil, into.Error
	}
	return id, errors.Join(
		tx.Audit("person.merged", "person:"+absorbed.String(), map[string]string{"into": kept.String(), "merge": id.String()}),
		tx.Audit("person.absorbed", "person:"+kept.String(), map[string]string{"from": absorbed.String(), "merge": id.String()}),
	)
}

// otherHand refuses that a card in force goes to a file of one's own.
func (tx *Tx) otherHand(kept, absorbed uuid.UUID) error {
	var cards int64
	if err := tx.gorm.Table("cards").Where("person_id = ? AND status <> '9'", absorbed).Count(&cards).Error; err != nil || cards == 0 {
		return err
	}
	own, err := tx.HasChanged(kept, time.Time{})
	if err == nil && own {
		err = ErrOwnFile
	}
	return err
}

// lockPair holds two files, always in the same order, and makes sure that both
// are there and neither was merged into another.
func (tx *Tx) lockPair(first, second uuid.UUID) error {
	if bytes.Compare(first[:], second[:]) > 0 {
		first, second = second, first
	}
	for _, id := range []uuid.UUID{first, second} {
		if _, _, err := tx.lockFile(id); err != nil {
			return err
		}
	}
	return nil
}

// UndoMerge makes two files of one again (撤销合并): what went over goes back,
// unless it has gone elsewhere since; what came after stays with the kept file.
// Errors: ErrNotFound, ErrConflict for a merge that was undone.
func (tx *Tx) UndoMerge(id uuid.UUID, reason string) error {
	if err := checkReason(reason); err != nil {
		return err
	}
	var merge mergeRow
	if err := tx.ForUpdate().Where("id = ?", id).Take(&merge).Error; err != nil {
		return err
	}
	if merge.UndoneAt != nil {
		return &Error{Kind: ErrConflict, Table: "merges", Constraint: "undone"}
	}
	if err := tx.handBack(merge, reason); err != nil {
		return err
	}
	apart := tx.gorm.Model(&personRow{}).Where("id = ? AND merged_into = ?", merge.AbsorbedID, merge.KeptID).
		Updates(tx.Change(map[string]any{"merged_into": nil}, reason))
	if err := tx.changeOne(apart); err != nil {
		return err
	}
	undone := tx.gorm.Model(&mergeRow{}).Where("id = ?", id).Updates(map[string]any{
		"undone_at": tx.now, "undone_by": tx.actor.Operator, "undone_on": tx.actor.Workstation, "undo_reason": reason,
	})
	if undone.Error != nil {
		return undone.Error
	}
	return errors.Join(
		tx.Audit("person.unmerged", "person:"+merge.AbsorbedID.String(), map[string]string{"merge": id.String()}),
		tx.Audit("person.unmerged", "person:"+merge.KeptID.String(), map[string]string{"merge": id.String()}),
	)
}

// Merge is that two files were made one.
type Merge struct {
	ID             uuid.UUID
	Kept, Absorbed uuid.UUID
	At             time.Time
	By, On, Reason string
	Undone         *time.Time
}

// MergesOf returns the merges in which a person's file took part, the newest
// first.
func (db *DB) MergesOf(ctx context.Context, person uuid.UUID) ([]Merge, error) {
	var rows []mergeRow
	if err := db.Read(ctx).Where("kept_id = ? OR absorbed_id = ?", person, person).Order("id DESC").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("registry: merges: %w", err)
	}
	merges := make([]Merge, len(rows))
	for i, row := range rows {
		merges[i] = Merge{
			ID: row.ID, Kept: row.KeptID, Absorbed: row.AbsorbedID, At: row.At, By: row.Operator, On: row.Workstation,
			Reason: row.Reason, Undone: row.UndoneAt,
		}
	}
	return merges, nil
}

// KeptBy returns the person whose file a merge kept, or ErrNotFound.
func (tx *Tx) KeptBy(merge uuid.UUID) (Person, error) {
	var row mergeRow
	if err := tx.gorm.Where("id = ?", merge).Take(&row).Error; err != nil {
		return Person{}, err
	}
	return tx.PersonByID(row.KeptID)
}
