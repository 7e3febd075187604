package cmd_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/keys"
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

// psam runs `counter psam` at a workstation, which reaches no province: nobody
// is signed in, and the platform's address leads nowhere.
func (s *system) psam(args ...string) (string, error) {
	s.t.Helper()
	config := filepath.Join(s.data, "workstations", "W-P630102001-01", "counter.yaml")
	text, err := os.ReadFile(config)
	require.NoError(s.t, err)
	alone := filepath.Join(s.t.TempDir(), "counter.yaml")
	writeFile(s.t, alone, regexp.MustCompile(`(?m)^platform: .*$`).ReplaceAllString(string(text), "platform: https://127.0.0.1:1"))
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	program := exec.CommandContext(ctx, filepath.Join(s.bin, "counter"), append(append([]string{"psam"}, args...), "--config", alone)...)
	program.Env = append(os.Environ(), "PCSCLITE_CSOCK_NAME="+filepath.Join(filepath.Dir(s.running.Control), "run", "pcscd.comm"))
	out, err := program.CombinedOutput()
	return string(out), err
}

// keysForModules makes the keys of a trial, of which some came from outside and
// may go to the maker of modules, and returns the files of their key blocks and
// of the key that protects them.
func keysForModules(t *testing.T, data string) (protection string, blocks []string) {
	t.Helper()
	dir := filepath.Join(data, "keys")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	require.NoError(t, kek.WriteFile(filepath.Join(dir, "kek")))
	const shared = "00112233445566778899AABBCCDDEEFF"
	inModule := []string{"IRK", "RKSSSE", "RKDF01", "UK4DF01"}
	var made []keys.Spec
	for _, spec := range keys.Provincial() {
		if !slices.Contains(inModule, spec.Name) {
			made = append(made, spec)
		}
	}
	keeper, err := keys.Create(filepath.Join(dir, "keys.json"), kek, made)
	require.NoError(t, err)
	require.NoError(t, keeper.Import(keys.Spec{Name: "KBPK", Usage: keys.KeyExchange, Algorithm: keys.AES128}, 1, strings.NewReader(shared)))
	protection = filepath.Join(t.TempDir(), "kbpk")
	writeFile(t, protection, shared+"\n")
	for i, name := range inModule {
		spec := keys.Spec{Name: name, Usage: keys.Authentication, Algorithm: keys.SM4, Depth: 2, Exportable: true}
		require.NoError(t, keeper.Import(spec, 1, strings.NewReader(strings.Repeat("5"+strconv.Itoa(i), 16))))
		block, err := keeper.ExportBlock(t.Context(), keys.Key{Name: "KBPK", Version: 1}, keys.Key{Name: name, Version: 1}, keys.AssumedCodes())
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), name+".block")
		writeFile(t, file, block+"\n")
		blocks = append(blocks, file)
	}
	return protection, blocks
}

// TestPSAM: a terminal with a security module in its second slot proves a card
// and works it, with no province to ask.
func TestPSAM(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	protection, blocks := keysForModules(t, data)
	s := start(t, data, nil, "--no-journey")
	card := s.issued("0000E003", "卓玛措")
	module := filepath.Join(data, "psam.card")
	args := []string{"psam", "--card", module, "--terminal", "630102000001", "--levels", "2", "--kbpk-file", protection}
	for _, block := range blocks {
		args = append(args, "--block-file", block)
	}
	s.cardsim(args...)

	s.insert(1, card)
	out, err := s.psam("info", "--module", "00 01")
	require.Error(t, err)
	require.Contains(t, out, "不是 PSAM 卡")
	s.insert(0, module)
	out, err = s.psam("info")
	require.NoError(t, err, out)
	require.Contains(t, out, "终端机编号 terminal：630102000001")
	out, err = s.psam("read", "--reader", "00 01")
	require.NoError(t, err, out)
	fields := strings.Split(strings.TrimSpace(out), "|")
	require.Len(t, fields, 12, out)
	require.Equal(t, []string{"卓玛措", "3.00", "630102000001"}, []string{fields[4], fields[6], fields[9]})
	out, err = s.psam("write", "--reader", "00 01", "--files", "DF01EF06|23|$", "--data", "DF01EF06|西宁市城东区|$")
	require.NoError(t, err, out)
	out, err = s.psam("read", "--reader", "00 01", "--files", "DF01EF06|23|$")
	require.NoError(t, err, out)
	require.Equal(t, "DF01EF06|西宁市城东区|$\n", out)

	// A clone has the data and not the keys.
	s.remove(1)
	s.cardsim("insert", "--control", s.running.Control, "--slot", "1", "--card", card, "--as", "clone")
	// The service notices another card only when it next looks.
	s.await(20*time.Second, func() bool {
		out, err = s.psam("read", "--reader", "00 01")
		require.Error(t, err)
		return !strings.Contains(out, "-4 ")
	})
	require.Contains(t, out, "内部认证失败")
}
