package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// AsOf narrows a query to the rows of a kept table as they stood at an instant
// (历史时点): first to the present rows that stood then, then to the earlier
// ones. A caller runs both; at most one has the row of a key.
func (db *DB) AsOf(ctx context.Context, table string, at time.Time) (present, past *gorm.DB) {
	at = at.UTC()
	present = db.Read(ctx).Table(table).Where("changed_at <= ?", at)
	past = db.Read(ctx).Table(table+"_history").Where("changed_at <= ? AND replaced_at > ?", at, at)
	return present, past
}

// PersonAt returns a person as the record had it at an instant, with who had
// made it so; ErrNotFound if the person was not registered yet.
func (db *DB) PersonAt(ctx context.Context, id uuid.UUID, at time.Time) (Person, error) {
	present, past := db.AsOf(ctx, "persons", at)
	person, err := db.takePerson(ctx, present.Where("id = ?", id))
	if errors.Is(err, ErrNotFound) {
		return db.takePerson(ctx, past.Where("id = ?", id))
	}
	return person, err
}

// Version is a state in which a person's file once stood.
type Version struct {
	Person Person
	Until  *time.Time // nil: it still stands
	Fields []string   // in which it differs from the one before; names only
}

// PersonHistory returns every state of a person's file, the first one first.
func (db *DB) PersonHistory(ctx context.Context, id uuid.UUID) ([]Version, error) {
	var past []struct {
		Row        personRow `gorm:"embedded"`
		ReplacedAt time.Time `gorm:"column:replaced_at"`
	}
	if err := db.Read(ctx).Table("persons_history").Where("id = ?", id).Order("version").Find(&past).Error; err != nil {
		return nil, fmt.Errorf("registry: history: %w", err)
	}
	rows := make([]personRow, 0, len(past)+1)
	for _, row := range past {
		rows = append(rows, row.Row)
	}
	var now personRow
	if err := db.Read(ctx).Where("id = ?", id).Take(&now).Error; err != nil {
		return nil, err
	}
	persons, err := db.openPersons(ctx, append(rows, now))
	if err != nil {
		return nil, err
	}
	versions := make([]Version, len(persons))
	for i, person := range persons {
		versions[i].Person = person
		if i < len(past) {
			versions[i].Until = &past[i].ReplacedAt
		}
		if i > 0 {
			versions[i].Fields = differences(persons[i-1], person)
		}
	}
	return versions, nil
}
