package trace_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card/profile"
	"onecard/card/trace"
)

var update = flag.Bool("update", false, "write the golden reports anew")

func profiles(t testing.TB) []*profile.Profile {
	t.Helper()
	all, err := profile.Load()
	require.NoError(t, err)
	return all
}

func conversations(t testing.TB, text string) []apdu.Conversation {
	t.Helper()
	all, err := apdu.ParseConversations(strings.NewReader(text))
	require.NoError(t, err)
	return all
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// TestGolden decodes every transcript that is kept and compares with the report
// beside it. `go test ./card/trace -run TestGolden -update` writes them anew.
func TestGolden(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"../../testdata/*.apdu", "testdata/*.apdu"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		files = append(files, found...)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			report := trace.Decode(conversations(t, read(t, file)), trace.Options{Profiles: profiles(t)})
			golden := filepath.Join("testdata", strings.TrimSuffix(filepath.Base(file), ".apdu")+".txt")
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(report.Text()), 0o644))
			}
			require.Equal(t, read(t, golden), report.Text())
			_, err := json.Marshal(report)
			require.NoError(t, err)
		})
	}
}

// secrets of the transcripts that are kept: numbers, names, keys, cryptograms.
var secrets = map[string][]string{
	"../../testdata/reading-3.00.apdu": {
		"639900D15600000500BF7C7A1C8F9743", "X00000019", "583030303030303139", "632221198101011234", "36333232323131393831303130313132", "阿旺",
		"B0A2CDFA", "19810101", "0D0419810101", "632221", "93488C2503044160", "D44D5FFAD325D24D",
	},
	"testdata/commands.apdu": {
		"123456FF654321", "C103123456", "2816EE77FA4450B6", "30E76859", "404142434445464748494A4B4C4D4E4F", "0102030405060708090A",
		"62284800012345678901", "北京", "3132333435363738", "01020304050607083633",
	},
	"testdata/life-3.00.apdu": {"扎西", "D4FACEF7", "583030303030303139", "X00000019"},
}

// TestMasked: keys, numbers, cryptograms and personal data are in no form of
// the report, and all are there when they are asked for.
func TestMasked(t *testing.T) {
	t.Parallel()
	for file, hidden := range secrets {
		found := conversations(t, read(t, file))
		text := func(reveal bool) string {
			report := trace.Decode(found, trace.Options{Profiles: profiles(t), Reveal: reveal})
			require.Equal(t, reveal, report.Revealed)
			encoded, err := json.Marshal(report)
			require.NoError(t, err)
			return report.Text() + string(encoded)
		}
		masked, revealed := text(false), text(true)
		for _, secret := range hidden {
			require.NotContains(t, masked, secret, file)
		}
		for _, value := range []string{"632221198101011234", "阿旺", "62284800012345678901", "93488C2503044160", "404142434445464748494A4B4C4D4E4F"} {
			if strings.Contains(strings.Join(hidden, " "), value) {
				require.Contains(t, revealed, value, file)
			}
		}
		require.NotContains(t, revealed, "--reveal", "nothing is left to reveal")
	}
}

// TestGone: what the recorder masked cannot be revealed, and is said to be gone.
func TestGone(t *testing.T) {
	t.Parallel()
	for _, reveal := range []bool{false, true} {
		report := trace.Decode(conversations(t, "> 0020000003 ......\n< 63C2\n"), trace.Options{Profiles: profiles(t), Reveal: reveal})
		require.Equal(t, trace.Gone, report.Conversations[0].Steps[0].Sent[0].State)
		require.Equal(t, 1, report.Totals.Gone)
		require.Contains(t, report.Text(), "gone")
	}
}

// TestRecognised: by what the card says of its version, by its answer to reset,
// by its environment; else everything that needs no profile is decoded.
func TestRecognised(t *testing.T) {
	t.Parallel()
	const (
		atr         = "@ 3B6D000000814E432386971599........\n"
		version     = "> 00B2032C06\n< 0304332E3030 9000\n"
		environment = "> 00A404000F7378312E73682EC9E7BBE1B1A3D5CF\n< 9000\n"
		other       = "@ 3B1096\n"
	)
	both := profiles(t)
	older := *both[0]
	older.Version = "2.00"
	both = append(both[:1:1], &older)
	one := both[:1]
	for name, test := range map[string]struct {
		text     string
		profiles []*profile.Profile
		version  string
		fitting  []string
	}{
		"answer to reset":              {atr + "> 0084000008\n< 6D00\n", one, "3.00", nil},
		"environment":                  {environment, one, "3.00", nil},
		"version":                      {environment + version, both, "3.00", nil},
		"version against the ATR":      {other + environment + version, both, "3.00", nil},
		"version that nobody knows":    {atr + "> 00B2032C06\n< 0304392E3030 9000\n", both, "", nil},
		"one answer to reset, two fit": {atr + environment + "> 00B2032C06\n< ............ 9000\n", both, "", []string{"3.00", "2.00"}},
		"another card":                 {other + environment, one, "", nil},
		"nothing":                      {"> 0084000008\n< 6D00\n", one, "", nil},
		"no profile":                   {atr + environment + version, nil, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := trace.Decode(conversations(t, test.text), trace.Options{Profiles: test.profiles})
			require.Equal(t, test.version, report.Conversations[0].Version)
			require.Equal(t, test.fitting, report.Conversations[0].Fitting)
			require.NotEmpty(t, report.Conversations[0].Steps[0].Name)
		})
	}
}

// TestTerminal: what a chip says does not steer the engineer's terminal.
func TestTerminal(t *testing.T) {
	t.Parallel()
	report := trace.Decode(conversations(t, "> 00B2022C03\n< 02011B 9000\n"), trace.Options{Profiles: profiles(t)})
	require.NotContains(t, report.Text(), "\x1B")
}

// FuzzDecode: whatever is in a transcript, every exchange is accounted for and
// nothing that was not asked for is shown.
func FuzzDecode(f *testing.F) {
	for _, file := range []string{"testdata/commands.apdu", "testdata/field-1.00.apdu"} {
		for lines := range slices.Chunk(strings.SplitAfter(read(f, file), "\n"), 6) {
			f.Add(strings.Join(lines, ""))
		}
	}
	known := profiles(f)
	f.Fuzz(func(t *testing.T, text string) {
		found, err := apdu.ParseConversations(strings.NewReader(text))
		if err != nil {
			require.ErrorContains(t, err, "transcript")
			return
		}
		exchanges := 0
		for _, c := range found {
			exchanges += len(c.Exchanges)
		}
		for _, reveal := range []bool{false, true} {
			report := trace.Decode(found, trace.Options{Profiles: known, Reveal: reveal})
			require.Equal(t, exchanges, report.Totals.Exchanges)
			require.NotEmpty(t, report.Text())
			if reveal {
				require.Zero(t, report.Totals.Masked)
			}
		}
	})
}
