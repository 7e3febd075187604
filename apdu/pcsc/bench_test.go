package pcsc_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/internal/rig"
)

// exchange is one message each way, as T=0 carries them.
type exchange struct{ command, answer []byte }

// holder is the reading of a whole holder from the golden transcript: what the
// product sends, the answers that it must get, and what passes for that.
type holder struct {
	commands  []apdu.Command
	answers   []apdu.Response
	exchanges []exchange
}

func readHolder(t testing.TB) (h holder) {
	t.Helper()
	file, err := os.Open("../../testdata/reading-3.00.apdu")
	require.NoError(t, err)
	defer file.Close()
	transcript, err := apdu.ParseTranscript(file)
	require.NoError(t, err)
	for _, e := range transcript {
		c, err := apdu.ParseCommand(plain(e.Command))
		require.NoError(t, err)
		r, err := apdu.ParseResponse(plain(e.Response))
		require.NoError(t, err)
		if c.INS == 0xC0 { // the rest of the answer before
			h.answers[len(h.answers)-1] = r
		} else {
			h.commands, h.answers = append(h.commands, c), append(h.answers, r)
		}
		if len(c.Data) > 0 {
			c.Ne = 0
		}
		sent, err := c.Bytes()
		require.NoError(t, err)
		h.exchanges = append(h.exchanges, exchange{sent, plain(e.Response)})
	}
	return h
}

func plain(octets apdu.Octets) []byte {
	out := make([]byte, len(octets))
	for i, o := range octets {
		out[i] = o.Value
	}
	return out
}

// image is a card that answers as the transcript says.
func (h holder) image(t testing.TB) string {
	t.Helper()
	answers := map[string]string{}
	for _, e := range h.exchanges {
		answers[fmt.Sprintf("%X", e.command)] = fmt.Sprintf("%X", e.answer)
	}
	require.Len(t, answers, len(h.exchanges), "no command has two answers")
	text, err := json.Marshal(map[string]any{"atr": "3B6D000000814E43318697639900BF7C7A", "answers": answers})
	require.NoError(t, err)
	return string(text)
}

// arm is one way of doing a thing, and how long it took each time.
type arm struct {
	name  string
	run   func() time.Duration
	times []time.Duration
}

// byTurns runs the arms one after the other again and again, and reports each
// one's median for one exchange of n.
func byTurns(b *testing.B, n int, arms ...*arm) {
	for b.Loop() {
		for _, a := range arms {
			a.times = append(a.times, a.run())
		}
	}
	for _, a := range arms {
		b.ReportMetric(float64(a.median())/float64(n), a.name+"-ns")
	}
}

func (a *arm) median() time.Duration {
	slices.Sort(a.times)
	return a.times[len(a.times)/2]
}

// readings is how often a holder is read in one turn: once, what went before it
// on the processors decides as much as what is measured.
const readings = 10

// BenchmarkReading reads a holder through the service, by turns in C over
// libpcsclite alone and with this package as the product does. In each turn the
// card is connected, read and released; what counts are the exchanges. ratio is
// that of the medians: 1 is as fast as C.
func BenchmarkReading(b *testing.B) {
	h := readHolder(b)
	inC := startC(b, h)
	made(b, 0, h.image(b))
	c := &arm{name: "C", run: func() time.Duration { return inC(strconv.Itoa(readings)) }}
	product := &arm{name: "product", run: func() time.Duration { return h.asProduct(b) }}
	byTurns(b, readings*len(h.exchanges), c, product)
	b.ReportMetric(float64(c.median())/float64(product.median()), "ratio")
}

// BenchmarkShares says what an exchange consists of: one in C, one call to the
// service that does not go to the card, one exchange with the same card
// without the service.
func BenchmarkShares(b *testing.B) {
	h := readHolder(b)
	inC := startC(b, h)
	alone := startAlone(b, h)
	made(b, 0, h.image(b))
	n := readings * len(h.exchanges)
	byTurns(b, n,
		&arm{name: "C", run: func() time.Duration { return inC(strconv.Itoa(readings)) }},
		&arm{name: "service-alone", run: func() time.Duration { return inC(fmt.Sprintf("s %d", n)) }},
		&arm{name: "card-alone", run: alone})
}

// read sends the commands as card.Run does.
func (h holder) read(channel *apdu.Channel) error {
	for i, c := range h.commands {
		r, err := channel.Send(context.Background(), c)
		if err != nil {
			return err
		}
		if want := h.answers[i]; r.SW != want.SW || !bytes.Equal(r.Data, want.Data) {
			return fmt.Errorf("command %d: another answer", i+1)
		}
	}
	return nil
}

func (h holder) asProduct(t testing.TB) time.Duration {
	card := connect(t, 0)
	channel := apdu.NewChannel(card)
	begin := time.Now()
	for range readings {
		if err := channel.Together(t.Context(), h.read); err != nil {
			require.NoError(t, err)
		}
	}
	took := time.Since(begin)
	require.NoError(t, card.Close())
	return took
}

// startC starts the program that reads in C; each line that it is asked is
// answered with nanoseconds.
func startC(b *testing.B, h holder) func(line string) time.Duration {
	b.Helper()
	for _, tool := range []string{"cc", "pkg-config"} {
		if _, err := exec.LookPath(tool); err != nil {
			b.Skipf("nothing to compare with: %s is missing", tool)
		}
	}
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "libpcsclite").Output()
	require.NoError(b, err)
	dir := b.TempDir()
	reading, script := filepath.Join(dir, "reading"), filepath.Join(dir, "script")
	args := append([]string{"-O2", "-o", reading, "testdata/reading.c"}, strings.Fields(string(flags))...)
	out, err := exec.Command("cc", args...).CombinedOutput()
	require.NoError(b, err, string(out))
	var lines bytes.Buffer
	for _, e := range h.exchanges {
		fmt.Fprintf(&lines, "%X %X\n", e.command, e.answer)
	}
	require.NoError(b, os.WriteFile(script, lines.Bytes(), 0o600))
	command := exec.Command(reading, rig.Readers[0], script)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	require.NoError(b, err)
	answers, err := command.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, command.Start())
	b.Cleanup(func() {
		require.NoError(b, in.Close())
		require.NoError(b, command.Wait())
	})
	scanner := bufio.NewScanner(answers)
	return func(line string) time.Duration {
		_, err := fmt.Fprintln(in, line)
		require.NoError(b, err)
		require.True(b, scanner.Scan())
		nanoseconds, err := strconv.ParseInt(scanner.Text(), 10, 64)
		require.NoError(b, err)
		return time.Duration(nanoseconds)
	}
}

// startAlone starts the same card in a reader of our own: no service between.
func startAlone(b *testing.B, h holder) func() time.Duration {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer listener.Close()
	dir := b.TempDir()
	control, file := filepath.Join(dir, "sim"), filepath.Join(dir, "holder.card")
	require.NoError(b, os.WriteFile(file, []byte(h.image(b)), 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	simulator := exec.CommandContext(ctx, program, "serve", "--control", control, "--slots", "1", "--vpcd", listener.Addr().String())
	require.NoError(b, simulator.Start())
	b.Cleanup(func() {
		cancel()
		_ = simulator.Wait() // killed
	})
	require.Eventually(b, func() bool {
		return exec.Command(program, "insert", "--control", control, "--slot", "0", "--card", file).Run() == nil
	}, 10*time.Second, 50*time.Millisecond)
	card, err := listener.Accept()
	require.NoError(b, err)
	b.Cleanup(func() { _ = card.Close() })
	_, err = card.Write([]byte{0, 1, 1}) // power on
	require.NoError(b, err)
	return func() time.Duration {
		begin := time.Now()
		for _, e := range slices.Repeat(h.exchanges, readings) {
			_, err := card.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(e.command))), e.command...))
			require.NoError(b, err)
			answer := make([]byte, 2+len(e.answer))
			_, err = io.ReadFull(card, answer)
			require.NoError(b, err)
			require.Equal(b, e.answer, answer[2:])
		}
		return time.Since(begin)
	}
}
