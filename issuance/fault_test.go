package issuance_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/registry"
)

// breaks makes the database refuse a kind of write to a table; mend takes that
// back.
func (w world) breaks(t must, write, table, when string) (mend func()) {
	t.Helper()
	sqlite := []string{"CREATE TRIGGER broken BEFORE " + write + " ON " + table + " WHEN " + when + " BEGIN SELECT RAISE(ABORT, 'broken'); END"}
	postgres := []string{
		"CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''broken''; END'",
		"CREATE TRIGGER broken BEFORE " + write + " ON " + table + " FOR EACH ROW WHEN (" + when + ") EXECUTE FUNCTION broken()",
	}
	run := func(sqlite, postgres []string) {
		w.change(t, func(tx *registry.Tx) error {
			statements := sqlite
			if tx.DB().Name() == "postgres" {
				statements = postgres
			}
			for _, statement := range statements {
				if err := tx.DB().Exec(statement).Error; err != nil {
					return err
				}
			}
			return nil
		})
	}
	run(sqlite, postgres)
	return func() {
		run([]string{"DROP TRIGGER broken"}, []string{"DROP TRIGGER broken ON " + table, "DROP FUNCTION broken()"})
	}
}

// TestDatabaseFails: wherever in a step the database refuses, the step leaves
// nothing behind and may come again.
func TestDatabaseFails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		for _, fault := range []struct {
			write, table, when string
			last               bool // of the last step only
		}{
			{"UPDATE OF seq", "chip_sessions", "1 = 1", false},
			{"UPDATE OF answer", "chip_sessions", "1 = 1", false},
			{"INSERT", "audit_entries", "NEW.action = 'chip.personalise.step'", false},
			{"INSERT", "cards", "1 = 1", true},
			{"UPDATE", "personalisations", "1 = 1", true},
			{"UPDATE", "applications", "1 = 1", true},
			{"INSERT", "audit_entries", "NEW.action = 'card.made'", true},
		} {
			socket, who := blank(t, makerKey), w.issuer()
			turn, err := who.open(t, socket, issuance.EventPersonalise, w.numbered(t).ID)
			require.NoError(t, err)
			for turn.Script != nil {
				answers := answer(t, socket, turn)
				if !fault.last || turn.Done == turn.Total {
					mend := w.breaks(t, fault.write, fault.table, fault.when)
					before := w.dump(t)
					_, err = w.Step(t.Context(), who.actor, turn.Session, turn.Seq, answers, "")
					var refused *registry.Error
					require.ErrorAs(t, err, &refused, fault)
					require.Equal(t, before, w.dump(t))
					mend()
				}
				turn, err = w.Step(t.Context(), who.actor, turn.Session, turn.Seq, answers, "")
				require.NoError(t, err, fault)
			}
			require.True(t, result(t, turn).Genuine)
		}
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// dump reads the tables of the package as they are.
func (w world) dump(t must) map[string][]map[string]any {
	t.Helper()
	all := map[string][]map[string]any{}
	for table, order := range map[string]string{
		"applications": "id", "cards": "id", "card_status_log": "id", "personalisations": "id", "chip_sessions": "id", "invalid_cards": "seq", "card_number_sequence": "name",
	} {
		var rows []map[string]any
		require.NoError(t, w.db.Read(t.Context()).Table(table).Order(order).Find(&rows).Error)
		all[table] = rows
	}
	return all
}
