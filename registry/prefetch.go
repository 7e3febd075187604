package registry

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// known is what a transaction has read of many persons beforehand.
type known struct {
	persons map[uuid.UUID]Person
	brought map[uuid.UUID]Brought
	// changed is when the actor last entered or changed what is recorded of a
	// person, of those whom he did.
	changed map[uuid.UUID]time.Time
}

// Prefetch reads at once what [Tx.PersonByID], [Tx.Brought] and [Tx.HasChanged]
// will be asked of many persons, so that they need not ask the database one by
// one. A change of what is recorded of any person makes them ask again. Of
// persons all of whom are known nothing is read.
func (tx *Tx) Prefetch(ids []uuid.UUID) error {
	unknown := func(id uuid.UUID) bool { _, ok := tx.knownPerson(id); return !ok }
	if !slices.ContainsFunc(ids, unknown) {
		return nil
	}
	k := known{persons: map[uuid.UUID]Person{}, brought: map[uuid.UUID]Brought{}, changed: map[uuid.UUID]time.Time{}}
	var rows []personRow
	if err := tx.gorm.Where("id IN ?", ids).Find(&rows).Error; err != nil {
		return fmt.Errorf("registry: prefetch: %w", err)
	}
	persons, err := tx.db.openPersons(tx.ctx, rows)
	if err != nil {
		return err
	}
	for _, person := range persons {
		k.persons[person.ID] = person
	}
	var papers []attachmentRow
	if err := tx.gorm.Select("id", "person_id", "kind", "content_index").Where("person_id IN ? AND state = ?", ids, AttachmentValid).Find(&papers).Error; err != nil {
		return fmt.Errorf("registry: prefetch: %w", err)
	}
	for _, row := range papers {
		k.brought[row.PersonID] = k.brought[row.PersonID].with(row)
	}
	for _, table := range stamped {
		var changes []struct {
			ID        uuid.UUID
			ChangedAt time.Time
		}
		err := tx.gorm.Table(table).Select("id", "changed_at").Where("id IN ? AND changed_by = ?", ids, tx.actor.Operator).Find(&changes).Error
		if err != nil {
			return fmt.Errorf("registry: prefetch: %w", err)
		}
		for _, c := range changes {
			if c.ChangedAt.After(k.changed[c.ID]) {
				k.changed[c.ID] = c.ChangedAt
			}
		}
	}
	tx.known = &k
	return nil
}

// forget gives up what was read beforehand when its table was written to.
func (tx *Tx) forget(table string) {
	if table == "persons" || table == "attachments" || table == "" {
		tx.known = nil
	}
}

func (tx *Tx) knownPerson(id uuid.UUID) (person Person, ok bool) {
	if tx.known != nil {
		person, ok = tx.known.persons[id]
	}
	return person, ok
}
