package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// seat is a person before a real pseudo-terminal of their own.
type seat struct {
	t      *testing.T
	keys   *os.File // what the person types
	screen *os.File // the terminal that the program is given
	mu     sync.Mutex
	shown  bytes.Buffer // all that the screen ever showed
	seen   int
	done   chan error
}

func sitDown(t *testing.T) *seat {
	t.Helper()
	s := &seat{t: t, done: make(chan error, 1)}
	var err error
	s.keys, s.screen, err = pty.Open()
	require.NoError(t, err)
	read := make(chan struct{})
	go func() {
		defer close(read)
		buffer := make([]byte, 4096)
		for {
			n, err := s.keys.Read(buffer)
			s.mu.Lock()
			s.shown.Write(buffer[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = s.screen.Close()
		_ = s.keys.Close()
		<-read
	})
	return s
}

// start runs a command on the terminal.
func (s *seat) start(run func(context.Context, streams) error) {
	s.startIn(s.t.Context(), run)
}

func (s *seat) startIn(ctx context.Context, run func(context.Context, streams) error) {
	go func() { s.done <- run(ctx, streams{In: s.screen, Out: s.screen, Err: &bytes.Buffer{}}) }()
}

// text is all that the screen has shown.
func (s *seat) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

// await waits until the screen shows the words, after what was awaited before,
// and returns what came up to them.
func (s *seat) await(words string) string {
	s.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		text := s.text()[s.seen:]
		if at := strings.Index(text, words); at >= 0 {
			s.seen += at + len(words)
			return text[:at]
		}
		require.True(s.t, time.Now().Before(deadline), "waiting for %q, the screen shows: %s", words, text)
		time.Sleep(5 * time.Millisecond)
	}
}

// answer waits for a question and types the answer and Enter.
func (s *seat) answer(question, answer string) {
	s.t.Helper()
	s.await(question)
	s.await(": ")
	_, err := s.keys.WriteString(answer + "\n")
	require.NoError(s.t, err)
}

// end waits for the end of the command.
func (s *seat) end() error {
	s.t.Helper()
	select {
	case err := <-s.done:
		return err
	case <-time.After(60 * time.Second):
		require.Fail(s.t, "the command goes on", s.text())
		return nil
	}
}

// echoes tells whether the terminal shows what is typed.
func (s *seat) echoes(probe string) bool {
	s.t.Helper()
	_, err := s.keys.WriteString(probe)
	require.NoError(s.t, err)
	for range 40 {
		if strings.Contains(s.text(), probe) {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

// digits are the hexadecimal digits of what a screen showed, so that grouping
// hides nothing.
func digits(text string) string {
	return regexp.MustCompile(`[^0-9A-Fa-f]`).ReplaceAllString(strings.ToUpper(text), "")
}

const (
	firstComponent  = "F0112233445566778899AABBCCDDEEF0"
	secondComponent = "F000000000000000000000000000000F"
	combinedKey     = "00112233445566778899AABBCCDDEEFF"
)

// checkValueOf is the check value of an SM4 key.
func checkValueOf(t *testing.T, spec keys.Spec, text string) string {
	t.Helper()
	component, err := keys.ParseComponent(spec, []byte(text))
	require.NoError(t, err)
	kcv, _, err := component.CheckValue()
	require.NoError(t, err)
	return kcv
}

// delivered is a directory whose keys of cards are to be delivered.
func delivered(t *testing.T) settings {
	t.Helper()
	s := trialSettings(t)
	out, _ := terminalWith("")
	require.NoError(t, (&keysInitCommand{settings: s, Delivered: true}).Run(out))
	return s
}

// begin begins a ceremony.
func begin(t *testing.T, s settings, flags keyFlags, custodians int) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "ceremony")
	out, _ := terminalWith("")
	require.NoError(t, (&ceremonyBeginCommand{settings: s, keyFlags: flags, Dir: dir, Custodians: custodians}).Run(t.Context(), out))
	return dir
}

// typeComponent is a custodian's session with a component on paper.
func typeComponent(t *testing.T, s settings, dir, custodian, passphrase, component, kcv string) *seat {
	t.Helper()
	at := sitDown(t)
	at.start((&ceremonyComponentCommand{settings: s, Dir: dir, Custodian: custodian}).Run)
	at.answer("passphrase", passphrase)
	at.answer("once more", passphrase)
	at.answer("component in hexadecimal", component)
	at.answer("check value on the paper", kcv)
	require.NoError(t, at.end())
	return at
}

// deliver holds a whole ceremony with two components on paper.
func deliver(t *testing.T, s settings, flags keyFlags, spec keys.Spec, first, second, key string) []*seat {
	t.Helper()
	dir := begin(t, s, flags, 2)
	one := typeComponent(t, s, dir, "staff-1", "first custodian's", first, checkValueOf(t, spec, first))
	two := typeComponent(t, s, dir, "staff-2", "second custodian's", second, strings.ToUpper(checkValueOf(t, spec, second)))
	both := sitDown(t)
	both.start((&ceremonyCombineCommand{settings: s, Dir: dir}).Run)
	both.answer("custodian staff-1", "first custodian's")
	both.answer("custodian staff-2", "second custodian's")
	both.answer("as its sender gave it", checkValueOf(t, spec, key))
	require.NoError(t, both.end())
	return []*seat{one, two, both}
}

// Two custodians enter components from paper, each before a terminal of their
// own, and both combine the key: no component, no key and no passphrase is ever
// shown, and the audit chain knows who, when and which check values.
func TestCeremonyAtRealTerminals(t *testing.T) {
	t.Parallel()
	s := delivered(t)
	spec := keys.Spec{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.SM4, Depth: 2}
	seats := deliver(t, s, keyFlags{Name: "IRK"}, spec, firstComponent, secondComponent, combinedKey)
	for _, seat := range seats {
		shown := digits(seat.text())
		for _, secret := range []string{firstComponent, secondComponent, combinedKey} {
			require.NotContains(t, shown, secret)
			require.NotContains(t, shown, secret[:8], "not even a part")
		}
		require.NotContains(t, seat.text(), "custodian's")
	}
	keeper, err := openKeeper(loaded(t, s))
	require.NoError(t, err)
	current, err := keeper.Current("IRK")
	require.NoError(t, err)
	require.Equal(t, 1, current)
	kcv, _, err := keeper.CheckValue(t.Context(), keys.Key{Name: "IRK"})
	require.NoError(t, err)
	require.Equal(t, checkValueOf(t, spec, combinedKey), hex.EncodeToString(kcv))

	trail := audited(t, s)
	for _, words := range []string{"keys.ceremony.begun", "keys.ceremony.component", "keys.ceremony.finished", `"custodian":"staff-2"`, hex.EncodeToString(kcv)} {
		require.Contains(t, trail, words)
	}
	require.NotContains(t, strings.ToUpper(trail), combinedKey)
}

// loaded is the configuration of the settings.
func loaded(t *testing.T, s settings) config {
	t.Helper()
	c, err := load("", none, s.given())
	require.NoError(t, err)
	return c
}

// audited is the whole audit trail of the province, as text.
func audited(t *testing.T, s settings) string {
	t.Helper()
	var all strings.Builder
	out, _ := terminalWith("")
	require.NoError(t, s.withRecords(t.Context(), out, func(p *platform) error {
		var rows []struct{ Action, Subject, Detail string }
		if err := p.db.Read(t.Context()).Table("audit_entries").Order("seq").Find(&rows).Error; err != nil {
			return err
		}
		for _, row := range rows {
			all.WriteString(row.Action + " " + row.Subject + " " + row.Detail + "\n")
		}
		return p.db.VerifyAudit(t.Context())
	}))
	return all.String()
}

// A component made here is shown once, to its custodian, wiped, and typed back
// from the copy; or written to a file that only this user can read.
func TestGeneratedComponents(t *testing.T) {
	t.Parallel()
	s := delivered(t)
	dir := begin(t, s, keyFlags{Name: "KBPK", Usage: "key-exchange", Algorithm: "AES-256"}, 3)

	one := sitDown(t)
	one.start((&ceremonyComponentCommand{settings: s, Dir: dir, Custodian: "staff-1", Generate: true}).Run)
	one.answer("passphrase", "first custodian's")
	one.answer("once more", "first custodian's")
	component := strings.TrimSpace(one.await("校验值 check value (CMAC(0)[0:5])"))
	require.Len(t, digits(component), 64)
	one.answer("press Enter", "")
	one.await("\x1b[3J")
	one.answer("type it from your copy", strings.Repeat("00", 32))
	one.await("tries left: 2")
	one.answer("type it from your copy", strings.ToLower(digits(component)))
	require.NoError(t, one.end())
	require.Equal(t, 1, strings.Count(digits(one.text()), digits(component)), "once")

	file := filepath.Join(t.TempDir(), "component.txt")
	two := sitDown(t)
	two.start((&ceremonyComponentCommand{settings: s, Dir: dir, Custodian: "staff-2", Generate: true, Print: file}).Run)
	two.answer("passphrase", "second custodian's")
	two.answer("once more", "second custodian's")
	two.await("the component is in")
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	lines := strings.Fields(string(written))
	two.answer("check value in the file", lines[len(lines)-1])
	require.NoError(t, two.end())
	require.NotContains(t, digits(two.text()), digits(strings.Join(lines[:16], "")))

	three := sitDown(t)
	three.start((&ceremonyComponentCommand{settings: s, Dir: dir, Custodian: "staff-3", Generate: true}).Run)
	three.answer("passphrase", "third custodian's")
	three.answer("once more", "third custodian's")
	last := strings.TrimSpace(three.await("校验值 check value (CMAC(0)[0:5])"))
	three.answer("press Enter", "")
	three.answer("type it from your copy", last)
	require.NoError(t, three.end())

	all := sitDown(t)
	all.start((&ceremonyCombineCommand{settings: s, Dir: dir}).Run)
	for _, custodian := range []string{"first", "second", "third"} {
		all.answer("passphrase", custodian+" custodian's")
	}
	all.await("check value of the key (CMAC(0)[0:5]): ")
	kcv := strings.TrimSpace(all.await("\r\n"))
	all.answer("type it to confirm", kcv)
	require.NoError(t, all.end())
	require.NotContains(t, digits(all.text()), digits(component))

	out, printed := terminalWith("")
	require.NoError(t, (&ceremonyShowCommand{Dir: dir}).Run(out))
	require.Contains(t, printed.String(), kcv)
	require.Contains(t, printed.String(), "staff-3")
	require.NoError(t, (&keysListCommand{s}).Run(t.Context(), out))
	require.Regexp(t, `KBPK +1 +active +key-exchange +AES-256 .*`+kcv, printed.String())
}

// Whoever errs is asked again, and who goes on erring ends the session with
// nothing kept.
func TestCeremonyMistakes(t *testing.T) {
	t.Parallel()
	s := delivered(t)
	spec := keys.Spec{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.SM4, Depth: 2}
	dir := begin(t, s, keyFlags{Name: "IRK"}, 2)

	at := sitDown(t)
	at.start((&ceremonyComponentCommand{settings: s, Dir: dir, Custodian: "staff-1"}).Run)
	at.answer("passphrase", "too short")
	at.await("tries left: 2")
	at.answer("passphrase", "first custodian's")
	at.answer("once more", "first custodians'")
	at.await("tries left: 1")
	at.answer("passphrase", "first custodian's")
	at.answer("once more", "first custodian's")
	at.answer("component in hexadecimal", firstComponent[:31])
	at.await("tries left: 2")
	for range 2 {
		at.answer("component in hexadecimal", firstComponent)
		at.answer("check value on the paper", "000000")
	}
	require.ErrorIs(t, at.end(), errCheckValue)
	require.NotContains(t, strings.ToLower(at.text()), checkValueOf(t, spec, firstComponent), "a wrong one teaches nothing")
	out, printed := terminalWith("")
	require.NoError(t, (&ceremonyShowCommand{Dir: dir}).Run(out))
	require.Contains(t, printed.String(), "components 0/2")

	require.ErrorIs(t, (&ceremonyCombineCommand{settings: s, Dir: dir}).Run(t.Context(), out), keys.ErrCeremony)
	typeComponent(t, s, dir, "staff-1", "first custodian's", firstComponent, checkValueOf(t, spec, firstComponent))
	again := &ceremonyComponentCommand{settings: s, Dir: dir, Custodian: "staff-1"}
	require.ErrorIs(t, again.Run(t.Context(), out), keys.ErrInput, "one component each")
	typeComponent(t, s, dir, "staff-2", "second custodian's", secondComponent, checkValueOf(t, spec, secondComponent))

	both := sitDown(t)
	both.start((&ceremonyCombineCommand{settings: s, Dir: dir}).Run)
	both.answer("custodian staff-1", "second custodian's")
	both.await("tries left: 2")
	both.answer("custodian staff-1", "first custodian's")
	both.answer("custodian staff-2", "second custodian's")
	for range attempts {
		both.answer("as its sender gave it", "123456")
	}
	require.ErrorIs(t, both.end(), errCheckValue)
	keeper, err := openKeeper(loaded(t, s))
	require.NoError(t, err)
	_, err = keeper.Current("IRK")
	require.ErrorIs(t, err, keys.ErrNoKey)
}

// The terminal of a session shows nothing that is typed, between questions
// either, and is given back as it was, also when the session is broken off.
func TestTerminalIsGivenBack(t *testing.T) {
	t.Parallel()
	s := delivered(t)
	dir := begin(t, s, keyFlags{Name: "IRK"}, 2)
	at := sitDown(t)
	require.True(t, at.echoes("shown before"), "otherwise this test would prove nothing")
	ctx, cancel := context.WithCancel(t.Context())
	at.startIn(ctx, (&ceremonyComponentCommand{settings: s, Dir: dir, Custodian: "staff-1"}).Run)
	at.await("passphrase")
	require.False(t, at.echoes("hidden"))
	cancel()
	require.ErrorIs(t, at.end(), context.Canceled)
	require.True(t, at.echoes("shown after"))
	// The question that was given up still waits for a line, and with it the
	// terminal; a program would have ended.
	_, err := at.keys.WriteString("\n")
	require.NoError(t, err)

	piped, _ := terminalWith("first custodian's\nfirst custodian's\n" + firstComponent + "\n")
	require.ErrorIs(t, (&ceremonyComponentCommand{settings: s, Dir: dir, Custodian: "staff-1"}).Run(t.Context(), piped), errNoTerminal)
	require.ErrorIs(t, (&ceremonyComponentCommand{settings: s, Dir: dir, Custodian: "staff-1", Print: "x"}).Run(t.Context(), piped), errPrint)
}
