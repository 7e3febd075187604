package pcsc_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onecard/apdu/pcsc"
	"onecard/internal/rig"
)

// made inserts a card with an answer to reset and answers of the test's own.
func made(t testing.TB, slot int, image string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "made.card")
	require.NoError(t, os.WriteFile(file, []byte(image), 0o600))
	require.NoError(t, service.Insert(t.Context(), slot, file))
	t.Cleanup(func() { remove(t, slot) })
	noticed(t, slot, true)
}

// Answers tell in which form a command arrived: 01 as T=0 carries it, 02 as it
// was sent.
const forms = `"00A4040002AABB":"019000","00A4040002AABB00":"029000","0010000000":"019000","00100000":"029000","0084000008":"039000"`

// TestProtocols: what a card of each protocol is sent.
func TestProtocols(t *testing.T) {
	for slot, test := range []struct {
		name, atr string
		form      byte
	}{
		{"T=0", "3B00", 1},
		{"T=1", "3B800181", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			made(t, slot, `{"atr":"`+test.atr+`","answers":{`+forms+`}}`)
			card := connect(t, slot)
			for name, line := range map[string]struct {
				command []byte
				form    byte
			}{
				"case 1": {[]byte{0, 0x10, 0, 0}, test.form},
				"case 2": {[]byte{0, 0x84, 0, 0, 8}, 3},
				"case 3": {[]byte{0, 0xA4, 4, 0, 2, 0xAA, 0xBB}, 1},
				"case 4": {[]byte{0, 0xA4, 4, 0, 2, 0xAA, 0xBB, 0}, test.form},
			} {
				answer, err := card.Transmit(t.Context(), line.command)
				require.NoError(t, err, name)
				require.Equal(t, []byte{line.form, 0x90, 0x00}, answer, name)
			}
		})
	}
}

// TestMute: a card is there, and what it says is no answer to reset.
func TestMute(t *testing.T) {
	for _, atr := range []string{"FFFF", "00"} {
		made(t, 0, `{"atr":"`+atr+`","answers":{}}`)
		card, err := pcsc.Connect(t.Context(), rig.Readers[0])
		if err == nil {
			_, err = card.Transmit(t.Context(), challenge)
			require.NoError(t, card.Close())
		}
		require.ErrorIs(t, err, pcsc.ErrMute)
		remove(t, 0)
	}
}

// hang stops the cards in the middle of whatever they do until the function
// that it returns is called: a card that has hung.
func hang(t *testing.T) (release func()) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, path := range all {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(line, []byte(program+"\x00serve\x00--control\x00"+service.Control()+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
		// One of its threads takes the signal and stops the others, in its time.
		require.Eventually(t, func() bool { return stopped(t, filepath.Dir(path)) }, 10*time.Second, time.Millisecond)
		return func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
	}
	require.Fail(t, "cardsim is not there")
	return nil
}

// stopped says whether every thread of a process has stopped.
func stopped(t *testing.T, process string) bool {
	t.Helper()
	threads, err := filepath.Glob(filepath.Join(process, "task", "*", "stat"))
	require.NoError(t, err)
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		// number (name) state …
		if _, state, found := bytes.Cut(stat, []byte(") ")); err == nil && found && state[0] != 'T' {
			return false
		}
	}
	return true
}

// ended waits until what a connection that was given up left behind has ended.
// A card taken out during its last reset and put back before the service looks
// again would be missed by the service.
func ended(t *testing.T, leaks goleak.Option) {
	t.Helper()
	require.Eventually(t, func() bool { return goleak.Find(leaks) == nil }, 10*time.Second, 50*time.Millisecond)
}

// TestGivenUp: a caller is let go while the card hangs, and what was left
// behind ends with the call.
func TestGivenUp(t *testing.T) {
	insert(t, 0)
	leaks := goleak.IgnoreCurrent()
	card := connect(t, 0)
	release := hang(t)
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := card.Transmit(ctx, challenge)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(begin), 5*time.Second)
	_, err = card.Transmit(t.Context(), challenge)
	require.ErrorIs(t, err, pcsc.ErrClosed)
	require.NoError(t, card.Close())
	release()
	ended(t, leaks)
	_, err = connect(t, 0).Transmit(t.Context(), challenge)
	require.NoError(t, err, "the reader is free again")
}

// TestEndedBefore: with a context that has ended nothing is sent.
func TestEndedBefore(t *testing.T) {
	insert(t, 0)
	leaks := goleak.IgnoreCurrent()
	card := connect(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := card.Transmit(ctx, challenge)
	require.ErrorIs(t, err, context.Canceled)
	_, err = card.Transmit(t.Context(), challenge)
	require.ErrorIs(t, err, pcsc.ErrClosed)
	_, err = pcsc.Connect(ctx, rig.Readers[0])
	require.ErrorIs(t, err, context.Canceled)
	ended(t, leaks)
}

// TestServiceGoneWithin kills the service while a command is under way.
func TestServiceGoneWithin(t *testing.T) {
	insert(t, 0)
	card := connect(t, 0)
	release := hang(t)
	defer release()
	failed := make(chan error, 1)
	go func() {
		_, err := card.Transmit(t.Context(), challenge)
		failed <- err
	}()
	time.Sleep(100 * time.Millisecond) // so that it is under way; either order is right
	require.NoError(t, service.KillDaemon())
	select {
	case err := <-failed:
		require.ErrorIs(t, err, pcsc.ErrNoService)
	case <-time.After(10 * time.Second):
		require.Fail(t, "the call did not come back")
	}
	require.NoError(t, card.Close())
	require.NoError(t, service.StartDaemon(t.Context()))
	insert(t, 0)
	_, err := connect(t, 0).Transmit(t.Context(), challenge)
	require.NoError(t, err)
}

// TestTwoConnections: the second gets the card when the first is done with it,
// and not before; what the first had gained is gone.
func TestTwoConnections(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	insert(t, 0)
	first := connect(t, 0)
	second := make(chan *pcsc.Card)
	go func() {
		card, _ := pcsc.Connect(context.Background(), rig.Readers[0])
		second <- card
	}()
	for range 20 {
		_, err := first.Transmit(t.Context(), challenge)
		require.NoError(t, err)
		select {
		case <-second:
			require.Fail(t, "two at one card")
		case <-time.After(10 * time.Millisecond):
		}
	}
	environment := append([]byte{0, 0xA4, 4, 0, 15}, "sx1.sh.\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF"...)
	answer, err := first.Transmit(t.Context(), environment)
	require.NoError(t, err)
	require.Equal(t, []byte{0x61, 0x18}, answer)
	require.NoError(t, first.Close())
	card := <-second
	require.NotNil(t, card)
	answer, err = card.Transmit(t.Context(), []byte{0, 0xB2, 1, 0x2C, 0})
	require.NoError(t, err)
	require.Equal(t, []byte{0x69, 0x85}, answer, "the environment is not selected any more")
	require.NoError(t, card.Close())
}

// TestMuteWithin: a card that says what it is, and then nothing that is an answer.
func TestMuteWithin(t *testing.T) {
	fake := filepath.Join(t.TempDir(), "mute")
	out, err := exec.Command("go", "build", "-o", fake, "./testdata/mute").CombinedOutput()
	require.NoError(t, err, string(out))
	// The service stays at its socket, which the library has got to know; its
	// cards are others until the end of the test.
	restart := func(from, to string) {
		require.NoError(t, service.KillDaemon())
		require.NoError(t, os.Remove(service.Control()))
		require.NoError(t, os.Rename(from, to))
	}
	kept := program + ".kept"
	restart(program, kept)
	require.NoError(t, os.Rename(fake, program))
	t.Cleanup(func() {
		restart(kept, program)
		require.NoError(t, service.StartDaemon(context.Background()))
	})
	require.NoError(t, service.StartDaemon(t.Context()))
	noticed(t, 0, true)
	_, err = connect(t, 0).Transmit(t.Context(), challenge)
	require.ErrorIs(t, err, pcsc.ErrMute)
}
