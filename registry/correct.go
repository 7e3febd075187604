package registry

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// ErrStale: the row has changed since the caller read it.
var ErrStale = staleError{}

type staleError struct{}

func (staleError) Error() string {
	return "此记录已被他人修改，请刷新后重试 changed by another meanwhile: refresh and try again"
}

// Unwrap returns ErrConflict.
func (staleError) Unwrap() error { return ErrConflict }

// CorrectPerson changes what is recorded of a person (更正、变更): change gets
// what is recorded, as it would be told at registration, and alters it. version
// is the one that the caller has seen; 0 takes whichever there is. The reason
// is required. An earlier number stays the person's for ever, among the other
// numbers. Errors: ErrNotFound, ErrStale, ErrInvalid, ErrDuplicate for a number
// that is another's, ErrConflict for a file that was merged into another.
func (tx *Tx) CorrectPerson(id uuid.UUID, version int64, reason string, change func(told *NewPerson)) (Person, error) {
	if err := checkReason(reason); err != nil {
		return Person{}, err
	}
	before, row, err := tx.lockFile(id)
	switch {
	case err != nil:
		return Person{}, err
	case version != 0 && version != before.Stamp.Version:
		return Person{}, ErrStale
	}
	told := before.told()
	change(&told)
	after, err := told.Check()
	if err != nil {
		return Person{}, err
	}
	if after.Place != before.Place {
		if err := tx.placeToday(after.Place); err != nil {
			return Person{}, err
		}
	}
	if after.Place != before.Place || after.Locality != before.Locality {
		if err := tx.localityToday(after.Locality, after.Place); err != nil {
			return Person{}, err
		}
	}
	after.ID, after.Employer, after.Police, after.Ministry = before.ID, before.Employer, before.Police, before.Ministry
	if after.Ministry == "accepted" {
		after.Ministry = "stale" // the ministry's copy has to follow
	}
	if before.Number() != after.Number() || before.Name != after.Name {
		after.Police = Police.first
		if err := tx.askAbout(after); err != nil {
			return Person{}, err
		}
	}
	if err := tx.writePerson(after, row, reason); err != nil {
		return Person{}, err
	}
	if former := before.Number(); former != after.Number() {
		if err := tx.AddNumber(id, OtherNumber{System: SystemFormer, Number: former, Former: true}, reason); err != nil {
			return Person{}, err
		}
	}
	detail := map[string]string{"fields": strings.Join(differences(before, after), " ")}
	if err := tx.Audit("person.changed", "person:"+id.String(), detail); err != nil {
		return Person{}, err
	}
	after.Stamp = Stamp{Version: before.Stamp.Version + 1, At: tx.now, By: tx.actor.Operator, On: tx.actor.Workstation, Reason: reason}
	for _, follow := range tx.db.follow {
		if err := follow(tx, before, after); err != nil {
			return Person{}, err
		}
	}
	return after, nil
}

// OnPersonChanged has follow run in the transaction of every change of what is
// recorded of a person: what depends on it changes with it or not at all. It is
// called while the platform is put together, before anything changes.
func (db *DB) OnPersonChanged(follow func(tx *Tx, before, after Person) error) {
	db.follow = append(db.follow, follow)
}

// HasChanged says whether the actor has entered or changed what is recorded of a
// person at an instant or after it.
func (tx *Tx) HasChanged(person uuid.UUID, since time.Time) (bool, error) {
	if _, ok := tx.knownPerson(person); ok {
		last, changed := tx.known.changed[person]
		return changed && !last.Before(since), nil
	}
	for _, table := range stamped {
		var n int64
		err := tx.gorm.Table(table).Where("id = ? AND changed_by = ? AND changed_at >= ?", person, tx.actor.Operator, since.UTC()).Count(&n).Error
		if err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

// stamped are the tables that say who has changed a person's file.
var stamped = []string{"persons", "persons_history"}

func checkReason(reason string) error {
	if strings.TrimSpace(reason) == "" || utf8.RuneCountInString(reason) > maxReason {
		return &FieldError{Field: "reason", ZH: "请填写原因，最多 300 个字符", EN: "a reason of at most 300 characters"}
	}
	return nil
}

// lockFile reads a person and holds the row until the transaction ends. A file
// that was merged into another is changed no more.
func (tx *Tx) lockFile(id uuid.UUID) (Person, personRow, error) {
	var row personRow
	if err := tx.ForUpdate().Where("id = ?", id).Take(&row).Error; err != nil {
		return Person{}, personRow{}, err
	}
	persons, err := tx.db.openPersons(tx.ctx, []personRow{row})
	if err != nil {
		return Person{}, personRow{}, err
	}
	if persons[0].MergedInto != nil {
		return Person{}, personRow{}, &Error{Kind: ErrConflict, Table: "persons", Constraint: "merged"}
	}
	return persons[0], row, nil
}

// writePerson puts a person in the place of a row.
func (tx *Tx) writePerson(person Person, before personRow, reason string) error {
	rows, err := tx.db.sealPersons(tx.ctx, []Person{person})
	if err != nil {
		return err
	}
	row := rows[0]
	if person.Household == "" && before.HouseholdSealed == nil { // recorded before it was sealed
		row.HouseholdIndex = before.HouseholdIndex
	}
	return tx.gorm.Model(&personRow{}).Where("id = ?", person.ID).Updates(tx.Change(map[string]any{
		"id_type": row.IDType, "id_number_sealed": row.IDNumberSealed, "id_number_index": row.IDNumberIndex,
		"name_sealed": row.NameSealed, "name_index": row.NameIndex, "sound_index": row.SoundIndex, "initials_index": row.InitialsIndex,
		"name_tibetan_sealed": row.NameTibetanSealed, "name_mongolian_sealed": row.NameMongolianSealed,
		"phone_sealed": row.PhoneSealed, "phone_index": row.PhoneIndex, "address_sealed": row.AddressSealed, "postcode": row.Postcode,
		"sex": row.Sex, "ethnic": row.Ethnic, "birth": row.Birth, "nationality": row.Nationality, "place": row.Place, "locality": row.Locality,
		"household_kind": row.HouseholdKind, "household_sealed": row.HouseholdSealed, "household_index": row.HouseholdIndex, "household_role": row.HouseholdRole,
		"education": row.Education, "employment": row.Employment, "employer": row.Employer, "life_state": row.LifeState,
		"police_state": row.PoliceState, "ministry_state": row.MinistryState,
	}, reason)).Error
}

// told is what registration would have been told of a person.
func (p Person) told() NewPerson {
	return NewPerson{
		IDType: p.IDType, IDNumber: p.Number(), Name: p.Name, NameTibetan: p.NameTibetan, NameMongolian: p.NameMongolian,
		Sex: string(p.Sex), Birth: p.Birth, Ethnic: p.Ethnic, Nationality: p.Nationality, Phone: p.Phone, Address: p.Address,
		Postcode: p.Postcode, Place: p.Place, Locality: p.Locality, HouseholdKind: p.HouseholdKind, Household: p.Household, HouseholdRole: p.HouseholdRole,
		Education: p.Education, Employment: p.Employment, Life: p.Life,
	}
}

// differences names the fields in which two states of a person differ: names
// only, values are personal data.
func differences(before, after Person) []string {
	var fields []string
	for _, field := range []struct {
		name string
		same bool
	}{
		{"idType", before.IDType == after.IDType},
		{"idNumber", before.Number() == after.Number()},
		{"name", before.Name == after.Name},
		{"nameTibetan", before.NameTibetan == after.NameTibetan},
		{"nameMongolian", before.NameMongolian == after.NameMongolian},
		{"sex", before.Sex == after.Sex},
		{"birth", before.Birth == after.Birth},
		{"ethnic", before.Ethnic == after.Ethnic},
		{"nationality", before.Nationality == after.Nationality},
		{"phone", before.Phone == after.Phone},
		{"address", before.Address == after.Address},
		{"postcode", before.Postcode == after.Postcode},
		{"place", before.Place == after.Place},
		{"locality", before.Locality == after.Locality},
		{"household", before.HouseholdKind == after.HouseholdKind && before.HouseholdRole == after.HouseholdRole && before.Household == after.Household},
		{"education", before.Education == after.Education},
		{"employment", before.Employment == after.Employment},
		{"life", before.Life == after.Life},
	} {
		if !field.same {
			fields = append(fields, field.name)
		}
	}
	return fields
}
