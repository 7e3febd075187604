package main

import (
	"context"
	"database/sql"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/keys"
)

// TestKeysReseal changes the data key while the platform serves: a new version,
// everything sealed anew, the old version retired; each step too early is
// refused.
func TestKeysReseal(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	c := prepared(t, s)
	address, stop := serving(t, s)
	c.URL = address
	api, err := client.Dial(c)
	require.NoError(t, err)
	signed, err := api.SignInWithResponse(t.Context(), client.SignIn{Login: "zhangying", Password: "Zhangying-2026"})
	require.NoError(t, err)
	require.NotNil(t, signed.JSON200, string(signed.Body))
	found := func() {
		answer, err := api.FindPersonsWithResponse(t.Context(), &client.FindPersonsParams{Name: new("扎西·多杰")}, func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+signed.JSON200.Token)
			return nil
		})
		require.NoError(t, err)
		require.NotNil(t, answer.JSON200, string(answer.Body))
		require.Len(t, answer.JSON200.Persons, 1)
	}
	found()
	retire := &keysLifeCommand{settings: s, Name: keys.DataKey, Version: 1, Status: "retired"}
	destroy := &keysDestroyCommand{settings: s, Version: 1}
	out, printed := terminalWith("")
	require.ErrorIs(t, retire.Run(t.Context(), out), keys.ErrInUse, "the only one")
	require.NoError(t, (&keysRotateCommand{settings: s, Name: keys.DataKey}).Run(t.Context(), out))
	require.ErrorIs(t, retire.Run(t.Context(), out), keys.ErrInUse, "before the run")
	require.ErrorIs(t, destroy.Run(t.Context(), out), keys.ErrInUse)
	require.NoError(t, (&keysResealCommand{settings: s, Batch: 7}).Run(t.Context(), out))
	require.Contains(t, printed.String(), "旧密钥下已无数据")
	found()
	require.NoError(t, retire.Run(t.Context(), out))
	require.ErrorIs(t, destroy.Run(t.Context(), out), keys.ErrInUse, "retired today")
	found()
	require.NoError(t, stop())
	trail := audited(t, s)
	require.Contains(t, trail, "keys.resealed key:DATA")
	require.Contains(t, trail, "keys.destroy.failed key:DATA")
	require.NoError(t, (&auditVerifyCommand{settings: s}).Run(t.Context(), out))
}

func TestInventoryCommand(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	out, printed := terminalWith("")
	require.NoError(t, (&keysInitCommand{settings: s}).Run(out))
	require.NoError(t, (&inventoryCommand{settings: s}).Run(t.Context(), out))
	require.Contains(t, printed.String(), "| persons | 参保人员")
	printed.Reset()
	require.NoError(t, (&inventoryCommand{settings: s, CSV: true}).Run(t.Context(), out))
	require.Contains(t, printed.String(), "production,persons,phone_sealed,contact,sealed,")

	db, err := sql.Open("sqlite", "file:"+filepath.Join(*s.Data, "onecard.db"))
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "ALTER TABLE operator_roles ADD COLUMN nickname TEXT")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.ErrorContains(t, (&inventoryCommand{settings: s}).Run(t.Context(), out), "production operator_roles.nickname: 未分类")
}
