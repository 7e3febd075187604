package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"onecard/internal/gb"
)

// lookups answers questions for a person by number (按号码查人). Questions that
// come while one is on its way to the database wait for it and then go together
// as one: under load a question costs a share of a round trip, and nobody waits
// for more than two.
type lookups struct {
	db      *DB
	mu      sync.Mutex
	waiting []*question
	asking  int
}

// question is a number, and later the person.
type question struct {
	number gb.IDNumber
	person Person
	err    error
	done   chan struct{}
}

const (
	maxAsking    = 2   // questions on their way at once
	maxQuestions = 256 // numbers in one question
)

// PersonByIDNumber returns the person with an identity number, or ErrNotFound.
func (db *DB) PersonByIDNumber(ctx context.Context, number gb.IDNumber) (Person, error) {
	if number.IsZero() {
		return Person{}, &Error{Kind: ErrNotFound, Table: "persons"}
	}
	q := &question{number: number, done: make(chan struct{})}
	l := &db.lookups
	l.mu.Lock()
	l.waiting = append(l.waiting, q)
	lead := l.asking < maxAsking
	if lead {
		l.asking++
	}
	l.mu.Unlock()
	if lead {
		l.ask(ctx)
	}
	select {
	case <-q.done:
		return q.person, q.err
	case <-ctx.Done():
		return Person{}, translate(ctx.Err())
	}
}

// ask asks what is waiting. Who has begun to ask goes on in the background for
// those who came meanwhile, so that nobody waits for another's next question.
func (l *lookups) ask(ctx context.Context) {
	runtime.Gosched() // whoever is about to ask comes along
	batch := l.take()
	l.answer(ctx, batch)
	l.mu.Lock()
	more := len(l.waiting) > 0
	if !more {
		l.asking--
	}
	l.mu.Unlock()
	if more {
		go l.ask(context.WithoutCancel(ctx))
	}
}

func (l *lookups) take() []*question {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting), maxQuestions)
	batch := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	return batch
}

// lookupTime bounds a question that is asked for several.
const lookupTime = 10 * time.Second

func (l *lookups) answer(ctx context.Context, batch []*question) {
	if len(batch) == 0 {
		return
	}
	defer func() {
		for _, q := range batch {
			close(q.done)
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTime)
	defer cancel()
	var found map[gb.IDNumber]Person
	err := l.db.steady(ctx, func(ctx context.Context) (err error) {
		found, err = l.db.personsByNumber(ctx, batch)
		return err
	})
	for _, q := range batch {
		person, ok := found[q.number]
		switch {
		case err != nil:
			q.err = err
		case !ok:
			q.err = &Error{Kind: ErrNotFound, Table: "persons"}
		default:
			q.person = person
		}
	}
}

func (db *DB) personsByNumber(ctx context.Context, batch []*question) (map[gb.IDNumber]Person, error) {
	indexes := make([][]byte, len(batch))
	work := newSealing(0, len(batch))
	work.both = true
	for i, q := range batch {
		work.index(columnIDNumber, q.number.String(), 0, &indexes[i])
	}
	if err := work.run(ctx, db); err != nil {
		return nil, err
	}
	var rows []personRow
	if err := db.readPersons(ctx, "id_number_index", append(indexes, work.olders()...), &rows); err != nil {
		return nil, err
	}
	persons, err := db.openPersons(ctx, rows)
	if err != nil {
		return nil, err
	}
	found := make(map[gb.IDNumber]Person, len(persons))
	for _, person := range persons {
		found[person.IDNumber] = person
	}
	return found, nil
}

// readPersons reads the rows whose column has one of many values. On PostgreSQL
// it takes them from the wire as they are, without the ways of database/sql.
func (db *DB) readPersons(ctx context.Context, column string, values [][]byte, into *[]personRow) error {
	if db.engine.dialect != goose.DialectPostgres {
		return db.Read(ctx).Where(column+" IN ?", values).Find(into).Error
	}
	conn, err := db.engine.read.Conn(ctx)
	if err != nil {
		return translate(err)
	}
	defer conn.Close()
	return translate(conn.Raw(func(driver any) error {
		statement, variables := selectPersons(column, values)
		rows, err := driver.(*stdlib.Conn).Conn().Query(ctx, statement, variables...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var row personRow
			if err := row.decode(rows.RawValues()); err != nil {
				return err
			}
			*into = append(*into, row)
		}
		return rows.Err()
	}))
}

// selectPersons makes the statement for persons by one of many values; one that
// stands twice brings its person twice. There are as many placeholders as the
// next power of two, NULL in those that are left over: PostgreSQL then keeps one
// plan for each number. For an array it would plan anew each time, and for IN it
// would gather a map of the table's pages first; here it goes from value to value.
func selectPersons(column string, values [][]byte) (string, []any) {
	n := 1
	for n < len(values) {
		n *= 2
	}
	var list strings.Builder
	variables := make([]any, n)
	for i := range variables {
		if i < len(values) {
			variables[i] = values[i]
		}
		fmt.Fprintf(&list, ", ($%d::bytea)", i+1)
	}
	return selectPerson + "(VALUES " + list.String()[2:] + ") wanted (value) JOIN persons ON " + column + " = wanted.value", variables
}

// wireColumns are the columns of persons in the order of personRow's fields.
var wireColumns = columnsOf(reflect.TypeFor[personRow]())

var selectPerson = "SELECT " + strings.Join(wireColumns, ", ") + " FROM "

func columnsOf(row reflect.Type) []string {
	var columns []string
	for field := range row.Fields() {
		if field.Anonymous {
			columns = append(columns, columnsOf(field.Type)...)
			continue
		}
		_, name, _ := strings.Cut(field.Tag.Get("gorm"), "column:")
		columns = append(columns, name)
	}
	return columns
}

// errWire: a column was not of the form that it has on the wire.
var errWire = errors.New("registry: a column of persons is not of its form")

// fields returns where each of wireColumns goes.
func (r *personRow) fields() []any {
	return []any{
		&r.ID, &r.IDType, &r.IDNumberSealed, &r.IDNumberIndex, &r.NameSealed, &r.NameIndex, &r.SoundIndex, &r.InitialsIndex,
		&r.NameTibetanSealed, &r.NameMongolianSealed, &r.PhoneSealed, &r.PhoneIndex, &r.AddressSealed, &r.Postcode, &r.Sex, &r.Ethnic,
		&r.Birth, &r.Nationality, &r.Place, &r.Locality, &r.HouseholdKind, &r.HouseholdSealed, &r.HouseholdIndex, &r.HouseholdRole, &r.Education,
		&r.Employment, &r.Employer, &r.LifeState, &r.PoliceState, &r.MinistryState, &r.MergedInto, &r.CreatedAt, &r.CreatedBy,
		&r.Version, &r.At, &r.By, &r.On, &r.Reason,
	}
}

// decode reads a row in PostgreSQL's binary form. What the wire holds is copied
// twice as a whole, as bytes and as text, and the fields are parts of that.
func (r *personRow) decode(values [][]byte) error {
	fields := r.fields()
	if len(values) != len(fields) {
		return errWire
	}
	size := 0
	for _, value := range values {
		size += len(value)
	}
	all := make([]byte, 0, size)
	for _, value := range values {
		all = append(all, value...)
	}
	text := string(all)
	at := 0
	for i, value := range values {
		if value == nil {
			continue
		}
		end := at + len(value)
		if err := decodeField(fields[i], all[at:end:end], text[at:end]); err != nil {
			return fmt.Errorf("%w: %s", err, wireColumns[i])
		}
		at = end
	}
	return nil
}

func decodeField(field any, value []byte, text string) error {
	switch to := field.(type) {
	case *string:
		*to = text
	case **string:
		*to = &text
	case *[]byte:
		*to = value
	case *uuid.UUID:
		return to.UnmarshalBinary(value)
	case **uuid.UUID:
		*to = new(uuid.UUID)
		return (*to).UnmarshalBinary(value)
	case *int64:
		if len(value) != 8 {
			return errWire
		}
		*to = int64(binary.BigEndian.Uint64(value))
	case *time.Time:
		if len(value) != 8 {
			return errWire
		}
		*to = copyEpoch.Add(time.Duration(binary.BigEndian.Uint64(value)) * time.Microsecond)
	default:
		return errWire
	}
	return nil
}
