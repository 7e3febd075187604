package pcsc_test

import (
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/internal/gb"
	"onecard/internal/rig"
	"onecard/keys"
)

// personalised makes a card of the software chip in a file.
func personalised(t *testing.T) string {
	t.Helper()
	all := profiles(t)
	p := all[0]
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	keeper, err := keys.Create(filepath.Join(t.TempDir(), "keys.json"), kek, keys.Provincial())
	require.NoError(t, err)
	for _, spec := range keys.Provincial() {
		if spec.Name == p.Maker.Transport {
			require.NoError(t, keeper.Import(spec, 1, strings.NewReader("404142434445464748494A4B4C4D4E4F")))
		}
	}
	file := blank(t, "00BF7C7A")
	c, err := chip.New(all, chip.File(file), nil)
	require.NoError(t, err)
	channel := apdu.NewChannel(&chip.Socket{Chip: c})
	atr := c.PowerOn()
	responses, err := card.Run(t.Context(), channel, card.Opening(p, 16), nil)
	require.NoError(t, err)
	id, err := card.Identify(p, atr, responses)
	require.NoError(t, err)
	op, err := card.NewPersonalise(p, id, holderContents(t), 1)
	require.NoError(t, err)
	for in := (card.Input{}); ; {
		script, err := op.Next(t.Context(), keeper, in)
		require.NoError(t, err)
		if script == nil {
			return file
		}
		in.Responses, err = card.Run(t.Context(), channel, script, nil)
		require.NoError(t, err)
	}
}

// holderContents are those of a person who does not exist.
func holderContents(t *testing.T) card.Contents {
	t.Helper()
	date := func(year int, month time.Month, day int) gb.Date {
		d, err := gb.NewDate(year, month, day)
		require.NoError(t, err)
		return d
	}
	number, err := gb.NewIDNumber("632221", date(1981, 1, 1), 123)
	require.NoError(t, err)
	return card.Contents{CardType: "3", Issuer: "915600000263000063000000", IssuedOn: date(2026, 11, 23), ExpiresOn: date(2036, 11, 23),
		CardNumber: "X00000019", IDNumber: number, Name: "李娜", Sex: number.Sex(), Ethnic: "04", BirthPlace: "632221"}
}

// tool runs a program of others at the service and returns what it prints, with
// all white space made one space, in capitals.
func tool(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is missing (Debian packages opensc, pcsc-tools)", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...)
	command.Env = append(os.Environ(), "LC_ALL=C", "TERM=dumb", "HOME="+t.TempDir())
	command.Stdin = strings.NewReader(input)
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.ToUpper(strings.Join(strings.Fields(string(out)), " "))
}

// What every tool must be told by the card: the answer to reset, the FCI of the
// environment, the free records of the issuer's file as they were written, and
// no record of the holder's.
const (
	cardATR     = "3B 6D 00 00 00 81 4E 43 31 86 97 63 99 00 BF 7C 7A"
	cardFCI     = "6F 16 84 0F 73 78 31 2E 73 68 2E C9 E7 BB E1 B1 A3 D5 CF A5 03 88 01 0B"
	cardVersion = "03 04 33 2E 30 30"
	cardIssued  = "05 04 20 26 11 23"
)

// TestTools reads a personalised card with programs that know nothing of us.
func TestTools(t *testing.T) {
	require.NoError(t, service.Insert(t.Context(), 0, personalised(t)))
	t.Cleanup(func() { remove(t, 0) })
	noticed(t, 0, true)
	t.Run("opensc-tool", func(t *testing.T) {
		atr := tool(t, "", "opensc-tool", "-r", rig.Readers[0], "-c", "default", "-a")
		require.Equal(t, strings.ReplaceAll(cardATR, " ", ":"), atr)
		out := tool(t, "", "opensc-tool", "-r", rig.Readers[0], "-c", "default",
			"-s", "00A404000F7378312E73682EC9E7BBE1B1A3D5CF00", "-s", "00B2032C06", "-s", "00B2052C06", "-s", "00B2013414")
		answers := regexp.MustCompile(`RECEIVED \(SW1=0X(..), SW2=0X(..)\):?`).Split(out, -1)
		words := regexp.MustCompile(`SW1=0X(..), SW2=0X(..)`).FindAllStringSubmatch(out, -1)
		require.Len(t, words, 4, out)
		for i, want := range []string{"9000", "9000", "9000", "6982"} {
			require.Equal(t, want, words[i][1]+words[i][2])
		}
		for i, want := range []string{cardFCI[:47], cardVersion, cardIssued} { // sixteen bytes are a line
			require.Contains(t, answers[i+1], want)
		}
		require.Contains(t, answers[1], cardFCI[48:])
	})
	t.Run("scriptor", func(t *testing.T) {
		out := tool(t, "00 A4 04 00 0F 73 78 31 2E 73 68 2E C9 E7 BB E1 B1 A3 D5 CF\n00 C0 00 00 18\n00 B2 03 2C 06\n00 B2 05 2C 06\n00 B2 01 34 14\n",
			"scriptor", "-r", rig.Readers[0])
		for _, want := range []string{"< 61 18", "< " + cardFCI + " 90 00", "< " + cardVersion + " 90 00", "< " + cardIssued + " 90 00", "< 69 82"} {
			require.Contains(t, out, want)
			_, out, _ = strings.Cut(out, want) // the next comes after it
		}
	})
	t.Run("pcsc_scan", func(t *testing.T) {
		out := tool(t, "", "pcsc_scan", "-n", "-t", "1")
		require.Contains(t, out, strings.ToUpper(rig.Readers[0]))
		require.Contains(t, out, "CARD INSERTED")
		require.Contains(t, out, "ATR: "+cardATR)
		out = tool(t, "", "pcsc_scan", "-c")
		require.Contains(t, out, cardATR)
	})
}
