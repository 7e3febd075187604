package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestSecretWithoutEcho: at a terminal what is typed is not seen.
func TestSecretWithoutEcho(t *testing.T) {
	t.Parallel()
	keyboard, screen, err := pty.Open()
	require.NoError(t, err)
	defer keyboard.Close()
	defer screen.Close()
	echoes := func() bool {
		state, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
		require.NoError(t, err)
		return state.Lflag&unix.ECHO != 0
	}
	require.True(t, echoes())
	type answer struct {
		secret string
		err    error
	}
	asked := make(chan answer)
	go func() {
		secret, err := newSecrets(screen).ask("PIN")
		asked <- answer{secret, err}
	}()
	require.Eventually(t, func() bool { return !echoes() }, 10*time.Second, time.Millisecond)
	_, err = keyboard.WriteString("314159\n")
	require.NoError(t, err)
	require.Equal(t, answer{"314159", nil}, <-asked)
	require.True(t, echoes(), "the terminal is as it was")
	_, err = screen.WriteString("end")
	require.NoError(t, err)
	shown := make([]byte, 64)
	n, err := keyboard.Read(shown)
	require.NoError(t, err)
	require.NotContains(t, string(shown[:n]), "314159")
}

// TestSecretsByLine: what is not a terminal gives one secret a line.
func TestSecretsByLine(t *testing.T) {
	t.Parallel()
	from := newSecrets(strings.NewReader("password\r\n314159"))
	for _, wanted := range []string{"password", "314159", ""} {
		got, err := from.ask("")
		require.NoError(t, err)
		require.Equal(t, wanted, got)
	}
}

// TestChipRefusals: what is missing is said before a card or the platform is
// asked.
func TestChipRefusals(t *testing.T) {
	t.Parallel()
	c := &chipCommand{}
	for name, run := range map[string]func() error{
		"no login": func() error { return (&chipWork{}).Run(t.Context(), c, os.Stdin, &bytes.Buffer{}) },
		"not sure": func() error { return (&chipBlock{}).Run(t.Context(), c, os.Stdin, &bytes.Buffer{}) },
		"no value": func() error { return (&chipWrite{"x"}).Run(t.Context(), c, os.Stdin, &bytes.Buffer{}) },
		"no part":  func() error { return (&chipParts{"x", []string{"y"}}).Run(t.Context(), c, os.Stdin, &bytes.Buffer{}) },
		"nothing":  func() error { return (&chipRead{}).Run(t.Context(), c, os.Stdin, &bytes.Buffer{}) },
	} {
		require.ErrorIs(t, run(), map[string]error{
			"no login": errNoLogin, "not sure": errNotSure, "no value": errAssignment, "no part": errAssignment, "nothing": errNothing,
		}[name], name)
	}
}
