package cmd_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/internal/pgtest"
)

// TestJourney runs the main job as a newcomer does and looks at what it prints
// and at what it leaves behind, on both databases.
func TestJourney(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]func(*testing.T) []string{
		"SQLite":     func(*testing.T) []string { return nil },
		"PostgreSQL": func(t *testing.T) []string { return []string{"ONECARD_DATABASE=" + pgtest.DSN(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, t.TempDir(), env(t))
			out := s.out.String()
			for _, wanted := range []string{
				"卡号 card number", "卡识别码 chip", "芯片为真", "社会保障号码", "被拒绝 refused",
				"已激活　中国建设银行", "正式挂失", "此卡不能使用", "全程", s.running.Pages["counter"], "zhangying",
			} {
				require.Contains(t, out, wanted)
			}
			answer, err := http.Get(s.running.Pages["counter"])
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.Equal(t, http.StatusOK, answer.StatusCode)

			below := descendants(t, s.process.Process.Pid)
			require.NotEmpty(t, below)
			s.stop()
			require.Eventually(t, func() bool {
				for _, id := range below {
					if _, err := os.Stat("/proc/" + id); err == nil {
						return false
					}
				}
				return true
			}, 10*time.Second, 50*time.Millisecond, "a program that it started still runs")
			noPersonalData(t, s.data)
		})
	}
}

// TestSecondRun starts the main job again in the same directory: nothing is
// set up twice, and another resident gets a card.
func TestSecondRun(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	first := start(t, data, nil)
	number := cardNumber(t, first.out.String())
	first.stop()
	second := start(t, data, nil)
	require.NotEqual(t, number, cardNumber(t, second.out.String()))
}

func cardNumber(t *testing.T, out string) string {
	t.Helper()
	_, after, found := strings.Cut(out, "卡号 card number")
	require.True(t, found, out)
	return strings.Fields(after)[0]
}

// wholePIN is the holder's number standing alone: times and ids are full of
// digits.
var wholePIN = regexp.MustCompile(`(^|[^0-9A-Za-z])270419([^0-9A-Za-z]|$)`)

// noPersonalData searches what the programs left for a sample holder's name
// and number and for the PIN: they may stand in none of it.
func noPersonalData(t *testing.T, data string) {
	t.Helper()
	err := filepath.WalkDir(data, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		// The chip itself holds the holder's data, as it must, and a bank's books
		// name its customers.
		if strings.HasSuffix(path, ".card") || filepath.Base(path) == "books.json" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		require.NotContains(t, string(text), "扎西·多杰", path)
		require.NotRegexp(t, wholePIN, string(text), path)
		return nil
	})
	require.NoError(t, err)
}

func TestBadStart(t *testing.T) {
	t.Parallel()
	bin, err := programs()
	require.NoError(t, err)
	for name, test := range map[string]struct {
		args, env []string
		wanted    []string
	}{
		"database gone": {
			env:    []string{"ONECARD_DATABASE=postgres://nobody@127.0.0.1:1/none"},
			wanted: []string{"数据库", "database"},
		},
		"unknown setting": {args: []string{"--lisen", "127.0.0.1:0"}, wanted: []string{"--lisen"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := runOnce(t, bin, test.env, append([]string{"run", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--page", "127.0.0.1:0"}, test.args...)...)
			require.Error(t, err, out)
			for _, wanted := range test.wanted {
				require.Contains(t, out, wanted)
			}
		})
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	bin, err := programs()
	require.NoError(t, err)
	taken := listen(t)
	out, err := runOnce(t, bin, nil, "run", "--data", t.TempDir(), "--listen", taken, "--page", "127.0.0.1:0")
	require.Error(t, err, out)
	require.Contains(t, out, taken)
	require.Contains(t, out, "占用")
}
