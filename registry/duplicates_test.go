package registry_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/registry"
	"onecard/registry/registrytest"
)

// TestDuplicates: suspicious pairs are queued once, at entry and by the batch,
// and a decision ends them for ever.
func TestDuplicates(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		first := addPerson(t, db, herderPerson(t))
		again := func(birth string, sequence int, name, place string) registry.Person {
			told := herderPerson(t)
			told.IDNumber, told.Name, told.Place = idNumber(t, place, birth, sequence), name, place
			told.Phone = fmt.Sprintf("139000001%02d", sequence)
			return addPerson(t, db, told)
		}
		again("1888-05-02", 21, "扎西多杰", "632723")           // another birthday
		again("1888-05-01", 23, "扎西多杰", "630102")           // another prefecture
		second := again("1888-05-01", 25, "扎西多杰", "632701") // the same prefecture
		third := again("1888-05-01", 27, "札西多吉", "632723")  // sounds the same, the same county

		cases, err := db.OpenCases(t.Context(), "630000", uuid.Nil, 100)
		require.NoError(t, err)
		require.Len(t, cases, 2)
		require.Equal(t, registry.RuleNameBirth, cases[0].Rule)
		require.Equal(t, first, cases[0].First)
		require.Equal(t, second, *cases[0].Second)
		require.Equal(t, registry.RuleSoundBirth, cases[1].Rule)
		require.Equal(t, third, *cases[1].Second)
		elsewhere, err := db.OpenCases(t.Context(), "630100", uuid.Nil, 100)
		require.NoError(t, err)
		require.Empty(t, elsewhere)

		pairs, err := db.ScanDuplicates(t.Context(), supervisor)
		require.NoError(t, err)
		require.Equal(t, 2, pairs)
		decide := func(id uuid.UUID, same bool, keep uuid.UUID) error {
			return db.InTx(t.Context(), supervisor, func(tx *registry.Tx) error { return tx.DecideCase(id, same, keep, "核实 checked") })
		}
		require.ErrorIs(t, decide(cases[0].ID, true, third.ID), registry.ErrInvalid)
		require.NoError(t, decide(cases[0].ID, true, second.ID))
		require.NoError(t, decide(cases[1].ID, false, uuid.Nil))
		require.ErrorIs(t, decide(cases[1].ID, false, uuid.Nil), registry.ErrConflict)
		merged, err := db.PersonByID(t.Context(), first.ID)
		require.NoError(t, err)
		require.Equal(t, second.ID, *merged.MergedInto)
		_, err = db.ScanDuplicates(t.Context(), supervisor)
		require.NoError(t, err)
		cases, err = db.OpenCases(t.Context(), "630000", uuid.Nil, 100)
		require.NoError(t, err)
		require.Empty(t, cases)
	})
}

func TestUnmask(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		person := addPerson(t, db, herderPerson(t))
		values, err := db.Unmask(t.Context(), clerk, person.ID, []string{"idNumber", "phone"}, "电话核实 call back")
		require.NoError(t, err)
		require.Equal(t, map[string]string{"idNumber": person.IDNumber.String(), "phone": person.Phone}, values)
		trail, err := db.AuditTrail(t.Context(), "person:"+person.ID.String())
		require.NoError(t, err)
		require.Equal(t, "person.unmasked", trail[0].Action)
		require.Equal(t, map[string]string{"fields": "idNumber phone", "reason": "电话核实 call back"}, trail[0].Detail)
		_, err = db.Unmask(t.Context(), clerk, person.ID, []string{"idNumber"}, "")
		require.ErrorIs(t, err, registry.ErrInvalid)
		_, err = db.Unmask(t.Context(), clerk, person.ID, []string{"name"}, "r")
		require.ErrorIs(t, err, registry.ErrInvalid)
		_, err = db.Unmask(t.Context(), clerk, uuid.New(), []string{"phone"}, "r")
		require.ErrorIs(t, err, registry.ErrNotFound)
	})
}
