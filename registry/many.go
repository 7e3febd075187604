package registry

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"onecard/internal/gb"
)

// PersonsByID returns those of many persons that there are, by id. All their
// fields go through the Vault in one call. The caller records the reading.
func (db *DB) PersonsByID(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Person, error) {
	var rows []personRow
	if len(ids) == 0 {
		return nil, nil
	}
	if err := db.Read(ctx).Where("id IN ?", ids).Find(&rows).Error; err != nil {
		return nil, err
	}
	persons, err := db.openPersons(ctx, rows)
	if err != nil {
		return nil, err
	}
	found := make(map[uuid.UUID]Person, len(persons))
	for _, person := range persons {
		found[person.ID] = person
	}
	return found, nil
}

// PersonsByIDNumber returns those of many persons that there are, by their
// identity number, as [DB.PersonByIDNumber] finds each. The caller records the
// reading.
func (db *DB) PersonsByIDNumber(ctx context.Context, numbers []gb.IDNumber) (found map[gb.IDNumber]Person, err error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	batch := make([]*question, len(numbers))
	for i, number := range numbers {
		batch[i] = &question{number: number}
	}
	err = db.steady(ctx, func(ctx context.Context) (err error) {
		found, err = db.personsByNumber(ctx, batch)
		return err
	})
	return found, err
}

// SealAll is [DB.Seal] for one column of many rows, in one call to the Vault.
func (db *DB) SealAll(ctx context.Context, column string, rows []string, plain [][]byte) ([][]byte, error) {
	sealed, err := db.bulk.SealAll(ctx, sealContexts(column, rows), plain)
	if err != nil {
		return nil, fmt.Errorf("registry: seal %s: %w", column, err)
	}
	return sealed, nil
}

// UnsealAll is [DB.Unseal] for one column of many rows, in one call to the Vault.
func (db *DB) UnsealAll(ctx context.Context, column string, rows []string, sealed [][]byte) ([][]byte, error) {
	plain, err := db.bulk.OpenAll(ctx, sealContexts(column, rows), sealed)
	if err != nil {
		return nil, fmt.Errorf("registry: unseal %s: %w", column, err)
	}
	return plain, nil
}

// IndexAll is [DB.Index] for one column of many values, in one call to the Vault.
func (db *DB) IndexAll(ctx context.Context, column string, values [][]byte) ([][]byte, error) {
	indexes := make([][]byte, len(values))
	work := newSealing(0, len(values))
	for i, value := range values {
		work.indexes = append(work.indexes, indexed{purpose: column, plain: string(value), into: &indexes[i]})
	}
	if err := work.run(ctx, db); err != nil {
		return nil, fmt.Errorf("%w (%s)", err, column)
	}
	return indexes, nil
}

func sealContexts(column string, rows []string) [][]byte {
	contexts := make([][]byte, len(rows))
	for i, row := range rows {
		contexts[i] = sealContext(column, row)
	}
	return contexts
}

// AccountNumbers returns the numbers of bank accounts (银行账号), by the row's id.
// They are personal data: the caller records the reading.
func (db *DB) AccountNumbers(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	var rows []struct {
		ID     uuid.UUID `gorm:"column:id"`
		Sealed []byte    `gorm:"column:account_sealed"`
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if err := db.Read(ctx).Table("bank_accounts").Select("id, account_sealed").Where("id IN ?", ids).Find(&rows).Error; err != nil {
		return nil, err
	}
	numbers := make([]string, len(rows))
	work := newOpening(len(rows))
	for i, row := range rows {
		work.open(columnAccount, row.ID.String(), row.Sealed, &numbers[i])
	}
	if err := work.run(ctx, db); err != nil {
		return nil, err
	}
	found := make(map[uuid.UUID]string, len(rows))
	for i, row := range rows {
		found[row.ID] = numbers[i]
	}
	return found, nil
}

// Photo is a person's photograph as it is stored.
type Photo struct {
	MediaType string // image/jpeg or image/png
	Content   []byte
}

// PhotosOf returns the photographs of persons that have one of some digests, by
// person, also one that was replaced since. All go through the Vault in one call.
// They are personal data: the caller records the reading.
func (db *DB) PhotosOf(ctx context.Context, persons []uuid.UUID, digests [][]byte) (map[uuid.UUID]Photo, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	var rows []attachmentRow
	err := db.Read(ctx).Where("person_id IN ? AND kind = ? AND content_index IN ?", persons, kindPhoto, digests).Order("id").Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("registry: photographs: %w", err)
	}
	ids, sealed := make([]string, len(rows)), make([][]byte, len(rows))
	for i, row := range rows {
		ids[i], sealed[i] = row.ID.String(), row.ContentSealed
	}
	plain, err := db.UnsealAll(ctx, columnContent, ids, sealed)
	if err != nil {
		return nil, err
	}
	photos := make(map[uuid.UUID]Photo, len(rows))
	for i, row := range rows {
		photos[row.PersonID] = Photo{row.MediaType, plain[i]}
	}
	return photos, nil
}
