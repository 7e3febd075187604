package card_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/keys"
)

// faraway is a keeper in another process: it counts the ways to it.
type faraway struct {
	*keys.Keeper
	ways *int
	lose int // data fields that are lost on the way
}

func (f faraway) DirectMAC(ctx context.Context, key card.Key, iv, message []byte) ([]byte, error) {
	*f.ways++
	return f.Keeper.DirectMAC(ctx, key, iv, message)
}

func (f faraway) WrapKeys(ctx context.Context, under card.Key, loads []card.KeyLoad, iv []byte) ([][]byte, []byte, error) {
	*f.ways++
	if len(loads) == 0 {
		return nil, nil, errNothing
	}
	data, next, err := keys.WrapChain(ctx, f.Keeper, under, loads, iv)
	return data[:len(data)-f.lose], next, err
}

var errNothing = errors.New("no keys to wrap")

// A card that has the new keys already needs none from the keeper.
func TestRekeyWithNothingToLoad(t *testing.T) {
	t.Parallel()
	v := newProvince(t)
	socket := v.made(t, 0xC1)
	atr := socket.Chip.PowerOn()
	responses, err := card.Run(t.Context(), apdu.NewChannel(socket), card.Opening(v.profile, 16), nil)
	require.NoError(t, err)
	id, err := card.Identify(v.profile, atr, responses)
	require.NoError(t, err)
	operation, err := card.NewRekey(v.profile, id, 1)
	require.NoError(t, err)
	ways := 0
	script, err := operation.Next(t.Context(), faraway{v.keeper, &ways, 0}, card.Input{})
	require.NoError(t, err)
	require.NotEmpty(t, script.Steps, "it still proves itself")
	require.Zero(t, ways)
}

// All keys of a card are wrapped on one way to the keeper, to the same script.
func TestKeysInOneWay(t *testing.T) {
	t.Parallel()
	v := newProvince(t)
	socket := &chip.Socket{Chip: v.blank(t, 7)}
	atr := socket.Chip.PowerOn()
	responses, err := card.Run(t.Context(), apdu.NewChannel(socket), card.Opening(v.profile, 16), nil)
	require.NoError(t, err)
	first := func(keeper card.Keeper) (string, error) {
		id, err := card.Identify(v.profile, atr, responses)
		require.NoError(t, err)
		operation, err := card.NewPersonalise(v.profile, id, contents(t, "扎西"), 1)
		require.NoError(t, err)
		script, err := operation.Next(t.Context(), keeper, card.Input{})
		if err != nil {
			return "", err
		}
		require.Greater(t, len(script.Steps), 40)
		text, err := json.Marshal(script)
		require.NoError(t, err)
		return hex.EncodeToString(text), nil
	}
	here, err := first(v.keeper)
	require.NoError(t, err)
	ways := 0
	there, err := first(faraway{v.keeper, &ways, 0})
	require.NoError(t, err)
	require.Equal(t, here, there)
	require.Equal(t, 2, ways, "the check code, and the keys")
	_, err = first(faraway{v.keeper, &ways, 1})
	require.ErrorContains(t, err, "data fields")
}
