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

// TestEngineerChip works on a card from the command line, under the same rights
// as at the counter's page.
func TestEngineerChip(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	chip := s.issued("0000E002", "卓玛措")
	s.insert(0, chip)
	config := filepath.Join(s.data, "workstations", "W-O630102-01", "counter.yaml")
	as := func(login, secrets string, args ...string) (string, int) {
		return s.runCounter(s.running.Logins[login]+"\n"+secrets, append([]string{"chip", "--config", config, "--login", login}, args...)...)
	}
	const telephone = "DF01/EF06/telephone"
	for _, step := range []struct {
		name, login, secrets string
		args                 []string
		code                 int
		says                 []string
	}{
		{"areas", "zhangying", "", []string{"areas"}, 0, []string{"公共应用 public application", telephone, "15 an", "employer", "数据项 92", "需社保密码 PIN", "暂定 assumed", "V2.0 (2012)"}},
		{"write", "zhangying", "", []string{"write", telephone + "=0971-8123456"}, 0, []string{"联系电话：0971-8123456"}},
		{"read", "zhangying", "", []string{"read", telephone, "SSSE/EF06/name"}, 0, []string{"联系电话：0971-8123456", "姓名：卓玛措"}},
		{"as JSON", "zhangying", "", []string{"read", "--json", telephone}, 0, []string{`"value": "0971-8123456"`}},
		{"append", "zhangying", "", []string{"append", "DF02/EF07", "from=20260301", "employer=青海牧业"}, 0, []string{"单位名称：青海牧业", "起始日期：20260301"}},
		{"all", "zhangying", "", []string{"read", "--all"}, 0, []string{"姓名：卓玛措", "单位名称：青海牧业", "DF07/EF07"}},
		{"with the number", "zhangying", "314159\n", []string{"read", "--all", "--pin"}, 0, []string{"DF04/EF06 92"}},
		{"asked for the number", "zhangying", "314159\n", []string{"write", "DF04/EF06/tag93=12"}, 0, []string{"数据项 93：12"}},
		{"a wrong number", "zhangying", "000000\n", []string{"read", "DF04/EF06/tag92"}, 1, []string{"还可再试 5 次"}},
		{"the record's", "zhangying", "", []string{"write", "SSSE/EF06/name=马秀兰"}, 1, []string{"只能按本省记录写入"}},
		{"no such element", "zhangying", "", []string{"read", "DF01/EF06/fax"}, 1, []string{"卡规范中没有此数据项"}},
		{"too long", "zhangying", "", []string{"write", telephone + "=0123456789012345"}, 1, []string{"至多 15 字节"}},
		{"nothing named", "zhangying", "", []string{"read"}, 1, []string{"--all"}},
		{"no value", "zhangying", "", []string{"write", telephone}, 1, []string{"名称=值"}},
		{"refresh", "zhangying", "", []string{"refresh"}, 0, []string{"姓名：卓玛措", "已完成 done：100000008"}},
		{"rekey", "zhangying", "", []string{"rekey"}, 0, []string{"已完成"}},
		{"reset", "zhangying", "271828\n271828\n", []string{"reset-pin"}, 0, []string{"已完成"}},
		{"mistyped", "zhangying", "271828\n271829\n", []string{"reset-pin"}, 1, []string{"两次输入的密码不一致"}},
		{"unblock", "zhangying", "", []string{"unblock-pin"}, 0, []string{"已完成"}},
		{"load", "zhangying", "271828\n", []string{"credit", "--amount", "100", "--terminal", "630102000001", "--serial", "7"}, 0, []string{"已完成 done", "余额 balance 0.00 → 100.00", "TAC"}},
		{"load again", "zhangying", "271828\n", []string{"credit", "--amount", "100", "--terminal", "630102000001", "--serial", "7"}, 1, []string{"已有结果"}},
		{"pay", "zhangying", "271828\n", []string{"debit", "--amount", "45.80", "--terminal", "630102000001", "--serial", "8"}, 1, []string{"岗位不能办理"}},
		{"no amount", "zhangying", "", []string{"debit", "--amount", "45.805", "--terminal", "630102000001", "--serial", "8"}, 80, []string{"元为单位"}},
		{"bank", "zhangying", "", []string{"bank-number"}, 0, []string{"***************"}},
		{"not sure", "limin", "", []string{"block-card"}, 1, []string{"--yes"}},
		{"in use", "limin", "", []string{"block-card", "--yes"}, 1, []string{"当前状态下不能办理此项"}},
		{"no right", "limin", "271828\n271828\n", []string{"reset-pin"}, 1, []string{"岗位不能办理"}},
	} {
		out, code := as(step.login, step.secrets, step.args...)
		require.Equal(t, step.code, code, "%s: %s", step.name, out)
		for _, wanted := range step.says {
			require.Contains(t, out, wanted, step.name)
		}
	}
	// A cashier pays from it, at a pharmacy's workstation.
	config = filepath.Join(s.data, "workstations", "W-P630102001-01", "counter.yaml")
	out, code := as("zhaolei", "271828\n", "debit", "--reader", "00 00", "--amount", "45.80", "--total", "58.40", "--terminal", "630102000009", "--serial", "1")
	require.Zero(t, code, out)
	require.Contains(t, out, "账户支付 amount 45.80，总额 total 58.40，余额 balance 100.00 → 54.20")
	out, code = as("zhaolei", "271828\n", "debit", "--reader", "00 00", "--amount", "54.21", "--terminal", "630102000009", "--serial", "2")
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "余额不足")
	config = filepath.Join(s.data, "workstations", "W-O630102-01", "counter.yaml")

	out, code = s.runCounter("", "chip", "--config", config, "refresh")
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "--login")

	supervisor := s.desk("counter", "limin")
	card := supervisor.person("卓玛措")["cards"].([]any)[0].(object)["id"].(string)
	supervisor.must("/platform/v1/cards/"+card+"/events", object{"event": "cancel", "reason": "换发"})
	out, code = as("limin", "", "block-card", "--yes")
	require.Zero(t, code, out)
	require.Contains(t, out, "注销")
	out, code = as("zhangying", "", "read", telephone)
	require.Equal(t, 1, code, out)
}
