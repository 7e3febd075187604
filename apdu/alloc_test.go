package apdu_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
)

// usual are the commands of a reading: each of the four cases.
var usual = []apdu.Command{
	{INS: 0xA4, P1: 4, Data: []byte("sx1.sh.\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF"), Ne: 256},
	{INS: 0xB2, P1: 1, P2: 0x34, Ne: 20},
	{INS: 0x82, P2: 0x0A, Data: bytes.Repeat([]byte{0xAB}, 16)},
	{CLA: 0x84, INS: 0x1E},
}

// same is a chip that always answers the same, out of the same memory.
type same []byte

func (s same) Transmit(context.Context, []byte) ([]byte, error) { return s, nil }

// codec codes and decodes a command and a response in memory of the caller's.
func codec(tb testing.TB) func() {
	buffer, answer := make([]byte, 0, 64), append(bytes.Repeat([]byte{0xCD}, 20), 0x90, 0x00)
	return func() {
		for _, c := range usual {
			coded, err := c.AppendTo(buffer[:0])
			if err != nil {
				tb.Fatal(err)
			}
			back, err := apdu.ViewCommand(coded)
			if err != nil || back.Ne != c.Ne || !bytes.Equal(back.Data, c.Data) {
				tb.Fatal(err, back)
			}
			r, err := apdu.ViewResponse(answer)
			if err != nil || !bytes.Equal(r.AppendTo(buffer[:0]), answer) {
				tb.Fatal(err, r)
			}
		}
	}
}

// exchanges sends the usual commands over a channel.
func exchanges(tb testing.TB) func() {
	channel := apdu.NewChannel(same(append(bytes.Repeat([]byte{0xCD}, 20), 0x90, 0x00)))
	return func() {
		for _, c := range usual {
			if r, err := channel.Send(tb.Context(), c); err != nil || r.SW != apdu.OK || len(r.Data) != 20 {
				tb.Fatal(err, r)
			}
		}
	}
}

// TestNoAllocation: what every exchange goes through takes no memory.
func TestNoAllocation(t *testing.T) {
	for name, run := range map[string]func(){"codec": codec(t), "channel": exchanges(t)} {
		require.Zero(t, testing.AllocsPerRun(100, run), name)
	}
}

// TestViewIsNoCopy: the data of a view are the caller's bytes, and what is
// appended to them does not run into what follows.
func TestViewIsNoCopy(t *testing.T) {
	t.Parallel()
	command := unhex(t, "00A40400 02 A1A2 05")
	c, err := apdu.ViewCommand(command)
	require.NoError(t, err)
	answer := unhex(t, "B1B2 9000")
	r, err := apdu.ViewResponse(answer)
	require.NoError(t, err)
	_, _ = append(c.Data, 0xFF), append(r.Data, 0xFF)
	require.Equal(t, unhex(t, "00A40400 02 A1A2 05"), command)
	require.Equal(t, unhex(t, "B1B2 9000"), answer)
	command[5], answer[0] = 0xEE, 0xEE
	require.Equal(t, []byte{0xEE, 0xA2}, c.Data)
	require.Equal(t, []byte{0xEE, 0xB2}, r.Data)
}

// TestAppendTo: it is appended, and nothing on refusal.
func TestAppendTo(t *testing.T) {
	t.Parallel()
	coded, err := apdu.Command{INS: 0x84, Ne: 8}.AppendTo([]byte{0xAA})
	require.NoError(t, err)
	require.Equal(t, unhex(t, "AA 00840000 08"), coded)
	_, err = apdu.Command{Ne: -1}.AppendTo([]byte{0xAA})
	require.ErrorIs(t, err, apdu.ErrMalformed)
	require.Equal(t, unhex(t, "AA 01 9000"), apdu.Response{Data: []byte{1}, SW: apdu.OK}.AppendTo([]byte{0xAA}))
}

// TestChannelForgets: a PIN does not stay in the memory in which a command was
// coded.
func TestChannelForgets(t *testing.T) {
	t.Parallel()
	var sent []byte
	channel := apdu.NewChannel(transmit(func(command []byte) ([]byte, error) {
		sent = command
		require.Equal(t, unhex(t, "00200000 03 123456"), command)
		return []byte{0x90, 0}, nil
	}))
	_, err := channel.Send(t.Context(), apdu.Command{INS: 0x20, Data: []byte{0x12, 0x34, 0x56}})
	require.NoError(t, err)
	require.Equal(t, make([]byte, 8), sent)
}

func BenchmarkCodec(b *testing.B) {
	run := codec(b)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}

func BenchmarkChannel(b *testing.B) {
	run := exchanges(b)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}
