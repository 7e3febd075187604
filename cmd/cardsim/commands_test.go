package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestServe goes through a day of two readers: a card in, used, reset, taken
// out, put into the other, its power cut at a command.
func TestServe(t *testing.T) {
	t.Parallel()
	s := serve(t)
	blank := s.file("blank", "blank", "--serial", "00BF7C7A", "--transport-key-file", key(t, s.dir, keyText))
	bank, foreign := s.file("bank", "bank"), s.file("foreign", "foreign")
	require.Equal(t, "0 \n1 \n", s.list())

	require.Empty(t, run(t, s.slot("insert", 0, "--card", blank)...))
	first := s.readers[0]
	first.inserted()
	require.Equal(t, fmt.Sprintf("0 %s\n1 \n", blank), s.list())
	atr := []byte{0x3B, 0x6D, 0, 0, 0, 0x81, 'N', 'C', '1', 0x86, 0x97, 0x63, 0x99, 0x00, 0xBF, 0x7C, 0x7A}
	require.Equal(t, atr, first.answers(messageATR))
	require.Equal(t, []byte{0x6F, 0x00}, first.answers(0, 0x84, 0, 0, 8), "without power")
	first.say(messageOn)
	require.Len(t, first.answers(0, 0x84, 0, 0, 8), 10)
	first.say(messageReset)
	require.Equal(t, []byte{0x69, 0x85}, first.answers(0, 0xB2, 1, 0x2C, 0x12), "the environment is not selected")
	first.say(messageOff)
	require.Equal(t, []byte{0x6F, 0x00}, first.answers(0, 0x84, 0, 0, 8))
	require.Equal(t, []byte{0x6F, 0x00}, first.answers(), "an empty message is a command too")

	refused(t, "slot 0 holds a card already", s.slot("insert", 0, "--card", bank)...)
	refused(t, "is in slot 0", s.slot("insert", 1, "--card", blank)...)
	require.Empty(t, run(t, s.slot("remove", 0)...))
	first.gone()
	require.Empty(t, run(t, s.slot("remove", 0)...), "an empty slot stays empty")

	require.Empty(t, run(t, s.slot("insert", 1, "--card", blank)...))
	second := s.readers[1]
	second.inserted()
	require.Empty(t, run(t, s.slot("tear", 1, "--after", "2")...))
	second.say(messageOn)
	require.Len(t, second.answers(0, 0x84, 0, 0, 8), 10)
	_, err := second.ask(0, 0x84, 0, 0, 8)
	require.Error(t, err, "the answer is lost")
	require.Eventually(t, func() bool { return s.list() == "0 \n1 \n" }, patience, 20*time.Millisecond)

	for i, card := range []string{bank, foreign} {
		require.Empty(t, run(t, s.slot("insert", i, "--card", card)...))
		s.readers[i].inserted()
		s.readers[i].say(messageOn)
		require.Equal(t, byte(0x3B), s.readers[i].answers(messageATR)[0])
		require.Equal(t, []byte{0x6D, 0x00}, s.readers[i].answers(0, 0x84, 0, 0, 8))
	}
	log := s.stop()
	require.Contains(t, log, "power cut")
	require.Equal(t, 1, strings.Count(log, "\n"), log)
	for _, r := range s.readers {
		r.gone()
	}
}

// TestAdversary: a chip in a reader misbehaves as it was told to.
func TestAdversary(t *testing.T) {
	t.Parallel()
	s := serve(t)
	blank := s.file("blank", "blank", "--serial", "00BF7C7B", "--transport-key-file", key(t, s.dir, keyText))
	for name, want := range map[string][]byte{"endless-61-empty": {0x61, 0xFF}, "one-byte": {0x90}, "empty": {0x90, 0x00}} {
		require.Empty(t, run(t, s.slot("insert", 0, "--card", blank, "--as", name)...))
		s.readers[0].inserted()
		s.readers[0].say(messageOn)
		require.Equal(t, want, s.readers[0].answers(0, 0x84, 0, 0, 8))
		require.Empty(t, run(t, s.slot("remove", 0)...))
	}
	require.Empty(t, run(t, s.slot("insert", 0, "--card", blank, "--as", "64k")...))
	s.readers[0].inserted()
	s.readers[0].say(messageOn)
	require.Len(t, s.readers[0].answers(0, 0x84, 0, 0, 8), 65535, "as much as a frame holds")
}

// TestReaderComesBack: a card stays in its reader while the service is away.
func TestReaderComesBack(t *testing.T) {
	t.Parallel()
	s := serve(t)
	address := s.readers[0].listener.Addr().String()
	require.NoError(t, s.readers[0].listener.Close())
	require.Empty(t, run(t, s.slot("insert", 0, "--card", s.file("bank", "bank"))...))
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	again := &reader{t: t, listener: listener}
	for range 2 {
		again.inserted()
		require.Equal(t, byte(0x3B), again.answers(messageATR)[0])
		require.NoError(t, again.card.Close())
	}
}

// TestRefusals: what a person gets wrong is said in a line.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := serve(t)
	bank := s.file("bank", "bank")
	noCard := filepath.Join(s.dir, "none.card")
	broken := filepath.Join(s.dir, "broken.card")
	require.NoError(t, os.WriteFile(broken, []byte("{}{"), 0o600))
	strange := filepath.Join(s.dir, "strange.card")
	require.NoError(t, os.WriteFile(strange, []byte(`{"atr":"3B00","version":"9.99"}`), 0o600))
	nowhere := filepath.Join(s.dir, "nowhere")
	for name, test := range map[string]struct {
		says string
		args []string
	}{
		"insert a missing file":   {noCard + ": no such file", s.slot("insert", 0, "--card", noCard)},
		"insert what is no card":  {"not the image of a chip", s.slot("insert", 0, "--card", broken)},
		"insert another version":  {`no profile of specification version "9.99"`, s.slot("insert", 0, "--card", strange)},
		"no such slot":            {"slot 2: 0 to 1", s.slot("insert", 2, "--card", bank)},
		"slot below the first":    {"slot -1: 0 to 1", []string{"remove", "--control", s.control, "--slot=-1"}},
		"tear without a card":     {"a card in the slot", s.slot("tear", 1, "--after", "1")},
		"tear without a number":   {"--after", s.slot("tear", 1)},
		"insert as nobody":        {`"nobody": no such adversary`, s.slot("insert", 0, "--card", bank, "--as", "nobody")},
		"insert without a card":   {"--card", s.slot("insert", 0)},
		"no control socket":       {"--control", []string{"list"}},
		"insert, unknown socket":  {"control socket " + nowhere + ": is the simulator running?", []string{"insert", "--control", nowhere, "--card", bank}},
		"remove, unknown socket":  {"control socket " + nowhere + ": is the simulator running?", []string{"remove", "--control", nowhere}},
		"tear, unknown socket":    {"control socket " + nowhere + ": is the simulator running?", []string{"tear", "--control", nowhere, "--after", "1"}},
		"list, unknown socket":    {"control socket " + nowhere + ": is the simulator running?", []string{"list", "--control", nowhere}},
		"socket that is a file":   {"is the simulator running?", []string{"list", "--control", bank}},
		"unknown command":         {"unexpected argument", []string{"explode"}},
		"serve, socket in use":    {"a simulator runs there already", []string{"serve", "--control", s.control}},
		"serve, socket is a card": {"is no socket", []string{"serve", "--control", bank}},
		"serve, no such folder":   {"no such file or directory", []string{"serve", "--control", filepath.Join(nowhere, "sim")}},
		"serve, no port":          {"vpcd", []string{"serve", "--control", nowhere, "--vpcd", "localhost"}},
		"serve, no number":        {"vpcd: port", []string{"serve", "--control", nowhere, "--vpcd", "localhost:x"}},
		"serve, no slots":         {"slots: 1 or more", []string{"serve", "--control", nowhere, "--slots", "0"}},
		"serve, ports run out":    {"slots: 1 or more", []string{"serve", "--control", nowhere, "--vpcd", "localhost:65535"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, test.says, test.args...) })
	}
	require.Equal(t, "0 \n1 \n", s.list(), "nothing of it did anything")
	text, err := os.ReadFile(bank)
	require.NoError(t, err)
	require.NotEmpty(t, text, "the card is not replaced by a socket")
}

// TestMakeRefused: the same for the commands that make cards.
func TestMakeRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := key(t, dir, keyText)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	made := write("made", "a card")
	card := filepath.Join(dir, "new")
	blank := func(serial, keyFile string, more ...string) []string {
		return append([]string{"blank", "--card", card, "--serial", serial, "--transport-key-file", keyFile}, more...)
	}
	for name, test := range map[string]struct {
		says string
		args []string
	}{
		"serial too short":        {"serial: 8 hexadecimal digits", blank("00BF7C", good)},
		"serial too long":         {"serial: 8 hexadecimal digits", blank("00BF7C7A01", good)},
		"serial of an odd length": {"serial: 8 hexadecimal digits", blank("00BF7C7", good)},
		"serial no number":        {"serial: 8 hexadecimal digits", blank("00BF7CZZ", good)},
		"no serial":               {"--serial", []string{"blank", "--card", card, "--transport-key-file", good}},
		"unknown maker":           {`maker "other" is not known`, blank("00BF7C7A", good, "--maker", "other")},
		"two keys":                {"one file, or three", blank("00BF7C7A", good, "--maker", "gp-scp03", "--transport-key-file", good)},
		"three keys for one":      {"one file, or three", blank("00BF7C7A", good, "--transport-key-file", good, "--transport-key-file", good)},
		"unknown version":         {`no profile of specification version "9.00"`, blank("00BF7C7A", good, "--version", "9.00")},
		"missing key file":        {"transport key: open " + filepath.Join(dir, "none"), blank("00BF7C7A", filepath.Join(dir, "none"))},
		"short key":               {"32 hexadecimal digits", blank("00BF7C7A", write("short", "404142\n"))},
		"empty key file":          {"no key in it", blank("00BF7C7A", write("empty", "# nothing\n"))},
		"blank over a card":       {"file already exists", []string{"blank", "--card", made, "--serial", "00BF7C7A", "--transport-key-file", good}},
		"bank over a card":        {"file already exists", []string{"bank", "--card", made}},
		"foreign over a card":     {"file already exists", []string{"foreign", "--card", made}},
		"no such folder":          {"no such file or directory", []string{"bank", "--card", filepath.Join(dir, "none", "card")}},
		"folder that is a file":   {"not a directory", []string{"bank", "--card", filepath.Join(made, "card")}},
		"bank without a file":     {"--card", []string{"bank"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, test.says, test.args...)
			require.NoFileExists(t, card)
		})
	}
	text, err := os.ReadFile(made)
	require.NoError(t, err)
	require.Equal(t, "a card", string(text))
}

// TestMakes makes a blank of each make; its answer to reset tells which.
func TestMakes(t *testing.T) {
	t.Parallel()
	s := serve(t)
	file := key(t, s.dir, keyText)
	for name, code := range map[string]string{"laboratory": "\x81NC1", "gp-scp03": "\x82GP3", "gp-scp02": "\x82GP2"} {
		require.Empty(t, run(t, s.slot("insert", 0, "--card", s.file(name, "blank", "--serial", "00BF7C7A", "--maker", name, "--transport-key-file", file))...))
		s.readers[0].inserted()
		require.Equal(t, code, string(s.readers[0].answers(messageATR)[5:9]))
		require.Empty(t, run(t, s.slot("remove", 0)...))
		s.readers[0].gone()
	}
}

// TestControl speaks to the socket as no cardsim does.
func TestControl(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for sent, says := range map[string]string{
		`{"do":"explode"}` + "\n":           `unknown command "explode"`,
		`{"do":"list","slot":-3}` + "\n":    "slot -3: 0 to 1",
		"nothing of the kind\n":             "invalid character",
		`{"do":"tear","after":0}` + "\n":    "after 1 or more",
		`{"do":"list","slot":"one"}` + "\n": "cannot unmarshal",
	} {
		connection, err := net.Dial("unix", s.control)
		require.NoError(t, err)
		_, err = connection.Write([]byte(sent))
		require.NoError(t, err)
		var a answer
		require.NoError(t, json.NewDecoder(connection).Decode(&a))
		require.Contains(t, a.Error, says)
		require.NoError(t, connection.Close())
	}
	// One who says nothing keeps nobody, at the end neither.
	idle, err := net.Dial("unix", s.control)
	require.NoError(t, err)
	defer idle.Close()
	require.Equal(t, "0 \n1 \n", s.list())
	require.Empty(t, s.stop())
	require.NoFileExists(t, s.control)
}

// TestLeftBehind: the socket of a simulator that was killed is in nobody's way.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	s := serve(t)
	require.NoError(t, s.process.Process.Kill())
	_ = s.process.Wait()
	require.FileExists(t, s.control)
	refused(t, "is the simulator running?", "list", "--control", s.control)
	again := command(t, "serve", "--control", s.control)
	require.NoError(t, again.Start())
	defer func() {
		_ = again.Process.Kill()
		_ = again.Wait()
	}()
	require.Eventually(t, func() bool { return command(t, "list", "--control", s.control).Run() == nil }, patience, 20*time.Millisecond)
}
