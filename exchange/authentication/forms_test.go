package authentication

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/card/profile"
)

// parser is a service that can only read strings.
func parser(t testing.TB) *Service {
	t.Helper()
	f, err := parseForms(formsFile)
	require.NoError(t, err)
	profiles, err := profile.Load()
	require.NoError(t, err)
	table, err := newKeyTable(profiles, f.Addresses)
	require.NoError(t, err)
	return &Service{forms: f, keys: table}
}

// The strings that the public sources show, and one of each other form. The
// first is a city's example (BINZHOU-API), its identification completed.
var lines = []string{
	"01|370001|0081544B31869B370000067046|01|370001D1560000050004000000000000|3688D8D42C5D94D3|57CE879B10C47FAE|||",
	"01|542600|0096DF21018649542600028141|03|542600D1560000050002814109FCC0B2|ACD2B737EB592356|CEEC03C01AFD4974|A93C621824F093B2|8E18CF183BED0E13|",
	"02|542600|0096DF21018649542600028141|03|542600D1560000050002814109FCC0B2|0094|C36E6C9A4EF56625|6EA56ED80C12C399|",
	"03|542600|0096DF21018649542600028141|03|542600D1560000050002814109FCC0B2|0090|C36E6C9A4EF56625|6EA56ED80C12C399|",
	"03|542600|0096DF21018649542600028141|03|542600D1560000050002814109FCC0B2|0173|C36E6C9A4EF56625|8424000114|314159|",
	"03|542600|0096DF21018649542600028141|01|542600D1560000050002814109FCC0B2|0173|C36E6C9A4EF56625|8424000004||",
	"04|542600|0096DF21018649542600028141|01|542600D1560000050002814109FCC0B2|017F|00000005|F962FAD6|0007|0000000A00000014|32|449900810027|20150624183211|",
}

// TestParse: a string says the same as its fields, with and without the bars at
// its end.
func TestParse(t *testing.T) {
	t.Parallel()
	s := parser(t)
	for _, line := range lines {
		m, err := s.Parse(line)
		require.NoError(t, err, line)
		_, err = s.check(m)
		require.NoError(t, err, line)
		bare, err := s.Parse(strings.TrimRight(line, "|"))
		require.NoError(t, err)
		require.Equal(t, m, bare)
		require.Equal(t, strings.TrimRight(line, "|"), strings.TrimRight(s.format(t, m), "|"))
	}
	for line, field := range map[string]string{
		"": "service", "07|": "service", "03|a|b|03|c|0094|x|y|": "key", lines[0] + "a|b|c|d": "message", strings.Repeat("0", maxLine+1): "message",
	} {
		_, err := s.Parse(line)
		require.ErrorContains(t, err, field+":", line)
	}
}

// format writes a message as a string, as a terminal does.
func (s *Service) format(t testing.TB, m Message) string {
	t.Helper()
	f, err := s.forms.find(m.Service, s.keys.name(m.Key))
	require.NoError(t, err)
	parts, named := []string{m.Service}, m.named()
	f.fields(func(name string, _ bool) { parts = append(parts, *named[name]) })
	return strings.Join(parts, "|")
}

// FuzzParse: no string makes the parser or the check fail otherwise than by an
// error, and what was understood is written as it was read.
func FuzzParse(f *testing.F) {
	for _, line := range lines {
		f.Add(line)
	}
	f.Add("01||||||||||||")
	f.Add("03|||||0173|||")
	s := parser(f)
	f.Fuzz(func(t *testing.T, line string) {
		m, err := s.Parse(line)
		if err != nil {
			return
		}
		require.Equal(t, strings.TrimRight(line, "|"), strings.TrimRight(s.format(t, m), "|"))
		if r, err := s.check(m); err == nil {
			require.NotEmpty(t, r.keysUsed())
			require.NotEmpty(t, r.used())
		}
	})
}

// TestFormsRefused: a file of forms with a name that nobody knows is refused.
func TestFormsRefused(t *testing.T) {
	t.Parallel()
	good := string(formsFile)
	for name, text := range map[string]string{
		"field":      strings.Replace(good, "cardSerial, amounts", "cardSerial, amount", 1),
		"answer":     strings.Replace(good, "mac2, tac", "mac2, tic", 1),
		"term":       strings.Replace(good, "[amounts]", "[sum]", 1),
		"command":    strings.Replace(good, "842400010C", "842400010", 1),
		"unknown":    good + "\nmore: 1\n",
		"not YAML":   "requests: [",
		"two in one": good + "\n---\nrequests: []\n",
	} {
		require.NotEqual(t, good, text, name)
		_, err := parseForms([]byte(text))
		require.Error(t, err, name)
	}
}

// TestAddresses: an address has one key.
func TestAddresses(t *testing.T) {
	t.Parallel()
	profiles, err := profile.Load()
	require.NoError(t, err)
	_, err = newKeyTable(profiles, map[string]string{"DPK": "0094"})
	require.ErrorContains(t, err, "one address")
	table, err := newKeyTable(profiles, map[string]string{"UK6DF01": "01AA"})
	require.NoError(t, err)
	name, err := table.resolve("01AA")
	require.NoError(t, err)
	require.Equal(t, "UK6DF01", name)
}

// TestPolicyRefused: each error names the line's part.
func TestPolicyRefused(t *testing.T) {
	t.Parallel()
	good := string(defaultPolicies)
	_, err := ParsePolicies(defaultPolicies)
	require.NoError(t, err)
	for name, change := range map[string][2]string{
		"place":         {`"630000"`, `"63"`},
		"from":          {"from: 2020-01-01", ""},
		"replayHours":   {"replayHours: 24", "replayHours: 0"},
		"reloadMinutes": {"reloadMinutes: 5", "reloadMinutes: 600"},
		"statuses":      {`"02": ["1"]`, `"02": ["7"]`},
		"rights":        {"[clerk, supervisor]", "[boss]"},
		"limits":        {"count: 10", "count: 0"},
		"policy":        {"reloadMinutes", "reloadMinute"},
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		require.NotEqual(t, good, text, name)
		_, err := ParsePolicies([]byte(text))
		require.ErrorIs(t, err, ErrPolicy, name)
		require.ErrorContains(t, err, name)
	}
	_, err = ParsePolicies([]byte(good + strings.Replace(good, "replayHours: 24", "replayHours: 48", 1)))
	require.ErrorContains(t, err, "twice")
}

// TestPolicyAt: the nearest place wins, then the latest day.
func TestPolicyAt(t *testing.T) {
	t.Parallel()
	parse := func(place, from string) Policy {
		text := strings.NewReplacer(`"630000"`, `"`+place+`"`, "2020-01-01", from).Replace(string(defaultPolicies))
		all, err := ParsePolicies([]byte(text))
		require.NoError(t, err)
		return all[0]
	}
	all := Policies{parse("630000", "2020-01-01"), parse("630000", "2024-01-01"), parse("630100", "2022-01-01")}
	for _, test := range []struct {
		place, day string
		want       int
	}{{"632801", "2023-05-05", 0}, {"632801", "2025-05-05", 1}, {"630102", "2025-05-05", 2}, {"630102", "2021-05-05", 0}} {
		day := parse(test.place, test.day).From
		got, err := all.At(test.place, day)
		require.NoError(t, err)
		require.Equal(t, all[test.want].Place+all[test.want].From.String(), got.Place+got.From.String())
	}
	_, err := all.At("540102", all[1].From)
	require.ErrorIs(t, err, ErrNoPolicy)
	_, err = all.At("630102", parse("630000", "2019-01-01").From)
	require.ErrorIs(t, err, ErrNoPolicy)
}
