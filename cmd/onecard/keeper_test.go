package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/keys"
	"onecard/keys/remote"
)

// keeping serves the keys of a trial from what stands for another process, and
// returns what ends it.
func keeping(t *testing.T, keeper *keys.Keeper, socket string) (stop func()) {
	t.Helper()
	listener, err := remote.Listen(socket, 0o600, -1)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	server := &remote.Server{Backend: keeper, Callers: []uint32{uint32(os.Getuid())}, Logger: slog.New(slog.DiscardHandler)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	return func() {
		cancel()
		require.NoError(t, <-ended)
		_ = listener.Close()
	}
}

// TestKeeperProcess: with the keeper in another process the platform needs no
// key file; when the keeper goes it says so, and when it comes back the same
// platform works again.
func TestKeeperProcess(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	c := prepared(t, s)
	here, err := load("", none, s.given())
	require.NoError(t, err)
	keeper, err := openKeeper(here)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(filepath.Join(*s.Data, "keys")))
	dir, err := os.MkdirTemp("", "keeper")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s.Socket = new(filepath.Join(dir, "socket"))

	listen := "127.0.0.1:0"
	out, _ := terminalWith("")
	err = (&serveCommand{settings: s, Listen: &listen}).Run(t.Context(), out)
	require.ErrorIs(t, err, remote.ErrUnreachable)
	require.Contains(t, explain(err), "keeper serve")
	require.Contains(t, explain(err), *s.Socket)

	stop := keeping(t, keeper, *s.Socket)
	address, end := serving(t, s)
	c.URL = address
	api, err := client.Dial(c)
	require.NoError(t, err)
	signed, err := api.SignInWithResponse(t.Context(), client.SignIn{Login: "zhangying", Password: "Zhangying-2026"})
	require.NoError(t, err)
	require.NotNil(t, signed.JSON200, string(signed.Body))
	bearer := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+signed.JSON200.Token)
		return nil
	}
	find := func() *client.FindPersonsResponse {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		found, err := api.FindPersonsWithResponse(ctx, &client.FindPersonsParams{Name: new("扎西·多杰")}, bearer)
		require.NoError(t, err)
		return found
	}
	require.Len(t, find().JSON200.Persons, 1)
	stop()
	gone := find()
	require.Equal(t, http.StatusServiceUnavailable, gone.StatusCode(), string(gone.Body))
	require.Equal(t, "keeper-gone", gone.ApplicationproblemJSONDefault.Code)
	require.Equal(t, "密钥保管进程暂时连接不上", gone.ApplicationproblemJSONDefault.Title)
	stop = keeping(t, keeper, *s.Socket)
	require.Len(t, find().JSON200.Persons, 1)
	require.NoError(t, end())
	stop()
}

func TestKeeperSettings(t *testing.T) {
	t.Parallel()
	production := map[string]any{"database": "postgres://host/x", "keeper.socket": "/run/keeper/socket"}
	c, err := load("", func() []string { return []string{"ONECARD_KEEPER_USER=root"} }, production)
	require.NoError(t, err, "production, without software keys in this process")
	require.Equal(t, keeper{Socket: "/run/keeper/socket", User: "root"}, c.Keeper)
	require.Empty(t, c.KEK)
	owner, err := c.Keeper.owner()
	require.NoError(t, err)
	require.Zero(t, owner)
	owner, err = keeper{}.owner()
	require.NoError(t, err)
	require.Equal(t, uint32(os.Getuid()), owner)

	for name, wrong := range map[string]map[string]any{
		"keeper.socket": {"trial": true, "keeper.socket": "x", "kek": "y"},
		"keeper.user":   {"trial": true, "keeper.user": "nobody of that name"},
	} {
		_, err := load("", none, wrong)
		require.ErrorIs(t, err, errSetting)
		require.ErrorContains(t, err, name)
	}
	_, err = load("", none, map[string]any{"trial": true, "keeper.sokket": "x"})
	require.ErrorIs(t, err, errUnknownSetting)
	require.ErrorContains(t, err, "keeper.sokket")
	_, err = load("", none, map[string]any{"database": "postgres://host/x"})
	require.ErrorContains(t, err, "--keeper-socket")
}
