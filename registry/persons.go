package registry

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/internal/gb"
)

// Person is an insured person (参保人员). It holds personal data: not for logs.
type Person struct {
	ID          uuid.UUID
	IDNumber    gb.IDNumber // 社会保障号码
	Name        string      // 姓名, normalised by gb.NormaliseName
	NameTibetan string      // 藏文姓名, may be empty
	Sex         gb.Sex
	Ethnic      string // 民族, two digits of GB/T 3304
	Birth       gb.Date
	Phone       string // may be empty
	Address     string // 通讯地址, may be empty
	Place       string // division code of the county
	Alive       bool
}

// NewPerson is what is told of a person at registration. Birth is that of the
// identity number.
type NewPerson struct {
	IDNumber    string
	Name        string
	NameTibetan string // optional
	Sex         string // GB/T 2261.1; if empty, what the identity number says
	Ethnic      string // GB/T 3304
	Phone       string // optional
	Address     string // optional
	Place       string // division code, valid today
}

// personRow is a row of persons.
type personRow struct {
	ID                uuid.UUID `gorm:"column:id"`
	IDNumberSealed    []byte    `gorm:"column:id_number_sealed"`
	IDNumberIndex     []byte    `gorm:"column:id_number_index"`
	NameSealed        []byte    `gorm:"column:name_sealed"`
	NameIndex         []byte    `gorm:"column:name_index"`
	NameTibetanSealed []byte    `gorm:"column:name_tibetan_sealed"`
	PhoneSealed       []byte    `gorm:"column:phone_sealed"`
	AddressSealed     []byte    `gorm:"column:address_sealed"`
	Sex               string    `gorm:"column:sex"`
	Ethnic            string    `gorm:"column:ethnic"`
	Birth             string    `gorm:"column:birth"`
	Place             string    `gorm:"column:place"`
	Alive             bool      `gorm:"column:alive"`
	CreatedAt         time.Time `gorm:"column:created_at"`
	CreatedBy         string    `gorm:"column:created_by"`
}

// TableName implements gorm's schema.Tabler.
func (personRow) TableName() string { return "persons" }

// Columns under which values are sealed and indexed.
const (
	columnIDNumber    = "persons.id_number"
	columnName        = "persons.name"
	columnNameTibetan = "persons.name_tibetan"
	columnPhone       = "persons.phone"
	columnAddress     = "persons.address"
)

// Limits in characters; a name of 25 characters fills the 50 bytes that
// partners' records have for it (AAC003), Latin names are longer.
const (
	maxName    = 50
	maxAddress = 200
)

// maxNamesakes bounds the answer of PersonsByName.
const maxNamesakes = 100

var phoneForm = regexp.MustCompile(`^\+?[0-9][0-9-]{4,19}$`)

// beijing is the zone of the province's calendar days (北京时间, UTC+8 without
// summer time since 1992).
var beijing = time.FixedZone("CST", 8*60*60)

// AddPerson registers a person, alive, and records it. Errors: ErrInvalid (a
// *FieldError), ErrDuplicate for an identity number that is registered.
func (tx *Tx) AddPerson(told NewPerson) (Person, error) {
	person, err := told.check()
	if err != nil {
		return Person{}, err
	}
	if err := tx.placeToday(told.Place); err != nil {
		return Person{}, err
	}
	if person.ID, err = tx.NewID(); err != nil {
		return Person{}, fmt.Errorf("registry: new id: %w", err)
	}
	row, err := tx.db.sealPerson(tx.ctx, person)
	if err != nil {
		return Person{}, err
	}
	row.CreatedAt, row.CreatedBy = tx.now, tx.actor.Operator
	if err := tx.gorm.Create(&row).Error; err != nil {
		return Person{}, err
	}
	return person, tx.Audit("person.added", "person:"+person.ID.String(), nil)
}

func (n NewPerson) check() (Person, error) {
	person := Person{Ethnic: n.Ethnic, Phone: n.Phone, Address: n.Address, Place: n.Place, Alive: true}
	var err error
	if person.IDNumber, err = gb.ParseIDNumber(n.IDNumber); err != nil {
		return Person{}, invalid("idNumber", err)
	}
	if person.Name, err = gb.NormaliseName(n.Name); err != nil {
		return Person{}, invalid("name", err)
	}
	if utf8.RuneCountInString(person.Name) > maxName {
		return Person{}, &FieldError{Field: "name", ZH: "最多 50 个字符", EN: "at most 50 characters"}
	}
	if person.NameTibetan, err = tibetanName(n.NameTibetan); err != nil {
		return Person{}, err
	}
	person.Birth, person.Sex = person.IDNumber.Birth(), person.IDNumber.Sex()
	if n.Sex != "" {
		if person.Sex, err = gb.ParseSex(n.Sex); err != nil {
			return Person{}, invalid("sex", err)
		}
	}
	if _, err = gb.EthnicByCode(n.Ethnic); err != nil {
		return Person{}, invalid("ethnic", err)
	}
	if n.Phone != "" && !phoneForm.MatchString(n.Phone) {
		return Person{}, &FieldError{Field: "phone", ZH: "应为电话号码", EN: "a telephone number"}
	}
	if !utf8.ValidString(n.Address) || strings.ContainsRune(n.Address, 0) || utf8.RuneCountInString(n.Address) > maxAddress {
		return Person{}, &FieldError{Field: "address", ZH: "最多 200 个字符", EN: "at most 200 characters"}
	}
	return person, nil
}

// tibetanName normalises a name in Tibetan script.
func tibetanName(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	normal, err := gb.NormaliseName(name)
	if err != nil {
		return "", invalid("nameTibetan", err)
	}
	for _, r := range normal {
		if r != ' ' && !unicode.Is(unicode.Tibetan, r) {
			return "", &FieldError{Field: "nameTibetan", ZH: "应为藏文", EN: "in Tibetan script"}
		}
	}
	if utf8.RuneCountInString(normal) > 4*maxName { // vowels and stacked letters count as characters
		return "", &FieldError{Field: "nameTibetan", ZH: "最多 200 个字符", EN: "at most 200 characters"}
	}
	return normal, nil
}

func (db *DB) sealPerson(ctx context.Context, person Person) (personRow, error) {
	row := personRow{
		ID: person.ID, Sex: string(person.Sex), Ethnic: person.Ethnic, Birth: person.Birth.String(),
		Place: person.Place, Alive: person.Alive,
	}
	for _, field := range []struct {
		column string
		plain  string
		sealed *[]byte
		index  *[]byte
	}{
		{columnIDNumber, person.IDNumber.String(), &row.IDNumberSealed, &row.IDNumberIndex},
		{columnName, person.Name, &row.NameSealed, &row.NameIndex},
		{columnNameTibetan, person.NameTibetan, &row.NameTibetanSealed, nil},
		{columnPhone, person.Phone, &row.PhoneSealed, nil},
		{columnAddress, person.Address, &row.AddressSealed, nil},
	} {
		if field.plain == "" {
			continue
		}
		var err error
		if *field.sealed, err = db.Seal(ctx, field.column, person.ID.String(), []byte(field.plain)); err != nil {
			return personRow{}, err
		}
		if field.index != nil {
			if *field.index, err = db.Index(ctx, field.column, []byte(field.plain)); err != nil {
				return personRow{}, err
			}
		}
	}
	return row, nil
}

func (db *DB) openPerson(ctx context.Context, row personRow) (Person, error) {
	person := Person{ID: row.ID, Sex: gb.Sex(row.Sex), Ethnic: row.Ethnic, Place: row.Place, Alive: row.Alive}
	var idNumber string
	for _, field := range []struct {
		column string
		sealed []byte
		plain  *string
	}{
		{columnIDNumber, row.IDNumberSealed, &idNumber},
		{columnName, row.NameSealed, &person.Name},
		{columnNameTibetan, row.NameTibetanSealed, &person.NameTibetan},
		{columnPhone, row.PhoneSealed, &person.Phone},
		{columnAddress, row.AddressSealed, &person.Address},
	} {
		if field.sealed == nil {
			continue
		}
		plain, err := db.Unseal(ctx, field.column, row.ID.String(), field.sealed)
		if err != nil {
			return Person{}, err
		}
		*field.plain = string(plain)
	}
	var err error
	if person.IDNumber, err = gb.ParseIDNumber(idNumber); err != nil {
		return Person{}, invalid("idNumber", err)
	}
	if person.Birth, err = gb.ParseDate(row.Birth); err != nil {
		return Person{}, invalid("birth", err)
	}
	return person, nil
}

// PersonByID returns a person, or ErrNotFound. The caller records the reading
// with [DB.RecordRead].
func (db *DB) PersonByID(ctx context.Context, id uuid.UUID) (Person, error) {
	return db.takePerson(ctx, db.Read(ctx).Where("id = ?", id))
}

// PersonByID returns a person as this transaction sees it, or ErrNotFound.
func (tx *Tx) PersonByID(id uuid.UUID) (Person, error) {
	return tx.db.takePerson(tx.ctx, tx.gorm.Where("id = ?", id))
}

// PersonByIDNumber returns the person with an identity number, or ErrNotFound.
func (db *DB) PersonByIDNumber(ctx context.Context, number gb.IDNumber) (Person, error) {
	index, err := db.Index(ctx, columnIDNumber, []byte(number.String()))
	if err != nil {
		return Person{}, err
	}
	return db.takePerson(ctx, db.Read(ctx).Where("id_number_index = ?", index))
}

// PersonByIDNumber returns the person with an identity number as this
// transaction sees it, or ErrNotFound.
func (tx *Tx) PersonByIDNumber(number gb.IDNumber) (Person, error) {
	index, err := tx.db.Index(tx.ctx, columnIDNumber, []byte(number.String()))
	if err != nil {
		return Person{}, err
	}
	return tx.db.takePerson(tx.ctx, tx.gorm.Where("id_number_index = ?", index))
}

// PersonsByName returns the persons of a name, however its dots and spaces are
// typed, the first registered first, at most 100. None is no error.
func (db *DB) PersonsByName(ctx context.Context, name string) ([]Person, error) {
	normal, err := gb.NormaliseName(name)
	if err != nil {
		return nil, invalid("name", err)
	}
	index, err := db.Index(ctx, columnName, []byte(normal))
	if err != nil {
		return nil, err
	}
	var rows []personRow
	if err := db.Read(ctx).Where("name_index = ?", index).Order("id").Limit(maxNamesakes).Find(&rows).Error; err != nil {
		return nil, err
	}
	persons := make([]Person, len(rows))
	for i, row := range rows {
		if persons[i], err = db.openPerson(ctx, row); err != nil {
			return nil, err
		}
	}
	return persons, nil
}

func (db *DB) takePerson(ctx context.Context, query *gorm.DB) (Person, error) {
	var row personRow
	if err := query.Take(&row).Error; err != nil {
		return Person{}, err
	}
	return db.openPerson(ctx, row)
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
