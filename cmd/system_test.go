package cmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// programs builds the programs once for all tests of the package.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "onecard-bin")
	if err != nil {
		return "", err
	}
	// Another user runs them, too.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	arguments := append([]string{"build", "-o", dir + "/"}, raceFlags...)
	out, err := exec.Command("go", append(arguments, "./onecard", "./counter", "./cardsim", "./keeper", "./partnersim")...).CombinedOutput()
	if err != nil {
		return "", &buildError{out: string(out), err: err}
	}
	return dir, nil
})

type buildError struct {
	out string
	err error
}

func (e *buildError) Error() string { return e.err.Error() + "\n" + e.out }

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := programs(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// system is `onecard run` as a user starts it, on ports and in a directory of
// its own.
type system struct {
	t       *testing.T
	bin     string
	data    string
	process *exec.Cmd
	out     *syncBuffer
	done    chan struct{}
	running running
}

// running is what `onecard run` leaves in run.json for other programs.
type running struct {
	Pages   map[string]string `json:"pages"`
	Control string            `json:"control"`
	Logins  map[string]string `json:"logins"`
	Key     string            `json:"transportKey"`
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start starts `onecard run` in data and waits until it is up.
func start(t *testing.T, data string, env []string, args ...string) *system {
	t.Helper()
	bin, err := programs()
	require.NoError(t, err)
	s := &system{t: t, bin: bin, data: data, out: &syncBuffer{}, done: make(chan struct{})}
	args = append([]string{"run", "--data", data, "--listen", "127.0.0.1:0", "--page", "127.0.0.1:0"}, args...)
	s.process = exec.Command(filepath.Join(bin, "onecard"), args...)
	s.process.Env = append(os.Environ(), env...)
	s.process.Stdout, s.process.Stderr = s.out, s.out
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	require.NoError(t, s.process.Start())
	go func() {
		_ = s.process.Wait()
		close(s.done)
	}()
	t.Cleanup(s.stop)
	s.await(2*time.Minute, func() bool {
		text, err := os.ReadFile(filepath.Join(data, "run.json"))
		return err == nil && json.Unmarshal(text, &s.running) == nil
	})
	return s
}

// await polls until ok, failing with the program's output when it ends first.
func (s *system) await(limit time.Duration, ok func() bool) {
	s.t.Helper()
	deadline := time.After(limit)
	for !ok() {
		select {
		case <-s.done:
			require.Fail(s.t, "onecard run ended", s.out.String())
		case <-deadline:
			require.Fail(s.t, "onecard run is not up", s.out.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop presses Ctrl-C and waits for the end. No program may have raced or
// panicked meanwhile.
func (s *system) stop() {
	defer s.wellBehaved()
	_ = s.process.Process.Signal(os.Interrupt)
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		_ = s.process.Process.Kill()
		<-s.done
		s.t.Errorf("onecard run did not end on Ctrl-C:\n%s", s.out.String())
	}
}

// wellBehaved looks for what only a program gone wrong prints.
func (s *system) wellBehaved() {
	logs, err := filepath.Glob(filepath.Join(s.data, "logs", "*.log"))
	if err != nil {
		s.t.Error(err)
	}
	said := map[string]string{"onecard run": s.out.String()}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			s.t.Error(err)
		}
		said[log] = string(text)
	}
	for who, text := range said {
		for _, sign := range []string{"DATA RACE", "panic:", "goroutine 1 ["} {
			if strings.Contains(text, sign) {
				s.t.Errorf("%s: %s\n%s", who, sign, text)
			}
		}
	}
}

// cardsim runs a command of the card simulator.
func (s *system) cardsim(args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(s.bin, "cardsim"), args...).CombinedOutput()
	require.NoError(s.t, err, string(out))
	return string(out)
}

// descendants returns the ids of the processes below pid.
func descendants(t *testing.T, pid int) []string {
	t.Helper()
	parents := map[string][]string{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended in the meantime
		}
		// pid (name) state ppid ...; the name may hold blanks.
		head, tail, _ := strings.Cut(string(text), ") ")
		id, _, _ := strings.Cut(head, " ")
		if fields := strings.Fields(tail); len(fields) > 1 {
			parents[fields[1]] = append(parents[fields[1]], id)
		}
	}
	var found []string
	for queue := parents[strconv.Itoa(pid)]; len(queue) > 0; queue = queue[1:] {
		found = append(found, queue[0])
		queue = append(queue, parents[queue[0]]...)
	}
	return found
}

// blankChip makes a maker's blank with the trial's transport key.
func (s *system) blankChip(serial string) string {
	s.t.Helper()
	file := filepath.Join(s.data, "test-"+serial+".card")
	s.cardsim("blank", "--card", file, "--serial", serial, "--transport-key-file", s.running.Key)
	return file
}

func (s *system) insert(slot int, file string) {
	s.t.Helper()
	s.cardsim("insert", "--control", s.running.Control, "--slot", strconv.Itoa(slot), "--card", file)
}

func (s *system) remove(slot int) {
	s.t.Helper()
	s.cardsim("remove", "--control", s.running.Control, "--slot", strconv.Itoa(slot))
}

// containsText compares as a reader does, whatever the white space.
func containsText(shown, text string) bool {
	return strings.Contains(strings.Join(strings.Fields(shown), " "), text)
}

// listen takes a port and returns its address.
func listen(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// runOnce runs a program that is expected to end by itself.
func runOnce(t *testing.T, bin string, env []string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(bin, "onecard"), args...)
	command.Env = append(os.Environ(), env...)
	out, err := command.CombinedOutput()
	return string(out), err
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}
