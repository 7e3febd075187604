package cmd_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// line is the county's network: everything between a counter and the platform
// passes through it.
type line struct {
	t        *testing.T
	listener net.Listener
	platform string
	state    atomic.Int32
	// cutAfter counts the answers that still come through; below zero none is
	// counted.
	cutAfter atomic.Int32
	delay    atomic.Int64 // in one direction, of a time.Duration

	mu   sync.Mutex
	open map[net.Conn]bool
}

const (
	lineGood int32 = iota
	lineDeaf       // what is asked arrives, the answer does not
	lineDown       // nothing arrives
)

const deafFor = 300 * time.Millisecond

func newLine(t *testing.T, platform string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &line{t: t, listener: listener, platform: platform, open: map[net.Conn]bool{}}
	l.cutAfter.Store(-1)
	go l.accept()
	t.Cleanup(func() {
		_ = listener.Close()
		l.cut()
	})
	return l
}

// set changes the line's state; a line that is not good loses what is open.
func (l *line) set(state int32) {
	l.state.Store(state)
	if state != lineGood {
		l.cut()
	}
}

// cut breaks all connections.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for connection := range l.open {
		_ = connection.Close()
	}
	clear(l.open)
}

func (l *line) accept() {
	for {
		near, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || l.state.Load() == lineDown {
			_ = near.Close()
			continue
		}
		far, err := net.Dial("tcp", l.platform)
		if err != nil {
			_ = near.Close()
			continue
		}
		l.mu.Lock()
		l.open[near], l.open[far] = true, true
		l.mu.Unlock()
		go func() { _, _ = io.Copy(slowly{l, far}, near); _ = far.Close() }()
		go l.answers(near, far)
	}
}

// answers carries what the platform says, as long as the line is good. The
// handshake of TLS is no answer: a record of application data begins with 17.
func (l *line) answers(near, far net.Conn) {
	defer near.Close()
	defer far.Close()
	buffer := make([]byte, 64<<10)
	for handshake := true; ; {
		n, err := far.Read(buffer)
		if err != nil {
			return
		}
		if !handshake {
			if l.state.Load() == lineDeaf {
				time.Sleep(deafFor) // time enough for what is asked to arrive
				return
			}
			if left := l.cutAfter.Load(); left == 0 {
				l.cutAfter.Store(-1)
				return
			} else if left > 0 {
				l.cutAfter.Add(-1)
			}
		}
		handshake = false
		if _, err := (slowly{l, near}).Write(buffer[:n]); err != nil {
			return
		}
	}
}

// slowly delays what passes.
type slowly struct {
	line *line
	to   io.Writer
}

func (s slowly) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(s.line.delay.Load()))
	return s.to.Write(p)
}

// behind starts another counter program for a post of the trial, which reaches
// the platform through a line. The trial's own counter keeps its hands off the
// card, for nobody is signed in there.
func (s *system) behind(kind, workstation string) (*line, *desk, string) {
	s.t.Helper()
	platform, err := url.Parse(s.running.Pages["platform"])
	require.NoError(s.t, err)
	l := newLine(s.t, platform.Host)
	state := s.counter(workstation, "https://"+l.listener.Addr().String(), nil)
	login := map[string]string{"counter": "zhangying", "pharmacy": "zhaolei"}[kind]
	return l, s.desk("extra", login), state
}

// counter starts another counter program for a post of the trial, as another
// user where one is named, and returns the directory of its journal. Its page
// is "extra".
func (s *system) counter(workstation, platform string, user *syscall.Credential) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.data, "workstations", workstation, "counter.yaml"))
	require.NoError(s.t, err)
	config := map[string]string{}
	require.NoError(s.t, yaml.Unmarshal(text, &config))
	dir, err := os.MkdirTemp("", "counter")
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	files := []string{dir}
	for _, name := range []string{"ca", "cert", "key"} {
		contents, err := os.ReadFile(config[name])
		require.NoError(s.t, err)
		config[name] = filepath.Join(dir, name)
		writeFile(s.t, config[name], string(contents))
		files = append(files, config[name])
	}
	config["platform"], config["listen"], config["state"], config["transcript"] = platform, "127.0.0.1:0", filepath.Join(dir, "state"), ""
	text, err = yaml.Marshal(config)
	require.NoError(s.t, err)
	file := filepath.Join(dir, "counter.yaml")
	writeFile(s.t, file, string(text))
	program := exec.Command(filepath.Join(s.bin, "counter"), "serve", "--config", file)
	program.Env = append(os.Environ(), "PCSCLITE_CSOCK_NAME="+filepath.Join(filepath.Dir(s.running.Control), "run", "pcscd.comm"))
	out := &syncBuffer{}
	program.Stdout, program.Stderr = out, out
	program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Credential: user}
	if user != nil {
		for _, file := range append(files, file) {
			require.NoError(s.t, os.Chown(file, int(user.Uid), int(user.Gid)))
		}
	}
	require.NoError(s.t, program.Start())
	s.t.Cleanup(func() {
		_ = program.Process.Signal(os.Interrupt)
		_ = program.Wait()
		if s.t.Failed() {
			s.t.Log(out.String())
		}
	})
	s.await(20*time.Second, func() bool {
		address, err := os.ReadFile(filepath.Join(config["state"], "page.address"))
		s.running.Pages["extra"] = "http://" + strings.TrimSpace(string(address))
		return err == nil && strings.HasSuffix(string(address), "\n")
	})
	return config["state"]
}

// TestLineBreaks breaks the county's line in the middle of a personalisation,
// after each number of answers: the clerk is told, and doing it again
// completes it with one card.
func TestLineBreaks(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	job := object{"operation": "personalise", "applicationId": s.numbered(s.desk("counter", "zhangying"), "卓玛措")}
	l, clerk, _ := s.behind("counter", "W-O630102-01")
	s.insert(0, s.blankChip("0000F001"))
	clerk.waitForCard("blank")

	l.set(lineDown)
	clerk.refused("/api/chip", job, "连接不上省平台", "网络")
	clerk.waitFor("platform away", func(state object) bool { return state["platform"] == false })
	l.set(lineDeaf)
	clerk.refused("/api/chip", job, "连接不上省平台", "网络")
	l.set(lineGood)
	// One lost answer is asked for again by the program itself: the clerk does
	// not notice.
	for answers := range int32(4) {
		l.cutAfter.Store(answers)
		if status, answer := clerk.post("/api/chip", job); status == http.StatusOK {
			require.Equal(t, true, answer["genuine"])
			break
		}
		clerk.waitFor("the chip again", func(state object) bool {
			kind := state["card"].(object)["kind"]
			return kind == "blank" || kind == "unfinished"
		})
	}
	l.cutAfter.Store(-1)
	file := clerk.person("卓玛措")
	require.Len(t, file["cards"], 1)
	require.Equal(t, "made", file["applications"].([]any)[0].(object)["state"])
}

// TestAnswerLost takes the line away while a purchase is under way: the
// cashier is told that it does not count, and when the line is back it does
// not.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	chip := s.issued("0000F002", "卓玛措")
	l, cashier, journal := s.behind("pharmacy", "W-P630102001-01")
	s.insert(1, chip)
	cashier.waitForCard("personalised")
	purchase := func() object {
		return object{"business": "pharmacy.purchase", "pin": "314159", "items": []object{{"code": "YP1", "name": "感冒灵颗粒", "category": "A", "fen": 1000}}}
	}
	before := cashier.must("/api/visits", purchase())
	require.Equal(t, "confirmed", before["state"])

	lost := s.loseAnswer(l, cashier, purchase(), journal)
	cashier.waitFor("platform", func(state object) bool { return state["platform"] == true })
	require.Eventually(t, func() bool { return len(openTransactions(t, journal)) == 0 }, 30*time.Second, 100*time.Millisecond)
	_, ended := cashier.do(http.MethodGet, "/platform/v1/transactions/"+lost, nil)
	require.Contains(t, []any{"reversed", "blocked"}, ended["state"])

	after := cashier.must("/api/visits", purchase())
	require.Equal(t, before["balanceFen"].(float64)-1000, after["balanceFen"], "the lost purchase does not count")
}

// loseAnswer sends a visit over a line that goes deaf as soon as the terminal
// has stored the transaction, and returns the transaction's id.
func (s *system) loseAnswer(l *line, cashier *desk, visit object, journal string) string {
	s.t.Helper()
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if entries, err := filepath.Glob(filepath.Join(journal, "*-*.json")); err == nil && len(entries) > 0 {
					l.set(lineDeaf)
					return
				}
			}
		}
	})
	// The race between the watcher and the answer may go either way; a visit
	// whose answer came is simply another purchase.
	for range 20 {
		status, answer := cashier.post("/api/visits", visit)
		if status == http.StatusOK {
			s.t.Fatalf("the answer came before the line was cut: %v", answer)
		}
		if answer["code"] == "unknown-end" {
			break
		}
	}
	close(stop)
	watcher.Wait()
	open := openTransactions(s.t, journal)
	if !assert.Len(s.t, open, 1, "the transaction is in the journal") {
		s.t.FailNow()
	}
	l.set(lineGood)
	return open[0]
}

func openTransactions(t *testing.T, journal string) []string {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join(journal, "*.json"))
	require.NoError(t, err)
	var ids []string
	for _, entry := range entries {
		id := strings.TrimSuffix(filepath.Base(entry), ".json")
		if _, err := uuid.Parse(id); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}
