package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// roundTrips reads the table of docs/round-trips.md: exchanges by operation.
func roundTrips(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile("../docs/round-trips.md")
	require.NoError(t, err)
	rows := map[string]int{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-zA-Z]+)`([^|]*)\\|[^|]*\\| ([0-9]+) \\|").FindAllStringSubmatch(string(text), -1) {
		exchanges, err := strconv.Atoi(row[3])
		require.NoError(t, err)
		name := row[1]
		if strings.Contains(row[2], "write") {
			name += " write"
		}
		rows[name] = exchanges
	}
	return rows
}

// TestRoundTrips does each work of a counter behind a line on which a round trip
// takes 300 ms, and counts what the platform was asked.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	documented := roundTrips(t)
	s := start(t, t.TempDir(), nil, "--no-journey")
	application := s.numbered(s.desk("counter", "zhangying"), "卓玛措")
	l, clerk, _ := s.behind("counter", "W-O630102-01")
	l.delay.Store(int64(150 * time.Millisecond))
	asked := func() int {
		text, err := os.ReadFile(filepath.Join(s.data, "logs", "platform.log"))
		require.NoError(t, err)
		return strings.Count(string(text), "/v1/chip-sessions")
	}
	done := map[string]int{}
	count := func(name string, work func()) {
		before := asked()
		begun := time.Now()
		work()
		done[name] = asked() - before
		// Not how fast, but that the line is as slow as it is meant to be.
		require.GreaterOrEqual(t, time.Since(begun), time.Duration(done[name])*300*time.Millisecond, name)
	}
	count("identify", func() {
		s.insert(0, s.blankChip("0000F003"))
		clerk.waitForCard("blank")
	})
	var card any
	count("personalise", func() {
		card = clerk.must("/api/chip", object{"operation": "personalise", "applicationId": application})["cardId"]
	})
	telephone := object{"path": "DF01/EF06/telephone"}
	written := object{"path": "DF01/EF06/telephone", "text": "0971-8123456"}
	for _, step := range []struct {
		name string
		job  object
	}{
		{"activate", object{"pin": "314159"}},
		{"read", object{}},
		{"compare", object{}},
		{"access", object{"items": []object{telephone}}},
		{"access write", object{"items": []object{written}}},
		{"refresh", object{}},
		{"resetPIN", object{"pin": "271828"}},
		{"unblockPIN", object{}},
		{"rekey", object{}},
	} {
		operation, _, _ := strings.Cut(step.name, " ")
		step.job["operation"], step.job["cardId"] = operation, card
		count(step.name, func() { clerk.must("/api/chip", step.job) })
	}
	supervisor := s.desk("extra", "limin")
	for _, operation := range []string{"lock", "unlock"} {
		count(operation, func() { supervisor.must("/api/chip", object{"operation": operation, "cardId": card}) })
	}
	// The command line takes the platform's own line, and reads the card first.
	config := filepath.Join(s.data, "workstations", "W-O630102-01", "counter.yaml")
	before := asked()
	out, code := s.runCounter(s.running.Logins["zhangying"]+"\n271828\n", "chip", "credit", "--config", config, "--login", "zhangying", "--amount", "100", "--terminal", "630102000001", "--serial", "1")
	require.Zero(t, code, out)
	done["credit"] = asked() - before - done["read"]
	require.Equal(t, documented, done)
}
