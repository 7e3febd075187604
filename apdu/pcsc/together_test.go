package pcsc_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onecard/apdu"
	"onecard/apdu/pcsc"
)

func TestTogether(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	insert(t, 0)
	card := connect(t, 0)
	own := errors.New("work's own")
	answers := 0
	err := card.Together(t.Context(), func(chip apdu.Transmitter) error {
		for range 3 {
			answer, err := chip.Transmit(t.Context(), challenge)
			if err != nil || len(answer) != 10 {
				return err
			}
			answers++
		}
		if _, err := chip.Transmit(t.Context(), nil); err == nil {
			return errors.New("nothing is no command")
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := chip.Transmit(ended, challenge); !errors.Is(err, context.Canceled) {
			return err
		}
		return own
	})
	require.Equal(t, own, err)
	require.Equal(t, 3, answers)
	_, err = card.Transmit(t.Context(), challenge)
	require.NoError(t, err, "one by one again")
	require.NoError(t, card.Close())
	require.ErrorIs(t, card.Together(t.Context(), func(apdu.Transmitter) error { return nil }), pcsc.ErrClosed)
}

// TestGivenUpTogether: work that is given up while the card hangs does nothing
// after the command that it was in, and ends.
func TestGivenUpTogether(t *testing.T) {
	insert(t, 0)
	leaks := goleak.IgnoreCurrent()
	card := connect(t, 0)
	release := hang(t)
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	reached := 0 // the caller's: the race detector sees who touches it
	err := card.Together(ctx, func(chip apdu.Transmitter) error {
		reached = 1
		_, err := chip.Transmit(ctx, challenge)
		reached = 2
		return err
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 1, reached)
	release()
	ended(t, leaks)
	require.Equal(t, 1, reached)
	_, err = connect(t, 0).Transmit(t.Context(), challenge)
	require.NoError(t, err, "the reader is free again")
}

// TestGivenUpBetween: work whose context ends between two commands runs to its
// end before the caller goes on.
func TestGivenUpBetween(t *testing.T) {
	insert(t, 0)
	leaks := goleak.IgnoreCurrent()
	card := connect(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	finished := false
	err := card.Together(ctx, func(chip apdu.Transmitter) error {
		cancel()
		time.Sleep(50 * time.Millisecond) // the caller sees it meanwhile
		_, err := chip.Transmit(ctx, challenge)
		finished = true
		return err
	})
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, finished)
	ended(t, leaks)
}

// TestLibrary runs what the library's own tests say of the change that is made
// to it, with a card in the reader.
func TestLibrary(t *testing.T) {
	insert(t, 0)
	command := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^(TestTransmitInto|TestEmptyInput|TestTransmit)$", "github.com/ebfe/scard")
	command.Env = os.Environ()
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	for _, test := range []string{"TestTransmitInto", "TestEmptyInput", "TestTransmit"} {
		require.Contains(t, string(out), "--- PASS: "+test+" ")
	}
}
