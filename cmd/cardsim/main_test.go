package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// programVariable makes the test's program cardsim itself, so that the tests
// use it as a person does.
const programVariable = "CARDSIM_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	// The race detector would wait a second at the end of each program.
	c.Env = append(os.Environ(), programVariable+"=yes", "GORACE=atexit_sleep_ms=0")
	return c
}

// run runs cardsim and wants it to succeed.
func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := command(t, args...).CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// refused runs cardsim and wants it to fail in one line that says why.
func refused(t *testing.T, says string, args ...string) {
	t.Helper()
	out, err := command(t, args...).CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(out))
	require.Contains(t, string(out), says)
	require.NotContains(t, string(out), "panic")
	require.NotContains(t, string(out), "goroutine")
}

// reader is the virtual reader's driver: a listener that the card dials.
type reader struct {
	t        *testing.T
	listener net.Listener
	card     net.Conn
}

const patience = 10 * time.Second

// inserted waits for a card.
func (r *reader) inserted() {
	r.t.Helper()
	tcp, ok := r.listener.(*net.TCPListener)
	require.True(r.t, ok)
	require.NoError(r.t, tcp.SetDeadline(time.Now().Add(patience)))
	card, err := r.listener.Accept()
	require.NoError(r.t, err)
	require.NoError(r.t, card.SetDeadline(time.Now().Add(patience)))
	r.card = card
	r.t.Cleanup(func() { _ = card.Close() })
}

// say sends a message: power off, on, reset, or a command.
func (r *reader) say(message ...byte) {
	r.t.Helper()
	_, err := r.card.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	require.NoError(r.t, err)
}

// ask sends a message and returns the answer.
func (r *reader) ask(message ...byte) ([]byte, error) {
	r.t.Helper()
	r.say(message...)
	return readMessage(r.card)
}

func (r *reader) answers(message ...byte) []byte {
	r.t.Helper()
	answer, err := r.ask(message...)
	require.NoError(r.t, err)
	return answer
}

// gone wants the card to have left the reader.
func (r *reader) gone() {
	r.t.Helper()
	_, err := readMessage(r.card)
	require.Error(r.t, err)
	require.False(r.t, errors.Is(err, os.ErrDeadlineExceeded), "the card is still there")
}

// simulated is cardsim serving two slots to readers of the test.
type simulated struct {
	t       *testing.T
	dir     string
	control string
	readers []*reader
	process *exec.Cmd
	log     *bytes.Buffer
}

// serve starts cardsim and waits until it answers.
func serve(t *testing.T) *simulated {
	t.Helper()
	s := &simulated{t: t, dir: short(t), log: &bytes.Buffer{}}
	s.control = filepath.Join(s.dir, "sim")
	port := s.listen()
	s.process = command(t, "serve", "--control", s.control, "--vpcd", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	s.process.Stderr = s.log
	require.NoError(t, s.process.Start())
	t.Cleanup(func() {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
	})
	require.Eventually(t, func() bool { return command(t, "list", "--control", s.control).Run() == nil }, patience, 20*time.Millisecond)
	return s
}

// listen opens two readers at neighbouring ports and returns the first.
func (s *simulated) listen() (port int) {
	s.t.Helper()
	for range 100 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(s.t, err)
		address, ok := first.Addr().(*net.TCPAddr)
		require.True(s.t, ok)
		second, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(address.Port+1)))
		if err != nil {
			require.NoError(s.t, first.Close())
			continue
		}
		for _, l := range []net.Listener{first, second} {
			s.readers = append(s.readers, &reader{t: s.t, listener: l})
			s.t.Cleanup(func() { _ = l.Close() })
		}
		return address.Port
	}
	s.t.Fatal("no two neighbouring ports are free")
	return 0
}

// short returns a folder whose path is short enough for a socket.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sim")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// file makes a card of a kind and returns its file.
func (s *simulated) file(name string, args ...string) string {
	s.t.Helper()
	card := filepath.Join(s.dir, name)
	require.Empty(s.t, run(s.t, append(args, "--card", card)...))
	return card
}

func (s *simulated) slot(verb string, slot int, more ...string) []string {
	return append([]string{verb, "--control", s.control, "--slot", strconv.Itoa(slot)}, more...)
}

func (s *simulated) list() string {
	s.t.Helper()
	return run(s.t, "list", "--control", s.control)
}

// key writes a transport key file.
func key(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "transport.key")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

const keyText = "# laboratory\n\n404142434445464748494A4B4C4D4E4F\n"

// stop ends cardsim as a service manager does and returns what it logged.
func (s *simulated) stop() string {
	s.t.Helper()
	require.NoError(s.t, s.process.Process.Signal(syscall.SIGTERM))
	done := make(chan error, 1)
	go func() { done <- s.process.Wait() }()
	select {
	case err := <-done:
		require.NoError(s.t, err, s.log.String())
	case <-time.After(patience / 2):
		require.Fail(s.t, "cardsim did not end")
	}
	return s.log.String()
}
