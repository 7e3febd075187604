package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/keys"
	"onecard/keys/pkcs11/pkcs11test"
	"onecard/keys/remote"
)

// asked makes a copy of this test ask a keeper and print the outcome, so that
// another user can.
const asked = "KEEPER_TEST_SOCKET"

func TestMain(m *testing.M) {
	if socket := os.Getenv(asked); socket != "" {
		_, err := remote.New(socket, nobody).Index(context.Background(), 1, "column", []byte("x"))
		fmt.Print(err)
		os.Exit(0)
	}
	code := m.Run()
	if dir, err := program(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// program builds the keeper once, where every user can run it.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "keeper-bin")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir+"/", ".").CombinedOutput()
	return dir, errors.Join(err, os.Chmod(dir, 0o755), func() error {
		if err != nil {
			return errors.New(string(out))
		}
		return nil
	}())
})

// nobody is a user without rights.
const nobody = 65534

// place is a directory that belongs to a user, with a name short enough for a
// socket.
func place(t *testing.T, user int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "keeper")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chown(dir, user, -1))
	return dir
}

// sealed makes a key file with the province's keys and its shares.
func sealed(t *testing.T, dir string) (shares [2]string) {
	t.Helper()
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	require.NoError(t, kek.WriteFile(filepath.Join(dir, "kek")))
	first, second, err := kek.Split(rand.Reader)
	require.NoError(t, err)
	for i, share := range []keys.Share{first, second} {
		path := filepath.Join(dir, fmt.Sprint("share", i+1))
		require.NoError(t, share.WriteFile(path))
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		shares[i] = string(text)
	}
	_, err = keys.Create(filepath.Join(dir, "keys.json"), kek, keys.Provincial())
	require.NoError(t, err)
	return shares
}

// process is a running keeper.
type process struct {
	*exec.Cmd
	socket string
	log    *bytes.Buffer
	ended  chan error
}

// start starts the keeper with that configuration and input and waits until it
// serves.
func start(t *testing.T, dir, configuration, in string, user int, env ...string) *process {
	t.Helper()
	bin, err := program()
	require.NoError(t, err)
	p := &process{socket: filepath.Join(dir, "socket"), log: &bytes.Buffer{}, ended: make(chan error, 1)}
	file := filepath.Join(dir, "keeper.yaml")
	require.NoError(t, os.WriteFile(file, []byte("socket: "+p.socket+"\n"+configuration), 0o600))
	require.NoError(t, os.Chown(file, user, -1))
	p.Cmd = exec.Command(filepath.Join(bin, "keeper"), "serve", "--config", file)
	p.Env, p.Stdin, p.Stderr, p.Dir = append(os.Environ(), env...), strings.NewReader(in), p.log, "/"
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if user != os.Getuid() {
		p.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}
	}
	require.NoError(t, p.Start())
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() { _ = p.Process.Kill() })
	deadline := time.After(30 * time.Second)
	for {
		if _, err := os.Stat(p.socket); err == nil {
			return p
		}
		select {
		case err := <-p.ended:
			require.Fail(t, "the keeper ended", "%v: %s", err, p.log.String())
		case <-deadline:
			require.Fail(t, "the keeper is not up")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// works asks for a check value and an index.
func works(t *testing.T, keeper *remote.Keeper) {
	t.Helper()
	kcv, _, err := keeper.CheckValue(t.Context(), keys.Key{Name: keys.IndexKey})
	require.NoError(t, err)
	require.Len(t, kcv, 3)
	index, err := keeper.Index(t.Context(), 1, "column", []byte("x"))
	require.NoError(t, err)
	require.Len(t, index, 32)
}

// Killed and started again, by two custodians who enter their shares, the
// keeper serves the same client.
func TestCustodians(t *testing.T) {
	t.Parallel()
	dir := place(t, os.Getuid())
	shares := sealed(t, dir)
	configuration := "file: {path: " + dir + "/keys.json}\n"
	p := start(t, dir, configuration, shares[0]+shares[1], os.Getuid())
	keeper := remote.New(p.socket, uint32(os.Getuid()))
	defer keeper.Close()
	works(t, keeper)
	require.NoError(t, p.Process.Kill())
	require.Error(t, <-p.ended)
	_, err := keeper.Index(t.Context(), 1, "column", nil)
	require.ErrorIs(t, err, remote.ErrUnreachable)
	require.NoError(t, os.Remove(p.socket)) // start waits for the next one

	p = start(t, dir, configuration, shares[1]+shares[0], os.Getuid())
	works(t, keeper)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-p.ended)
	_, err = os.Stat(p.socket)
	require.ErrorIs(t, err, os.ErrNotExist, "it leaves no socket")
	require.Contains(t, p.log.String(), "第二保管人 second custodian")
	for _, share := range shares {
		require.NotContains(t, p.log.String(), strings.Fields(share)[3])
	}
}

// The process takes itself out of reach of its own user, and answers the users
// it is told alone.
func TestUsers(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to become other users")
	}
	dir := place(t, nobody)
	sealed(t, dir)
	for _, name := range []string{"keys.json", "kek"} {
		require.NoError(t, os.Chown(filepath.Join(dir, name), nobody, -1))
	}
	p := start(t, dir, "trial: true\nmode: '0660'\ncallers: [root]\nfile: {path: "+dir+"/keys.json, kek: "+dir+"/kek}\n", "", nobody)
	info, err := os.Stat(p.socket)
	require.NoError(t, err)
	require.Equal(t, os.ModeSocket|0o660, info.Mode())
	keeper := remote.New(p.socket, nobody)
	defer keeper.Close()
	works(t, keeper)
	mine := remote.New(p.socket, 0)
	defer mine.Close()
	_, err = mine.Index(t.Context(), 1, "column", nil)
	require.ErrorIs(t, err, remote.ErrOwner)

	// The keeper's own user may open the socket, and yet is refused.
	require.Contains(t, askAs(t, p.socket, nobody), "uid 65534")
	require.Contains(t, askAs(t, p.socket, nobody), remote.ErrCaller.Error())
	// A third user does not get that far.
	require.Contains(t, askAs(t, p.socket, 65533), "permission denied")

	status := fmt.Sprintf("/proc/%d/", p.Process.Pid)
	limits, err := os.ReadFile(status + "limits")
	require.NoError(t, err)
	require.Regexp(t, regexp.MustCompile(`Max core file size +0 +0`), string(limits))
	owner, err := os.Stat(status + "environ")
	require.NoError(t, err)
	require.Zero(t, owner.Sys().(*syscall.Stat_t).Uid, "what cannot be dumped belongs to root")
}

// askAs asks the keeper as that user and returns what came of it.
func askAs(t *testing.T, socket string, user uint32) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	text, err := os.ReadFile(self)
	require.NoError(t, err)
	dir := place(t, int(user))
	program := filepath.Join(dir, "ask")
	require.NoError(t, os.WriteFile(program, text, 0o755))
	command := exec.CommandContext(t.Context(), program)
	command.Env, command.Dir = append(os.Environ(), asked+"="+socket), "/"
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// run runs a command of the keeper to its end.
func run(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	bin, err := program()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), filepath.Join(bin, "keeper"), args...)
	command.Env = append(os.Environ(), env...)
	out, err := command.CombinedOutput()
	return string(out), err
}

// A token is filled, served, and its keys are rotated.
func TestToken(t *testing.T) {
	t.Parallel()
	dir, token := place(t, os.Getuid()), pkcs11test.New(t)
	env := []string{"SOFTHSM2_CONF=" + token.Configuration}
	pin, key := filepath.Join(dir, "pin"), filepath.Join(dir, "key")
	require.NoError(t, os.WriteFile(pin, []byte(pkcs11test.PIN+"\n"), 0o600))
	require.NoError(t, os.WriteFile(key, []byte("00112233445566778899AABBCCDDEEFF\n"), 0o600))
	configuration := fmt.Sprintf("backend: pkcs11\npkcs11: {module: %s, token: %s, pin: %s}\n", token.Module, pkcs11test.Label, pin)
	file := filepath.Join(dir, "keeper.yaml")
	require.NoError(t, os.WriteFile(file, []byte("socket: "+dir+"/socket\n"+configuration), 0o600))

	out, err := run(t, env, "token", "init", "--config", file)
	require.NoError(t, err, out)
	require.Contains(t, out, "HMAC-SHA256")
	out, err = run(t, env, "token", "import", "--config", file, "--depth", "0", "OLDIRK", "7", key)
	require.NoError(t, err, out)
	out, err = run(t, env, "token", "rotate", "--config", file, "DATA")
	require.NoError(t, err, out)
	out, err = run(t, env, "list", "--config", file)
	require.NoError(t, err, out)
	require.Regexp(t, `(?m)^DATA +2 +AES-256 +field-encryption`, out)

	p := start(t, dir, configuration, "", os.Getuid(), env...)
	keeper := remote.New(p.socket, uint32(os.Getuid()))
	defer keeper.Close()
	works(t, keeper)
	// The computed vector of the chip's definitions.
	auth, err := keeper.Cryptogram(t.Context(), keys.Key{Name: "OLDIRK", Version: 7},
		[]byte{0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88}, []byte{0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11})
	require.NoError(t, err)
	require.Equal(t, []byte{0x5C, 0x97, 0xF1, 0x29, 0x49, 0xFE, 0xBB, 0x2D}, auth)
	sealed, err := keeper.Seal(t.Context(), nil, []byte("x"))
	require.NoError(t, err)
	require.Equal(t, 2, keys.SealedVersion(sealed))

	require.NoError(t, os.WriteFile(pin, []byte("0\n"), 0o600))
	out, err = run(t, env, "list", "--config", file)
	require.Error(t, err)
	require.Contains(t, out, "PIN")
	require.NoError(t, os.Chmod(pin, 0o644))
	out, err = run(t, env, "list", "--config", file)
	require.Error(t, err)
	require.Contains(t, out, "chmod 600")
}

// What keeps the keeper from starting is said in words.
func TestBadStart(t *testing.T) {
	t.Parallel()
	dir := place(t, os.Getuid())
	shares := sealed(t, dir)
	other := sealed(t, place(t, os.Getuid()))
	base := "socket: " + dir + "/socket\n"
	software := base + "file: {path: " + dir + "/keys.json"
	for name, test := range map[string]struct{ configuration, in, says string }{
		"no SDF device":        {base + "backend: sdf\n", "", "keys/sdf"},
		"misspelt":             {base + "sokket: x\n", "", "sokket"},
		"no socket":            {"file: {path: x}\n", "", "socket"},
		"mode":                 {software + "}\nmode: '0666'\n", "", "mode"},
		"caller":               {software + "}\ncallers: [nobody-of-that-name]\n", "", "callers"},
		"group":                {software + "}\ngroup: nobody-of-that-name\n", "", "group"},
		"backend":              {base + "backend: paper\n", "", "backend"},
		"no key file":          {base, "", "file.path"},
		"whole key":            {software + ", kek: " + dir + "/kek}\n", "", "trial"},
		"one share":            {software + ", shares: [x]}\n", "", "file.shares"},
		"no token":             {base + "backend: pkcs11\n", "", "pkcs11.module"},
		"share twice":          {software + "}\n", shares[0] + shares[0], "不成对"},
		"shares of two keys":   {software + "}\n", shares[0] + other[1], "不成对"},
		"shares of the other":  {software + "}\n", other[0] + other[1], "核对分量"},
		"not a share":          {software + "}\n", "12345\n" + shares[1], "第一保管人"},
		"second one went away": {software + "}\n", shares[0], "第二保管人"},
		"much too long":        {software + "}\n", strings.Repeat("x", 5000), "第一保管人"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "keeper.yaml")
			require.NoError(t, os.WriteFile(file, []byte(test.configuration), 0o600))
			bin, err := program()
			require.NoError(t, err)
			command := exec.CommandContext(t.Context(), filepath.Join(bin, "keeper"), "serve", "--config", file)
			command.Stdin = strings.NewReader(test.in)
			out, err := command.CombinedOutput()
			require.Error(t, err, string(out))
			require.Contains(t, string(out), test.says)
		})
	}
}

// On a terminal, the share is not shown: covered by x/term; here, that both
// lines of a pipe reach their custodians.
func TestReadLine(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	_, err = io.WriteString(w, "first\nsecond")
	require.NoError(t, errors.Join(err, w.Close()))
	for _, want := range []string{"first", "second", ""} {
		line, err := readLine(streams{In: r})
		require.NoError(t, err)
		require.Equal(t, want, string(line))
	}
}
