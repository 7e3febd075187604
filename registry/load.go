package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
)

// LoadRow is a resident as another system has told of him (存量数据).
type LoadRow struct {
	Person   Person // as NewPerson.Check returned it, without ID
	Numbers  []OtherNumber
	Insured  []Insured
	OldCard  *OldCard
	Accounts []BankAccount
}

// OldCard is a card of a medical pool from before (原医保就医卡).
type OldCard struct {
	Pool    string // 统筹区, division code
	Number  string
	State   string // valid, lost, ended
	Balance int64  // fen
}

// BankAccount is a financial account of a person (银行账户).
type BankAccount struct {
	Bank    string // code of the bank
	Account string
	State   string // preopened, active, oral-loss, written-loss, frozen, closed
	Stamp   Stamp  // of one that is on record
}

// Loaded says what became of a row.
type Loaded int

// What becomes of a row.
const (
	LoadedNew       Loaded = iota + 1 // 新增
	LoadedChanged                     // 补充: what was not recorded was filled in
	LoadedUnchanged                   // 已有
	LoadedRefused                     // 拒绝: see Refusal
)

// Refusals of a row by the database's contents.
const (
	RefusedOtherName = "number-other-name" // 同一号码，姓名不同
	RefusedTwice     = "number-twice"      // 同一文件内号码重复
	RefusedNumber    = "other-number-used" // 其他系统编号、旧卡号、账号已属他人
)

// LoadResult is what became of each row of a batch, in their order.
type LoadResult struct {
	What    []Loaded
	Refusal []string // for LoadedRefused one of the Refused…
}

// Counts returns the numbers of new, changed, unchanged and refused rows.
func (r LoadResult) Counts() (added, changed, unchanged, refused int64) {
	var counts [LoadedRefused + 1]int64
	for _, what := range r.What {
		counts[what]++
	}
	return counts[LoadedNew], counts[LoadedChanged], counts[LoadedUnchanged], counts[LoadedRefused]
}

// Load registers many residents in one transaction, with one audit record that
// carries the digest of their ids. Who is registered already under the same
// number and name has what was missing filled in; nothing recorded is
// overwritten. also runs in the same transaction, with the result, for the
// caller's own progress. reason says where the rows come from.
func (db *DB) Load(ctx context.Context, actor Actor, reason string, rows []LoadRow, also func(tx *Tx, result LoadResult) error) (LoadResult, error) {
	loading, err := db.PrepareLoad(ctx, actor, reason, rows)
	if err != nil {
		return LoadResult{}, err
	}
	return loading.Write(ctx, also)
}

// PrepareLoad does the first half of [DB.Load]: it compares the rows with what
// is recorded and seals them. It changes nothing, so that one batch can be
// prepared while the one before is written.
func (db *DB) PrepareLoad(ctx context.Context, actor Actor, reason string, rows []LoadRow) (*Loading, error) {
	if err := checkReason(reason); err != nil {
		return nil, err
	}
	l := &Loading{db: db, actor: actor, reason: reason, rows: rows}
	return l, l.prepare(ctx)
}

// Write does the second half: the transaction, which holds its locks for the
// writing alone. When another batch has meanwhile registered one of the same
// persons, the rows are prepared again.
func (l *Loading) Write(ctx context.Context, also func(tx *Tx, result LoadResult) error) (LoadResult, error) {
	stale := false
	err := repeat(ctx, againLoading, func() error {
		if stale {
			if err := l.prepare(ctx); err != nil {
				return err
			}
		}
		stale = true
		return l.db.writeLoad(ctx, l, also)
	})
	return l.result, err
}

func againLoading(err error, attempt int) bool {
	return (errors.Is(err, ErrDuplicate) && attempt < maxAttempts) || again(err, attempt)
}

// Loading is a batch of residents that is ready to be written.
type Loading struct {
	db     *DB
	actor  Actor
	reason string
	rows   []LoadRow
	result LoadResult
	ids    []uuid.UUID // of new persons, by row
	tables []*bulk
	// fill holds those who are registered and of whom something was missing.
	fill    []filling
	cases   []duplicateRow
	held    []held
	owners  map[string]map[string]uuid.UUID // of numbers, by table and digest
	indexes indexKeys                       // with which it was prepared
}

type filling struct {
	row    int
	before Person
}

const (
	personColumns = `id id_type id_number_sealed id_number_index name_sealed name_index sound_index initials_index name_tibetan_sealed
		name_mongolian_sealed phone_sealed phone_index address_sealed postcode sex ethnic birth nationality place locality household_kind
		household_sealed household_index household_role education employment life_state police_state ministry_state created_at created_by
		version changed_at changed_by changed_on change_reason`
	stampColumns   = " version changed_at changed_by changed_on change_reason"
	numberColumns  = "system number_index person_id number_sealed state" + stampColumns
	insuredColumns = "person_id kind place state since until" + stampColumns
	accountColumns = "id person_id bank account_sealed account_index state" + stampColumns
	oldCardColumns = "pool number_index number_sealed person_id state balance" + stampColumns
)

// Columns under which accounts and old cards are sealed and indexed.
const (
	columnAccount = "bank_accounts.account"
	columnOldCard = "old_cards.number"
)

func (l *Loading) prepare(ctx context.Context) error {
	*l = Loading{
		db: l.db, actor: l.actor, reason: l.reason, rows: l.rows, ids: make([]uuid.UUID, len(l.rows)),
		result: LoadResult{What: make([]Loaded, len(l.rows)), Refusal: make([]string, len(l.rows))},
	}
	var err error
	if l.indexes, err = l.db.indexesOf(ctx); err != nil {
		return err
	}
	ctx = context.WithValue(ctx, heldKey{}, l.indexes)
	stamp := Stamp{Version: 1, At: l.db.Now(), By: l.actor.Operator, On: l.actor.Workstation, Reason: l.reason}
	for _, step := range []func(context.Context, *Loading) error{l.db.readNumbers, l.db.meetKnown, l.db.newIDs, l.db.meetNumbers} {
		if err := step(ctx, l); err != nil {
			return err
		}
	}
	return l.db.sealLoad(ctx, l, stamp)
}

// meetKnown compares the rows with who is registered under their numbers.
func (db *DB) meetKnown(ctx context.Context, l *Loading) error {
	indexes := make([][]byte, len(l.rows))
	work := newSealing(0, len(l.rows))
	work.both = true
	for i, row := range l.rows {
		work.index(columnIDNumber, numberKey(row.Person.IDType, row.Person.Number()), 0, &indexes[i])
	}
	if err := work.run(ctx, db); err != nil {
		return err
	}
	var known []personRow
	if err := db.findIn(ctx, "id_number_index", slices.Concat(indexes, work.olders()), &known); err != nil {
		return err
	}
	persons, err := db.openPersons(ctx, known)
	if err != nil {
		return err
	}
	byIndex := make(map[string]Person, len(known))
	for i, row := range known {
		byIndex[string(row.IDNumberIndex)] = persons[i]
	}
	first := make(map[string]int, len(l.rows))
	for i, index := range indexes {
		if _, twice := first[string(index)]; twice {
			l.result.What[i], l.result.Refusal[i] = LoadedRefused, RefusedTwice
			continue
		}
		first[string(index)] = i
		person, found := byIndex[string(index)]
		if older := work.olderAt(i); !found && older != nil {
			person, found = byIndex[string(older)]
		}
		switch {
		case !found:
			l.result.What[i] = LoadedNew
		case letters(person.Name) != letters(l.rows[i].Person.Name):
			l.result.What[i], l.result.Refusal[i] = LoadedRefused, RefusedOtherName
			if err := db.openCase(ctx, l, person, l.rows[i]); err != nil {
				return err
			}
		case len(missing(person, l.rows[i].Person)) > 0:
			l.result.What[i] = LoadedChanged
			l.fill = append(l.fill, filling{i, person})
			l.ids[i] = person.ID
		default:
			l.result.What[i] = LoadedUnchanged
			l.ids[i] = person.ID
		}
	}
	return nil
}

// findIn reads the rows whose column has one of many values.
func (db *DB) findIn(ctx context.Context, column string, values [][]byte, into any) error {
	query := db.Read(ctx)
	if db.engine.dialect == goose.DialectPostgres {
		return query.Where(column+" = ANY (?)", byteArray(values)).Find(into).Error
	}
	return query.Where(column+" IN ?", values).Find(into).Error
}

// findInTable reads whose the digests of a table are.
func (db *DB) findInTable(ctx context.Context, table, column string, values [][]byte, into any) error {
	query := db.Read(ctx).Table(table).Select(column + " AS digest, person_id")
	if db.engine.dialect == goose.DialectPostgres {
		return query.Where(column+" = ANY (?)", byteArray(values)).Scan(into).Error
	}
	return query.Where(column+" IN ?", values).Scan(into).Error
}

// missing names the fields that are not recorded of a person and that a row
// tells.
func missing(person, told Person) []string {
	var fields []string
	for _, field := range []struct{ name, have, told string }{
		{"nameTibetan", person.NameTibetan, told.NameTibetan}, {"nameMongolian", person.NameMongolian, told.NameMongolian},
		{"phone", person.Phone, told.Phone}, {"address", person.Address, told.Address}, {"postcode", person.Postcode, told.Postcode},
		{"locality", person.Locality, told.Locality}, {"householdKind", person.HouseholdKind, told.HouseholdKind},
		{"household", person.Household, told.Household}, {"householdRole", person.HouseholdRole, told.HouseholdRole}, {"education", person.Education, told.Education},
		{"employment", person.Employment, told.Employment},
	} {
		if field.have == "" && field.told != "" {
			fields = append(fields, field.name)
		}
	}
	return fields
}

// fillIn returns what was recorded with what was missing.
func fillIn(n *NewPerson, told Person) {
	for _, field := range []struct {
		have *string
		told string
	}{
		{&n.NameTibetan, told.NameTibetan}, {&n.NameMongolian, told.NameMongolian}, {&n.Phone, told.Phone}, {&n.Address, told.Address},
		{&n.Postcode, told.Postcode}, {&n.Locality, told.Locality}, {&n.HouseholdKind, told.HouseholdKind},
		{&n.Household, told.Household}, {&n.HouseholdRole, told.HouseholdRole}, {&n.Education, told.Education}, {&n.Employment, told.Employment},
	} {
		if *field.have == "" {
			*field.have = field.told
		}
	}
}

func (db *DB) writeLoad(ctx context.Context, l *Loading, also func(tx *Tx, result LoadResult) error) error {
	return db.attempt(ctx, l.actor, func(tx *Tx) error {
		if err := tx.underVersion(l.indexes.write); err != nil {
			return err
		}
		for _, table := range l.tables {
			if err := table.write(tx); err != nil {
				return err
			}
		}
		if err := tx.fillIn(l); err != nil {
			return err
		}
		if err := tx.addCases(l.cases); err != nil {
			return err
		}
		added, changed, unchanged, refused := l.result.Counts()
		detail := map[string]string{
			"added": fmt.Sprint(added), "changed": fmt.Sprint(changed), "unchanged": fmt.Sprint(unchanged), "refused": fmt.Sprint(refused),
			"reason": l.reason, "ids": l.digest(),
		}
		if err := tx.Audit("persons.loaded", "persons", detail); err != nil {
			return err
		}
		if also == nil {
			return nil
		}
		return also(tx, l.result)
	})
}

// digest is SHA-256 over the ids of the persons whom the batch has touched.
func (l *Loading) digest() string {
	hash := sha256.New()
	for i, id := range l.ids {
		if l.result.What[i] == LoadedNew || l.result.What[i] == LoadedChanged {
			hash.Write(id[:])
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}

func (tx *Tx) fillIn(l *Loading) error {
	for _, f := range l.fill {
		told := l.rows[f.row].Person
		if _, err := tx.CorrectPerson(f.before.ID, f.before.Stamp.Version, l.reason, func(n *NewPerson) { fillIn(n, told) }); err != nil {
			if errors.Is(err, ErrStale) {
				return fmt.Errorf("%w: %w", ErrBusy, err) // somebody was quicker: look again
			}
			return err
		}
	}
	return nil
}
