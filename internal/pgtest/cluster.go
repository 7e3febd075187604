package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	superuser = "onecard"
	limit     = 30 * time.Second // for the server to start or to stop
	debian    = "postgresql-15"  // the package that brings the programs on Debian 12
)

// Cluster is one throw-away server.
type Cluster struct {
	programs   string // directory of initdb and postgres
	dir        string // everything of this cluster
	settings   string // for the command line: -c name=value …
	credential *syscall.Credential
	guardian   *exec.Cmd // nil while the server is stopped
	pipe       io.Closer // its end stops the server
}

func start(settings ...string) (*Cluster, error) {
	programs, err := programs()
	if err != nil {
		return nil, err
	}
	c := &Cluster{programs: programs}
	for _, setting := range settings {
		c.settings += " -c " + setting
	}
	if os.Getuid() == 0 {
		if c.credential, err = unprivileged(); err != nil {
			return nil, err
		}
	}
	// Short: the path of a Unix socket has at most 107 bytes.
	if c.dir, err = os.MkdirTemp(root(settings), "pg"); err != nil {
		return nil, err
	}
	if err := c.initialise(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	if err := c.run(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	return c, nil
}

// memory is a file system without a disk, and room how much must be free there.
const (
	memory = "/dev/shm"
	room   = 4 << 30
)

// root is where clusters lie: in memory where there is room, for most of what a
// test waits for is the disk; but on the disk when it is asked that everything
// reaches it.
func root(settings []string) string {
	var free syscall.Statfs_t
	if slices.Contains(settings, "fsync=on") || syscall.Statfs(memory, &free) != nil || int64(free.Bavail)*free.Bsize < room {
		return "/tmp"
	}
	return memory
}

func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	// Debian and its relatives keep the server's programs out of PATH.
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no initdb in PATH or /usr/lib/postgresql: install the package %s", debian)
	}
	return filepath.Dir(found[len(found)-1]), nil
}

func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
}

// command prepares a program of the cluster: as its user, in its directory and
// in a session of its own, so that an interrupt from the terminal goes to the
// test process first.
func (c *Cluster) command(name string, arguments ...string) *exec.Cmd {
	command := exec.Command(name, arguments...)
	command.Dir = c.dir
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.credential}
	return command
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// Directory returns the directory of the cluster's files, its log among them.
func (c *Cluster) Directory() string { return c.dir }

func (c *Cluster) initialise() error {
	if c.credential != nil {
		if err := os.Chown(c.dir, int(c.credential.Uid), int(c.credential.Gid)); err != nil {
			return err
		}
	}
	out, err := c.command(filepath.Join(c.programs, "initdb"), "--pgdata", c.data(), "--username", superuser,
		"--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// guard starts the server ($1 program, $2 data, $3 directory), waits for the
// end of its input, stops the server at once and, unless told "stop", removes
// the directory. Nothing is flushed to the disk (-F), yet a commit reaches the
// system before it is answered: it outlives a killed server, as tests expect.
const guard = `"$1" -D "$2" -k "$3" -h "" -F -c max_connections=200 -c shared_buffers=32MB ` +
	`-c full_page_writes=off $4 >>"$3/log" 2>&1 </dev/null &
server=$!
read -r word
kill -QUIT $server
wait $server
[ "$word" = stop ] || rm -rf "$3"`

func (c *Cluster) run() error {
	guardian := c.command("/bin/sh", "-c", guard, "guard", filepath.Join(c.programs, "postgres"), c.data(), c.dir, c.settings)
	pipe, err := guardian.StdinPipe()
	if err != nil {
		return err
	}
	if err := guardian.Start(); err != nil {
		return err
	}
	c.guardian, c.pipe = guardian, pipe
	if err := await(c.ready); err != nil {
		log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
		c.end()
		return fmt.Errorf("postgres does not answer: %w: %s", err, log)
	}
	return nil
}

// ready asks whether the server takes connections: line 8 of postmaster.pid
// says so (pg_ctl waits for the same word).
func (c *Cluster) ready() bool {
	if c.guardian == nil {
		return false
	}
	status, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(status), "\n")
	return len(lines) >= 8 && strings.TrimSpace(lines[7]) == "ready"
}

// Stop kills the server as a crash would: connections break, nothing is
// flushed, the files stay.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	if c.guardian == nil {
		t.Fatal("pgtest: the server is not running")
	}
	if _, err := io.WriteString(c.pipe.(io.Writer), "stop\n"); err != nil {
		t.Fatalf("pgtest: stop: %v", err)
	}
	c.wait()
}

// Start starts the server again after [Cluster.Stop].
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	if c.guardian != nil {
		t.Fatal("pgtest: the server is running")
	}
	if err := c.run(); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// end stops the server and removes its directory.
func (c *Cluster) end() {
	if c.guardian == nil {
		_ = os.RemoveAll(c.dir)
		return
	}
	_ = c.pipe.Close()
	c.wait()
}

// wait reaps the guardian. Its status is that of a killed server: of no use.
func (c *Cluster) wait() {
	_ = c.guardian.Wait()
	c.guardian = nil
}

func patience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

func await(condition func() bool) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("not within %s", limit)
		}
	}
	return nil
}
