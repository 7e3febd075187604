package main

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/keys"
)

// finder signs in and returns what looks for one resident of the sample by name.
func finder(t *testing.T, c client.Config) func() error {
	t.Helper()
	api, err := client.Dial(c)
	require.NoError(t, err)
	signed, err := api.SignInWithResponse(t.Context(), client.SignIn{Login: "zhangying", Password: "Zhangying-2026"})
	require.NoError(t, err)
	require.NotNil(t, signed.JSON200, string(signed.Body))
	return func() error {
		answer, err := api.FindPersonsWithResponse(t.Context(), &client.FindPersonsParams{Name: new("扎西·多杰")}, func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+signed.JSON200.Token)
			return nil
		})
		if err != nil || answer.JSON200 == nil || len(answer.JSON200.Persons) != 1 {
			return errors.Join(err, errors.New("not found"))
		}
		return nil
	}
}

// TestKeysReseal changes the data key while the platform serves: a new version,
// everything sealed anew, the old version retired; each step too early is
// refused.
func TestKeysReseal(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	c := prepared(t, s)
	address, stop := serving(t, s)
	c.URL = address
	finds := finder(t, c)
	found := func() { require.NoError(t, finds()) }
	found()
	retire := &keysLifeCommand{settings: s, Name: keys.DataKey, Version: 1, Status: "retired"}
	destroy := &keysDestroyCommand{settings: s, Name: keys.DataKey, Version: 1}
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

// TestKeysReindex changes the key of blind indexes while the platform serves: who
// was registered is found at every moment, and the old version stays for what
// keeps it.
func TestKeysReindex(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	c := prepared(t, s)
	address, stop := serving(t, s)
	c.URL = address
	found := finder(t, c)
	require.NoError(t, found())
	looking, end := make(chan error, 1), make(chan struct{})
	go func() {
		for {
			select {
			case <-end:
				looking <- nil
				return
			case <-time.After(100 * time.Millisecond):
			}
			if err := found(); err != nil {
				looking <- err
				return
			}
		}
	}()
	out, printed := terminalWith("")
	reindex := &keysReindexCommand{settings: s, Version: 2, Batch: 7}
	require.ErrorIs(t, reindex.Run(t.Context(), out), keys.ErrNoKey, "before there is one")
	require.ErrorIs(t, (&keysRotateCommand{settings: s, Name: keys.IndexKey, From: time.Now()}).Run(t.Context(), out), keys.ErrWrongUsage)
	require.NoError(t, (&keysRotateCommand{settings: s, Name: keys.IndexKey}).Run(t.Context(), out))
	require.Contains(t, printed.String(), "keys reindex 2")
	require.NoError(t, reindex.Run(t.Context(), out))
	require.Contains(t, printed.String(), "已全部换到版本 2")
	retire := &keysLifeCommand{settings: s, Name: keys.IndexKey, Version: 1, Status: "retired"}
	require.ErrorContains(t, retire.Run(t.Context(), out), "applications.holder_index")
	require.ErrorIs(t, (&keysDestroyCommand{settings: s, Name: keys.IndexKey, Version: 1}).Run(t.Context(), out), keys.ErrInUse)
	close(end)
	require.NoError(t, <-looking)
	require.NoError(t, found())
	require.NoError(t, stop())
	require.Contains(t, audited(t, s), "keys.reindexed key:INDEX")
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
