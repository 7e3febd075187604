package registry

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strings"

	"onecard/internal/gb"
	"onecard/internal/pinyin"
)

// likeness is one way in which two files can be one person's: whom to compare,
// and what then speaks for it.
type likeness struct {
	// columns of from have the same values for those who are compared.
	from    string
	columns []string
	where   string // rows of from that count
	persons string // condition on persons for the values of the columns
	rule    func(db *DB, a, b Person) string
}

// likenesses are gone through when a person is registered and by the batch.
var likenesses = []likeness{
	{"persons", []string{"sound_index", "birth"}, "TRUE", "sound_index IN ? AND birth = ?", byBirth},
	{"persons", []string{"phone_index", "name_index"}, "phone_index IS NOT NULL", "phone_index IN ? AND name_index IN ?", byPhone},
	{"attachments", []string{"content_index"}, validPhoto, "id IN (SELECT person_id FROM attachments WHERE content_index IN ? AND " + validPhoto + ")", byPhoto},
}

const validPhoto = "kind = 'photo' AND state = 'valid'"

// byBirth: the same name and day of birth within a prefecture, or a name that
// sounds the same within a county.
func byBirth(db *DB, a, b Person) string {
	switch {
	case a.Birth != b.Birth:
		return ""
	case letters(a.Name) == letters(b.Name) && db.prefecture(a.Place) == db.prefecture(b.Place):
		return RuleNameBirth
	case gb.Divisions().Lies(a.Place, b.Place, db.Today()) && pinyin.Sound(a.Name) == pinyin.Sound(b.Name):
		return RuleSoundBirth
	default:
		return ""
	}
}

// byPhone: the same telephone number and name, where the day of birth has not
// said it already.
func byPhone(db *DB, a, b Person) string {
	if a.Phone == "" || a.Phone != b.Phone || a.Name != b.Name || byBirth(db, a, b) != "" {
		return ""
	}
	return RulePhoneName
}

// byPhoto: the digests of the photographs are long enough.
func byPhoto(*DB, Person, Person) string { return RulePhoto }

// suspect opens a case for each pair that a rule finds. Who was merged is one
// person already.
func (tx *Tx) suspect(persons []Person, rule func(db *DB, a, b Person) string) (int, error) {
	var cases []duplicateRow
	for i, a := range persons {
		for _, b := range persons[i+1:] {
			found := rule(tx.db, a, b)
			if found == "" || a.ID == b.ID || a.MergedInto != nil || b.MergedInto != nil {
				continue
			}
			id, err := tx.NewID()
			if err != nil {
				return 0, fmt.Errorf("registry: new id: %w", err)
			}
			first, second := a.ID, b.ID
			if bytes.Compare(first[:], second[:]) > 0 {
				first, second = second, first
			}
			cases = append(cases, duplicateRow{ID: id, FirstID: first, SecondID: &second, Rule: found, Place: a.Place, State: "open", FoundAt: tx.now})
		}
	}
	return len(cases), tx.addCases(cases)
}

// mostAlike bounds the files of one likeness that are compared.
const mostAlike = 20

// alike opens cases among those who have the same values in a likeness.
func (tx *Tx) alike(l likeness, values []any) (int, error) {
	for i, value := range values {
		if digest, single := value.([]byte); single {
			values[i] = [][]byte{digest}
		}
	}
	var rows []personRow
	err := tx.gorm.Where(l.persons, values...).Order("id").Limit(mostAlike).Find(&rows).Error
	if err != nil || len(rows) < 2 {
		return 0, err
	}
	persons, err := tx.db.openPersons(tx.ctx, rows)
	if err != nil {
		return 0, err
	}
	return tx.suspect(persons, l.rule)
}

// suspectNew compares a person who was just registered with those who are like
// (录入时查重).
func (tx *Tx) suspectNew(person Person, row personRow) error {
	sound, err := tx.older(columnSound, pinyin.Sound(person.Name), shortIndex)
	if err != nil {
		return err
	}
	if _, err := tx.alike(likenesses[0], []any{append(sound, row.SoundIndex), row.Birth}); err != nil || row.PhoneIndex == nil {
		return err
	}
	phone, err := tx.older(columnPhone, person.Phone, shortIndex)
	if err != nil {
		return err
	}
	name, err := tx.older(columnName, person.Name, shortIndex)
	if err != nil {
		return err
	}
	_, err = tx.alike(likenesses[1], []any{append(phone, row.PhoneIndex), append(name, row.NameIndex)})
	return err
}

// suspectPhoto compares whose photograph was just taken in with those who have
// the same.
func (tx *Tx) suspectPhoto(index []byte) error {
	_, err := tx.alike(likenesses[2], []any{index})
	return err
}

// ScanDuplicates compares all persons who are alike in one of the ways (批量查重)
// and opens a case for each suspicious pair. It goes through indexes, in
// transactions of bounded size, and may be stopped and run again: no case is
// opened twice. It returns the number of suspicious pairs. ErrReindexing while the
// key of blind indexes changes: equal values do not stand together then.
func (db *DB) ScanDuplicates(ctx context.Context, actor Actor) (int, error) {
	total := 0
	for _, l := range likenesses {
		pairs, err := db.scan(ctx, actor, l)
		total += pairs
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (db *DB) scan(ctx context.Context, actor Actor, l likeness) (int, error) {
	total := 0
	var last []any
	for {
		if keys, err := db.indexesOf(ctx); err != nil || keys.also != 0 {
			return total, cmp.Or(err, ErrReindexing)
		}
		found, err := db.groupsAfter(ctx, l, last)
		if err != nil || len(found) == 0 {
			return total, err
		}
		pairs := 0
		err = db.InTx(ctx, actor, func(tx *Tx) error {
			pairs = 0
			for _, values := range found {
				n, err := tx.alike(l, values)
				if err != nil {
					return err
				}
				pairs += n
			}
			return tx.Audit("duplicates.scanned", "persons", map[string]string{"by": strings.Join(l.columns, " "), "pairs": fmt.Sprint(pairs)})
		})
		if err != nil {
			return total, err
		}
		total += pairs
		last = found[len(found)-1]
	}
}

// groupsAfter returns the next values that more than one row has.
func (db *DB) groupsAfter(ctx context.Context, l likeness, last []any) ([][]any, error) {
	const groups = 200
	columns := strings.Join(l.columns, ", ")
	query := db.Read(ctx).Table(l.from).Select(columns).Where(l.where)
	if last != nil {
		marks := strings.TrimSuffix(strings.Repeat("?, ", len(last)), ", ")
		// The space keeps gorm from taking a digest for a list of values.
		query = query.Where("("+columns+") > ( "+marks+")", last...)
	}
	rows, err := query.Group(columns).Having("count(*) > 1").Order(columns).Limit(groups).Rows()
	if err != nil {
		return nil, fmt.Errorf("registry: duplicates: %w", err)
	}
	defer rows.Close()
	var found [][]any
	for rows.Next() {
		values := make([]any, len(l.columns))
		into := make([]any, len(values))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("registry: duplicates: %w", err)
		}
		found = append(found, values)
	}
	return found, rows.Err()
}
