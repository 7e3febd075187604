package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// errNoTerminal: secrets are typed, never piped, so that no file and no command
// line ever held them.
var errNoTerminal = errors.New("须在终端上操作 this needs a terminal")

// secretTerminal is a terminal on which secrets are typed: from opening to closing it
// shows nothing by itself, not even what is typed between two questions.
type secretTerminal struct {
	file  *os.File
	out   io.Writer
	state *term.State
}

// openTerminal takes the terminal that the streams are, and turns its echo off.
func openTerminal(out streams) (*secretTerminal, error) {
	file, ok := out.In.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil, errNoTerminal
	}
	state, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	return &secretTerminal{file: file, out: out.Out, state: state}, nil
}

// close gives the terminal back as it was.
func (t *secretTerminal) close() error {
	if err := term.Restore(int(t.file.Fd()), t.state); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	return nil
}

// Write implements io.Writer; a raw terminal wants both characters at the end
// of a line.
func (t *secretTerminal) Write(text []byte) (int, error) {
	if _, err := t.out.Write(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(text), nil
}

func (t *secretTerminal) printf(format string, args ...any) { fmt.Fprintf(t, format, args...) }

// secret asks for a line that is not shown. The caller clears it. When ctx ends
// the question is given up, and the terminal is still to be closed.
func (t *secretTerminal) secret(ctx context.Context, question string) ([]byte, error) {
	t.printf("%s: ", question)
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(int(t.file.Fd()))
		answers <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		t.printf("\n")
		return nil, ctx.Err()
	case a := <-answers:
		t.printf("\n")
		if a.err != nil {
			return nil, fmt.Errorf("terminal: %w", a.err)
		}
		return a.line, nil
	}
}

// line asks for a line that may be seen, and shows it once it is there.
func (t *secretTerminal) line(ctx context.Context, question string) (string, error) {
	line, err := t.secret(ctx, question)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(line))
	t.printf("  %q\n", text)
	return text, nil
}

// wipe removes what the screen shows and what can be scrolled back to.
func (t *secretTerminal) wipe() { t.printf("\x1b[H\x1b[2J\x1b[3J") }

// attempts is how often a person may answer before the session ends.
const attempts = 3

// again asks until ask is content, at most so many times. An error that is none
// of the person's ends it at once.
func (t *secretTerminal) again(ask func() error, mistakes ...error) error {
	for try := 1; ; try++ {
		err := ask()
		mistaken := false
		for _, mistake := range mistakes {
			mistaken = mistaken || errors.Is(err, mistake)
		}
		if err == nil || !mistaken || try == attempts {
			return err
		}
		t.printf("  %v（还可再试 %d 次 tries left: %d）\n", err, attempts-try, attempts-try)
	}
}
