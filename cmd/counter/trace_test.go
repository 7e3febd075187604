package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card/profile"
)

// transcript copies the kept transcript of a reading to a directory of its own.
func transcript(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../testdata/reading-3.00.apdu")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "reading.apdu")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// TestTraceReveal: nothing is revealed without a reason that stands on record.
func TestTraceReveal(t *testing.T) {
	t.Parallel()
	const number = "632221198101011234"
	file := transcript(t)
	log := filepath.Join(filepath.Dir(file), revealedFile)
	var out bytes.Buffer
	require.NoError(t, (&traceCommand{File: file}).Run(&out))
	require.NotContains(t, out.String(), number)
	require.ErrorIs(t, (&traceCommand{File: file, Reveal: true}).Run(&out), errReason)
	require.NoFileExists(t, log)

	for range 2 {
		out.Reset()
		require.NoError(t, (&traceCommand{File: file, Reveal: true, Reason: "读卡故障 42", JSON: true}).Run(&out))
		require.Contains(t, out.String(), number)
		require.True(t, json.Valid(out.Bytes()))
	}
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	require.Len(t, lines, 2)
	var entry revealed
	require.NoError(t, json.Unmarshal(lines[0], &entry))
	require.Equal(t, "读卡故障 42", entry.Reason)
	require.Equal(t, file, entry.File)
	require.NotEmpty(t, entry.User)
	require.Len(t, entry.SHA256, 64)
	require.NotContains(t, string(text), number)

	require.NoError(t, os.Remove(log))
	require.NoError(t, os.Mkdir(log, 0o700))
	out.Reset()
	require.Error(t, (&traceCommand{File: file, Reveal: true, Reason: "x"}).Run(&out))
	require.Empty(t, out.String(), "what cannot be put on record is not revealed")
}

// TestTraceRefused: file, line and reason are named, the bytes are not.
func TestTraceRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bad.apdu")
	require.NoError(t, os.WriteFile(file, []byte("> 0020000003 123456\n< 9000\n> 00B2ZZ\n"), 0o600))
	var out bytes.Buffer
	err := (&traceCommand{File: file}).Run(&out)
	require.ErrorContains(t, err, file+": transcript line 3: malformed: bytes in hexadecimal")
	require.NotContains(t, err.Error(), "ZZ")
	require.ErrorContains(t, (&traceCommand{File: file + ".none"}).Run(&out), "bad.apdu.none")
	require.Empty(t, out.String())
}

// TestPublic: of the records of a card only that of its version may stand in a
// transcript.
func TestPublic(t *testing.T) {
	t.Parallel()
	profiles, err := profile.Load()
	require.NoError(t, err)
	mask := public(profiles)
	read := apdu.Command{INS: 0xB2, P1: 3, P2: 0x2C, Ne: 6}
	for name, test := range map[string]struct {
		command        apdu.Command
		answer         string
		hidden, hiding bool
	}{
		"version":        {read, "\x03\x043.00", true, false},
		"other version":  {read, "\x03\x049.99", true, true},
		"holder":         {apdu.Command{INS: 0xB2, P1: 4, P2: 0x34, Ne: 3}, "\x0A\x011", true, true},
		"selection":      {apdu.Command{INS: 0xA4, P1: 4}, "\x6F\x00", false, false},
		"written record": {apdu.Command{INS: 0xDC, P1: 3, P2: 0x2C}, "", true, true},
	} {
		command, answer := mask(test.command, apdu.Response{Data: []byte(test.answer), SW: apdu.OK})
		require.Equal(t, []bool{test.hidden, test.hiding}, []bool{command, answer}, name)
	}
}
