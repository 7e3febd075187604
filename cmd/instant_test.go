package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// colleague starts another counter of the county, with a workstation and a
// reader of its own.
func (s *system) colleague(workstation, reader string) *desk {
	s.t.Helper()
	dir := filepath.Join(s.data, "workstations", workstation)
	out, err := runOnce(s.t, s.bin, nil, "workstation", "enrol", workstation, "--out", dir, "--data", s.data, "--trial")
	require.NoError(s.t, err, out)
	text, err := os.ReadFile(filepath.Join(s.data, "workstations", "W-O630102-01", "counter.yaml"))
	require.NoError(s.t, err)
	config := map[string]string{}
	require.NoError(s.t, yaml.Unmarshal(text, &config))
	for _, name := range []string{"ca", "cert", "key"} {
		config[name] = filepath.Join(dir, filepath.Base(config[name]))
	}
	config["reader"] = reader
	text, err = yaml.Marshal(config)
	require.NoError(s.t, err)
	writeFile(s.t, filepath.Join(dir, "counter.yaml"), string(text))
	s.counter(workstation, s.running.Pages["platform"], nil)
	return s.desk("extra", "zhangying")
}

// TestInstantAtTwoCounters interrupts an instant issue with the programs as they
// run at two counters, through the PC/SC service: the card is torn out of one
// reader in the middle of personalisation and goes on in the other, the face is
// printed there, and the first counter hands it over.
func TestInstantAtTwoCounters(t *testing.T) {
	t.Parallel()
	policy, err := os.ReadFile("../issuance/policy.yaml")
	require.NoError(t, err)
	parameters := filepath.Join(t.TempDir(), "policy.yaml")
	writeFile(t, parameters, strings.Replace(string(policy), "printedFirst: false", "printedFirst: true", 1))
	s := start(t, t.TempDir(), nil, "--no-journey", "--issuance", parameters)
	one := s.desk("counter", "zhangying")
	chip := s.blankChip("0000C101")
	s.insert(0, chip)
	one.waitForCard("blank")
	application := s.numbered(one, "卓玛措")
	personalise := object{"operation": "personalise", "applicationId": application}
	s.cardsim("tear", "--control", s.running.Control, "--slot", "0", "--after", "48")
	one.refused("/api/chip", personalise, "重新插入同一张卡")
	one.waitForCard("none")

	two := s.colleague("W-O630102-02", "Virtual PCD 00 01")
	s.insert(1, s.blankChip("0000C102"))
	two.waitForCard("blank")
	two.refused("/api/chip", personalise, "other-chip", "C101")
	s.remove(1)
	two.waitForCard("none")
	s.insert(1, chip)
	two.waitForCard("unfinished")
	made := two.must("/api/chip", personalise)
	require.Equal(t, true, made["genuine"])
	require.Equal(t, "0", made["status"])
	card := made["cardId"].(string)
	activate := object{"operation": "activate", "cardId": card, "pin": "314159"}
	two.refused("/api/chip", activate, "not-printed")
	prints := "/platform/v1/cards/" + card + "/prints"
	two.must(prints, object{"printer": "P2", "outcome": "failed", "cause": "卡纸"})
	two.must(prints, object{"printer": "P2", "outcome": "printed"})
	s.cardsim("tear", "--control", s.running.Control, "--slot", "1", "--after", "12")
	two.refused("/api/chip", activate, "重新插入同一张卡")
	two.waitForCard("none")

	one = s.desk("counter", "zhangying")
	s.insert(0, chip)
	one.waitForCard("personalised")
	one.refused("/api/chip", personalise, "not-allowed")
	one.must(prints, object{"printer": "P1", "outcome": "printed", "reason": "卡面划痕"})
	require.Equal(t, "1", one.must("/api/chip", activate)["status"])
	file := one.person("卓玛措")
	require.Len(t, file["cards"], 1)
	require.Equal(t, "handed", file["applications"].([]any)[0].(object)["state"])
	require.Equal(t, true, one.must("/api/chip", object{"operation": "read"})["genuine"])
}
