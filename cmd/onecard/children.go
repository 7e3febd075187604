package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// children are the programs that `onecard run` started, and only those. They
// end with it, also when it is killed.
type children struct {
	logs    string // directory of their logs
	started []*child
}

type child struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
}

const stopLimit = 5 * time.Second

// start runs a program of ours with its output in a log file.
func (c *children) start(name, path string, env []string, args ...string) (*child, error) {
	log := filepath.Join(c.logs, name+".log")
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", name, err)
	}
	defer file.Close() // the child has its own
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = file, file
	// A group of its own: Ctrl-C reaches this program alone, which then ends
	// its children in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	started := &child{name: name, log: log, cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(started.done)
	}()
	c.started = append(c.started, started)
	return started, nil
}

// stop ends the children, last started first.
func (c *children) stop() error {
	var problems []error
	for i := len(c.started) - 1; i >= 0; i-- {
		problems = append(problems, c.started[i].stop())
	}
	c.started = nil
	return errors.Join(problems...)
}

// wait returns when ctx ends, or with an error when a child ends before.
func (c *children) wait(ctx context.Context) error {
	ended := make(chan *child, len(c.started))
	for _, started := range c.started {
		go func() {
			<-started.done
			ended <- started
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case early := <-ended:
		return fmt.Errorf("%s ended by itself: %s", early.name, early.lastWords())
	}
}

func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", c.name, err)
	}
	select {
	case <-c.done:
	case <-time.After(stopLimit):
		if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("end %s: %w", c.name, err)
		}
		<-c.done
	}
	return nil
}

// ready waits until check succeeds, or the child ends, or ctx does.
func (c *child) ready(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("%s ended: %s", c.name, c.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("%s did not become ready: %w", c.name, err)
		case <-tick.C:
		}
	}
}

// lastWords returns the last lines of the child's log: why it ended.
func (c *child) lastWords() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return "see " + c.log
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " · ")
}
