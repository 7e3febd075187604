package registry_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// reindexing is a run to a version; its settling is as long as this process
// believes what it has read.
func reindexing(db *registry.DB, version int) *registry.Reindexing {
	return &registry.Reindexing{DB: db, Actor: supervisor, Version: version, Batch: 16, Settle: 3 * time.Second}
}

// digestOf is that of a value under a version of the key.
func digestOf(t *testing.T, version int, purpose, value string, length int) []byte {
	t.Helper()
	digest, err := registrytest.Vault{}.Index(t.Context(), version, purpose, []byte(value))
	require.NoError(t, err)
	return digest[:length]
}

// stand counts the rows of a table with a digest of one of the values.
func stand(t *testing.T, db *registry.DB, version int, table, column, purpose string, length int, values []string) (n int64) {
	t.Helper()
	digests := make([][]byte, len(values))
	for i, value := range values {
		digests[i] = digestOf(t, version, purpose, value, length)
	}
	require.NoError(t, db.Read(t.Context()).Table(table).Where(column+" IN ?", digests).Count(&n).Error)
	return n
}

// settler is a resident with an old card.
func settler(t testing.TB, n int) registry.LoadRow {
	row := resident(t, n)
	row.OldCard = &registry.OldCard{Pool: "630100", Number: fmt.Sprintf("C%09d", n), State: "valid"}
	return row
}

func settlers(t testing.TB, from, to int) []registry.LoadRow {
	rows := make([]registry.LoadRow, 0, to-from)
	for n := from; n < to; n++ {
		rows = append(rows, settler(t, n))
	}
	return rows
}

// TestReindexWhileServing: two instances look and register while the key of blind
// indexes changes; the run is stopped in the middle and goes on. Everybody is
// found at every moment and nobody is registered twice; then nothing stands under
// the old version, histories and what merges have moved included.
func TestReindexWhileServing(t *testing.T) {
	t.Parallel()
	const before = 80
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		clock := registrytest.NewClock()
		db, other := registrytest.Open(t, registrytest.Config(dsn, clock)), registrytest.Open(t, registrytest.Config(dsn, clock))
		rows := settlers(t, 0, before)
		_, err := db.Load(t.Context(), clerk, "pension", rows, nil)
		require.NoError(t, err)
		merge := merged(t, db, rows[:2]...)
		rows = rows[2:]

		var last int
		var numbering sync.Mutex
		s := serve(t, rows, db, other)
		s.begin(func() registry.LoadRow {
			numbering.Lock()
			defer numbering.Unlock()
			last++
			return settler(t, before+last)
		})
		stopping, stop := context.WithCancel(t.Context())
		run := reindexing(db, 2)
		run.Report = func(p registry.ReindexProgress) {
			if p.Changed > before/2 {
				stop()
			}
		}
		stopped, err := run.Do(stopping)
		require.ErrorIs(t, err, context.Canceled)
		require.Greater(t, stopped.Changed, int64(before/2))
		require.ErrorIs(t, db.IndexUnused(t.Context(), 1), registry.ErrIndexInUse)
		_, err = db.ScanDuplicates(t.Context(), supervisor)
		require.ErrorIs(t, err, registry.ErrReindexing)
		twin := halfway(t, rows, db, other)
		done, err := reindexing(other, 2).Do(t.Context())
		require.NoError(t, err)
		require.Positive(t, done.Changed)
		all := append(s.end(), twin)
		require.Greater(t, len(all), len(rows), "people were registered meanwhile")

		require.NoError(t, db.InTx(t.Context(), supervisor, func(tx *registry.Tx) error { return tx.UndoMerge(merge, "误并") }))
		nothingLeft(t, db, append(all, settlers(t, 0, 2)...))
		for _, row := range all {
			require.NoError(t, found(t.Context(), db, row))
		}
		require.NoError(t, found(t.Context(), db, settler(t, 1)), "what was merged has its numbers back")
		require.NoError(t, db.VerifyAudit(t.Context()))
		_, err = reindexing(db, 2).Do(t.Context())
		require.NoError(t, err, "again is nothing")
	})
}

// halfway looks at every resident while some digests are under one version and
// some under the other, and tries to register each again. It returns one more
// resident, who is suspected to be another.
func halfway(t *testing.T, rows []registry.LoadRow, ones ...*registry.DB) registry.LoadRow {
	t.Helper()
	db := ones[0]
	for version := 1; version <= 2; version++ {
		require.NotZero(t, stand(t, db, version, "persons", "id_number_index", "persons.id_number", 32, numbersOf(rows)), "some under each")
	}
	twin := rows[slices.IndexFunc(rows, func(row registry.LoadRow) bool {
		return stand(t, db, 1, "persons", "id_number_index", "persons.id_number", 32, []string{row.Person.Number()}) > 0
	})]
	number, err := gb.NewIDNumber(twin.Person.Place, twin.Person.Birth, 999)
	require.NoError(t, err)
	twin.Person.IDNumber, twin.Person.Phone, twin.Numbers, twin.OldCard = number, "13700000000", nil, nil
	suspected := func() int {
		cases, err := db.OpenCases(t.Context(), "630000", uuid.Nil, 10_000)
		require.NoError(t, err)
		return len(slices.DeleteFunc(cases, func(c registry.DuplicateCase) bool {
			return c.Second == nil || c.First.Name != twin.Person.Name || c.First.Birth != twin.Person.Birth
		}))
	}
	before := suspected()
	addPerson(t, db, told(twin))
	require.Greater(t, suspected(), before)

	for _, row := range rows {
		for _, one := range ones {
			require.NoError(t, found(t.Context(), one, row))
			require.NoError(t, twice("registered", one.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
				_, err := tx.AddPerson(told(row))
				return err
			})))
		}
	}
	result, err := db.Load(t.Context(), clerk, "file", rows, nil)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(0, 0, len(rows), 0), counts(result))
	another := slices.Clone(rows)
	for i := range another {
		another[i] = settler(t, 5000+i)
		another[i].Numbers, another[i].OldCard = rows[i].Numbers, nil
		if i%2 == 0 {
			another[i].Numbers, another[i].OldCard = nil, rows[i].OldCard
		}
	}
	result, err = db.Load(t.Context(), clerk, "file", another, nil)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(0, 0, 0, len(rows)), counts(result), "numbers and old cards of others")
	return twin
}

func numbersOf(rows []registry.LoadRow) (numbers []string) {
	for _, row := range rows {
		numbers = append(numbers, row.Person.Number())
	}
	return numbers
}

// merged makes two residents one, so that numbers move.
func merged(t *testing.T, db *registry.DB, rows ...registry.LoadRow) (merge uuid.UUID) {
	t.Helper()
	require.NoError(t, db.InTx(t.Context(), supervisor, func(tx *registry.Tx) error {
		var ids [2]uuid.UUID
		for i := range ids {
			person, err := tx.PersonByIDNumber(rows[i].Person.IDNumber)
			if err != nil {
				return err
			}
			ids[i] = person.ID
		}
		var err error
		merge, err = tx.MergePersons(ids[0], ids[1], "同一人")
		return err
	}))
	return merge
}

// nothingLeft makes sure that every number stands once under the new version and
// nowhere under the old one.
func nothingLeft(t *testing.T, db *registry.DB, all []registry.LoadRow) {
	t.Helper()
	var numbers, names, phones, others, cards []string
	for _, row := range all {
		numbers, names, phones = append(numbers, row.Person.Number()), append(names, row.Person.Name), append(phones, row.Person.Phone)
		for _, n := range row.Numbers {
			others = append(others, n.Number)
		}
		if row.OldCard != nil {
			cards = append(cards, row.OldCard.Number)
		}
	}
	require.NotEmpty(t, others)
	require.NotEmpty(t, cards)
	for _, c := range []struct {
		table, column, purpose string
		length                 int
		values                 []string
	}{
		{"persons", "id_number_index", "persons.id_number", 32, numbers},
		{"persons", "name_index", "persons.name", 8, names},
		{"persons", "phone_index", "persons.phone", 8, phones},
		{"person_numbers", "number_index", "person_numbers.number", 16, others},
		{"old_cards", "number_index", "old_cards.number", 16, cards},
	} {
		for _, table := range []string{c.table, c.table + "_history"} {
			require.Zero(t, stand(t, db, 1, table, c.column, c.purpose, c.length, c.values), table+"."+c.column)
			require.Equal(t, rows(t, db, table), stand(t, db, 2, table, c.column, c.purpose, c.length, c.values), table+"."+c.column)
			if c.table == "persons" {
				require.NotZero(t, rows(t, db, table), table)
			}
		}
	}
	require.Equal(t, int64(len(all)), rows(t, db, "persons"), "everybody once")
}

// TestReindexHangingWriter: a transaction that began before the change and ends
// after it does not write a number that meanwhile was registered, whatever
// version it knows. The control takes away what refuses it.
func TestReindexHangingWriter(t *testing.T) {
	t.Parallel()
	for _, guarded := range []bool{true, false} {
		t.Run(fmt.Sprint(guarded), func(t *testing.T) {
			t.Parallel()
			registrytest.EachDSN(t, func(t *testing.T, dsn string) {
				if dsn[:6] == "sqlite" {
					t.Skip("one writer at a time: nothing hangs while another changes the key")
				}
				clock := registrytest.NewClock()
				db, hanging := registrytest.Open(t, registrytest.Config(dsn, clock)), registrytest.Open(t, registrytest.Config(dsn, clock))
				addPerson(t, hanging, told(resident(t, 1)))
				row := resident(t, 7)
				begun, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
				go func() {
					var once sync.Once
					ended <- hanging.InTx(context.WithoutCancel(t.Context()), clerk, func(tx *registry.Tx) error {
						_, err := tx.AddPerson(told(row))
						once.Do(func() { close(begun); <-goOn })
						return err
					})
				}()
				<-begun
				run := reindexing(db, 2)
				run.Settle = 0
				_, err := run.Do(t.Context())
				require.NoError(t, err, "the hanging transaction holds nothing that the change needs")
				addPerson(t, db, told(row))
				if !guarded {
					outside(t, dsn, "UPDATE audit_heads SET index_version = 1")
				}
				close(goOn)
				err = <-ended
				var n int64
				require.NoError(t, db.Read(t.Context()).Table("persons").Where("birth = ?", row.Person.Birth.String()).Count(&n).Error)
				if guarded {
					require.ErrorIs(t, err, registry.ErrDuplicate)
					require.Equal(t, int64(1), n)
					return
				}
				require.NoError(t, err)
				require.Equal(t, int64(2), n, "the control: without the heads the number is there twice")
			})
		})
	}
}

// outside carries a statement out as an administrator could.
func outside(t *testing.T, dsn, statement string, args ...any) {
	t.Helper()
	var db *sql.DB = raw(t, dsn)
	_, err := db.ExecContext(t.Context(), statement, args...)
	require.NoError(t, err)
}

// TestReindexForgotten: an instance that has not looked at the setting for long
// finds in a transaction what stands under a version of which it has not heard.
func TestReindexForgotten(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		t.Parallel()
		clock := registrytest.NewClock()
		db, forgotten := registrytest.Open(t, registrytest.Config(dsn, clock)), registrytest.Open(t, registrytest.Config(dsn, clock))
		person := addPerson(t, forgotten, told(resident(t, 1)))
		time.Sleep(11 * time.Second)
		run := reindexing(db, 2)
		run.Settle = 0
		_, err := run.Do(t.Context())
		require.NoError(t, err)
		tries := 0
		require.NoError(t, forgotten.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
			tries++
			same, err := tx.PersonByIDNumber(person.IDNumber)
			if err == nil {
				require.Equal(t, person.ID, same.ID)
				err = note(tx)
			}
			return err
		}))
		require.Equal(t, 2, tries, "the first looked under the old version")
	})
}

// TestReindexStaleLoad: a file that was compared before the change is compared
// again before it is written.
func TestReindexStaleLoad(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		loading, err := db.PrepareLoad(t.Context(), clerk, "file", residents(t, 0, 3))
		require.NoError(t, err)
		addPerson(t, db, told(resident(t, 9)))
		run := reindexing(db, 2)
		run.Settle = 0
		_, err = run.Do(t.Context())
		require.NoError(t, err)
		addPerson(t, db, told(resident(t, 1)))
		result, err := loading.Write(t.Context(), nil)
		require.NoError(t, err)
		require.NotEqual(t, registry.LoadedNew, result.What[1], "who was registered since")
		require.Equal(t, int64(4), rows(t, db, "persons"))
		require.Zero(t, stand(t, db, 1, "persons", "id_number_index", "persons.id_number", 32, []string{resident(t, 0).Person.Number(), resident(t, 1).Person.Number()}))
	})
}

// household is what a counter would be told, with the number of the household.
func household(t *testing.T, n int) registry.NewPerson {
	person := told(resident(t, n))
	person.Household = fmt.Sprint(n)
	return person
}

// TestReindexStrange: a row whose digest is of neither version stays as it is and
// is named; the old version stays in use until somebody has looked.
func TestReindexStrange(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		db := registrytest.Open(t, registrytest.Config(dsn, registrytest.NewClock()))
		person, other := addPerson(t, db, household(t, 1)), addPerson(t, db, household(t, 2))
		outside(t, dsn, "UPDATE persons SET phone_index = $1 WHERE id = $2", make([]byte, 8), person.ID.String())
		run := reindexing(db, 2)
		run.Settle = 0
		done, err := run.Do(t.Context())
		require.ErrorIs(t, err, registry.ErrStrangeDigests)
		require.ErrorContains(t, err, "phone_index")
		require.ErrorContains(t, err, person.ID.String())
		require.Len(t, done.Strange, 1)
		require.ErrorIs(t, db.IndexUnused(t.Context(), 1), registry.ErrIndexInUse)
		for _, p := range []registry.Person{person, other} {
			_, err = db.PersonByIDNumber(t.Context(), p.IDNumber)
			require.NoError(t, err)
		}
		outside(t, dsn, "UPDATE persons SET phone_index = $1 WHERE id = $2", digestOf(t, 1, "persons.phone", person.Phone, 8), person.ID.String())
		outside(t, dsn, "UPDATE persons SET household_sealed = NULL WHERE id = $1", other.ID.String())
		_, err = run.Do(t.Context())
		require.NoError(t, err)
		var left int64
		require.NoError(t, db.Read(t.Context()).Table("persons").Where("household_index IS NOT NULL").Count(&left).Error)
		require.Equal(t, int64(1), left, "a digest that cannot be computed goes")
	})
}

// TestReindexStops: a run that is stopped again and again, wherever it is, comes to
// its end; before anything was written under the new version it can be given up.
func TestReindexStops(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		all := settlers(t, 0, 24)
		_, err := db.Load(t.Context(), clerk, "pension", all, nil)
		require.NoError(t, err)
		person, err := db.PersonByIDNumber(t.Context(), all[0].Person.IDNumber)
		require.NoError(t, err)
		correct(t, db, person.ID, "test", func(p *registry.NewPerson) { p.Address = "某镇" })
		merge := merged(t, db, all[1:3]...)
		require.NoError(t, in(t, db, func(tx *registry.Tx) error { return tx.UndoMerge(merge, "误并") }))
		giveUp := reindexing(db, 2)
		soon, stop := context.WithTimeout(t.Context(), time.Second)
		_, err = giveUp.Do(soon)
		stop()
		require.ErrorIs(t, err, context.DeadlineExceeded, "while it settles")
		require.ErrorIs(t, db.IndexUnused(t.Context(), 2), registry.ErrIndexInUse)
		_, err = reindexing(db, 1).Do(t.Context())
		require.NoError(t, err)
		require.NoError(t, db.IndexUnused(t.Context(), 2))

		stops := 0
		for wait := time.Duration(0); ; wait += wait/4 + time.Millisecond {
			run := reindexing(db, 2)
			run.Settle, run.Batch = 0, 4
			ctx, stop := context.WithTimeout(t.Context(), wait)
			_, err := run.Do(ctx)
			stop()
			if err == nil {
				break
			}
			require.ErrorIs(t, err, context.DeadlineExceeded)
			stops++
			require.NoError(t, found(t.Context(), db, all[stops%len(all)]))
		}
		require.Greater(t, stops, 3)
		nothingLeft(t, db, all)
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

// TestReindexTwice: a second change leaves nothing under the version of the
// first, which may then be destroyed; the first of all stays for what keeps it.
func TestReindexTwice(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		clock := registrytest.NewClock()
		db := registrytest.Open(t, registrytest.Config(dsn, clock))
		person := addPerson(t, db, told(resident(t, 1)))
		run := func(version int) error {
			r := reindexing(db, version)
			r.Settle = 0
			_, err := r.Do(t.Context())
			return err
		}
		require.Error(t, run(registrytest.Versions+1), "a version that the keeper has not")
		require.NoError(t, run(2))
		require.NoError(t, run(3))
		require.ErrorIs(t, run(2), registry.ErrReindexing, "never back")
		require.NoError(t, db.IndexUnused(t.Context(), 2))
		require.ErrorIs(t, db.IndexUnused(t.Context(), 3), registry.ErrIndexInUse)
		require.ErrorContains(t, db.IndexUnused(t.Context(), 1), "applications.holder_index")
		again := registrytest.Open(t, registrytest.Config(dsn, clock))
		same, err := again.PersonByIDNumber(t.Context(), person.IDNumber)
		require.NoError(t, err)
		require.Equal(t, person.ID, same.ID)
		require.NoError(t, again.VerifyAudit(t.Context()))
	})
}

// TestIndexColumns: every keyed digest of the schema either moves with the key or
// is named as one that stays.
func TestIndexColumns(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		columns, err := db.Columns(t.Context())
		require.NoError(t, err)
		moving := registry.MovingColumns()
		for _, c := range columns {
			name := c.Table + "." + c.Name
			if len(name) < 6 || name[len(name)-6:] != "_index" {
				continue
			}
			base := c.Table
			if l := len("_history"); len(base) > l && base[len(base)-l:] == "_history" {
				base = base[:len(base)-l]
			}
			_, rests := registry.RestingIndexes[base+"."+c.Name]
			require.NotEqual(t, rests, moving[name], name)
		}
	})
}
