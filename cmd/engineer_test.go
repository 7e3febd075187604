package cmd_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// runCounter runs a command of the counter's program at the trial's readers and
// returns what it prints and its exit code.
func (s *system) runCounter(input string, args ...string) (string, int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(s.bin, "counter"), args...)
	command.Env = append(os.Environ(), "PCSCLITE_CSOCK_NAME="+filepath.Join(filepath.Dir(s.running.Control), "run", "pcscd.comm"))
	command.Stdin = strings.NewReader(input)
	out, err := command.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		require.NoError(s.t, err)
	}
	return string(out), command.ProcessState.ExitCode()
}

// TestEngineer makes a card as a county does, decodes what the counter wrote of
// it, and compares the card with the records: as it was made, and after
// somebody has altered it.
func TestEngineer(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	chip := s.issued("0000E001", "卓玛措")

	transcript := filepath.Join(s.data, "logs", "counter.transcript")
	out, code := s.runCounter("", "trace", transcript)
	require.Zero(t, code, out)
	for _, wanted := range []string{
		"规范 specification  3.00", "社会保障卡（接触式）", "选择 SSSE 社会保障应用环境", "装载密钥 SSSE UKSSSE", "装载密钥 DF07 UK3DF07",
		"写记录 SSSE/EF06 姓名", "外部认证 PUK", "PIN RELOAD", "9000 成功", "记录时已遮蔽", "GET CHALLENGE",
	} {
		require.Contains(t, out, wanted)
	}
	require.NotContains(t, out, "卓玛措")
	require.NotContains(t, out, "未知命令")
	out, code = s.runCounter("", "trace", "--json", "--reveal", "--reason", "测试", transcript)
	require.Zero(t, code, out)
	var report struct {
		Totals struct{ Gone, Masked, Exchanges int }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Greater(t, report.Totals.Exchanges, 90)
	require.NotZero(t, report.Totals.Gone)
	require.Zero(t, report.Totals.Masked)
	require.FileExists(t, filepath.Join(s.data, "logs", "revealed.jsonl"))

	config := filepath.Join(s.data, "workstations", "W-O630102-01", "counter.yaml")
	diff := func() (string, int) {
		return s.runCounter(s.running.Logins["zhangying"]+"\n", "diff", "--config", config, "--login", "zhangying")
	}
	s.insert(0, chip)
	out, code = diff()
	require.Zero(t, code, out)
	require.Contains(t, out, "✔ SSSE/EF06 09   姓名 name：一致 same")
	require.NotContains(t, out, "✘")

	// Laid on the reader instead of put in, it is the same card.
	s.remove(0)
	s.cardsim("insert", "--control", s.running.Control, "--slot", "0", "--card", chip, "--contactless")
	out, code = diff()
	require.Zero(t, code, out)

	s.remove(0)
	text, err := os.ReadFile(chip)
	require.NoError(t, err)
	var image map[string]any
	require.NoError(t, json.Unmarshal(text, &image))
	image["records"].(object)["SSSE/EF06"].([]any)[4] = "11"
	image["pinTries"] = 2
	text, err = json.Marshal(image)
	require.NoError(t, err)
	writeFile(t, chip, string(text))
	s.insert(0, chip)
	out, code = diff()
	require.Equal(t, 3, code, out)
	require.Contains(t, out, "✘ SSSE/EF06 0B   民族 ethnic group：被改动 altered")
	require.Contains(t, out, "剩余次数低于应有次数")
	require.NotContains(t, out, "卓玛措")

	s.remove(0)
	out, code = s.runCounter(s.running.Logins["zhangying"]+"\n", "diff", "--config", config, "--login", "zhangying", "--wait", "2s")
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "没有卡")
	out, code = s.runCounter("wrong\n", "diff", "--config", config, "--login", "zhangying")
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "登录名或密码不对")
}
