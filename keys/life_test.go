package keys_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// changeover is a keeper with two versions of IRK and a clock to turn.
func changeover(t *testing.T) (keeper *keys.Keeper, reopen func() *keys.Keeper, turn func(time.Duration)) {
	t.Helper()
	var passed atomic.Int64
	clock := func() time.Time { return morning().Add(time.Duration(passed.Load())) }
	kek := newKEK(t)
	path := t.TempDir() + "/keys.json"
	keeper, err := keys.Create(path, kek, []keys.Spec{
		{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.SM4},
		{Name: keys.DataKey, Usage: keys.FieldEncryption, Algorithm: keys.SM4},
		{Name: keys.IndexKey, Usage: keys.BlindIndex, Algorithm: keys.HMACSM3},
	}, keys.WithClock(clock))
	require.NoError(t, err)
	_, err = keeper.Rotate("IRK")
	require.NoError(t, err)
	return keeper, func() *keys.Keeper {
		again, err := keys.Open(path, kek, keys.WithClock(clock))
		require.NoError(t, err)
		return again
	}, func(d time.Duration) { passed.Add(int64(d)) }
}

// computes tells whether a version of IRK still computes.
func computes(ctx context.Context, keeper *keys.Keeper, version int) error {
	_, err := keeper.Cryptogram(ctx, keys.Key{Name: "IRK", Version: version}, make([]byte, 8), make([]byte, 8))
	return err
}

// A planned changeover: the new version waits for its day, then new cards get
// it; the old one serves cards in the field until its last day.
func TestChangeover(t *testing.T) {
	t.Parallel()
	keeper, reopen, turn := changeover(t)
	const day = 24 * time.Hour
	require.NoError(t, keeper.SetLife("IRK", 2, keys.Life{From: morning().Add(day)}))
	require.NoError(t, keeper.SetLife("IRK", 1, keys.Life{Until: morning().Add(3 * day)}))

	for _, step := range []struct {
		wait    time.Duration
		current int
		first   error
	}{
		{0, 1, nil},
		{day - time.Minute, 1, nil},
		{time.Minute, 2, nil},
		{2 * day, 2, keys.ErrRetired},
	} {
		turn(step.wait)
		for _, k := range []*keys.Keeper{keeper, reopen()} {
			current, err := k.Current("IRK")
			require.NoError(t, err)
			require.Equal(t, step.current, current)
			require.ErrorIs(t, computes(t.Context(), k, 1), step.first)
			require.NoError(t, computes(t.Context(), k, 2))
			require.NoError(t, computes(t.Context(), k, 0), "the current one")
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	keeper, reopen, _ := changeover(t)
	require.NoError(t, keeper.SetLife("IRK", 2, keys.Life{Status: keys.Field}))
	current, err := reopen().Current("IRK")
	require.NoError(t, err)
	require.Equal(t, 1, current, "the new version was withdrawn from new cards")
	require.NoError(t, computes(t.Context(), keeper, 2))

	require.NoError(t, keeper.SetLife("IRK", 2, keys.Life{Status: keys.Retired}))
	again := reopen()
	err = computes(t.Context(), again, 2)
	require.ErrorIs(t, err, keys.ErrRetired)
	require.ErrorContains(t, err, `"IRK"`)
	require.ErrorContains(t, err, "version 2")
	require.NoError(t, computes(t.Context(), again, 1))
	_, _, err = again.CheckValue(t.Context(), keys.Key{Name: "IRK", Version: 2})
	require.NoError(t, err, "a retired key can still be told from others")

	require.NoError(t, keeper.SetLife("IRK", 1, keys.Life{Status: keys.Field}))
	_, err = keeper.Current("IRK")
	require.ErrorIs(t, err, keys.ErrNotActive)
	_, _, err = keeper.CheckValue(t.Context(), keys.Key{Name: "IRK"})
	require.NoError(t, err)

	require.NoError(t, keeper.SetLife("IRK", 2, keys.Life{}))
	current, err = keeper.Current("IRK")
	require.NoError(t, err)
	require.Equal(t, 2, current)
	var lives []keys.Life
	for _, info := range reopen().Keys() {
		lives = append(lives, info.Life)
	}
	require.Equal(t, []keys.Life{{}, {}, {Status: keys.Field}, {}}, lives)
}

func TestSetLifeRefuses(t *testing.T) {
	t.Parallel()
	keeper, reopen, _ := changeover(t)
	for name, c := range map[string]struct {
		key     string
		version int
		life    keys.Life
		want    error
	}{
		"no key":        {"STK", 1, keys.Life{}, keys.ErrNoKey},
		"no version":    {"IRK", 3, keys.Life{}, keys.ErrNoKey},
		"current":       {"IRK", 0, keys.Life{}, keys.ErrNoKey},
		"status":        {"IRK", 1, keys.Life{Status: "lost"}, keys.ErrInput},
		"dates":         {"IRK", 1, keys.Life{From: morning(), Until: morning()}, keys.ErrInput},
		"data retired":  {keys.DataKey, 1, keys.Life{Status: keys.Retired}, keys.ErrWrongUsage},
		"data until":    {keys.DataKey, 1, keys.Life{Until: morning()}, keys.ErrWrongUsage},
		"index":         {keys.IndexKey, 1, keys.Life{Status: keys.Field}, keys.ErrWrongUsage},
		"index later":   {keys.IndexKey, 1, keys.Life{From: morning()}, keys.ErrWrongUsage},
		"index retired": {keys.IndexKey, 1, keys.Life{Status: keys.Retired}, keys.ErrWrongUsage},
		"only data key": {keys.DataKey, 1, keys.Life{Status: keys.Field}, keys.ErrNotActive},
		"data later":    {keys.DataKey, 1, keys.Life{From: morning().Add(time.Hour)}, keys.ErrNotActive},
	} {
		require.ErrorIs(t, keeper.SetLife(c.key, c.version, c.life), c.want, name)
	}
	require.Equal(t, keeper.Keys(), reopen().Keys())
	sealed, err := keeper.Seal(t.Context(), nil, []byte("x"))
	require.NoError(t, err)
	_, err = keeper.Rotate(keys.DataKey)
	require.NoError(t, err)
	require.NoError(t, keeper.SetLife(keys.DataKey, 1, keys.Life{Status: keys.Field}))
	opened, err := reopen().Open(t.Context(), nil, sealed)
	require.NoError(t, err, "old data stays readable")
	require.Equal(t, []byte("x"), opened)
}
