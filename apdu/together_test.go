package apdu_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
)

// batching is a chip that takes commands together, and hangs up on work at the
// command with that number.
type batching struct {
	together, count, hang int
}

var errHung = errors.New("hung")

func (b *batching) Transmit(context.Context, []byte) ([]byte, error) {
	b.count++
	if b.count == b.hang {
		panic(errHung) // as Goexit: work goes no further
	}
	return []byte{0x90, 0}, nil
}

func (b *batching) Together(_ context.Context, work func(apdu.Transmitter) error) (err error) {
	b.together++
	defer func() {
		if recover() != nil {
			err = errHung
		}
	}()
	return work(b)
}

// TestTogether: a channel and a recorder pass the work on, and a chip that
// cannot take it so is sent the commands one by one.
func TestTogether(t *testing.T) {
	t.Parallel()
	verify := apdu.Command{INS: 0x20, Data: []byte{0x12, 0x34}}
	work := func(channel *apdu.Channel) error {
		require.True(t, channel.Extended)
		for _, c := range []apdu.Command{{INS: 0x84}, verify, {INS: 0x84}} {
			if _, err := channel.Send(t.Context(), c); err != nil {
				return err
			}
		}
		return errors.New("work's own")
	}
	for name, test := range map[string]struct {
		hang int
		says string
		want string
	}{
		"to the end":            {0, "work's own", "> 00840000\n< 9000\n> 0020000002....\n< 9000\n> 00840000\n< 9000\n"},
		"given up in the midst": {2, "hung", "> 00840000\n< 9000\n> 0020000002....\n# no answer\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chip := &batching{hang: test.hang}
			var out bytes.Buffer
			recorder := apdu.NewRecorder(chip, &out, nil)
			channel := apdu.NewChannel(recorder)
			channel.Extended = true
			require.EqualError(t, channel.Together(t.Context(), work), test.says)
			require.Equal(t, 1, chip.together)
			require.NoError(t, recorder.Err())
			require.Equal(t, test.want, out.String())
		})
	}
	channel := apdu.NewChannel(same{0x90, 0})
	channel.Extended = true
	require.EqualError(t, channel.Together(t.Context(), work), "work's own")
}
