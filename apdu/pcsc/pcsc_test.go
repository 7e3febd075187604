package pcsc_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ebfe/scard"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onecard/apdu"
	"onecard/apdu/pcsc"
	"onecard/internal/rig"
)

// The library finds its service once for a process, and keeps the names of
// readers for a process: the tests of this package share one service and run
// one after the other.
var (
	service *rig.Rig
	program string // cardsim
	folder  string
)

// helperVariable makes the test's program a user who may do nothing.
const helperVariable = "PCSC_TEST_CONNECT"

func TestMain(m *testing.M) {
	if os.Getenv(helperVariable) != "" {
		_, err := pcsc.Connect(context.Background(), rig.Readers[0])
		fmt.Println(err)
		return
	}
	os.Exit(withService(m))
}

func withService(m *testing.M) int {
	var err error
	if folder, err = os.MkdirTemp("", "pcsc-test"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	program = filepath.Join(folder, "cardsim")
	if out, err := exec.Command("go", "build", "-o", program, "onecard/cmd/cardsim").CombinedOutput(); err != nil {
		panic(string(out))
	}
	if service, err = rig.Start(context.Background(), rig.Config{Cardsim: program}); err != nil {
		panic(err)
	}
	defer service.Stop()
	for _, variable := range service.Env() {
		name, value, _ := strings.Cut(variable, "=")
		os.Setenv(name, value)
	}
	return m.Run()
}

func cardsim(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	require.NoError(t, err, string(out))
}

// blank makes a chip and returns its file.
func blank(t testing.TB, serial string) string {
	t.Helper()
	dir := t.TempDir()
	key, file := filepath.Join(dir, "transport.key"), filepath.Join(dir, serial+".card")
	require.NoError(t, os.WriteFile(key, []byte("404142434445464748494A4B4C4D4E4F\n"), 0o600))
	cardsim(t, "blank", "--card", file, "--serial", serial, "--transport-key-file", key)
	return file
}

// insert puts a fresh chip into a reader until the test ends.
func insert(t testing.TB, slot int) {
	t.Helper()
	require.NoError(t, service.Insert(t.Context(), slot, blank(t, fmt.Sprintf("0000D00%d", slot))))
	noticed(t, slot, true)
	t.Cleanup(func() { remove(t, slot) })
}

func remove(t testing.TB, slot int) {
	t.Helper()
	require.NoError(t, service.Remove(context.Background(), slot))
	noticed(t, slot, false)
}

// noticed waits until the service has seen that the card is in or out: it
// looks at its readers a few times a second.
func noticed(t testing.TB, slot int, in bool) {
	t.Helper()
	library, err := scard.EstablishContext()
	require.NoError(t, err)
	defer func() { _ = library.Release() }()
	require.Eventually(t, func() bool {
		states := []scard.ReaderState{{Reader: rig.Readers[slot]}}
		return library.GetStatusChange(states, 0) == nil && states[0].EventState&scard.StatePresent != 0 == in
	}, 10*time.Second, 10*time.Millisecond)
}

func connect(t testing.TB, slot int) *pcsc.Card {
	t.Helper()
	card, err := pcsc.Connect(t.Context(), rig.Readers[slot])
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, card.Close()) })
	return card
}

var challenge = []byte{0x00, 0x84, 0x00, 0x00, 0x08}

func TestExchange(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	insert(t, 0)
	card := connect(t, 0)
	require.Equal(t, byte(0x3B), card.ATR()[0])
	answer, err := card.Transmit(t.Context(), challenge)
	require.NoError(t, err)
	require.Len(t, answer, 10)
	// Case 4 as T=0 carries it: the answer waits, and the channel fetches it.
	r, err := apdu.NewChannel(card).Send(t.Context(), apdu.Command{INS: 0xA4, P1: 4, Data: []byte("\x73\x78\x31\x2E\x73\x68\x2E\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF"), Ne: 256})
	require.NoError(t, err)
	require.Equal(t, apdu.OK, r.SW)
	require.Equal(t, byte(0x6F), r.Data[0])
	_, err = card.Transmit(t.Context(), []byte{0, 0x84})
	require.ErrorContains(t, err, "at least 4")
	require.NoError(t, card.Close())
	require.NoError(t, card.Close())
	_, err = card.Transmit(t.Context(), challenge)
	require.ErrorIs(t, err, pcsc.ErrClosed)
}

func TestNothingThere(t *testing.T) {
	_, err := pcsc.Connect(t.Context(), rig.Readers[1])
	require.ErrorIs(t, err, pcsc.ErrNoCard)
	for _, name := range []string{"", "No Such Reader 00 00"} {
		_, err = pcsc.Connect(t.Context(), name)
		require.ErrorIs(t, err, pcsc.ErrNoReader)
	}
}

// TestRemoved takes the card out between two commands and within one.
func TestRemoved(t *testing.T) {
	insert(t, 0)
	card := connect(t, 0)
	remove(t, 0)
	_, err := card.Transmit(t.Context(), challenge)
	require.ErrorIs(t, err, pcsc.ErrRemoved)

	insert(t, 1)
	card = connect(t, 1)
	cardsim(t, "tear", "--control", service.Control(), "--slot", "1", "--after", strconv.Itoa(2))
	_, err = card.Transmit(t.Context(), challenge)
	require.NoError(t, err)
	_, err = card.Transmit(t.Context(), challenge)
	require.ErrorIs(t, err, pcsc.ErrRemoved)
}

// other is another program at the same reader.
func other(t *testing.T, share scard.ShareMode) *scard.Card {
	t.Helper()
	library, err := scard.EstablishContext()
	require.NoError(t, err)
	t.Cleanup(func() { _ = library.Release() })
	card, err := library.Connect(rig.Readers[0], share, scard.ProtocolAny)
	require.NoError(t, err)
	t.Cleanup(func() { _ = card.Disconnect(scard.LeaveCard) })
	return card
}

func TestOtherPrograms(t *testing.T) {
	insert(t, 0)
	t.Run("one that keeps the reader for itself", func(t *testing.T) {
		other(t, scard.ShareExclusive)
		_, err := pcsc.Connect(t.Context(), rig.Readers[0])
		require.ErrorIs(t, err, pcsc.ErrShared)
	})
	t.Run("one in the middle of its work", func(t *testing.T) {
		busy := other(t, scard.ShareShared)
		require.NoError(t, busy.BeginTransaction())
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := pcsc.Connect(ctx, rig.Readers[0])
		require.ErrorIs(t, err, context.DeadlineExceeded)
		// One that waits gets the card after the other has reset it.
		got := make(chan error, 1)
		go func() {
			card, err := pcsc.Connect(t.Context(), rig.Readers[0])
			if err == nil {
				_, err = card.Transmit(t.Context(), challenge)
				_ = card.Close()
			}
			got <- err
		}()
		time.Sleep(100 * time.Millisecond) // so that it waits; either order is right
		require.NoError(t, busy.EndTransaction(scard.ResetCard))
		require.NoError(t, <-got)
	})
	t.Run("one that would reset the card in our work", func(t *testing.T) {
		rude := other(t, scard.ShareShared)
		card := connect(t, 0)
		reset := make(chan error, 1)
		go func() { reset <- rude.Reconnect(scard.ShareShared, scard.ProtocolAny, scard.ResetCard) }()
		for range 10 {
			_, err := card.Transmit(t.Context(), challenge)
			require.NoError(t, err)
		}
		require.Empty(t, reset, "it waits for the end of our work")
		require.NoError(t, card.Close())
		<-reset // what it gets after our own reset is the service's affair
	})
}

// TestNoPermission runs as a user who may not open the service's socket.
func TestNoPermission(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	self := filepath.Join(t.TempDir(), "connect")
	text, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(self, text, 0o755))
	for dir := filepath.Dir(self); dir != "/"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		require.NoError(t, err)
		require.NoError(t, os.Chmod(dir, info.Mode()|0o005))
		if dir == os.TempDir() {
			break
		}
	}
	command := exec.Command(self)
	command.Env = append(os.Environ(), helperVariable+"=yes")
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), pcsc.ErrNoPermission.Error())
}

// TestServiceGone kills the service under an open card, and starts it again.
func TestServiceGone(t *testing.T) {
	insert(t, 0)
	card := connect(t, 0)
	require.NoError(t, service.KillDaemon())
	_, err := card.Transmit(t.Context(), challenge)
	require.ErrorIs(t, err, pcsc.ErrNoService)
	_, err = pcsc.Connect(t.Context(), rig.Readers[0])
	require.ErrorIs(t, err, pcsc.ErrNoService)
	require.NoError(t, service.StartDaemon(t.Context()))
	insert(t, 0)
	_, err = connect(t, 0).Transmit(t.Context(), challenge)
	require.NoError(t, err)
}
