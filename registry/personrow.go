package registry

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/internal/gb"
	"onecard/internal/pinyin"
)

// personRow is a row of persons.
type personRow struct {
	ID                  uuid.UUID  `gorm:"column:id"`
	IDType              string     `gorm:"column:id_type"`
	IDNumberSealed      []byte     `gorm:"column:id_number_sealed"`
	IDNumberIndex       []byte     `gorm:"column:id_number_index"`
	NameSealed          []byte     `gorm:"column:name_sealed"`
	NameIndex           []byte     `gorm:"column:name_index"`
	SoundIndex          []byte     `gorm:"column:sound_index"`
	InitialsIndex       []byte     `gorm:"column:initials_index"`
	NameTibetanSealed   []byte     `gorm:"column:name_tibetan_sealed"`
	NameMongolianSealed []byte     `gorm:"column:name_mongolian_sealed"`
	PhoneSealed         []byte     `gorm:"column:phone_sealed"`
	PhoneIndex          []byte     `gorm:"column:phone_index"`
	AddressSealed       []byte     `gorm:"column:address_sealed"`
	Postcode            *string    `gorm:"column:postcode"`
	Sex                 string     `gorm:"column:sex"`
	Ethnic              string     `gorm:"column:ethnic"`
	Birth               string     `gorm:"column:birth"`
	Nationality         string     `gorm:"column:nationality"`
	Place               string     `gorm:"column:place"`
	Locality            *string    `gorm:"column:locality"`
	HouseholdKind       *string    `gorm:"column:household_kind"`
	HouseholdSealed     []byte     `gorm:"column:household_sealed"`
	HouseholdIndex      []byte     `gorm:"column:household_index"`
	HouseholdRole       *string    `gorm:"column:household_role"`
	Education           *string    `gorm:"column:education"`
	Employment          *string    `gorm:"column:employment"`
	Employer            *string    `gorm:"column:employer"`
	LifeState           string     `gorm:"column:life_state"`
	PoliceState         string     `gorm:"column:police_state"`
	MinistryState       string     `gorm:"column:ministry_state"`
	MergedInto          *uuid.UUID `gorm:"column:merged_into"`
	CreatedAt           time.Time  `gorm:"column:created_at"`
	CreatedBy           string     `gorm:"column:created_by"`
	Stamp               `gorm:"embedded"`
}

// TableName implements gorm's schema.Tabler.
func (personRow) TableName() string { return "persons" }

// Columns under which values are sealed and indexed. The digests for sound and
// initials have purposes of their own, so that nothing can be concluded from
// one about another.
const (
	columnIDNumber      = "persons.id_number"
	columnName          = "persons.name"
	columnSound         = "persons.sound"
	columnInitials      = "persons.initials"
	columnNameTibetan   = "persons.name_tibetan"
	columnNameMongolian = "persons.name_mongolian"
	columnPhone         = "persons.phone"
	columnAddress       = "persons.address"
	columnHousehold     = "persons.household"
)

// shortIndex is the length in bytes of a digest that need not be unique: what
// it finds is opened and compared.
const shortIndex = 8

// numberKey is what the digest of a person's number is made of: the citizen's
// number as it is, another document's with its kind.
func numberKey(idType, number string) string {
	if documents[idType] {
		return number
	}
	return idType + ":" + number
}

// sealPersons makes rows of persons. All their fields go through the Vault in
// one call.
func (db *DB) sealPersons(ctx context.Context, persons []Person) ([]personRow, error) {
	rows := make([]personRow, len(persons))
	work := newSealing(7*len(persons), 6*len(persons))
	for i := range persons {
		person, row := &persons[i], &rows[i]
		*row = personRow{
			ID: person.ID, IDType: person.IDType, Postcode: optional(person.Postcode), Sex: string(person.Sex), Ethnic: person.Ethnic,
			Birth: person.Birth.String(), Nationality: person.Nationality, Place: person.Place, Locality: optional(person.Locality),
			HouseholdKind: optional(person.HouseholdKind), HouseholdRole: optional(person.HouseholdRole),
			Education: optional(person.Education), Employment: optional(person.Employment), Employer: optional(person.Employer),
			LifeState: person.Life, PoliceState: person.Police, MinistryState: person.Ministry, MergedInto: person.MergedInto,
			Stamp: person.Stamp,
		}
		id := person.ID.String()
		work.seal(columnIDNumber, id, person.Number(), &row.IDNumberSealed)
		work.seal(columnName, id, person.Name, &row.NameSealed)
		work.seal(columnNameTibetan, id, person.NameTibetan, &row.NameTibetanSealed)
		work.seal(columnNameMongolian, id, person.NameMongolian, &row.NameMongolianSealed)
		work.seal(columnPhone, id, person.Phone, &row.PhoneSealed)
		work.seal(columnAddress, id, person.Address, &row.AddressSealed)
		work.seal(columnHousehold, id, person.Household, &row.HouseholdSealed)
		work.index(columnIDNumber, numberKey(person.IDType, person.Number()), 0, &row.IDNumberIndex)
		work.index(columnName, person.Name, shortIndex, &row.NameIndex)
		work.index(columnSound, pinyin.Sound(person.Name), shortIndex, &row.SoundIndex)
		work.index(columnInitials, pinyin.Initials(person.Name), shortIndex, &row.InitialsIndex)
		work.index(columnPhone, person.Phone, shortIndex, &row.PhoneIndex)
		work.index(columnHousehold, person.Household, shortIndex, &row.HouseholdIndex)
	}
	return rows, work.run(ctx, db)
}

// openPersons reads rows. All their fields go through the Vault in one call.
func (db *DB) openPersons(ctx context.Context, rows []personRow) ([]Person, error) {
	persons := make([]Person, len(rows))
	numbers := make([]string, len(rows))
	work := newOpening(7 * len(rows))
	for i := range rows {
		row, person := &rows[i], &persons[i]
		*person = Person{
			ID: row.ID, IDType: row.IDType, Sex: gb.Sex(row.Sex), Ethnic: row.Ethnic, Nationality: row.Nationality,
			Postcode: deref(row.Postcode), Place: row.Place, Locality: deref(row.Locality), HouseholdKind: deref(row.HouseholdKind),
			HouseholdRole: deref(row.HouseholdRole), Education: deref(row.Education), Employment: deref(row.Employment),
			Employer: deref(row.Employer), Life: row.LifeState, Police: row.PoliceState, Ministry: row.MinistryState,
			MergedInto: row.MergedInto, Stamp: row.Stamp,
		}
		var err error
		if person.Birth, err = gb.ParseDate(row.Birth); err != nil {
			return nil, invalid("birth", err)
		}
		id := row.ID.String()
		work.open(columnIDNumber, id, row.IDNumberSealed, &numbers[i])
		work.open(columnName, id, row.NameSealed, &person.Name)
		work.open(columnNameTibetan, id, row.NameTibetanSealed, &person.NameTibetan)
		work.open(columnNameMongolian, id, row.NameMongolianSealed, &person.NameMongolian)
		work.open(columnPhone, id, row.PhoneSealed, &person.Phone)
		work.open(columnAddress, id, row.AddressSealed, &person.Address)
		work.open(columnHousehold, id, row.HouseholdSealed, &person.Household)
	}
	if err := work.run(ctx, db); err != nil {
		return nil, err
	}
	for i := range persons {
		if !documents[persons[i].IDType] {
			persons[i].Document = numbers[i]
			continue
		}
		var err error
		if persons[i].IDNumber, err = gb.ParseIDNumber(numbers[i]); err != nil {
			return nil, invalid("idNumber", err)
		}
	}
	return persons, nil
}

// deref returns the text, or the empty one for a database's NULL.
func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// PersonByID returns a person, or ErrNotFound. The caller records the reading
// with [DB.RecordRead].
func (db *DB) PersonByID(ctx context.Context, id uuid.UUID) (Person, error) {
	return db.takePerson(ctx, db.Read(ctx).Where("id = ?", id))
}

// PersonByID returns a person as this transaction sees it, or ErrNotFound.
func (tx *Tx) PersonByID(id uuid.UUID) (Person, error) {
	if person, ok := tx.knownPerson(id); ok {
		return person, nil
	}
	return tx.db.takePerson(tx.ctx, tx.gorm.Where("id = ?", id))
}

// PersonByIDNumber returns the person with an identity number as this
// transaction sees it, or ErrNotFound.
func (tx *Tx) PersonByIDNumber(number gb.IDNumber) (Person, error) {
	digests, err := tx.db.digests(tx.ctx, columnIDNumber, number.String(), 0)
	if err != nil {
		return Person{}, err
	}
	return tx.db.takePerson(tx.ctx, tx.gorm.Where("id_number_index IN ?", digests))
}

// freeNumber refuses the number of another person that stands under the older
// version of the key.
func (tx *Tx) freeNumber(person Person) error {
	older, err := tx.older(columnIDNumber, numberKey(person.IDType, person.Number()), 0)
	if err != nil {
		return err
	}
	return tx.free("persons", "persons_id_number", older, "id_number_index IN ? AND id <> ?", person.ID)
}

func (db *DB) takePerson(ctx context.Context, query *gorm.DB) (Person, error) {
	var row personRow
	if err := query.Take(&row).Error; err != nil {
		return Person{}, err
	}
	persons, err := db.openPersons(ctx, []personRow{row})
	if err != nil {
		return Person{}, err
	}
	return persons[0], nil
}

// RecordRead records that the actor has been shown the personal data of these
// persons, and what for (a fixed word such as "search"). A search without
// result is recorded as well: trying out numbers leaves a trace.
func (db *DB) RecordRead(ctx context.Context, actor Actor, purpose string, persons ...uuid.UUID) error {
	return db.InTx(ctx, actor, func(tx *Tx) error {
		for _, id := range persons {
			if err := tx.Audit("person.read", "person:"+id.String(), map[string]string{"purpose": purpose}); err != nil {
				return err
			}
		}
		if len(persons) > 0 {
			return nil
		}
		return tx.Audit("person.read", "person", map[string]string{"purpose": purpose, "found": "0"})
	})
}

// indexNames fills in the digests of sound and initials for rows that were
// written before there were any.
func (db *DB) indexNames(ctx context.Context) error {
	const batch = 200
	for {
		var rows []personRow
		if err := db.Read(ctx).Where("initials_index IS NULL").Limit(batch).Find(&rows).Error; err != nil || len(rows) == 0 {
			return err
		}
		persons, err := db.openPersons(ctx, rows)
		if err != nil {
			return err
		}
		present, err := db.presentIndexes(ctx, indexLease)
		if err != nil {
			return err
		}
		sealed, err := db.sealPersons(context.WithValue(ctx, heldKey{}, present.indexKeys), persons)
		if err != nil {
			return err
		}
		err = db.write.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			// Whoever is at this while the key of indexes changes does it again.
			keys, all := settledIndexes(tx.Clauses(sharing))
			if all == nil && keys != present.indexKeys {
				all = errIndexChanged
			}
			for _, row := range sealed {
				all = errors.Join(all, tx.Model(&personRow{}).Where("id = ?", row.ID).Updates(map[string]any{
					"sound_index": row.SoundIndex, "initials_index": row.InitialsIndex, "phone_index": row.PhoneIndex,
				}).Error)
			}
			return all
		})
		if errors.Is(err, errIndexChanged) {
			db.indexes.forget()
			continue
		}
		if err != nil {
			return err
		}
	}
}
