package issuance_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"onecard/issuance"
	"onecard/registry"
)

// everyRole are the roles of which one operator may have any.
var everyRole = []string{
	registry.RoleClerk, registry.RoleReviewer, registry.RoleIssuer, registry.RoleSupervisor, registry.RoleCashier,
	registry.RoleAdmin, registry.RoleProducer, registry.RoleStorekeeper,
}

// alone is one operator who tries to get a card of his own making, with people
// beside him who do their honest work on what they see.
type alone struct {
	world
	solo   counter
	holder uuid.UUID // whose file others keep
	other  uuid.UUID // a file that solo may have made up
	said   map[uuid.UUID]string
	seen   map[string]map[string]bool // who has put a name into a file, or approved it
	names  int
}

// see notes that an operator knows a name and stands for it.
func (a *alone) see(name, operator string) {
	if a.seen[name] == nil {
		a.seen[name] = map[string]bool{}
	}
	a.seen[name][operator] = true
}

func (a *alone) nameOf(t must, person uuid.UUID) string {
	t.Helper()
	p, err := a.db.PersonByID(t.Context(), person)
	require.NoError(t, err)
	return p.Name
}

// applications and cards of both files.
func (a *alone) applications(t must) (ids []uuid.UUID) {
	t.Helper()
	require.NoError(t, a.db.Read(t.Context()).Table("applications").Where("person_id IN ?", []uuid.UUID{a.holder, a.other}).Order("id").Pluck("id", &ids).Error)
	return ids
}

func (a *alone) cards(t must) (ids []uuid.UUID) {
	t.Helper()
	require.NoError(t, a.db.Read(t.Context()).Table("cards").Where("person_id IN ?", []uuid.UUID{a.holder, a.other}).Order("id").Pluck("id", &ids).Error)
	return ids
}

// rename puts a name that nobody else knows into a file.
func (a *alone) rename(t must, person uuid.UUID, who counter) error {
	t.Helper()
	a.names++
	name := "独知" + strings.Repeat("多", a.names%7) + strings.Repeat("吉", a.names/7%7) + strings.Repeat("措", a.names/49)
	return who.in(t, func(tx *registry.Tx) error {
		_, err := tx.CorrectPerson(person, 0, "更正", func(told *registry.NewPerson) { told.Name = name })
		if err == nil {
			a.see(name, who.actor.Operator)
		}
		return err
	})
}

// fireAs asks for an event of an application, and notes who stands for what.
func (a *alone) fireAs(t must, who counter, id uuid.UUID, event string) error {
	t.Helper()
	application, err := who.fire(t, id, event, "原因")
	if err == nil && event == issuance.EventApprove {
		a.see(a.nameOf(t, application.PersonID), who.actor.Operator)
	}
	return err
}

func (a *alone) applyAs(t must, who counter, request issuance.Request) error {
	t.Helper()
	application, err := who.request(t, request)
	if err == nil {
		// Whoever enters an application has the file before him.
		a.see(a.nameOf(t, application.PersonID), who.actor.Operator)
	}
	return err
}

// batchAs puts an application into a batch: from then on its card says a name.
func (a *alone) batchAs(t must, who counter, id uuid.UUID) error {
	t.Helper()
	name, err := who.batch(t, id)
	if err == nil {
		a.said[id] = name
	}
	return err
}

// makeAs hands a made card in.
func (a *alone) makeAs(t must, who counter, id uuid.UUID) error {
	t.Helper()
	made, err := who.returns(t, id)
	if err == nil {
		a.said[made.ID] = a.said[id]
	}
	return err
}

// move is something that one operator can do.
type move struct {
	name string
	do   func(t must, a *alone, who counter, pick func(n int) int) error
}

// onOne lets a move happen to one of several, if there is one.
func onOne(ids []uuid.UUID, pick func(int) int, do func(id uuid.UUID) error) error {
	if len(ids) == 0 {
		return nil
	}
	return do(ids[pick(len(ids))])
}

func file(a *alone, pick func(int) int) uuid.UUID {
	return []uuid.UUID{a.holder, a.other}[pick(2)]
}

// moves are all that a single operator can do to files, applications and cards.
func moves() []move {
	all := []move{
		{"rename", func(t must, a *alone, who counter, pick func(int) int) error { return a.rename(t, file(a, pick), who) }},
		{"merge", func(t must, a *alone, who counter, pick func(int) int) error {
			kept := file(a, pick)
			absorbed := map[uuid.UUID]uuid.UUID{a.holder: a.other, a.other: a.holder}[kept]
			return who.in(t, func(tx *registry.Tx) error {
				_, err := tx.MergePersons(kept, absorbed, "同一人")
				return err
			})
		}},
		{"undo the merge", func(t must, a *alone, who counter, pick func(int) int) error {
			merges, err := a.db.MergesOf(t.Context(), a.holder)
			require.NoError(t, err)
			if len(merges) == 0 {
				return nil
			}
			return who.in(t, func(tx *registry.Tx) error { return tx.UndoMerge(merges[0].ID, "误并") })
		}},
		{"batch", func(t must, a *alone, who counter, pick func(int) int) error {
			return onOne(a.applications(t), pick, func(id uuid.UUID) error { return a.batchAs(t, who, id) })
		}},
		{"unbatch", func(t must, a *alone, who counter, pick func(int) int) error {
			return onOne(a.applications(t), pick, func(id uuid.UUID) error {
				return who.in(t, func(tx *registry.Tx) error { return a.Unbatch(tx, id, "not-made", "", pick(2) == 0, who.roles) })
			})
		}},
		{"make", func(t must, a *alone, who counter, pick func(int) int) error {
			return onOne(a.applications(t), pick, func(id uuid.UUID) error { return a.makeAs(t, who, id) })
		}},
		{"refresh", func(t must, a *alone, who counter, pick func(int) int) error {
			return onOne(a.cards(t), pick, func(id uuid.UUID) error {
				found, err := a.Card(t.Context(), id)
				require.NoError(t, err)
				if found.Status != issuance.StatusNormal || !slices.Contains(who.roles, registry.RoleClerk) {
					return issuance.ErrNotAllowed
				}
				err = who.in(t, func(tx *registry.Tx) error {
					if err := issuance.Refreshable(tx, id); err != nil {
						return err
					}
					return tx.Audit("chip.refresh", "card:"+id.String(), nil)
				})
				if err == nil {
					name := a.nameOf(t, found.PersonID)
					a.see(name, who.actor.Operator)
					a.said[id] = name
				}
				return err
			})
		}},
	}
	for _, kind := range []string{issuance.KindFirst, issuance.KindReplacement, issuance.KindExchange, issuance.KindTemporary} {
		for _, draft := range []bool{false, true} {
			all = append(all, move{fmt.Sprintf("apply %s %t", kind, draft), func(t must, a *alone, who counter, pick func(int) int) error {
				if !slices.Contains(who.roles, registry.RoleClerk) {
					return issuance.ErrNoRight // by the policy of the interface
				}
				return a.applyAs(t, who, issuance.Request{Person: file(a, pick), Kind: kind, Method: issuance.MethodBatch, Draft: draft})
			}})
		}
	}
	for _, event := range events(&issuance.Applications) {
		all = append(all, move{"application " + event, func(t must, a *alone, who counter, pick func(int) int) error {
			return onOne(a.applications(t), pick, func(id uuid.UUID) error { return a.fireAs(t, who, id, event) })
		}})
	}
	for _, event := range events(&issuance.Cards) {
		all = append(all, move{"card " + event, func(t must, a *alone, who counter, pick func(int) int) error {
			return onOne(a.cards(t), pick, func(id uuid.UUID) error {
				_, err := who.fireCard(t, id, event, "原因")
				return err
			})
		}}, move{"chip " + event, func(t must, a *alone, who counter, pick func(int) int) error {
			return onOne(a.cards(t), pick, func(id uuid.UUID) error {
				_, err := who.onChip(t, id, event)
				return err
			})
		}})
	}
	return all
}

// byOne returns the cards that work, or would once handed over, although one
// operator alone stands for what they say: nobody else reviewed them, or
// nobody else has seen the name that they say.
func (a *alone) byOne(t must) (found []string) {
	t.Helper()
	var rows []struct {
		ID         uuid.UUID
		PersonID   uuid.UUID
		EnteredBy  *string
		ReviewedBy *string
		Applied    *uuid.UUID
	}
	err := a.db.Read(t.Context()).Table("cards").Joins("LEFT JOIN applications ON applications.id = cards.application_id").
		Where("cards.status = ? AND cards.person_id IN ?", issuance.StatusNormal, []uuid.UUID{a.holder, a.other}).
		Select("cards.id, cards.person_id, entered_by, reviewed_by, applications.person_id AS applied").Find(&rows).Error
	require.NoError(t, err)
	for _, row := range rows {
		switch {
		case row.EnteredBy == nil || row.ReviewedBy == nil || *row.EnteredBy == *row.ReviewedBy:
			found = append(found, "a card that nobody else reviewed")
		case len(a.seen[a.said[row.ID]]) < 2:
			found = append(found, "a card that says what one operator alone has seen: "+a.said[row.ID])
		case *row.Applied != row.PersonID && row.PersonID == a.other:
			found = append(found, "a card in a file that one operator alone has made")
		}
	}
	return found
}

// begin gives the holder a life up to some stage, by honest people.
func (w world) begin(t must, roles []string, stage int) *alone {
	t.Helper()
	a := &alone{world: w, solo: w.at("W-9", "solo", roles...), said: map[uuid.UUID]string{}, seen: map[string]map[string]bool{}}
	a.holder, a.other = w.person(t, "扎西·多杰", "1981-05-01").ID, w.person(t, "才让", "1981-05-01").ID
	a.see("扎西·多杰", "admin")
	// The other file is solo's own invention.
	require.NoError(t, a.rename(t, a.other, a.solo))
	honest := []func() error{
		func() error {
			return a.applyAs(t, w.clerk(), issuance.Request{Person: a.holder, Kind: issuance.KindFirst, Method: issuance.MethodBatch})
		},
		func() error { return a.fireAs(t, w.reviewer(), a.applications(t)[0], issuance.EventApprove) },
		func() error { return a.batchAs(t, w.producer(), a.applications(t)[0]) },
		func() error { return a.makeAs(t, w.producer(), a.applications(t)[0]) },
		func() error {
			_, err := w.clerk().onChip(t, a.cards(t)[0], issuance.EventActivate)
			return err
		},
	}
	for _, step := range honest[:stage] {
		require.NoError(t, step())
	}
	w.clock.Advance(time.Second)
	return a
}

// TestNobodyAlone: an operator with any set of roles, all of them included, does
// whatever an operator can, from any stage of an honest case: no card comes of
// it that nobody else stands for. The second person does it.
func TestNobodyAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		all, set, done := moves(), 0, map[string]bool{}
		rapid.Check(t, func(t *rapid.T) {
			for range 43 { // over six checks, each of the 256 sets of roles comes
				set++
				var roles []string
				for i, role := range everyRole {
					if set>>i&1 == 1 || set%8 == 0 { // every eighth has them all, besides
						roles = append(roles, role)
					}
				}
				a := w.begin(t, roles, rapid.IntRange(0, 5).Draw(t, "stage"))
				seed := rapid.Uint64().Draw(t, "seed") // drawn numbers are mostly small
				random := rand.New(rand.NewPCG(seed, uint64(set)))
				pick := random.IntN
				for range 10 {
					m := all[pick(len(all))]
					if m.do(t, a, a.solo, pick) == nil {
						done[m.name] = true
					}
					require.Empty(t, a.byOne(t), m.name)
				}
			}
		})
		for _, name := range []string{"rename", "apply first false", "application approve", "application reopen", "batch", "make", "card reportLoss", "chip activate"} {
			require.True(t, done[name], "%s never succeeded: the walk gets nowhere", name)
		}
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// TestWaysAround are the ways in which one operator could have had his own say:
// each is refused to him in words, and open to a second one.
func TestWaysAround(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		second := w.at("W-5", "sunwei", everyRole...)
		reviewed := func(a *alone, who counter) error {
			return a.fireAs(t, who, a.applications(t)[0], issuance.EventApprove)
		}
		for name, test := range map[string]struct {
			stage int
			first func(a *alone) error
			then  func(a *alone, who counter) error
			want  error
		}{
			"review of his own application": {0, func(a *alone) error {
				return a.applyAs(t, a.solo, issuance.Request{Person: a.holder, Kind: issuance.KindFirst})
			}, reviewed, issuance.ErrSamePerson},
			"correction before the review": {1, func(a *alone) error { return a.rename(t, a.holder, a.solo) }, reviewed, issuance.ErrOwnChange},
			"correction after the review, reviewed again": {2, func(a *alone) error {
				require.NoError(t, a.rename(t, a.holder, a.solo))
				require.ErrorIs(t, a.batchAs(t, a.solo, a.applications(t)[0]), issuance.ErrReviewAgain)
				return a.fireAs(t, a.solo, a.applications(t)[0], issuance.EventReopen)
			}, reviewed, issuance.ErrOwnChange},
			"correction of a card in use, written to the chip": {5, func(a *alone) error { return a.rename(t, a.holder, a.solo) }, func(a *alone, who counter) error {
				return who.in(t, func(tx *registry.Tx) error {
					if err := issuance.Refreshable(tx, a.cards(t)[0]); err != nil {
						return err
					}
					return tx.Audit("chip.refresh", "test", nil)
				})
			}, issuance.ErrOwnChange},
			"a card that goes over into a file of his own": {5, func(*alone) error { return nil }, func(a *alone, who counter) error {
				return who.in(t, func(tx *registry.Tx) error {
					_, err := tx.MergePersons(a.other, a.holder, "同一人")
					return err
				})
			}, registry.ErrOwnFile},
		} {
			a := w.begin(t, everyRole, test.stage)
			require.NoError(t, test.first(a), name)
			require.ErrorIs(t, test.then(a, a.solo), test.want, name)
			require.NoError(t, test.then(a, second), name)
		}
	})
}

// TestDatabaseAlone: whoever writes past the platform is refused by the database
// itself; with what holds it taken away, the check of [TestNobodyAlone] finds
// the card.
func TestDatabaseAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		forced := func(statement string, values ...any) error {
			return w.clerk().in(t, func(tx *registry.Tx) error {
				if err := tx.DB().Exec(statement, values...).Error; err != nil {
					return err
				}
				return tx.Audit("test.forced", "test", nil)
			})
		}
		a := w.begin(t, everyRole, 1)
		application := a.applications(t)[0]
		own := w.begin(t, everyRole, 0)
		require.NoError(t, own.applyAs(t, own.solo, issuance.Request{Person: own.holder, Kind: issuance.KindFirst, Method: issuance.MethodBatch}))
		mine := own.applications(t)[0]
		insert := `INSERT INTO cards (id, number, chip_id, chip_serial, atr, person_id, spec_version, key_version, status, issued_on, expires_on, created_at, changed_at, application_id)
			VALUES (?, 'X00000001', '639900D1560000050000000000009999', '00009999', '3B9999', ?, '3.00', 1, '0', '2026-01-01', '2036-01-01', '2026-01-01 00:00:00', '2026-01-01 00:00:00', `
		approve := "UPDATE applications SET state = 'numbered', card_number = 'X00000001', reviewed_by = ?, holder_index = ? WHERE id = ?"
		digest := []byte("0123456789abcdef")
		sealed := w.sealed(t, w.first(t))
		for name, test := range map[string]struct {
			statement string
			values    []any
		}{
			"a card without an application":         {insert + "NULL)", []any{uuid.New(), a.other}},
			"a card of an application not reviewed": {insert + "?)", []any{uuid.New(), a.holder, application}},
			"reviewed by whoever entered it":        {approve, []any{"solo", digest, mine}},
			"reviewed without anything":             {approve, []any{"lihong", nil, application}},
			"entered by another, after all":         {"UPDATE applications SET entered_by = 'lihong' WHERE id = ?", []any{mine}},
			"reviewed without a move":               {"UPDATE applications SET reviewed_by = 'lihong' WHERE id = ?", []any{mine}},
			"for somebody else, after all":          {"UPDATE applications SET person_id = ? WHERE id = ?", []any{a.other, mine}},
			"other data than were reviewed":         {"UPDATE applications SET holder_index = ? WHERE card_id = ?", []any{digest, sealed.ID}},
			"a card for somebody else":              {"UPDATE cards SET version = version + 1, person_id = ? WHERE id = ?", []any{a.other, sealed.ID}},
			"another chip":                          {"UPDATE cards SET version = version + 1, chip_id = '639900D1560000050000000000009999' WHERE id = ?", []any{sealed.ID}},
			"made at once":                          {"UPDATE applications SET state = 'made', card_id = ? WHERE id = ?", []any{sealed.ID, application}},
		} {
			err := forced(test.statement, test.values...)
			require.Error(t, err, name)
			require.True(t, isRefusal(err), "%s: %v", name, err)
		}
		require.NoError(t, own.rename(t, own.holder, w.reviewer()))
		require.ErrorIs(t, forced(approve, "lihong", digest, mine), registry.ErrConflict, "reviewed by whoever corrected it")
		require.Empty(t, own.byOne(t))

		w.unheld(t)
		require.NoError(t, forced(insert+"?)", uuid.New(), own.holder, mine))
		require.NoError(t, forced("UPDATE cards SET version = version + 1, status = '1' WHERE application_id = ?", mine))
		require.NotEmpty(t, own.byOne(t), "with the constraints away the check finds it")
		require.NoError(t, forced("UPDATE applications SET state = 'numbered', card_number = 'X00000002', reviewed_by = entered_by WHERE id = ?", mine))
		require.Contains(t, own.byOne(t), "a card that nobody else reviewed")
	})
}

func isRefusal(err error) bool {
	var refused *registry.Error
	return errors.As(err, &refused)
}

// unheld takes away what the database holds of applications and cards beside
// their form.
func (w world) unheld(t *testing.T) {
	t.Helper()
	var names []struct{ Name, On string }
	query := `SELECT name AS name, tbl_name AS "on" FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'moves_%'`
	postgres := w.db.Read(t.Context()).Name() == "postgres"
	if postgres {
		query = `SELECT tgname AS name, tgrelid::regclass::text AS "on" FROM pg_trigger WHERE tgname LIKE 'moves\_%'`
	}
	require.NoError(t, w.db.Read(t.Context()).Raw(query).Scan(&names).Error)
	require.NotEmpty(t, names)
	w.change(t, func(tx *registry.Tx) error {
		for _, name := range names {
			statement := "DROP TRIGGER " + name.Name
			if postgres {
				statement += " ON " + name.On
			}
			if err := tx.DB().Exec(statement).Error; err != nil {
				return err
			}
		}
		if postgres {
			return tx.DB().Exec("ALTER TABLE applications DROP CONSTRAINT applications_four_eyes").Error
		}
		// SQLite's own way to leave a CHECK out.
		return tx.DB().Exec("PRAGMA ignore_check_constraints = ON").Error
	})
}
