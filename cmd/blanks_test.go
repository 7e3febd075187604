package cmd_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// blankOf makes a blank of a make with a key.
func (s *system) blankOf(maker, serial, key string) string {
	s.t.Helper()
	file := filepath.Join(s.data, maker+"-"+serial+".card")
	s.cardsim("blank", "--card", file, "--maker", maker, "--serial", serial, "--transport-key-file", key)
	return file
}

// sequence is how many sessions a GlobalPlatform chip was asked to begin.
func sequence(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var image struct {
		Platform struct{ Sequence int }
	}
	require.NoError(t, json.Unmarshal(text, &image))
	return image.Platform.Sequence
}

// TestBlanksOfEveryMake issues a card on a blank of each make, at a counter
// with the real PC/SC service; the keys are in the keeper's own process. A
// blank with other keys and one of a maker that nobody knows are refused by
// name.
func TestBlanksOfEveryMake(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil, "--no-journey")
	clerk := s.desk("counter", "zhangying")
	foreign := filepath.Join(s.data, "foreign.key")
	writeFile(t, foreign, "00112233445566778899AABBCCDDEEFF\n")
	for i, test := range []struct{ maker, serial, holder string }{
		{"laboratory", "0000D001", "马海龙"}, {"gp-scp03", "0000D002", "卓玛措"}, {"gp-scp02", "0000D003", "韩乙四夫"},
	} {
		personalise := object{"operation": "personalise", "applicationId": s.numbered(clerk, test.holder)}
		chip := s.blankOf(test.maker, test.serial, s.running.Key)
		s.insert(0, chip)
		clerk.waitForCard("blank")
		made := clerk.must("/api/chip", personalise)
		require.Equal(t, true, made["genuine"], test.maker)
		require.Equal(t, "1", clerk.must("/api/chip", object{"operation": "activate", "cardId": made["cardId"], "pin": "314159"})["status"])
		require.Equal(t, true, clerk.must("/api/chip", object{"operation": "read"})["genuine"])
		s.remove(0)
		clerk.waitForCard("none")
		if i == 0 {
			continue
		}
		require.Equal(t, 1, sequence(t, chip), "one session makes a card")
	}

	application := s.numbered(clerk, "扎西·多杰")
	personalise := object{"operation": "personalise", "applicationId": application}
	spoil := func() {
		s.remove(0)
		clerk.waitForCard("none")
		s.desk("counter", "limin").must("/platform/v1/applications/"+application+"/events", object{"event": "spoil", "reason": "芯片不能写入"})
	}
	for i, maker := range []string{"gp-scp03", "gp-scp02"} {
		chip := s.blankOf(maker, []string{"0000D004", "0000D005"}[i], foreign)
		s.insert(0, chip)
		clerk.waitForCard("blank")
		clerk.refused("/api/chip", personalise, "传输密钥")
		require.Equal(t, 1, sequence(t, chip), "nothing is tried twice")
		spoil()
	}

	unknown := s.blankOf("gp-scp03", "0000D006", s.running.Key)
	text, err := os.ReadFile(unknown)
	require.NoError(t, err)
	changed := bytes.Replace(text, []byte("3B6D00000082475033"), []byte("3B6D00000083475033"), 1)
	require.NotEqual(t, text, changed)
	require.NoError(t, os.WriteFile(unknown, changed, 0o600))
	s.insert(0, unknown)
	clerk.waitForCard("blank")
	clerk.refused("/api/chip", personalise, "卡商未登记")
	require.Equal(t, 0, sequence(t, unknown), "it is not even asked")
}
