package keys_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// The end of a data key: refused while it is used or new, then retired, then
// destroyed after a day; what it sealed does not open any more.
func TestRetireAndDestroy(t *testing.T) {
	t.Parallel()
	keeper, reopen, turn := changeover(t)
	used := func(context.Context, int) error { return keys.ErrInUse }
	unused := func(context.Context, int) error { return nil }
	sealed, err := keeper.Seal(t.Context(), nil, []byte("x"))
	require.NoError(t, err)
	require.ErrorIs(t, keeper.Retire(t.Context(), keys.DataKey, 1, unused), keys.ErrInUse, "new data gets it")
	_, err = keeper.Rotate(keys.DataKey)
	require.NoError(t, err)
	require.ErrorIs(t, keeper.Retire(t.Context(), keys.DataKey, 1, used), keys.ErrInUse)
	require.ErrorIs(t, keeper.Destroy(t.Context(), keys.DataKey, 1, unused), keys.ErrInUse, "not retired")
	_, err = keeper.Open(t.Context(), nil, sealed)
	require.NoError(t, err)

	require.NoError(t, keeper.Retire(t.Context(), keys.DataKey, 1, unused))
	_, err = reopen().Open(t.Context(), nil, sealed)
	require.ErrorIs(t, err, keys.ErrRetired)
	require.ErrorIs(t, keeper.Destroy(t.Context(), keys.DataKey, 1, unused), keys.ErrInUse, "retired today")
	require.NoError(t, keeper.SetLife(keys.DataKey, 1, keys.Life{Status: keys.Field}), "taken back")
	_, err = keeper.Open(t.Context(), nil, sealed)
	require.NoError(t, err)

	require.NoError(t, keeper.Retire(t.Context(), keys.DataKey, 1, unused))
	turn(keys.DestroyAfter)
	require.ErrorIs(t, keeper.Destroy(t.Context(), keys.DataKey, 1, used), keys.ErrInUse)
	require.NoError(t, keeper.Destroy(t.Context(), keys.DataKey, 1, unused))
	require.ErrorIs(t, keeper.Destroy(t.Context(), keys.DataKey, 1, unused), keys.ErrNoKey)
	for _, k := range []*keys.Keeper{keeper, reopen()} {
		_, err = k.Open(t.Context(), nil, sealed)
		require.ErrorIs(t, err, keys.ErrNoKey)
		again, err := k.Seal(t.Context(), nil, []byte("y"))
		require.NoError(t, err)
		require.Equal(t, 2, keys.SealedVersion(again))
	}
	version, err := keeper.Rotate(keys.DataKey)
	require.NoError(t, err)
	require.Equal(t, 3, version, "a number is never given again")
}

// A keeper that serves sees a new version that another process made.
func TestRefresh(t *testing.T) {
	t.Parallel()
	keeper, reopen, _ := changeover(t)
	other := reopen()
	_, err := other.Rotate(keys.DataKey)
	require.NoError(t, err)
	sealed, err := other.Seal(t.Context(), nil, []byte("x"))
	require.NoError(t, err)
	_, err = keeper.Open(t.Context(), nil, sealed)
	require.NoError(t, err, "at once")
	_, err = other.Rotate(keys.DataKey)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		current, err := keeper.Current(keys.DataKey)
		return err == nil && current == 3
	}, 5*time.Second, 50*time.Millisecond)
	current, err := keeper.Current(keys.DataKey)
	require.NoError(t, err)
	require.Equal(t, 3, current)
	_, err = keeper.Rotate(keys.DataKey)
	require.NoError(t, err, "it knows the file as it is")
}

// The key of blind indexes ends in the same way; other keys do not.
func TestDestroyIndex(t *testing.T) {
	t.Parallel()
	keeper, reopen, turn := changeover(t)
	unused := func(context.Context, int) error { return nil }
	first, err := keeper.Index(t.Context(), 1, "column", []byte("x"))
	require.NoError(t, err)
	require.ErrorIs(t, keeper.Retire(t.Context(), keys.IndexKey, 1, unused), keys.ErrInUse, "the only one")
	_, err = keeper.Rotate(keys.IndexKey)
	require.NoError(t, err)
	still, err := reopen().Index(t.Context(), 1, "column", []byte("x"))
	require.NoError(t, err)
	require.Equal(t, first, still)
	require.ErrorIs(t, keeper.Retire(t.Context(), "IRK", 1, unused), keys.ErrWrongUsage)

	require.NoError(t, keeper.Retire(t.Context(), keys.IndexKey, 1, unused))
	_, err = reopen().Index(t.Context(), 1, "column", []byte("x"))
	require.ErrorIs(t, err, keys.ErrRetired)
	require.NoError(t, keeper.SetLife(keys.IndexKey, 1, keys.Life{}), "taken back")
	require.NoError(t, keeper.Retire(t.Context(), keys.IndexKey, 1, unused))
	turn(keys.DestroyAfter)
	require.NoError(t, keeper.Destroy(t.Context(), keys.IndexKey, 1, unused))
	_, err = reopen().Index(t.Context(), 1, "column", []byte("x"))
	require.ErrorIs(t, err, keys.ErrNoKey)
}
