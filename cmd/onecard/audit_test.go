package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAuditCommands: the log is exported and verified elsewhere with the
// certificate alone; a database that was set back to an earlier state is told
// by what the platform signed meanwhile.
func TestAuditCommands(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	prepared(t, s)
	export := filepath.Join(t.TempDir(), "export")
	out, printed := terminalWith("")
	require.NoError(t, (&auditExportCommand{settings: s, Out: export}).Run(t.Context(), out))
	elsewhere := settings{Data: new(t.TempDir())}
	certificate := filepath.Join(*s.Data, "pki", "ca.pem")
	verify := &auditVerifyCommand{settings: elsewhere, Export: export, Certificate: certificate}
	require.NoError(t, verify.Run(t.Context(), out))
	require.Contains(t, printed.String(), "审计记录完整")

	earlier, err := os.ReadFile(filepath.Join(*s.Data, "onecard.db"))
	require.NoError(t, err)
	add := &operatorAddCommand{settings: s, Login: "wangwu", Name: "王五", Roles: []string{"clerk"}, Institution: "O630102", Place: "630102"}
	password, _ := terminalWith("Chushi-Mima-1\n")
	require.NoError(t, add.Run(t.Context(), password))
	_, stop := serving(t, s)
	require.Eventually(t, func() bool {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(*s.Data, "onecard.db"))
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		kept := 0
		_ = db.QueryRowContext(t.Context(), "SELECT count(*) FROM audit_checkpoints").Scan(&kept) // busy: once more
		return kept > 0
	}, time.Minute, 100*time.Millisecond)
	require.NoError(t, stop())
	live := &auditVerifyCommand{settings: s, Anchor: []string{filepath.Join(export, "heads.jws")}}
	require.NoError(t, live.Run(t.Context(), out))

	require.NoError(t, os.WriteFile(filepath.Join(*s.Data, "onecard.db"), earlier, 0o600))
	for _, suffix := range []string{"-wal", "-shm"} {
		_ = os.Remove(filepath.Join(*s.Data, "onecard.db"+suffix))
	}
	printed.Reset()
	require.ErrorIs(t, live.Run(t.Context(), out), errAudit)
	require.Contains(t, printed.String(), "被截断")
}
