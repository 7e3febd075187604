package cmd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// numbered enters and reviews an application and returns its id.
func (s *system) numbered(clerk *desk, name string) string {
	s.t.Helper()
	person := clerk.person(name)["person"].(object)["id"]
	id := clerk.must("/platform/v1/applications", object{"personId": person, "kind": "first"})["id"].(string)
	s.desk("counter", "limin").must("/platform/v1/applications/"+id+"/events", object{"event": "approve"})
	return id
}

// issued makes a card for a sample resident, with the number 314159, and returns
// its file.
func (s *system) issued(serial, name string) string {
	s.t.Helper()
	clerk := s.desk("counter", "zhangying")
	chip := s.blankChip(serial)
	s.insert(0, chip)
	clerk.waitForCard("blank")
	card := clerk.must("/api/chip", object{"operation": "personalise", "applicationId": s.numbered(clerk, name)})["cardId"]
	clerk.must("/api/chip", object{"operation": "activate", "cardId": card, "pin": "314159"})
	s.remove(0)
	return chip
}

// TestTornCard takes the card out of the reader in the middle of each
// operation: each time the counter says so, and doing it again completes it.
func TestTornCard(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	clerk := s.desk("counter", "zhangying")
	chip := s.blankChip("0000B001")
	s.insert(0, chip)
	clerk.waitForCard("blank")
	application := s.numbered(clerk, "卓玛措")
	again := func(job object, after ...int) object {
		for _, n := range after {
			s.cardsim("tear", "--control", s.running.Control, "--slot", "0", "--after", strconv.Itoa(n))
			problem := clerk.refused("/api/chip", job, "卡")
			require.NotEmpty(t, problem["detail"], "it must say what to do")
			clerk.waitForCard("none")
			s.insert(0, chip)
			clerk.waitFor("a card", func(state object) bool {
				kind := state["card"].(object)["kind"]
				return kind != "none" && kind != "reading"
			})
		}
		return clerk.must("/api/chip", job)
	}
	// A personalisation has 96 commands: the opening, keys, data, read back and
	// the finish. Each attempt goes on where the one before ended.
	made := again(object{"operation": "personalise", "applicationId": application}, 2, 20, 40, 60, 30)
	require.Equal(t, true, made["genuine"])
	require.Equal(t, "0", made["status"])
	card := made["cardId"]
	require.Equal(t, "1", again(object{"operation": "activate", "cardId": card, "pin": "314159"}, 3, 12)["status"])
	require.Equal(t, true, again(object{"operation": "read"}, 5, 20)["genuine"])

	// One card came of it all, and it is handed over.
	file := clerk.person("卓玛措")
	require.Len(t, file["cards"], 1)
	require.Equal(t, "handed", file["applications"].([]any)[0].(object)["state"])
	clerk.refused("/api/chip", object{"operation": "personalise", "applicationId": application}, "不能")
}

// TestWrongCards puts chips into the reader that are no blanks of ours.
func TestWrongCards(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	clerk := s.desk("counter", "zhangying")
	application := s.numbered(clerk, "马海龙")
	bank, foreign := filepath.Join(s.data, "bank.card"), filepath.Join(s.data, "foreign.card")
	s.cardsim("bank", "--card", bank)
	s.cardsim("foreign", "--card", foreign)
	personalise := object{"operation": "personalise", "applicationId": application}

	clerk.refused("/api/chip", personalise, "没有卡")
	for file, says := range map[string]string{bank: "不是社会保障卡", foreign: "不认识的卡"} {
		s.insert(0, file)
		clerk.waitForCard("foreign")
		for _, job := range []object{personalise, {"operation": "read"}} {
			clerk.refused("/api/chip", job, says)
		}
		s.remove(0)
		clerk.waitForCard("none")
	}

	// Another maker's blank: its transport key is not ours.
	key := filepath.Join(s.data, "other.key")
	writeFile(t, key, "00112233445566778899AABBCCDDEEFF\n")
	other := filepath.Join(s.data, "other.card")
	s.cardsim("blank", "--card", other, "--serial", "0000C001", "--transport-key-file", key)
	s.insert(0, other)
	clerk.waitForCard("blank")
	clerk.refused("/api/chip", personalise, "传输密钥")
	s.remove(0)
	clerk.waitForCard("none")

	// A chip that is another person's card already.
	mine := s.blankChip("0000C002")
	first := s.numbered(clerk, "卓玛措")
	s.insert(0, mine)
	clerk.waitForCard("blank")
	clerk.must("/api/chip", object{"operation": "personalise", "applicationId": first})
	clerk.refused("/api/chip", personalise, "请插入原来的芯片")
	clerk.refused("/api/chip", object{"operation": "personalise", "applicationId": s.numbered(clerk, "韩乙四夫")}, "已")

	// The supervisor spoils the attempt with the other maker's blank, and a
	// good blank completes what the bad ones could not.
	s.remove(0)
	clerk.waitForCard("none")
	supervisor := s.desk("counter", "limin")
	supervisor.must("/platform/v1/applications/"+application+"/events", object{"event": "spoil", "reason": "芯片不能写入"})
	s.insert(0, s.blankChip("0000C003"))
	clerk.waitForCard("blank")
	require.Equal(t, true, clerk.must("/api/chip", personalise)["genuine"])
}

// TestBadEntries enters what a tired clerk enters.
func TestBadEntries(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	clerk := s.desk("counter", "zhangying")
	person := object{"idNumber": "63010219900307001X", "name": "王小明", "ethnic": "01", "place": "630102"}
	with := func(field, value string) object {
		changed := object{}
		for k, v := range person {
			changed[k] = v
		}
		changed[field] = value
		return changed
	}
	for _, c := range []struct{ field, value, says string }{
		{"idNumber", "630102199003070010", "校验"},
		{"idNumber", "63010219900230001X", "日期"},
		{"ethnic", "99", "民族"},
		{"place", "639999", "行政区划"},
		{"name", "", "name"},
		{"name", "王\u0000明", "name"},
	} {
		problem := clerk.refused("/platform/v1/persons", with(c.field, c.value), c.says, c.field)
		require.NotContains(t, fmt.Sprint(problem), "63010219900307", "no personal data in an error")
	}
	// The chip writes GBK: the character that it lacks is named.
	rare := clerk.person("李㛃")["person"].(object)["id"]
	clerk.refused("/platform/v1/applications", object{"personId": rare, "kind": "first"}, "㛃")
	// A name of more than 30 bytes goes into the extension.
	long := clerk.person("阿旺洛桑图登嘉措·索南旺杰·多杰才让")
	clerk.must("/platform/v1/applications", object{"personId": long["person"].(object)["id"], "kind": "first"})
	clerk.refused("/api/chip", object{"operation": "fly"}, "fields", "operation", "personalise")
}

// TestNoPermission runs a counter as a user who may not use the PC/SC service:
// the page and each operation say so, and not that no service runs.
func TestNoPermission(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	s := start(t, t.TempDir(), nil, "--no-journey")
	s.counter("W-O630102-01", s.running.Pages["platform"], &syscall.Credential{Uid: 65534, Gid: 65534})
	clerk := s.desk("extra", "zhangying")
	clerk.waitFor("no permission", func(state object) bool {
		service, away := state["service"].(object)
		return away && service["code"] == "no-permission"
	})
	clerk.refused("/api/chip", object{"operation": "read"}, "无权使用读卡服务", "polkit")
}
