package registry_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/registry"
	"onecard/registry/registrytest"
)

// TestRules: a text that differs is a new version; what held at an instant is
// found; several instances record one version once; a version is never changed.
func TestRules(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		actor := registry.Actor{Operator: "local:root", Workstation: "ws-1", Place: "630000"}
		keep := func(texts map[string]string) []string {
			changed, err := db.KeepRules(t.Context(), actor, "start", texts)
			require.NoError(t, err)
			return changed
		}
		start := clock.Now()
		require.Equal(t, []string{"a", "b"}, keep(map[string]string{"a": "one", "b": "x"}))
		clock.Advance(time.Hour)
		require.Empty(t, keep(map[string]string{"a": "one", "b": "x"}))
		require.Equal(t, []string{"a"}, keep(map[string]string{"a": "two", "b": "x"}))
		clock.Advance(time.Hour)
		require.Equal(t, []string{"a"}, keep(map[string]string{"a": "one"}), "back again is a version, too")

		for at, want := range map[time.Duration]string{0: "one", time.Hour - time.Microsecond: "one", time.Hour: "two", 2 * time.Hour: "one", 9 * time.Hour: "one"} {
			rule, err := db.RuleAt(t.Context(), "a", start.Add(at))
			require.NoError(t, err)
			require.Equal(t, want, rule.Content, at)
			require.Equal(t, "local:root", rule.By)
			require.Equal(t, "ws-1", rule.On)
			require.Equal(t, "start", rule.Reason)
		}
		_, err := db.RuleAt(t.Context(), "a", start.Add(-time.Microsecond))
		require.ErrorIs(t, err, registry.ErrNotFound)
		at, err := db.RulesAt(t.Context(), start.Add(time.Hour))
		require.NoError(t, err)
		require.Len(t, at, 2)
		require.Equal(t, "two", at[0].Content)
		require.Equal(t, "x", at[1].Content)

		var instances sync.WaitGroup
		for range 4 {
			instances.Go(func() {
				_, err := db.KeepRules(t.Context(), actor, "start", map[string]string{"a": "three", "c": "new"})
				if err != nil {
					t.Error(err)
				}
			})
		}
		instances.Wait()
		all, err := db.Rules(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 6, "a 1 to 4, b 1, c 1")
		for _, statement := range []string{"UPDATE rule_versions SET content = 'x'", "DELETE FROM rule_versions"} {
			require.Error(t, db.InTx(t.Context(), actor, func(tx *registry.Tx) error {
				if err := tx.DB().Exec(statement).Error; err != nil {
					return err
				}
				return tx.Audit("test", "rules", nil)
			}), statement)
		}
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

// TestAccountsAt: bank accounts as they stood, with who had made them so.
func TestAccountsAt(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		row := resident(t, 1)
		row.Accounts = []registry.BankAccount{{Bank: "105", Account: "6227000000000001", State: "active"}}
		actor := registry.Actor{Operator: "import", Place: "630000"}
		start := clock.Now()
		_, err := db.Load(t.Context(), actor, "file", []registry.LoadRow{row}, nil)
		require.NoError(t, err)
		found, err := db.Find(t.Context(), registry.Query{Number: row.Person.Number()})
		require.NoError(t, err)
		person := found.Hits[0].Person.ID
		clock.Advance(time.Hour)
		other := registry.Actor{Operator: "op-1", Workstation: "ws-1", Place: "630102"}
		require.NoError(t, db.InTx(t.Context(), other, func(tx *registry.Tx) error {
			if err := tx.DB().Table("bank_accounts").Where("person_id = ?", person).Updates(tx.Change(map[string]any{"state": "frozen"}, "court")).Error; err != nil {
				return err
			}
			return tx.Audit("account.frozen", "person:"+person.String(), nil)
		}))
		for at, want := range map[time.Time][3]string{
			start: {"active", "import", "file"}, start.Add(time.Hour): {"frozen", "op-1", "court"},
		} {
			accounts, err := db.AccountsAt(t.Context(), person, at)
			require.NoError(t, err)
			require.Len(t, accounts, 1)
			require.Equal(t, "6227000000000001", accounts[0].Account)
			require.Equal(t, want, [3]string{accounts[0].State, accounts[0].Stamp.By, accounts[0].Stamp.Reason})
		}
		accounts, err := db.AccountsAt(t.Context(), person, start.Add(-time.Second))
		require.NoError(t, err)
		require.Empty(t, accounts)
	})
}
