package registry_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/registry"
	"onecard/registry/registrytest"
)

var supervisor = registry.Actor{Operator: "limin", Workstation: "W-630102-02", Place: "630102"}

func correct(t *testing.T, db *registry.DB, id uuid.UUID, reason string, change func(*registry.NewPerson)) registry.Person {
	t.Helper()
	var person registry.Person
	require.NoError(t, db.InTx(t.Context(), supervisor, func(tx *registry.Tx) (err error) {
		person, err = tx.CorrectPerson(id, 0, reason, change)
		return err
	}))
	return person
}

// TestAsOf: each state of a file can be seen as it stood, with who made it so.
func TestAsOf(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		told := herderPerson(t)
		first := addPerson(t, db, told)
		clock.Advance(time.Hour)
		renamed := correct(t, db, first.ID, "派出所更名 renamed by the police", func(told *registry.NewPerson) { told.Name = "札西·多吉" })
		require.EqualValues(t, 2, renamed.Stamp.Version)
		clock.Advance(time.Hour)
		newNumber := idNumber(t, "632723", "1888-05-02", 12)
		moved := correct(t, db, first.ID, "号码更正 number corrected", func(told *registry.NewPerson) { told.IDNumber = newNumber; told.Phone = "" })

		start := registrytest.Start
		for at, want := range map[time.Time]registry.Person{
			start: first, start.Add(59 * time.Minute): first, start.Add(time.Hour): renamed, start.Add(2 * time.Hour): moved, start.Add(time.Hour * 1000): moved,
		} {
			person, err := db.PersonAt(t.Context(), first.ID, at)
			require.NoError(t, err)
			require.Equal(t, want, person, at)
		}
		_, err := db.PersonAt(t.Context(), first.ID, start.Add(-time.Second))
		require.ErrorIs(t, err, registry.ErrNotFound)

		history, err := db.PersonHistory(t.Context(), first.ID)
		require.NoError(t, err)
		require.Len(t, history, 3)
		require.Equal(t, []string{"name"}, history[1].Fields)
		require.Equal(t, []string{"idNumber", "birth", "sex", "phone"}[0], history[2].Fields[0])
		require.Equal(t, "limin", history[1].Person.Stamp.By)
		require.Equal(t, "W-630102-02", history[1].Person.Stamp.On)
		require.Equal(t, "派出所更名 renamed by the police", history[1].Person.Stamp.Reason)
		require.Equal(t, start.Add(2*time.Hour), *history[1].Until)
		require.Nil(t, history[2].Until)

		found, err := db.Find(t.Context(), registry.Query{Number: told.IDNumber})
		require.NoError(t, err)
		require.Len(t, found.Hits, 1, "the former number leads to the person")
		require.Equal(t, registry.FoundFormer, found.Hits[0].Why)
		require.Equal(t, moved, found.Hits[0].Person)
	})
}

func TestCorrectRefused(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		person := addPerson(t, db, herderPerson(t))
		other := herderPerson(t)
		other.IDNumber = idNumber(t, "632723", "1889-01-01", 3)
		addPerson(t, db, other)
		nothing := func(*registry.NewPerson) {}
		for name, c := range map[string]struct {
			id      uuid.UUID
			version int64
			reason  string
			change  func(*registry.NewPerson)
			want    error
		}{
			"unknown":        {uuid.New(), 0, "r", nothing, registry.ErrNotFound},
			"no reason":      {person.ID, 0, " ", nothing, registry.ErrInvalid},
			"stale":          {person.ID, 7, "r", nothing, registry.ErrStale},
			"bad name":       {person.ID, 1, "r", func(n *registry.NewPerson) { n.Name = "" }, registry.ErrInvalid},
			"other's number": {person.ID, 1, "r", func(n *registry.NewPerson) { n.IDNumber = other.IDNumber }, registry.ErrDuplicate},
		} {
			err := db.InTx(t.Context(), supervisor, func(tx *registry.Tx) error {
				_, err := tx.CorrectPerson(c.id, c.version, c.reason, c.change)
				return err
			})
			require.ErrorIs(t, err, c.want, name)
		}
		same, err := db.PersonByID(t.Context(), person.ID)
		require.NoError(t, err)
		require.Equal(t, person, same)
	})
}

// TestKept: the database itself refuses a change that does not count and the
// deletion of what is kept, whoever asks.
func TestKept(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		db := registrytest.Open(t, registrytest.Config(dsn, registrytest.NewClock()))
		staff(t, db)
		person := addPerson(t, db, herderPerson(t))
		admin := raw(t, dsn)
		for statement, says := range map[string]string{
			"UPDATE persons SET sex = '2'":       "version must count",
			"UPDATE institutions SET name = 'x'": "version must count",
			"DELETE FROM persons":                "never deleted",
		} {
			_, err := admin.ExecContext(t.Context(), statement)
			require.ErrorContains(t, err, says, statement)
		}
		_, err := admin.ExecContext(t.Context(), "UPDATE persons SET name_sealed = name_sealed")
		require.NoError(t, err, "a change of keys is no version")
		history, err := db.PersonHistory(t.Context(), person.ID)
		require.NoError(t, err)
		require.Len(t, history, 1)
	})
}

func TestInsured(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		person := addPerson(t, db, herderPerson(t))
		insure := func(i registry.Insured, reason string) error {
			return db.InTx(t.Context(), clerk, func(tx *registry.Tx) error { return tx.Insure(person.ID, i, reason) })
		}
		require.NoError(t, insure(registry.Insured{Kind: "pension", Place: "630102", State: "insured"}, ""))
		require.NoError(t, insure(registry.Insured{Kind: "medical", Place: "632723", State: "insured"}, ""))
		require.ErrorIs(t, insure(registry.Insured{Kind: "lottery", Place: "630102", State: "insured"}, ""), registry.ErrConflict)
		require.ErrorIs(t, insure(registry.Insured{Kind: "medical", Place: "999999", State: "insured"}, ""), registry.ErrConflict)
		clock.Advance(time.Hour)
		require.NoError(t, insure(registry.Insured{Kind: "pension", Place: "630102", State: "suspended"}, "停保 suspended"))
		before, err := db.InsuredAt(t.Context(), person.ID, registrytest.Start)
		require.NoError(t, err)
		require.Len(t, before, 2)
		now, err := db.InsuredAt(t.Context(), person.ID, clock.Now())
		require.NoError(t, err)
		require.Len(t, now, 2)
		states := map[string]string{}
		for _, i := range now {
			states[i.Kind] = i.State
		}
		require.Equal(t, map[string]string{"pension": "suspended", "medical": "insured"}, states)
		for _, i := range before {
			require.Equal(t, "insured", i.State)
		}
	})
}

// TestMerge: two files become one and two again; what belongs to the person
// goes along, and the histories of both stay.
func TestMerge(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		clock := registrytest.NewClock()
		db := registrytest.Open(t, registrytest.Config(dsn, clock))
		kept := addPerson(t, db, herderPerson(t))
		told := herderPerson(t)
		told.IDNumber, told.Name = idNumber(t, "632723", "1888-05-01", 5), "扎西多杰"
		double := addPerson(t, db, told)
		in := func(change func(tx *registry.Tx) error) error { return db.InTx(t.Context(), supervisor, change) }
		require.NoError(t, in(func(tx *registry.Tx) error {
			return tx.Insure(double.ID, registry.Insured{Kind: "medical", Place: "632723", State: "insured"}, "")
		}))
		require.NoError(t, in(func(tx *registry.Tx) error {
			return tx.AddNumber(double.ID, registry.OtherNumber{System: "medical", Number: "YS-0001"}, "")
		}))
		card := func(person uuid.UUID, n string) {
			_, err := raw(t, dsn).ExecContext(t.Context(), `INSERT INTO cards (id, number, chip_id, chip_serial, atr, person_id, spec_version, key_version, status, issued_on, expires_on, created_at, changed_at)
				VALUES ('`+uuid.NewString()+`', '10000000`+n+`', '639900D156000005000000000000000`+n+`', '0000000`+n+`', 'ATR`+n+`', '`+person.String()+`', '3.00', 1, '1', '2026-01-01', '2036-01-01', '2026-01-01 00:00:00', '2026-01-01 00:00:00')`)
			require.NoError(t, err)
		}
		card(double.ID, "1")
		clock.Advance(time.Hour)
		var merge uuid.UUID
		merged := func(kept, absorbed uuid.UUID) error {
			return in(func(tx *registry.Tx) error {
				id, err := tx.MergePersons(kept, absorbed, "同一人 the same person")
				if err == nil {
					merge = id
				}
				return err
			})
		}
		require.ErrorIs(t, merged(kept.ID, kept.ID), registry.ErrInvalid)
		require.NoError(t, merged(kept.ID, double.ID))
		require.ErrorIs(t, merged(kept.ID, double.ID), registry.ErrConflict)

		for _, query := range []registry.Query{{Number: told.IDNumber}, {Number: "YS-0001"}, {Name: "扎西多杰"}} {
			found, err := db.Find(t.Context(), query)
			require.NoError(t, err)
			require.Len(t, found.Hits, 1)
			require.Equal(t, kept.ID, found.Hits[0].Person.ID)
		}
		insured, err := db.InsuredAt(t.Context(), kept.ID, clock.Now())
		require.NoError(t, err)
		require.Len(t, insured, 1)
		holder := func() uuid.UUID {
			var owners []string
			require.NoError(t, db.Read(t.Context()).Table("cards").Where("number = '100000001'").Pluck("person_id", &owners).Error)
			return uuid.MustParse(owners[0])
		}
		require.Equal(t, kept.ID, holder())

		clock.Advance(time.Hour)
		require.NoError(t, in(func(tx *registry.Tx) error { return tx.UndoMerge(merge, "误并 not the same") }))
		require.ErrorIs(t, in(func(tx *registry.Tx) error { return tx.UndoMerge(merge, "误并") }), registry.ErrConflict)
		require.Equal(t, double.ID, holder())
		found, err := db.Find(t.Context(), registry.Query{Number: "YS-0001"})
		require.NoError(t, err)
		require.Equal(t, double.ID, found.Hits[0].Person.ID)
		history, err := db.PersonHistory(t.Context(), double.ID)
		require.NoError(t, err)
		require.Len(t, history, 3)
		require.Equal(t, kept.ID, *history[1].Person.MergedInto)
		merges, err := db.MergesOf(t.Context(), kept.ID)
		require.NoError(t, err)
		require.Len(t, merges, 1)
		require.NotNil(t, merges[0].Undone)

		card(kept.ID, "2")
		require.ErrorIs(t, merged(kept.ID, double.ID), registry.ErrTwoCards, "one card in force in the province")
	})
}
