package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Config is what a rig is made of.
type Config struct {
	// Cardsim is the path of the program cardsim.
	Cardsim string
	// Env is what cardsim has in its environment besides this program's.
	Env []string
}

// Rig is a running service with two virtual readers.
type Rig struct {
	config Config
	dir    string
	daemon *exec.Cmd
	done   chan struct{}
}

// Readers are the names of the virtual readers, by slot.
var Readers = []string{"Virtual PCD 00 00", "Virtual PCD 00 01"}

const (
	startLimit = 15 * time.Second
	stopLimit  = 5 * time.Second
	pollPause  = 20 * time.Millisecond
)

// driver is the reader's driver of Debian's package vsmartcard-vpcd.
const driver = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"

// inside is what runs in the namespaces: a private /run, loopback, the cards,
// and the service in the foreground.
const inside = `set -e
mount -t tmpfs none /run
mkdir /run/pcscd
mount --bind "$RIG/run" /run/pcscd
ip link set lo up
"$CARDSIM" serve --control "$RIG/sim" 2>"$RIG/sim.log" &
exec pcscd --foreground --config "$RIG/conf" >"$RIG/pcscd.log" 2>&1
`

// Start starts a service and waits until it answers.
func Start(ctx context.Context, config Config) (*Rig, error) {
	if err := check(config); err != nil {
		return nil, err
	}
	// The path of a Unix socket is short: no deep directories.
	dir, err := os.MkdirTemp("", "onecard-rig")
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	r := &Rig{config: config, dir: dir}
	if err := r.prepare(); err == nil {
		err = r.StartDaemon(ctx)
		if err == nil {
			return r, nil
		}
		return nil, errors.Join(err, r.Stop())
	}
	return nil, errors.Join(fmt.Errorf("rig: %w", err), os.RemoveAll(dir))
}

// check names what is missing.
func check(config Config) error {
	for _, need := range []struct{ path, name string }{
		{"pcscd", "pcscd"}, {"unshare", "util-linux"}, {"ip", "iproute2"}, {"mount", "mount"}, {config.Cardsim, ""}, {driver, "vsmartcard-vpcd"},
	} {
		_, err := exec.LookPath(need.path)
		if need.path == driver {
			_, err = os.Stat(driver)
		}
		if err != nil {
			return fmt.Errorf("缺少 %s（Debian 软件包 %s） rig: %s is missing, Debian package %s", need.path, need.name, need.path, need.name)
		}
	}
	return nil
}

func (r *Rig) prepare() error {
	for _, dir := range []string{"run", "conf"} {
		if err := os.Mkdir(filepath.Join(r.dir, dir), 0o700); err != nil {
			return err
		}
	}
	reader := "FRIENDLYNAME \"Virtual PCD\"\nDEVICENAME /dev/null:0x8C7B\nLIBPATH " + driver + "\nCHANNELID 0x8C7B\n"
	return os.WriteFile(filepath.Join(r.dir, "conf", "vpcd"), []byte(reader), 0o600)
}

// StartDaemon starts the service and the cards' program, also after
// KillDaemon. Cards that were inserted are gone.
func (r *Rig) StartDaemon(ctx context.Context) error {
	// A service that was killed leaves its socket and its number behind.
	for _, name := range []string{"pcscd.comm", "pcscd.pid"} {
		if err := os.Remove(filepath.Join(r.dir, "run", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rig: %w", err)
		}
	}
	flags := "--user --map-root-user"
	if os.Geteuid() == 0 && exec.CommandContext(ctx, "unshare", "--user", "--map-root-user", "true").Run() != nil {
		flags = "" // a container that forbids user namespaces; root does without
	}
	args := append(strings.Fields(flags), "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", inside)
	r.daemon = exec.Command("unshare", args...)
	r.daemon.Env = append(append(os.Environ(), r.config.Env...), "RIG="+r.dir, "CARDSIM="+r.config.Cardsim, "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	log, err := os.Create(filepath.Join(r.dir, "rig.log"))
	if err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	defer log.Close()
	r.daemon.Stdout, r.daemon.Stderr = log, log
	r.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := r.daemon.Start(); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	r.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(r.daemon, r.done)
	return r.ready(ctx)
}

// ready waits until both sockets answer.
func (r *Rig) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		if r.answers(ctx) {
			return nil
		}
		select {
		case <-r.done:
			return fmt.Errorf("虚拟读卡器未能启动 the virtual reader's service ended: %s", r.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("虚拟读卡器未就绪 the virtual reader's service is not ready: %w: %s", ctx.Err(), r.lastWords())
		case <-time.After(pollPause):
		}
	}
}

func (r *Rig) answers(ctx context.Context) bool {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "unix", r.socket())
	if err != nil {
		return false
	}
	_ = connection.Close()
	return r.ask(ctx, map[string]any{"do": "list"}) == nil
}

// lastWords returns what the programs said last.
func (r *Rig) lastWords() string {
	var words []string
	for _, name := range []string{"rig.log", "pcscd.log", "sim.log"} {
		text, err := os.ReadFile(filepath.Join(r.dir, name))
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		words = append(words, lines[max(0, len(lines)-3):]...)
	}
	return strings.Join(words, " · ")
}

func (r *Rig) socket() string { return filepath.Join(r.dir, "run", "pcscd.comm") }

// Env is what a PC/SC program needs to find this service.
func (r *Rig) Env() []string { return []string{"PCSCLITE_CSOCK_NAME=" + r.socket()} }

// Control returns the control socket of cardsim.
func (r *Rig) Control() string { return filepath.Join(r.dir, "sim") }

// Insert puts a card into a slot.
func (r *Rig) Insert(ctx context.Context, slot int, file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	return r.ask(ctx, map[string]any{"do": "insert", "slot": slot, "card": file})
}

// Remove takes the card out of a slot.
func (r *Rig) Remove(ctx context.Context, slot int) error {
	return r.ask(ctx, map[string]any{"do": "remove", "slot": slot})
}

func (r *Rig) ask(ctx context.Context, request map[string]any) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "unix", r.Control())
	if err != nil {
		return fmt.Errorf("rig: cardsim does not answer: %w", err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(startLimit)); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	var answer struct {
		Error string `json:"error"`
	}
	if err := errors.Join(json.NewEncoder(connection).Encode(request), json.NewDecoder(connection).Decode(&answer)); err != nil {
		return fmt.Errorf("rig: cardsim: %w", err)
	}
	if answer.Error != "" {
		return fmt.Errorf("rig: cardsim: %s", answer.Error)
	}
	return nil
}

// KillDaemon ends the service and the cards as a crash would.
func (r *Rig) KillDaemon() error {
	// The namespace's first process takes all others with it, and unshare,
	// which waits for it, sees it end.
	for _, pid := range r.first() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("rig: %w", err)
		}
	}
	select {
	case <-r.done:
		return nil
	case <-time.After(stopLimit):
		return errors.New("rig: the service did not end")
	}
}

// first returns the namespace's first process, the child of unshare.
func (r *Rig) first() []int {
	pid := r.daemon.Process.Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil || len(text) == 0 {
		return []int{pid} // it has no child: it has ended, or not begun
	}
	var children []int
	for _, field := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			children = append(children, child)
		}
	}
	return children
}

// Stop ends everything that the rig started and removes its files.
func (r *Rig) Stop() error {
	var err error
	if r.daemon != nil && r.daemon.Process != nil {
		err = r.KillDaemon()
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}
