package registry_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/registry"
	"onecard/registry/registrytest"
)

func TestLoadPlaces(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		config := registrytest.Config(dsn, registrytest.NewClock())
		db := registrytest.Open(t, config)
		actor := registry.Actor{Operator: "test", Place: "630000"}
		embedded := string(gb.LocalitiesFile())
		before := rows(t, db, "localities")
		load := func(text string) (registry.PlacesLoaded, error) {
			return db.LoadPlaces(t.Context(), actor, []byte(text))
		}

		same, err := load(embedded)
		require.NoError(t, err)
		require.Zero(t, same.Changed)
		newer := strings.Replace(embedded, "# edition: 2023-06-30", "# edition: 2024-10-31", 1)
		for name, c := range map[string]struct{ text, message string }{
			"older":     {strings.Replace(embedded, "# edition: 2023-06-30", "# edition: 2022-06-30", 1), "edition"},
			"forgotten": {strings.Replace(newer, "630106101212,", "630106101999,", 1), "630106101212"},
			"twice":     {newer + "630106101212,某村委会,2023-06-30,,\n", "重复"},
			"no parent": {newer + "630106999001,某村委会,2023-06-30,,\n", "630106999"},
		} {
			require.Contains(t, embedded, "630106101212,")
			_, err := load(c.text)
			require.ErrorContains(t, err, c.message, name)
		}
		places, err := db.Places(t.Context())
		require.NoError(t, err)
		require.Same(t, gb.Places(), places, "nothing has changed")
		require.Equal(t, before, rows(t, db, "localities"))

		newer += "630106999,新镇,2024-10-31,,\n630106999001,新社区,2024-10-31,,\n"
		done, err := load(newer)
		require.NoError(t, err)
		require.Equal(t, 2, done.Changed)
		again, err := load(newer)
		require.NoError(t, err)
		require.Zero(t, again.Changed)
		scope, err := db.Scope(t.Context(), "630106999")
		require.NoError(t, err)
		require.True(t, scope.Covers("630106", "630106999001"))
		require.False(t, scope.Covers("630106", ""))
		require.False(t, scope.Covers("630106", "630106102"))

		_, err = db.Scope(t.Context(), "630")
		require.ErrorIs(t, err, registry.ErrInvalid)
		db = registrytest.Open(t, config) // an older file in the program does not undo a newer table
		places, err = db.Places(t.Context())
		require.NoError(t, err)
		require.True(t, places.Lies("630106999001", "630100", db.Today()))
	})
}

// TestLocalityIsKnown asks the database itself and the registry.
func TestLocalityIsKnown(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		for locality, ok := range map[string]bool{"630102001": true, "630102001001": true, "630102999": false, "630103001": false, "630102008": false, "630102": false} {
			err := db.InTx(t.Context(), registry.Actor{Operator: "test", Place: "630000"}, func(tx *registry.Tx) error {
				return tx.AddInstitution(registry.Institution{ID: "I" + locality, Kind: registry.KindOffice, Name: "某所", Place: "630102", Locality: locality})
			})
			require.Equal(t, ok, err == nil, "%s: %v", locality, err)
		}
		err := db.InTx(t.Context(), registry.Actor{Operator: "test", Place: "630000"}, func(tx *registry.Tx) error {
			return tx.DB().Exec("UPDATE institutions SET locality = '630102999', version = version + 1").Error
		})
		require.Error(t, err, "the database holds the rule too")
	})
}
