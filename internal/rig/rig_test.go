package rig_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/internal/rig"
)

func cardsim(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cardsim")
	out, err := exec.Command("go", "build", "-o", path, "onecard/cmd/cardsim").CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

// TestRig starts two services at once, plugs a card into one of them and asks
// an ordinary PC/SC program what it sees.
func TestRig(t *testing.T) {
	t.Parallel()
	program := cardsim(t)
	dir := t.TempDir()
	key, blank := filepath.Join(dir, "transport.key"), filepath.Join(dir, "blank.card")
	require.NoError(t, os.WriteFile(key, []byte("# laboratory\n404142434445464748494A4B4C4D4E4F\n"), 0o600))
	out, err := exec.Command(program, "blank", "--card", blank, "--serial", "00BF7C7A", "--transport-key-file", key).CombinedOutput()
	require.NoError(t, err, string(out))

	rigs := make([]*rig.Rig, 2)
	for i := range rigs {
		rigs[i], err = rig.Start(t.Context(), rig.Config{Cardsim: program})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, rigs[i].Stop()) })
	}
	require.NoError(t, rigs[0].Insert(t.Context(), 1, blank))
	see(t, rigs[0], "Yes")
	require.Contains(t, opensc(t, rigs[0], "-a", "-r", rig.Readers[1]), "3b:6d:00:00:00:81:4e:43:31:86:97:63:99:00:bf:7c:7a")
	require.NotContains(t, opensc(t, rigs[1], "-l"), "Yes")
	require.ErrorContains(t, rigs[0].Insert(t.Context(), 1, blank), "holds a card")

	require.NoError(t, rigs[0].Remove(t.Context(), 1))
	see(t, rigs[0], "No")

	require.NoError(t, rigs[0].KillDaemon())
	require.NoError(t, rigs[0].StartDaemon(t.Context()))
	require.NoError(t, rigs[0].Insert(t.Context(), 0, blank))
	see(t, rigs[0], "Yes")
}

func TestMissing(t *testing.T) {
	t.Parallel()
	_, err := rig.Start(t.Context(), rig.Config{Cardsim: filepath.Join(t.TempDir(), "nothing")})
	require.ErrorContains(t, err, "is missing")
}

func opensc(t *testing.T, r *rig.Rig, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, "opensc-tool", append(args, "-c", "default")...)
	command.Env = append(os.Environ(), r.Env()...)
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// see waits until the list of readers says so: the service polls.
func see(t *testing.T, r *rig.Rig, word string) {
	t.Helper()
	require.Eventually(t, func() bool {
		return strings.Contains(opensc(t, r, "-l"), word)
	}, 10*time.Second, 100*time.Millisecond)
}
