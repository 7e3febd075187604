package registry

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// byteArray is an array of bytea as PostgreSQL reads it from text.
type byteArray [][]byte

// Value implements driver.Valuer.
func (a byteArray) Value() (driver.Value, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, value := range a {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"\\x`)
		b.WriteString(hex.EncodeToString(value))
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String(), nil
}

// newIDs gives each new person an id.
func (db *DB) newIDs(_ context.Context, l *Loading) error {
	for i, what := range l.result.What {
		if what != LoadedNew {
			continue
		}
		var err error
		if l.ids[i], err = uuid.NewV7FromReader(db.rand); err != nil {
			return fmt.Errorf("registry: new id: %w", err)
		}
	}
	return nil
}

// idsInQuery bounds the ids of one query.
const idsInQuery = 1000

// held is an outside number of a row: in which table it is unique, its digest,
// and what to do when it is not there yet.
type held struct {
	row    int
	table  string // person_numbers, bank_accounts, old_cards
	which  int    // of the row's numbers or accounts
	digest []byte
	older  []byte // its digest under the older version; nil while no key changes
	known  bool   // recorded already, for the same person
}

// The digests' columns by table.
var heldColumns = map[string]string{"person_numbers": "number_index", "bank_accounts": "account_index", "old_cards": "number_index"}

// readNumbers reads whose the rows' other numbers, accounts and old cards are. It
// comes before the persons are read: whoever has registered a number by now is
// seen as a person afterwards.
func (db *DB) readNumbers(ctx context.Context, l *Loading) (err error) {
	if l.held, err = db.digestNumbers(ctx, l); err != nil {
		return err
	}
	l.owners = make(map[string]map[string]uuid.UUID, len(heldColumns))
	for table, column := range heldColumns {
		var digests [][]byte
		for _, n := range l.held {
			if n.table == table {
				digests = append(digests, n.digest)
				if n.older != nil {
					digests = append(digests, n.older)
				}
			}
		}
		if len(digests) == 0 {
			continue
		}
		var owners []struct {
			Digest   []byte
			PersonID uuid.UUID
		}
		if err := db.findInTable(ctx, table, column, digests, &owners); err != nil {
			return err
		}
		l.owners[table] = make(map[string]uuid.UUID, len(owners)+len(digests))
		for _, o := range owners {
			l.owners[table][string(o.Digest)] = o.PersonID
		}
	}
	return nil
}

// meetNumbers compares the rows' other numbers, accounts and old cards with
// what is recorded: another's number refuses the row.
func (db *DB) meetNumbers(_ context.Context, l *Loading) error {
	for i := range l.held {
		n := &l.held[i]
		if l.result.What[n.row] == LoadedRefused {
			continue
		}
		owner := l.owners[n.table]
		person, taken := owner[string(n.digest)]
		if !taken && n.older != nil {
			person, taken = owner[string(n.older)]
		}
		switch {
		case taken && person != l.ids[n.row]:
			l.result.What[n.row], l.result.Refusal[n.row] = LoadedRefused, RefusedNumber
		case taken:
			n.known = true
		default:
			owner[string(n.digest)] = l.ids[n.row]
		}
	}
	for _, n := range l.held {
		if !n.known && l.result.What[n.row] == LoadedUnchanged {
			l.result.What[n.row] = LoadedChanged
		}
	}
	return nil
}

func (db *DB) digestNumbers(ctx context.Context, l *Loading) ([]held, error) {
	var numbers []held
	for i, row := range l.rows {
		for which := range row.Numbers {
			numbers = append(numbers, held{row: i, table: "person_numbers", which: which})
		}
		for which := range row.Accounts {
			numbers = append(numbers, held{row: i, table: "bank_accounts", which: which})
		}
		if row.OldCard != nil {
			numbers = append(numbers, held{row: i, table: "old_cards"})
		}
	}
	work := newSealing(0, len(numbers))
	work.both = true
	for i := range numbers {
		n := &numbers[i]
		row := l.rows[n.row]
		switch n.table {
		case "person_numbers":
			work.index(columnOtherNumber, row.Numbers[n.which].Number, numberIndex, &n.digest)
		case "bank_accounts":
			work.index(columnAccount, row.Accounts[n.which].Account, numberIndex, &n.digest)
		default:
			work.index(columnOldCard, row.OldCard.Number, numberIndex, &n.digest)
		}
	}
	if err := work.run(ctx, db); err != nil {
		return nil, err
	}
	for i := range numbers {
		numbers[i].older = work.olderAt(i)
	}
	return numbers, nil
}

// sealLoad makes the rows of all tables.
func (db *DB) sealLoad(ctx context.Context, l *Loading, stamp Stamp) error {
	persons := make([]Person, 0, len(l.rows))
	for i, what := range l.result.What {
		if what == LoadedNew {
			person := l.rows[i].Person
			person.ID, person.Stamp = l.ids[i], stamp
			persons = append(persons, person)
		}
	}
	rows, err := db.sealPersons(ctx, persons)
	if err != nil {
		return err
	}
	table := db.engine.newBulk("persons", personColumns)
	for i := range rows {
		if err := table.add(rows[i].loadValues(stamp)...); err != nil {
			return err
		}
	}
	insured, err := db.loadInsured(ctx, l, stamp)
	if err != nil {
		return err
	}
	l.tables = append(l.tables, table, insured)
	return db.sealNumbersOf(ctx, l, stamp)
}

func (r *personRow) loadValues(s Stamp) []any {
	return []any{
		r.ID, r.IDType, r.IDNumberSealed, r.IDNumberIndex, r.NameSealed, r.NameIndex, r.SoundIndex, r.InitialsIndex, r.NameTibetanSealed,
		r.NameMongolianSealed, r.PhoneSealed, r.PhoneIndex, r.AddressSealed, r.Postcode, r.Sex, r.Ethnic, r.Birth, r.Nationality, r.Place,
		r.Locality, r.HouseholdKind, r.HouseholdSealed, r.HouseholdIndex, r.HouseholdRole, r.Education, r.Employment, r.LifeState, r.PoliceState,
		r.MinistryState, s.At, s.By, s.Version, s.At, s.By, s.On, s.Reason,
	}
}

// loadInsured makes the rows of insured kinds that are not recorded yet.
func (db *DB) loadInsured(ctx context.Context, l *Loading, s Stamp) (*bulk, error) {
	var registered []uuid.UUID
	for i, what := range l.result.What {
		if (what == LoadedChanged || what == LoadedUnchanged) && len(l.rows[i].Insured) > 0 {
			registered = append(registered, l.ids[i])
		}
	}
	recorded := map[insuredKey]bool{}
	for len(registered) > 0 {
		n := min(idsInQuery, len(registered))
		var rows []insuredRow
		if err := db.Read(ctx).Select("person_id", "kind", "place").Where("person_id IN ?", registered[:n]).Find(&rows).Error; err != nil {
			return nil, err
		}
		for _, row := range rows {
			recorded[insuredKey{row.PersonID, row.Kind, row.Place}] = true
		}
		registered = registered[n:]
	}
	table := db.engine.newBulk("insured", insuredColumns)
	for i, row := range l.rows {
		if l.result.What[i] == LoadedRefused {
			continue
		}
		for _, insured := range row.Insured {
			key := insuredKey{l.ids[i], insured.Kind, insured.Place}
			if recorded[key] {
				continue
			}
			recorded[key] = true
			if l.result.What[i] == LoadedUnchanged {
				l.result.What[i] = LoadedChanged
			}
			r := insured.row(l.ids[i])
			if err := table.add(r.PersonID, r.Kind, r.Place, r.State, r.Since, r.Until, s.Version, s.At, s.By, s.On, s.Reason); err != nil {
				return nil, err
			}
		}
	}
	return table, nil
}

type insuredKey struct {
	person      uuid.UUID
	kind, place string
}

// sealNumbersOf makes the rows of other numbers, accounts and old cards.
func (db *DB) sealNumbersOf(ctx context.Context, l *Loading, s Stamp) error {
	sealedNumbers := make([][]byte, len(l.held))
	ids := make([]uuid.UUID, len(l.held))
	work := newSealing(len(l.held), 0)
	for i, n := range l.held {
		if n.known || l.result.What[n.row] == LoadedRefused {
			continue
		}
		row, person := l.rows[n.row], l.ids[n.row].String()
		switch n.table {
		case "person_numbers":
			work.seal(columnOtherNumber, person, row.Numbers[n.which].Number, &sealedNumbers[i])
		case "bank_accounts":
			var err error
			if ids[i], err = uuid.NewV7FromReader(db.rand); err != nil {
				return fmt.Errorf("registry: new id: %w", err)
			}
			work.seal(columnAccount, ids[i].String(), row.Accounts[n.which].Account, &sealedNumbers[i])
		default:
			work.seal(columnOldCard, row.OldCard.Pool+"/"+person, row.OldCard.Number, &sealedNumbers[i])
		}
	}
	if err := work.run(ctx, db); err != nil {
		return err
	}
	numbers, accounts := db.engine.newBulk("person_numbers", numberColumns), db.engine.newBulk("bank_accounts", accountColumns)
	oldCards := db.engine.newBulk("old_cards", oldCardColumns)
	for i, n := range l.held {
		if sealedNumbers[i] == nil {
			continue
		}
		row, person := l.rows[n.row], l.ids[n.row]
		var err error
		switch n.table {
		case "person_numbers":
			err = numbers.add(row.Numbers[n.which].System, n.digest, person, sealedNumbers[i], "valid", s.Version, s.At, s.By, s.On, s.Reason)
		case "bank_accounts":
			a := row.Accounts[n.which]
			err = accounts.add(ids[i], person, a.Bank, sealedNumbers[i], n.digest, a.State, s.Version, s.At, s.By, s.On, s.Reason)
		default:
			err = oldCards.add(row.OldCard.Pool, n.digest, sealedNumbers[i], person, row.OldCard.State, row.OldCard.Balance, s.Version, s.At, s.By, s.On, s.Reason)
		}
		if err != nil {
			return err
		}
	}
	l.tables = append(l.tables, numbers, accounts, oldCards)
	return nil
}
