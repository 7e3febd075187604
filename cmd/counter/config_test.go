package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const good = "platform: https://platform.example:8443\nca: ca.pem\ncert: w.pem\nkey: w.key\n"

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "counter.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestConfig(t *testing.T) {
	t.Parallel()
	c, err := loadConfig(write(t, good+"kind: pharmacy\n"))
	require.NoError(t, err)
	require.Equal(t, "pharmacy", c.Kind)
	require.Equal(t, "127.0.0.1:8480", c.Listen)
}

// TestConfigRefused: each error names the setting.
func TestConfigRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, says string }{
		"misspelt":            {good + "lisen: 127.0.0.1:1\n", "lisen"},
		"unknown kind":        {good + "kind: school\n", "kind"},
		"no TLS":              {"platform: http://x\nca: a\ncert: b\nkey: c\n", "platform"},
		"nothing":             {"", "ca is missing"},
		"no YAML":             {"platform: [", "configuration file"},
		"address left empty":  {good + "listen: \"\"\n", "listen"},
		"a list for a string": {good + "kind: [a, b]\n", "kind"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := loadConfig(write(t, test.text))
			require.ErrorContains(t, err, test.says)
		})
	}
	_, err := loadConfig(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorContains(t, err, "none.yaml")
}

// The environment comes last; one test, for it belongs to the whole process.
func TestConfigEnvironment(t *testing.T) {
	t.Setenv("COUNTER_LISTEN", "127.0.0.1:9999")
	c, err := loadConfig(write(t, good))
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:9999", c.Listen)
	t.Setenv("COUNTER_LISTN", "x")
	_, err = loadConfig(write(t, good))
	require.ErrorContains(t, err, "listn")
}

func TestTranscriptFile(t *testing.T) {
	t.Parallel()
	none, err := openTranscript("")
	require.NoError(t, err)
	require.Nil(t, none)
	_, err = openTranscript(filepath.Join(t.TempDir(), "missing", "x"))
	require.ErrorContains(t, err, "transcript")
}
