package bank_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/issuance/bank"
	"onecard/registry"
	"onecard/registry/registrytest"

	sim "onecard/internal/sim/bank"
)

// BenchmarkBatch is a batch on its way to the bank and back, on SQLite. ROWS
// says how many people, 1000 if it is not set.
func BenchmarkBatch(b *testing.B) {
	rows := 1000
	if text := os.Getenv("ROWS"); text != "" {
		var err error
		rows, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	clock := registrytest.NewClock()
	db := registrytest.Open(b, registrytest.Config("sqlite:"+filepath.Join(b.TempDir(), "registry.db"), clock))
	seal, err := authorities.province.Exchange()
	require.NoError(b, err)
	there, err := sim.New(sim.Config{Code: code, BIN: "621467", Now: clock.Now, Sign: authorities.bank.Orders, Open: authorities.bank.Exchange, ProvinceRoots: roots(b, authorities.province), ProvinceSeal: seal.Leaf})
	require.NoError(b, err)
	s, err := bank.New(bank.Config{DB: db, Peers: []bank.Peer{peerOf(b, "https://localhost", clock)}, Province: "630000", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	for i := 0; i < b.N; i++ {
		batch := fmt.Sprintf("B%d", i)
		ids := make([]uuid.UUID, 0, rows)
		b.StopTimer()
		for n := 0; n < rows; n += 200 {
			require.NoError(b, db.InTx(context.Background(), clerk, func(tx *registry.Tx) error {
				for range min(200, rows-n) {
					k := int(born.Add(1))
					day, err := gb.ParseDate(fmt.Sprintf("%04d-%02d-%02d", 1950+k/900%60, 1+k/54000%12, 1+k/648000%28))
					if err != nil {
						return err
					}
					number, err := gb.NewIDNumber("632723", day, k%900+1)
					if err != nil {
						return err
					}
					person, err := tx.AddPerson(registry.NewPerson{IDNumber: number.String(), Name: "扎西·多杰", Ethnic: "04", Place: "632723", Phone: "13997000001"})
					if err != nil {
						return err
					}
					id, err := (&world{}).apply(tx, person.ID)
					if err != nil {
						return err
					}
					ids = append(ids, id)
				}
				return nil
			}))
		}
		b.StartTimer()
		for n := 0; n < rows; n += 200 {
			require.NoError(b, db.InTx(context.Background(), clerk, func(tx *registry.Tx) error {
				_, err := s.OpenAccounts(tx, code, batch, ids[n:min(n+200, rows)]...)
				return err
			}))
		}
		b.Logf("ordered %v", b.Elapsed())
		made, err := s.MakeFile(context.Background(), clerk, code, batch, b.TempDir())
		require.NoError(b, err)
		b.Logf("written %v", b.Elapsed())
		b.StopTimer()
		answer, err := there.OpenFile(made.Path, b.TempDir())
		require.NoError(b, err)
		b.StartTimer()
		taken, err := s.TakeFile(context.Background(), answer)
		require.NoError(b, err)
		require.EqualValues(b, rows, taken.Done)
		b.Logf("taken %v", b.Elapsed())
	}
}
