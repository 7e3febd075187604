package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProfileDirectory: a specification version that no program was built with,
// and a local file and its keys, are files in a directory: the platform, the
// counter, the virtual cards and the trace read it, and no program changes.
func TestProfileDirectory(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../card/profile/v3.yaml")
	require.NoError(t, err)
	ahead := strings.Replace(string(text), `version: "3.00"`, `version: "4.00"`, 1)
	ahead = strings.Replace(ahead, "      - {name: UK3DF07,", `      - {name: RKHEALTH, id: "89", purpose: external, tries: 15}
      - {name: UKHEALTH, id: "8A", purpose: external, tries: 15}
      - {name: UK3DF07,`, 1) + `      - fid: EF08
        title: {zh: 健康信息, en: health}
        kind: variable
        read: RKHEALTH
        write: UKHEALTH
        elements:
          - {rec: 1, tag: FA, len: 2, as: an, name: bloodGroup, zh: 血型, en: blood group}
`
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "v4.yaml"), ahead)
	policy, err := os.ReadFile("../issuance/policy.yaml")
	require.NoError(t, err)
	parameters := filepath.Join(t.TempDir(), "policy.yaml")
	writeFile(t, parameters, strings.Replace(string(policy), `specVersions: ["3.00"]`, `specVersions: ["4.00"]`, 1))

	s := start(t, t.TempDir(), nil, "--no-journey", "--profiles", dir, "--issuance", parameters)
	clerk := s.desk("counter", "zhangying")
	chip := filepath.Join(s.data, "cards", "ahead.card")
	s.cardsim("blank", "--card", chip, "--serial", "0000F401", "--version", "4.00", "--profiles", dir, "--transport-key-file", s.running.Key)
	s.insert(0, chip)
	clerk.waitForCard("blank")
	made := clerk.must("/api/chip", object{"operation": "personalise", "applicationId": s.numbered(clerk, "卓玛措")})
	require.Equal(t, true, made["genuine"])
	clerk.must("/api/chip", object{"operation": "activate", "cardId": made["cardId"], "pin": "314159"})
	done := clerk.must("/api/chip", object{"operation": "access", "cardId": made["cardId"], "items": []object{{"path": "DF07/EF08/bloodGroup", "text": "AB"}}})
	require.Equal(t, "AB", done["fields"].([]any)[0].(object)["value"])

	out, code := s.runCounter("", "trace", "--profiles", dir, filepath.Join(s.data, "logs", "counter.transcript"))
	require.Zero(t, code, out)
	require.Contains(t, out, "DF07/EF08")
	writeFile(t, filepath.Join(dir, "w4.yaml"), strings.NewReplacer("4.00", "5.00", "kind: variable", "kind: wobbly").Replace(ahead))
	out, code = s.runCounter("", "trace", "--profiles", dir, filepath.Join(s.data, "logs", "counter.transcript"))
	require.NotZero(t, code)
	require.Regexp(t, `w4\.yaml: line [0-9]+: .*wobbly`, out)
}
