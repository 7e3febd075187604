package registry_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"onecard/registry"
	"onecard/registry/audit"
	"onecard/registry/registrytest"
)

// chains writes a chain of six entries in Xining and one of two in Yushu.
func chains(t *testing.T, db *registry.DB) {
	t.Helper()
	for i, actor := range []registry.Actor{clerk, herder, clerk, clerk} {
		require.NoError(t, db.InTx(t.Context(), actor, func(tx *registry.Tx) error {
			for j := range 2 {
				err := tx.Audit("card.written", fmt.Sprintf("card:%d", i), map[string]string{"file": "EF05", "步": fmt.Sprint(j), "a": "<&>"})
				if err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

func TestAuditTrail(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		chains(t, db)
		trail, err := db.AuditTrail(t.Context(), "card:3")
		require.NoError(t, err)
		require.Len(t, trail, 2)
		for i, record := range trail {
			require.Equal(t, registry.AuditRecord{
				Chain: "630102", Seq: int64(6 - i), At: registrytest.Start, Actor: clerk, Action: "card.written",
				Detail: map[string]string{"file": "EF05", "步": fmt.Sprint(1 - i), "a": "<&>"},
			}, record)
		}
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

func TestAuditChainsGrowTogether(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		together(8, func(i int) {
			actor := []registry.Actor{clerk, herder}[i%2]
			for range 5 {
				assert.NoError(t, db.InTx(t.Context(), actor, note))
			}
		})
		require.NoError(t, db.VerifyAudit(t.Context()))
		var heads []int64
		require.NoError(t, db.Read(t.Context()).Table("audit_heads").Order("chain").Pluck("seq", &heads).Error)
		require.Equal(t, []int64{20, 20}, heads)
	})
}

// TestAuditTampering changes the log behind the registry's back, with foreign
// keys off, and asks where the chain is broken.
func TestAuditTampering(t *testing.T) {
	t.Parallel()
	const where = " WHERE chain = '630102' AND seq = "
	cases := map[string]struct {
		statements []string
		kind       error
		seq        int64
	}{
		"instant":     {[]string{"UPDATE audit_entries SET at = '2020-01-01 00:00:00'" + where + "3"}, audit.ErrAltered, 3},
		"operator":    {[]string{"UPDATE audit_entries SET operator = 'other'" + where + "1"}, audit.ErrAltered, 1},
		"workstation": {[]string{"UPDATE audit_entries SET workstation = ''" + where + "2"}, audit.ErrAltered, 2},
		"place":       {[]string{"UPDATE audit_entries SET place = '630103'" + where + "4"}, audit.ErrAltered, 4},
		"action":      {[]string{"UPDATE audit_entries SET action = 'card.read'" + where + "6"}, audit.ErrAltered, 6},
		"subject":     {[]string{"UPDATE audit_entries SET subject = 'card:9'" + where + "5"}, audit.ErrAltered, 5},
		"detail":      {[]string{"UPDATE audit_entries SET detail = '{}'" + where + "5"}, audit.ErrAltered, 5},
		"field moved": {[]string{"UPDATE audit_entries SET action = 'card.', subject = 'writtencard:0'" + where + "1"}, audit.ErrAltered, 1},
		"hash":        {[]string{"UPDATE audit_entries SET hash = prev_hash" + where + "4"}, audit.ErrAltered, 4},
		"missing":     {[]string{"DELETE FROM audit_entries" + where + "3"}, audit.ErrMissing, 3},
		"first":       {[]string{"DELETE FROM audit_entries" + where + "1"}, audit.ErrMissing, 1},
		"last":        {[]string{"DELETE FROM audit_entries" + where + "6"}, audit.ErrTruncated, 6},
		"reordered": {[]string{
			"UPDATE audit_entries SET seq = 99, prev_seq = 98" + where + "3",
			"UPDATE audit_entries SET seq = 3, prev_seq = 2" + where + "4",
			"UPDATE audit_entries SET seq = 4, prev_seq = 3" + where + "99",
		}, audit.ErrReordered, 3},
		"taken from another chain": {[]string{
			"DELETE FROM audit_entries" + where + "2",
			"UPDATE audit_entries SET chain = '630102' WHERE chain = '632723' AND seq = 2",
		}, audit.ErrAltered, 2},
		"inserted": {[]string{
			"INSERT INTO audit_entries SELECT chain, 7, at, operator, workstation, place, action, subject, detail, 6, prev_hash, hash FROM audit_entries" + where + "6",
		}, audit.ErrInserted, 7},
		"cut off with its head": {[]string{
			"DELETE FROM audit_entries" + where + "6",
			"UPDATE audit_heads SET seq = 5, hash = (SELECT hash FROM audit_entries" + where + "5) WHERE chain = '630102'",
		}, audit.ErrHead, 5},
		"head's proof":   {[]string{"UPDATE audit_heads SET proof = hash WHERE chain = '630102'"}, audit.ErrHead, 6},
		"head taken off": {[]string{"DELETE FROM audit_heads WHERE chain = '630102'"}, audit.ErrHead, 6},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registrytest.EachDSN(t, func(t *testing.T, dsn string) {
				db := registrytest.Open(t, registrytest.Config(dsn, registrytest.NewClock()))
				chains(t, db)
				require.NoError(t, db.VerifyAudit(t.Context()))
				tamper(t, dsn, c.statements)
				err := db.VerifyAudit(t.Context())
				var broken *audit.Finding
				require.ErrorAs(t, err, &broken)
				require.ErrorIs(t, broken, c.kind)
				require.Equal(t, "630102", broken.Chain)
				require.Equal(t, c.seq, broken.Seq)
			})
		})
	}
}

func tamper(t *testing.T, dsn string, statements []string) {
	t.Helper()
	off := []string{"SET session_replication_role = replica"} // PostgreSQL: neither triggers nor foreign keys
	if strings.HasPrefix(dsn, "sqlite:") {
		off = []string{
			"PRAGMA foreign_keys = OFF", "DROP TRIGGER IF EXISTS audit_entries_stay_update",
			"DROP TRIGGER IF EXISTS audit_entries_stay_delete", "DROP TRIGGER IF EXISTS audit_heads_stay_delete",
		}
	}
	admin := raw(t, dsn)
	for _, statement := range off {
		_, err := admin.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	tx, err := admin.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	for _, statement := range statements {
		result, err := tx.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
		changed, err := result.RowsAffected()
		require.NoError(t, err)
		require.EqualValues(t, 1, changed, statement)
	}
	require.NoError(t, tx.Commit())
}

// TestAuditIsAppendOnly proves that the schema alone, without any code of ours,
// refuses to take entries away or to give them another place or hash.
func TestAuditIsAppendOnly(t *testing.T) {
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		chains(t, db)
		for _, statement := range []string{
			"DELETE FROM audit_entries WHERE chain = '630102' AND seq = 6",
			"DELETE FROM audit_entries WHERE chain = '630102' AND seq = 2",
			"DELETE FROM audit_entries",
			"UPDATE audit_entries SET operator = 'other' WHERE chain = '630102' AND seq = 6",
			"DELETE FROM audit_heads WHERE chain = '630102'",
			"UPDATE audit_entries SET hash = prev_hash WHERE chain = '630102' AND seq = 4",
			"UPDATE audit_entries SET seq = 7, prev_seq = 6 WHERE chain = '630102' AND seq = 6",
			"UPDATE audit_entries SET chain = '632801' WHERE chain = '632723' AND seq = 1",
			"UPDATE audit_heads SET seq = 5 WHERE chain = '630102'",
			"INSERT INTO audit_entries SELECT chain, 9, at, operator, workstation, place, action, subject, detail, 8, hash, hash FROM audit_entries WHERE chain = '630102' AND seq = 6",
			"INSERT INTO audit_entries SELECT chain, 9, at, operator, workstation, place, action, subject, detail, NULL, hash, hash FROM audit_entries WHERE chain = '630102' AND seq = 6",
		} {
			err := db.InTx(t.Context(), clerk, func(tx *registry.Tx) error { return tx.DB().Exec(statement).Error })
			require.ErrorIs(t, err, registry.ErrConflict, statement)
		}
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

// TestAuditOfEveryChain: a break in one prefecture does not hide one in another.
func TestAuditOfEveryChain(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		db := registrytest.Open(t, registrytest.Config(dsn, registrytest.NewClock()))
		chains(t, db)
		tamper(t, dsn, []string{
			"UPDATE audit_entries SET operator = 'x' WHERE chain = '630102' AND seq = 5",
			"UPDATE audit_entries SET operator = 'x' WHERE chain = '632723' AND seq = 2",
		})
		require.EqualError(t, db.VerifyAudit(t.Context()),
			"审计记录被改动 audit entry altered (630102/5)\n审计记录被改动 audit entry altered (632723/2)")
	})
}

// TestAuditNeedsTheKey: a whole chain computed anew, hashes and all, under other
// keys fails at its head.
func TestAuditNeedsTheKey(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		config := registrytest.Config(dsn, registrytest.NewClock())
		db := registrytest.Open(t, config)
		chains(t, db)
		forger := config
		forger.Vault = forged{registrytest.Vault{}}
		require.NoError(t, registrytest.Open(t, forger).InTx(t.Context(), clerk, note))
		err := db.VerifyAudit(t.Context())
		require.ErrorIs(t, err, audit.ErrHead)
	})
}

// forged is a Vault that knows everything but the key of the audit heads.
type forged struct{ registrytest.Vault }

func (f forged) Index(ctx context.Context, version int, purpose string, value []byte) ([]byte, error) {
	if purpose == "audit-head" {
		return registrytest.Vault{Salt: "guess"}.Index(ctx, version, purpose, value)
	}
	return f.Vault.Index(ctx, version, purpose, value)
}
