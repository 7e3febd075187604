package collective_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/issuance/collective"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// children is a list of so many holders who lack nothing.
func children(t *testing.T, n int) collective.List {
	t.Helper()
	lines := []string{"姓名,身份证号码,民族"}
	for i := range n {
		lines = append(lines, "才仁,"+number(t, fmt.Sprintf("2021-05-%02d", 1+i%28), 1+i/28)+",藏族")
	}
	return collective.List{Institution: "school-1", Content: []byte(strings.Join(lines, "\n"))}
}

func (w world) count(t *testing.T, table string) (n int64) {
	t.Helper()
	require.NoError(t, w.DB.Read(t.Context()).Table(table).Count(&n).Error)
	return n
}

// breakAt makes the database refuse to write down a row of a list; mend undoes it.
func (w world) breakAt(t *testing.T, row int) (mend func()) {
	t.Helper()
	do := func(statements ...string) {
		require.NoError(t, w.DB.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
			for _, statement := range statements {
				if err := tx.DB().Exec(statement).Error; err != nil {
					return err
				}
			}
			return tx.Audit("test.broken", "database", nil)
		}))
	}
	if strings.Contains(t.Name(), "postgres") {
		do(fmt.Sprintf("ALTER TABLE collective_rows ADD CONSTRAINT broken CHECK (row_number <> %d)", row))
		return func() { do("ALTER TABLE collective_rows DROP CONSTRAINT broken") }
	}
	do(fmt.Sprintf("CREATE TRIGGER broken BEFORE INSERT ON collective_rows WHEN NEW.row_number = %d BEGIN SELECT RAISE(ABORT, 'broken'); END", row))
	return func() { do("DROP TRIGGER broken") }
}

// TestChunksWhole: a list that breaks off leaves each chunk of rows wholly done
// or not at all, and goes on from there.
func TestChunksWhole(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		w := world{newService(t, db)}
		list := children(t, 230)
		whole := func(n int64) {
			t.Helper()
			for _, table := range []string{"collective_rows", "applications", "persons"} {
				require.Equal(t, n, w.count(t, table), table)
			}
		}
		mend := w.breakAt(t, 150)
		_, err := w.Run(t.Context(), clerk, list)
		require.Error(t, err)
		whole(100)
		mend()

		ctx, stop := context.WithCancel(t.Context())
		list.Report = func(o collective.Order) { stop() }
		_, err = w.Run(ctx, clerk, list)
		require.ErrorIs(t, err, context.Canceled)
		whole(200)

		list.Report = nil
		order, err := w.Run(t.Context(), clerk, list)
		require.NoError(t, err)
		require.Equal(t, collective.Done, order.State)
		require.Equal(t, [3]int{230, 0, 0}, [3]int{order.Applied, order.Draft, order.Refused})
		whole(230)
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

// TestCounterFaster: what a counter does at the same instant for the holder of
// one row refuses that row, and no other of its chunk.
func TestCounterFaster(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		w := world{newService(t, db)}
		w.withPhoto(t, "才仁", number(t, "2021-05-05", 1)) // of row 6
		found, err := db.Find(t.Context(), registry.Query{Number: number(t, "2021-05-05", 1)})
		require.NoError(t, err)
		person := found.Hits[0].Person.ID
		entered, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			first := true
			ended <- db.InTx(context.WithoutCancel(t.Context()), clerk, func(tx *registry.Tx) error {
				request := issuance.Request{Person: person, Kind: issuance.KindFirst, Applicant: "school"}
				request.Institution = "school-1"
				_, err := w.Issuance.Apply(tx, request)
				if first {
					first = false
					close(entered)
				}
				if err != nil {
					return err
				}
				return w.awaited(tx)
			})
		}()
		<-entered
		order, err := w.Run(t.Context(), clerk, children(t, 9))
		require.NoError(t, err)
		require.NoError(t, <-ended)
		require.Equal(t, [3]int{8, 0, 1}, [3]int{order.Applied, order.Draft, order.Refused})
		rows, err := w.Rows(t.Context(), order.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, "application-running", rows[4].Code)
		require.EqualValues(t, 9, w.count(t, "applications"))
	})
}

// awaited returns when another transaction waits for what this one holds, on
// PostgreSQL; SQLite has one writer at a time.
func (w world) awaited(tx *registry.Tx) error {
	if w.DB.Read(tx.Context()).Name() != "postgres" {
		return nil
	}
	for range 400 {
		var waiting int64
		err := tx.DB().Raw("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.datname = current_database() AND NOT l.granted").Scan(&waiting).Error
		if err != nil || waiting > 0 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("nobody waits")
}
