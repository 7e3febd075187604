package inventory_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/keys"
	"onecard/registry"
	"onecard/registry/inventory"
	"onecard/registry/registrytest"
)

var clerk = registry.Actor{Operator: "zhangying", Workstation: "W-630102-01", Place: "630102"}

// keeper makes a keeper with the two keys of personal data.
func keeper(t *testing.T) *keys.Keeper {
	t.Helper()
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	k, err := keys.Create(filepath.Join(t.TempDir(), "keys.json"), kek, []keys.Spec{
		{Name: keys.DataKey, Usage: keys.FieldEncryption, Algorithm: keys.SM4},
		{Name: keys.IndexKey, Usage: keys.BlindIndex, Algorithm: keys.HMACSM3},
	})
	require.NoError(t, err)
	return k
}

// vault seals by a keeper and indexes by the keys that the prepared databases
// are made with.
type vault struct {
	*keys.Keeper
	indexes registrytest.Vault
}

func (v vault) Index(ctx context.Context, version int, purpose string, value []byte) ([]byte, error) {
	return v.indexes.Index(ctx, version, purpose, value)
}

func (v vault) IndexAll(ctx context.Context, version int, purposes []string, values [][]byte) ([][]byte, error) {
	all := make([][]byte, len(values))
	for i := range values {
		var err error
		if all[i], err = v.Index(ctx, version, purposes[i], values[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// eachSealed runs a test on both databases, which a keeper of the test's own
// protects and which hold residents with everything that is sealed.
func eachSealed(t *testing.T, residents int, test func(t *testing.T, db *registry.DB, k *keys.Keeper, numbers []gb.IDNumber)) {
	t.Helper()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		k := keeper(t)
		config := registrytest.Config(dsn, registrytest.NewClock())
		config.Vault = vault{Keeper: k}
		db := registrytest.Open(t, config)
		test(t, db, k, settle(t, db, residents))
	})
}

// settle loads residents and returns their numbers.
func settle(t *testing.T, db *registry.DB, residents int) []gb.IDNumber {
	t.Helper()
	var rows []registry.LoadRow
	var numbers []gb.IDNumber
	birth, err := gb.ParseDate("1877-07-07")
	require.NoError(t, err)
	for n := range residents {
		number, err := gb.NewIDNumber("630102", birth, n)
		require.NoError(t, err)
		person, err := registry.NewPerson{
			IDNumber: number.String(), Name: "王" + string(rune('一'+n)), Ethnic: "01", Phone: fmt.Sprintf("139%08d", n), Address: "某某镇", Place: "630102",
		}.Check()
		require.NoError(t, err)
		rows = append(rows, registry.LoadRow{
			Person: person, Numbers: []registry.OtherNumber{{System: "pension", Number: fmt.Sprintf("P%09d", n)}},
			OldCard:  &registry.OldCard{Pool: "630100", Number: fmt.Sprintf("C%09d", n), State: "valid"},
			Accounts: []registry.BankAccount{{Bank: "102", Account: fmt.Sprintf("62220000%011d", n), State: "active"}},
		})
		numbers = append(numbers, number)
	}
	_, err = db.Load(t.Context(), clerk, "pension", rows, nil)
	require.NoError(t, err)
	first, err := db.PersonByIDNumber(t.Context(), numbers[0])
	require.NoError(t, err)
	photo := make([]byte, 200_000)
	require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
		id := uuid.New()
		sealed, err := db.Seal(tx.Context(), "attachments.content", id.String(), photo)
		if err != nil {
			return err
		}
		err = tx.DB().Exec(`INSERT INTO attachments (id, person_id, kind, media_type, content_sealed, content_index, size, state, changed_at, changed_by, changed_on, change_reason)
			VALUES (?, ?, 'photo', 'image/jpeg', ?, ?, ?, 'valid', ?, 'x', 'x', 'x')`, id, first.ID, sealed, make([]byte, 16), len(photo), tx.Now()).Error
		if err != nil {
			return err
		}
		return tx.Audit("test.photo", "test", nil)
	}))
	_, _, err = db.Once(t.Context(), clerk, "key", []byte("request"), func(tx *registry.Tx) (any, error) {
		return "answer", correct(tx, first.ID, "13800000000")
	})
	require.NoError(t, err)
	return numbers
}

func correct(tx *registry.Tx, id uuid.UUID, phone string) error {
	_, err := tx.CorrectPerson(id, 0, "test", func(told *registry.NewPerson) { told.Phone = phone })
	return err
}

// versions counts the sealed values by the version of the key.
func versions(t *testing.T, db *registry.DB) map[int]int64 {
	t.Helper()
	heads, err := inventory.Heads(t.Context(), db)
	require.NoError(t, err)
	counts := map[int]int64{}
	for head, count := range heads {
		counts[keys.SealedVersion([]byte(head))] += count
	}
	return counts
}

// TestReseal: while clerks read and write, the run is stopped in the middle and
// started again; then no value under the old key is left, and only then may it
// go.
func TestReseal(t *testing.T) {
	t.Parallel()
	const residents = 120
	eachSealed(t, residents, func(t *testing.T, db *registry.DB, k *keys.Keeper, numbers []gb.IDNumber) {
		unused := func(context.Context, int) error {
			if versions(t, db)[1] > 0 {
				return keys.ErrInUse
			}
			return nil
		}
		before := versions(t, db)
		require.Len(t, before, 1)
		require.Greater(t, before[1], int64(5*residents))
		_, err := k.Rotate(keys.DataKey)
		require.NoError(t, err)
		require.ErrorIs(t, k.Retire(t.Context(), keys.DataKey, 1, unused), keys.ErrInUse, "too early")

		end := clerks(t, db, numbers)
		stopping, stop := context.WithCancel(t.Context())
		run := func(report func(inventory.Progress)) *inventory.Resealing {
			return &inventory.Resealing{DB: db, Actor: clerk, Batch: 16, Settle: 50 * time.Millisecond, Report: report}
		}
		stopped, err := run(func(p inventory.Progress) {
			if p.Resealed > residents {
				stop()
			}
		}).Do(stopping)
		require.ErrorIs(t, err, context.Canceled)
		require.Less(t, stopped.Seen, stopped.Total)
		require.ErrorIs(t, k.Retire(t.Context(), keys.DataKey, 1, unused), keys.ErrInUse, "half done")

		var first *inventory.Progress
		done, err := run(func(p inventory.Progress) {
			if first == nil {
				first = &p
			}
		}).Do(t.Context())
		require.NoError(t, err)
		require.GreaterOrEqual(t, first.Resealed, stopped.Resealed, "it went on where it was")
		require.GreaterOrEqual(t, done.Resealed, int64(residents))
		end()

		after := versions(t, db)
		require.Len(t, after, 1)
		require.GreaterOrEqual(t, after[2], before[1])
		require.NoError(t, k.Retire(t.Context(), keys.DataKey, 1, unused))
		for i, number := range numbers {
			person, err := db.PersonByIDNumber(t.Context(), number)
			require.NoError(t, err)
			require.Equal(t, "王"+string(rune('一'+i)), person.Name)
			_, err = db.PersonHistory(t.Context(), person.ID)
			require.NoError(t, err)
			others, err := db.NumbersOf(t.Context(), person.ID)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("P%09d", i), others[0].Number)
		}
		answer, replayed, err := db.Once(t.Context(), clerk, "key", []byte("request"), func(*registry.Tx) (any, error) { return nil, errors.New("again") })
		require.NoError(t, err)
		require.True(t, replayed)
		require.JSONEq(t, `"answer"`, string(answer))
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

// clerks read and write until end is called.
func clerks(t *testing.T, db *registry.DB, numbers []gb.IDNumber) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	wrong := make(chan error, 2)
	work := func(do func(i int) error) {
		working.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := do(i % len(numbers)); err != nil {
					wrong <- err
					return
				}
			}
		})
	}
	work(func(i int) error {
		_, err := db.PersonByIDNumber(t.Context(), numbers[i])
		return err
	})
	work(func(i int) error {
		return db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
			person, err := tx.PersonByIDNumber(numbers[i])
			if err != nil {
				return err
			}
			return correct(tx, person.ID, fmt.Sprintf("137%08d", i))
		})
	})
	return func() {
		cancel()
		working.Wait()
		close(wrong)
		require.NoError(t, <-wrong)
	}
}

// TestResealUnreadable: a value that does not open stays as it is and is named;
// the rest is done, and the old key is still said to be used.
func TestResealUnreadable(t *testing.T) {
	t.Parallel()
	eachSealed(t, 3, func(t *testing.T, db *registry.DB, k *keys.Keeper, numbers []gb.IDNumber) {
		person, err := db.PersonByIDNumber(t.Context(), numbers[1])
		require.NoError(t, err)
		strange, err := db.Seal(t.Context(), "persons.name", person.ID.String(), []byte("of another column"))
		require.NoError(t, err)
		require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
			if err := tx.DB().Exec("UPDATE persons SET address_sealed = ? WHERE id = ?", strange, person.ID).Error; err != nil {
				return err
			}
			return tx.Audit("test.spoiled", "test", nil)
		}))
		_, err = k.Rotate(keys.DataKey)
		require.NoError(t, err)
		done, err := (&inventory.Resealing{DB: db, Actor: clerk}).Do(t.Context())
		require.ErrorIs(t, err, inventory.ErrRemaining)
		require.ErrorContains(t, err, "persons.address "+person.ID.String())
		require.Len(t, done.Unreadable, 1)
		require.Equal(t, int64(1), versions(t, db)[1])
	})
}
