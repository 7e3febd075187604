package cmd_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hsm runs `counter hsm` at a workstation of the trial, as a hospital's program
// would, on the real pcscd; with an operator where a login is given. in is what
// it reads from standard input.
func (s *system) hsm(workstation, login, in string, args ...string) (string, error) {
	s.t.Helper()
	if login != "" {
		file := filepath.Join(s.t.TempDir(), "password")
		writeFile(s.t, file, s.running.Logins[login]+"\n")
		args = append(args, "--login", login, "--password-file", file)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	config := filepath.Join(s.data, "workstations", workstation, "counter.yaml")
	program := exec.CommandContext(ctx, filepath.Join(s.bin, "counter"), append(append([]string{"hsm"}, args...), "--config", config)...)
	program.Env = append(os.Environ(), "PCSCLITE_CSOCK_NAME="+filepath.Join(filepath.Dir(s.running.Control), "run", "pcscd.comm"))
	program.Stdin = strings.NewReader(in)
	out, err := program.CombinedOutput()
	return string(out), err
}

// TestHSM works an issued card without a security module: a pharmacy reads the
// holder and may do no more, a counter reads and writes elements and gives the
// card a new PIN; a lost card is read only.
func TestHSM(t *testing.T) {
	t.Parallel()
	const shop, window = "W-P630102001-01", "W-O630102-01"
	s := start(t, t.TempDir(), nil, "--no-journey")
	chip := s.issued("0000E001", "卓玛措")
	s.insert(1, chip)
	out, err := s.hsm(shop, "", "", "read", "--terminal", "410100813475")
	require.NoError(t, err, out)
	fields := strings.Split(strings.TrimSpace(out), "|")
	require.Len(t, fields, 12, out)
	require.Equal(t, "卓玛措", fields[4])
	require.Equal(t, "3.00", fields[6])
	require.Equal(t, "410100813475", fields[9])
	number := fields[2]
	out, err = s.hsm(shop, "zhaolei", "", "read", "--files", "SSSEEF06|09|$")
	require.Error(t, err)
	require.Contains(t, out, "不能使用此服务或此密钥")
	s.remove(1)

	s.insert(0, chip)
	out, err = s.hsm(window, "zhangying", "", "write", "--files", "DF01EF06|23|$", "--data", "DF01EF06|西宁市城东区|$")
	require.NoError(t, err, out)
	out, err = s.hsm(window, "zhangying", "", "read", "--files", "DF01EF06|23|$")
	require.NoError(t, err, out)
	require.Equal(t, "DF01EF06|西宁市城东区|$\n", out)
	out, err = s.hsm(window, "zhangying", "270419\n", "reload-pin")
	require.NoError(t, err, out)
	out, err = s.hsm(window, "zhangying", "", "reload-pin", "--unblock")
	require.NoError(t, err, out)

	clerk := s.desk("counter", "zhangying")
	clerk.waitForCard("personalised")
	status, answer := clerk.post("/api/pin", object{"old": "270419", "fresh": "314159"})
	require.Equal(t, http.StatusNoContent, status, answer)
	card := clerk.person("卓玛措")["cards"].([]any)[0].(object)
	require.Equal(t, number, card["number"])
	clerk.must("/platform/v1/cards/"+card["id"].(string)+"/events", object{"event": "reportLoss"})
	out, err = s.hsm(window, "zhangying", "271828\n", "reload-pin")
	require.Error(t, err)
	require.Contains(t, out, "挂失")
	out, err = s.hsm(window, "", "", "read")
	require.NoError(t, err, out)
	noPersonalData(t, s.data)
}
