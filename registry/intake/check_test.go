package intake_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/registry"
	"onecard/registry/indicator"
	"onecard/registry/intake"
	"onecard/registry/registrytest"
)

// TestChecks: who has not been compared is given out; the answers are taken
// once, in whatever encoding, and what is no answer is refused by its row.
func TestChecks(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		actor := registry.Actor{Operator: "op-1", Place: "630102"}
		var persons []registry.Person
		require.NoError(t, db.InTx(t.Context(), actor, func(tx *registry.Tx) error {
			for _, number := range []string{"11010519491231002X", "440524188001010014"} {
				p, err := tx.AddPerson(registry.NewPerson{IDNumber: number, Name: "卓玛", Ethnic: "04", Place: "630102"})
				if err != nil {
					return err
				}
				persons = append(persons, p)
			}
			return nil
		}))
		var asked bytes.Buffer
		tables, err := indicator.All()
		require.NoError(t, err)
		n, untold, err := intake.WriteChecks(t.Context(), db, actor, registry.Police, tables["police"], &asked)
		require.NoError(t, err)
		require.Empty(t, untold)
		require.Equal(t, 2, n)
		require.Contains(t, asked.String(), ",111,11010519491231002X,\xd7\xbf\xc2\xea,2,19491231,630102\n", "the police's codes and encoding")
		require.Equal(t, 3, strings.Count(asked.String(), "\n"))
		names, err := db.PeerNamesAt(t.Context(), persons[0].ID, db.Now())
		require.NoError(t, err)
		require.Len(t, names, 1)
		require.Equal(t, registry.PeerName{Peer: "police", Encoding: "GB 18030", Bytes: []byte("\xd7\xbf\xc2\xea"), Stamp: names[0].Stamp}, names[0], "the bytes of the file")

		answer := "XXBH,GONGANSTATUS\n" + persons[0].ID.String() + ",02\n" +
			persons[1].ID.String() + ",77\n" + uuid.NewString() + ",02\nx,02\n"
		path := filepath.Join(t.TempDir(), "answer.csv")
		require.NoError(t, os.WriteFile(path, []byte(answer), 0o600))
		for _, want := range []int{1, 0} {
			taken, refused, err := intake.ReadChecks(t.Context(), db, actor, registry.Police, tables["police"], path, "police")
			require.NoError(t, err)
			require.Equal(t, want, taken)
			require.Len(t, refused, 3)
			require.EqualValues(t, 3, refused[0].Row)
			require.ErrorContains(t, refused[0].Err, "policeState (GONGANSTATUS)")
		}
		n, _, err = intake.WriteChecks(t.Context(), db, actor, registry.Police, tables["police"], &asked)
		require.NoError(t, err)
		require.Equal(t, 1, n, "who is compared is not asked about again")
		asked.Reset()
		n, _, err = intake.WriteChecks(t.Context(), db, actor, registry.Ministry, tables["ministry"], &asked)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.True(t, strings.HasPrefix(asked.String(), "\uFEFFBAZ805,AAC058,AAC147,AAC003"))
		require.Contains(t, asked.String(), ",01,11010519491231002X,卓玛,2,04,19491231,CHN,630102\n")
		require.NoError(t, os.WriteFile(path, []byte("a,b\n1,2\n"), 0o600))
		_, _, err = intake.ReadChecks(t.Context(), db, actor, registry.Police, tables["police"], path, "police")
		require.ErrorIs(t, err, registry.ErrInvalid)
	})
}
