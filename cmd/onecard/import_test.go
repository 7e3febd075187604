package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/internal/pgtest"
)

// asCommand makes the test's own program the command, for tests that kill it.
const asCommand = "ONECARD_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		if err := os.Unsetenv(asCommand); err == nil {
			main()
		}
		return
	}
	os.Exit(m.Run())
}

// madeUp makes keys and the table of another system with errors in it.
func madeUp(t *testing.T, s settings, residents int) (file string) {
	t.Helper()
	out, _ := terminalWith("")
	transport := filepath.Join(t.TempDir(), "transport.key")
	require.NoError(t, os.WriteFile(transport, []byte(transportKey(t)), 0o600))
	require.NoError(t, (&keysInitCommand{settings: s, Transport: transport}).Run(out))
	file = filepath.Join(t.TempDir(), "pension.csv")
	require.NoError(t, (&provinceCommand{Residents: residents, Seed: 63, Layout: "pension", Errors: 50, Out: file}).Run(out))
	return file
}

// arguments are those of an import.
func arguments(s settings, file string) []string {
	arguments := []string{"import", file, "--mapping", "pension", "--trial", "--data", *s.Data}
	if s.Database != nil {
		arguments = append(arguments, "--database", *s.Database)
	}
	return arguments
}

// imported runs the import to its end, and returns the numbers of its summary.
func imported(t *testing.T, s settings, file string) (read, added, known, rejected int, printed string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], arguments(s, file)...)
	command.Env = append(os.Environ(), asCommand+"=1")
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	read, added, known, rejected = proof(t, string(out))
	return read, added, known, rejected, string(out)
}

// proof is the line ✔ read = added + filled in + known + rejected.
func proof(t *testing.T, printed string) (read, added, known, rejected int) {
	t.Helper()
	sum := regexp.MustCompile(`✔ (\d+) = (\d+) \+ (\d+) \+ (\d+) \+ (\d+)`).FindStringSubmatch(printed)
	require.Len(t, sum, 6, printed)
	var n [5]int
	for i := range n {
		n[i], _ = strconv.Atoi(sum[i+1])
	}
	return n[0], n[1], n[2] + n[3], n[4]
}

// rejectedRows returns the rows of the file of rejected rows; none stands twice.
func rejectedRows(t *testing.T, file string) int {
	t.Helper()
	content, err := os.ReadFile(file + ".拒收.csv")
	require.NoError(t, err)
	records, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")))).ReadAll()
	require.NoError(t, err)
	rows, problems := map[string]bool{}, map[string]bool{}
	for _, record := range records[1:] {
		rows[record[0]] = true
		problem := strings.Join(record[:4], " ")
		require.False(t, problems[problem], problem)
		problems[problem] = true
	}
	return len(rows)
}

// TestImportKilled: the command is killed in the middle and started again at once:
// it goes on, nothing is doubled, nothing lost, and the counts agree.
func TestImportKilled(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(*testing.T) *string{
		"SQLite":     func(*testing.T) *string { return nil },
		"PostgreSQL": func(t *testing.T) *string { return new(pgtest.DSN(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := trialSettings(t)
			s.Database = dsn(t)
			const residents = 6_000
			file := madeUp(t, s, residents)
			killed := exec.CommandContext(t.Context(), os.Args[0], arguments(s, file)...)
			killed.Env = append(os.Environ(), asCommand+"=1")
			progress, err := killed.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, killed.Start())
			lines, told := bufio.NewScanner(progress), ""
			for lines.Scan() && !strings.Contains(lines.Text(), "已读") { // the first batch is taken over
				told += lines.Text() + "\n"
			}
			require.Contains(t, lines.Text(), "已读 read 5000", told)
			require.NoError(t, killed.Process.Kill())
			require.Error(t, killed.Wait())

			read, added, known, rejected, printed := imported(t, s, file)
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, bytes.Count(content, []byte{'\n'})-1, read)
			require.Regexp(t, fmt.Sprintf(`登记人数 residents on record   %d，导入前 before 0`, added), printed)
			require.Positive(t, rejected)
			require.Equal(t, read, added+known+rejected)
			require.LessOrEqual(t, rejectedRows(t, file), rejected)
			// The same file once more is known.
			again, _, _, _, printed := imported(t, s, file)
			require.Equal(t, read, again)
			require.Contains(t, printed, "已经导入过")
			out, verified := terminalWith("")
			require.NoError(t, (&auditVerifyCommand{settings: s}).Run(t.Context(), out))
			require.Contains(t, verified.String(), "审计记录完整")
		})
	}
}

// TestImportDiskFull: the disk of the database, and that of the rejected rows, is
// full in the middle: the command says so in plain words, what it took over stays,
// and with more room the same command goes on to the same counts.
func TestImportDiskFull(t *testing.T) {
	t.Parallel()
	if err := exec.CommandContext(t.Context(), "unshare", "-Urm", "true").Run(); err != nil {
		t.Skip("no file system of limited size can be mounted here: ", err)
	}
	for name, c := range map[string]struct {
		size  string
		where func(s *settings, disk string) (rejects string)
		words string
	}{
		"database": {"4m", func(s *settings, disk string) string {
			s.Database = new("sqlite:" + filepath.Join(disk, "onecard.db"))
			return ""
		}, "空间已满"},
		"rejected rows": {"4k", func(_ *settings, disk string) string { return filepath.Join(disk, "rejects.csv") }, "磁盘已满"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, disk := trialSettings(t), t.TempDir()
			rejects := c.where(&s, disk)
			file := madeUp(t, s, 2500)
			words := arguments(s, file)
			if rejects != "" {
				words = append(words, "--rejects", rejects)
			}
			script := `mount -t tmpfs -o size=` + c.size + ` tmpfs "$0" || exit 9
				"$@" 2>&1 && exit 8
				echo ---; mount -o remount,size=64m "$0" || exit 9
				"$@" 2>&1`
			command := exec.CommandContext(t.Context(), "unshare", append([]string{"-Urm", "sh", "-c", script, disk, os.Args[0]}, words...)...)
			command.Env = append(os.Environ(), asCommand+"=1")
			command.WaitDelay = time.Second
			out, err := command.CombinedOutput()
			require.NoError(t, err, string(out))
			full, rest, found := strings.Cut(string(out), "---")
			require.True(t, found)
			require.Contains(t, full, c.words)
			require.Contains(t, full, "再次运行同一命令")
			read, added, known, rejected := proof(t, rest)
			require.Equal(t, read, added+known+rejected)
			require.Contains(t, rest, fmt.Sprintf("登记人数 residents on record   %d，导入前 before 0", added))
		})
	}
}

// TestImportDiskFullPostgres: the disk under PostgreSQL's tables is full in the
// middle: the same.
func TestImportDiskFullPostgres(t *testing.T) {
	t.Parallel()
	dsn, grow := pgtest.Small(t, 48)
	s := trialSettings(t)
	s.Database = &dsn
	file := madeUp(t, s, 40_000)
	run := func() (string, error) {
		command := exec.CommandContext(t.Context(), os.Args[0], arguments(s, file)...)
		command.Env = append(os.Environ(), asCommand+"=1")
		out, err := command.CombinedOutput()
		return string(out), err
	}
	full, err := run()
	require.Error(t, err, full)
	require.Contains(t, full, "空间已满")
	require.Contains(t, full, "再次运行同一命令")
	grow(512)
	rest, err := run()
	require.NoError(t, err, rest)
	read, added, known, rejected := proof(t, rest)
	require.Equal(t, read, added+known+rejected)
	require.Contains(t, rest, fmt.Sprintf("登记人数 residents on record   %d，导入前 before 0", added))
	out, verified := terminalWith("")
	require.NoError(t, (&auditVerifyCommand{settings: s}).Run(t.Context(), out))
	require.Contains(t, verified.String(), "审计记录完整")
}
