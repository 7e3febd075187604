package apdu_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
)

// replay returns a channel over a transcript.
func replay(t *testing.T, transcript string) (*apdu.Channel, *apdu.Replayer) {
	t.Helper()
	exchanges, err := apdu.ParseTranscript(strings.NewReader(transcript))
	require.NoError(t, err)
	player := apdu.NewReplayer(exchanges)
	return apdu.NewChannel(player), player
}

// TestChannel: what a chip does with its answer is hidden from the caller.
func TestChannel(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		command    apdu.Command
		transcript string
		want       apdu.Response
	}{
		"plain": {
			apdu.Command{INS: 0x84, Ne: 4},
			"> 00840000 04\n< 01020304 9000\n",
			apdu.Response{Data: []byte{1, 2, 3, 4}, SW: apdu.OK},
		},
		"response waiting": {
			apdu.Command{INS: 0xA4, P1: 4, Data: []byte{0xA0}, Ne: 256},
			"> 00A40400 01 A0 00\n< 6103\n> 00C00000 03\n< 010203 9000\n",
			apdu.Response{Data: []byte{1, 2, 3}, SW: apdu.OK},
		},
		"response in parts, the first with data": {
			apdu.Command{INS: 0xB0, Ne: 256},
			"> 00B00000 00\n< 01 6101\n> 00C00000 01\n< 02 6100\n> 00C00000 00\n< 03 9000\n",
			apdu.Response{Data: []byte{1, 2, 3}, SW: apdu.OK},
		},
		"the channel of the class stays": {
			apdu.Command{CLA: 0x82, INS: 0x32, Ne: 256},
			"> 82320000 00\n< 6101\n> 02C00000 01\n< 07 9000\n",
			apdu.Response{Data: []byte{7}, SW: apdu.OK},
		},
		"wrong length": {
			apdu.Command{INS: 0xB2, P1: 1, P2: 4, Ne: 256},
			"> 00B20104 00\n< 6C02\n> 00B20104 02\n< 0102 9000\n",
			apdu.Response{Data: []byte{1, 2}, SW: apdu.OK},
		},
		"wrong length, then response waiting": {
			apdu.Command{INS: 0xB2, P1: 1, P2: 4, Ne: 10},
			"> 00B20104 0A\n< 6C02\n> 00B20104 02\n< 6102\n> 00C00000 02\n< 0102 9000\n",
			apdu.Response{Data: []byte{1, 2}, SW: apdu.OK},
		},
		"wrong length while it is fetched": {
			apdu.Command{INS: 0xA4, P1: 4, Data: []byte{0xA0}, Ne: 256},
			"> 00A40400 01 A0 00\n< 6100\n> 00C00000 00\n< 6C03\n> 00C00000 03\n< 010203 9000\n",
			apdu.Response{Data: []byte{1, 2, 3}, SW: apdu.OK},
		},
		"wrong length twice is the answer": {
			apdu.Command{INS: 0xB2, Ne: 1},
			"> 00B20000 01\n< 6C02\n> 00B20000 02\n< 6C03\n",
			apdu.Response{SW: 0x6C03},
		},
		"refusal": {
			apdu.Command{INS: 0x20, Data: []byte{1}},
			"> 00200000 01 01\n< 63C2\n",
			apdu.Response{SW: 0x63C2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			channel, player := replay(t, test.transcript)
			got, err := channel.Send(t.Context(), test.command)
			require.NoError(t, err)
			require.Equal(t, test.want.SW, got.SW)
			require.True(t, bytes.Equal(test.want.Data, got.Data), "%X", got.Data)
			require.NoError(t, player.Done())
		})
	}
}

// TestChaining: a long command goes in parts, or whole where the chip takes
// extended ones; a part that is refused ends it.
func TestChaining(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte{0xAB}, 600)
	part := func(n int) string { return strings.Repeat("AB", n) }
	command := apdu.Command{CLA: 0x84, INS: 0xD4, Data: data, Ne: 300}

	channel, player := replay(t, "> 94D40000 FF "+part(255)+"\n< 9000\n> 94D40000 FF "+part(255)+"\n< 9000\n> 84D40000 5A "+part(90)+" 00\n< 01 9000\n")
	r, err := channel.Send(t.Context(), command)
	require.NoError(t, err)
	require.Equal(t, apdu.Response{Data: []byte{1}, SW: apdu.OK}, r)
	require.NoError(t, player.Done())

	channel, player = replay(t, "> 94D40000 FF "+part(255)+"\n< 6700\n")
	r, err = channel.Send(t.Context(), command)
	require.NoError(t, err)
	require.ErrorIs(t, r.Err(), apdu.ErrLength)
	require.NoError(t, player.Done())

	channel, player = replay(t, "> 84D40000 00 0258 "+part(600)+" 012C\n< 9000\n")
	channel.Extended = true
	_, err = channel.Send(t.Context(), command)
	require.NoError(t, err)
	require.NoError(t, player.Done())
}

// transmit is a chip made of a function.
type transmit func(command []byte) ([]byte, error)

func (f transmit) Transmit(_ context.Context, command []byte) ([]byte, error) { return f(command) }

func TestChannelErrors(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	for name, test := range map[string]struct {
		chip transmit
		want error
	}{
		"no answer":             {func([]byte) ([]byte, error) { return nil, gone }, gone},
		"answer without status": {func([]byte) ([]byte, error) { return []byte{0x90}, nil }, apdu.ErrMalformed},
		"answer without an end": {func([]byte) ([]byte, error) { return []byte{1, 0x61, 0x01}, nil }, apdu.ErrMalformed},
		"gone while it is fetched": {func(c []byte) ([]byte, error) {
			if c[1] == 0xC0 {
				return nil, gone
			}
			return []byte{0x61, 0x01}, nil
		}, gone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := apdu.NewChannel(test.chip).Send(t.Context(), apdu.Command{INS: 0xB0, Ne: 1})
			require.ErrorIs(t, err, test.want)
		})
	}
	_, err := apdu.NewChannel(transmit(nil)).Send(t.Context(), apdu.Command{Ne: -1})
	require.ErrorIs(t, err, apdu.ErrMalformed)
}

// TestChannelBounds: whatever a chip says, a command takes few APDUs, little
// memory, and is sent once where it wants no answer.
func TestChannelBounds(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	full := make([]byte, apdu.MaxShortNe)
	verify := apdu.Command{INS: 0x20, Data: []byte{0x12, 0x34, 0x56}}
	read := apdu.Command{INS: 0xB2, P1: 1, P2: 4, Ne: 16}
	for name, test := range map[string]struct {
		ctx     context.Context
		command apdu.Command
		answer  []byte
		most    int // APDUs
		want    error
		sw      apdu.SW
	}{
		"more for ever":            {t.Context(), read, append(full, 0x61, 0x00), 33, apdu.ErrMalformed, 0},
		"more that never comes":    {t.Context(), read, []byte{0x61, 0x10}, 2, apdu.ErrMalformed, 0},
		"another length for ever":  {t.Context(), read, []byte{0x6C, 0x10}, 2, nil, 0x6C10},
		"VERIFY is not sent again": {t.Context(), verify, []byte{0x6C, 0x03}, 1, nil, 0x6C03},
		"64 KB":                    {t.Context(), read, make([]byte, 1<<16), 1, apdu.ErrMalformed, 0},
		"one byte too many":        {t.Context(), read, append(full, 0, 0x90, 0x00), 1, apdu.ErrMalformed, 0},
		"nobody waits any more":    {ended, read, []byte{0x90, 0x00}, 0, context.Canceled, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := 0
			r, err := apdu.NewChannel(transmit(func([]byte) ([]byte, error) {
				sent++
				return test.answer, nil
			})).Send(test.ctx, test.command)
			require.ErrorIs(t, err, test.want)
			require.Equal(t, test.sw, r.SW)
			require.Equal(t, test.most, sent)
		})
	}
}
