package issuance_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"onecard/internal/gb"
	"onecard/issuance"
)

// line is a policy that is as it should be.
const line = `- {place: "630000", from: 2020-01-01, minimumAge: 0, validYears: 10, proofMinutes: 15, sessionMinutes: 10, attempts: 8, cardType: "3", issuer: "915600000263000063000000", specVersions: ["3.00"], keyVersion: 1, issuingRegion: province, temporaryLossDays: 7, lossNoticeHours: 48, formalLossFinal: false, lapseDays: 0, exchangeDays: 60, guardianAge: 16, photoAge: 7, temporaryCardDays: 60, reviewHours: 72, makeDays: 60, collectDays: 365, handover: none, printedFirst: false, ministryQuery: none}
`

func TestParsePolicies(t *testing.T) {
	t.Parallel()
	all, err := issuance.ParsePolicies([]byte(line))
	require.NoError(t, err)
	require.Len(t, all, 1)
	for name, text := range map[string]string{
		"nothing":            "",
		"no line":            "[]",
		"null":               "- null\n",
		"not a list":         "place: 630000",
		"two documents":      line + "---\n" + line,
		"unknown key":        strings.Replace(line, "{", "{colour: red, ", 1),
		"twice":              line + line,
		"place of five":      strings.Replace(line, "630000", "63000", 1),
		"place of letters":   strings.Replace(line, "630000", "63000x", 1),
		"no day":             strings.Replace(line, "from: 2020-01-01, ", "", 1),
		"no such day":        strings.Replace(line, "2020-01-01", "2021-02-29", 1),
		"age":                strings.Replace(line, "minimumAge: 0", "minimumAge: 61", 1),
		"negative age":       strings.Replace(line, "minimumAge: 0", "minimumAge: -1", 1),
		"years":              strings.Replace(line, "validYears: 10", "validYears: 0", 1),
		"proof":              strings.Replace(line, "proofMinutes: 15", "proofMinutes: 121", 1),
		"session":            strings.Replace(line, "sessionMinutes: 10", "sessionMinutes: 0", 1),
		"attempts":           strings.Replace(line, "attempts: 8", "attempts: 15", 1),
		"card type":          strings.Replace(line, `cardType: "3"`, `cardType: "33"`, 1),
		"issuer too short":   strings.Replace(line, "915600000263000063000000", "9156", 1),
		"issuer of letters":  strings.Replace(line, "915600000263000063000000", "91560000026300006300000g", 1),
		"no version":         strings.Replace(line, `["3.00"]`, "[]", 1),
		"version left out":   strings.Replace(line, `specVersions: ["3.00"], `, "", 1),
		"version of letters": strings.Replace(line, "3.00", "iii", 1),
		"version twice":      strings.Replace(line, `["3.00"]`, `["3.00", "3.00"]`, 1),
		"key version":        strings.Replace(line, "keyVersion: 1", "keyVersion: 255", 1),
		"number too large":   strings.Replace(line, "keyVersion: 1", "keyVersion: 99999999999999999999", 1),
		"region":             strings.Replace(line, "issuingRegion: province", "issuingRegion: city", 1),
		"loss days":          strings.Replace(line, "temporaryLossDays: 7", "temporaryLossDays: 0", 1),
		"notice":             strings.Replace(line, "lossNoticeHours: 48", "lossNoticeHours: 169", 1),
		"lapse":              strings.Replace(line, "lapseDays: 0", "lapseDays: -1", 1),
		"exchange":           strings.Replace(line, "exchangeDays: 60", "exchangeDays: 366", 1),
		"guardian":           strings.Replace(line, "guardianAge: 16", "guardianAge: 19", 1),
		"photo":              strings.Replace(line, "photoAge: 7", "photoAge: -1", 1),
		"temporary card":     strings.Replace(line, "temporaryCardDays: 60", "temporaryCardDays: 0", 1),
		"review":             strings.Replace(line, "reviewHours: 72", "reviewHours: 0", 1),
		"making":             strings.Replace(line, "makeDays: 60", "makeDays: 181", 1),
		"collecting":         strings.Replace(line, "collectDays: 365", "collectDays: 0", 1),
		"handover":           strings.Replace(line, "handover: none", "handover: maybe", 1),
		"ministryQuery":      strings.Replace(line, "ministryQuery: none", "ministryQuery: maybe", 1),
		"no ministryQuery":   strings.Replace(line, ", ministryQuery: none", "", 1),
		"no handover":        strings.Replace(line, "handover: none, ", "", 1),
		"printed":            strings.Replace(line, "printedFirst: false", "printedFirst: perhaps", 1),
		"text for a number":  strings.Replace(line, "keyVersion: 1", "keyVersion: one", 1),
		"a key stands twice": strings.Replace(line, "keyVersion: 1", "keyVersion: 1, keyVersion: 2", 1),
	} {
		_, err := issuance.ParsePolicies([]byte(text))
		require.ErrorIs(t, err, issuance.ErrPolicy, name)
	}
}

// TestPolicyAt: the nearest place wins, then the latest day.
func TestPolicyAt(t *testing.T) {
	t.Parallel()
	var text string
	for i, row := range [][2]string{
		{"630000", "2020-01-01"}, {"630000", "2025-01-01"}, {"632700", "2021-01-01"}, {"632723", "2022-01-01"}, {"632723", "2030-01-01"},
	} {
		text = strings.NewReplacer("630000", row[0], "2020-01-01", row[1], "validYears: 10", "validYears: "+string(rune('1'+i))).Replace(line) + text
	}
	all, err := issuance.ParsePolicies([]byte(text))
	require.NoError(t, err)
	for name, test := range map[string]struct {
		place, day string
		years      int // 0: no policy
	}{
		"province":              {"630102", "2024-12-31", 1},
		"province, later":       {"630102", "2025-01-01", 2},
		"prefecture over later": {"632701", "2026-01-01", 3},
		"county":                {"632723", "2029-12-31", 4},
		"county, later":         {"632723", "2030-01-01", 5},
		"county, not yet":       {"632723", "2021-06-01", 3},
		"prefecture, not yet":   {"632723", "2020-06-01", 1},
		"before all":            {"632723", "2019-12-31", 0},
		"elsewhere":             {"540102", "2026-01-01", 0},
	} {
		day, err := gb.ParseDate(test.day)
		require.NoError(t, err)
		p, err := all.At(test.place, day)
		if test.years == 0 {
			require.ErrorIs(t, err, issuance.ErrNoPolicy, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, test.years, p.ValidYears, name)
	}
}

// TestConfig: a service without its parts, or outside every policy, says so.
func TestConfig(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		keeper, err := province.keeper()
		require.NoError(t, err)
		unknown, err := issuance.ParsePolicies([]byte(strings.Replace(line, "3.00", "9.99", 1)))
		require.NoError(t, err)
		config := issuance.Config{DB: w.db, Profiles: province.profiles, Keeper: keeper, Signer: province.signer, Demands: issuance.NoDemands}
		for name, spoil := range map[string]func(c *issuance.Config){
			"database": func(c *issuance.Config) { c.DB = nil },
			"keeper":   func(c *issuance.Config) { c.Keeper = nil },
			"profiles": func(c *issuance.Config) { c.Profiles = nil },
			"version":  func(c *issuance.Config) { c.Policies = unknown },
		} {
			spoiled := config
			spoil(&spoiled)
			_, err := issuance.New(spoiled)
			require.Error(t, err, name)
		}
		config.Policies, err = issuance.ParsePolicies([]byte(strings.NewReplacer("630000", "540000", "minimumAge: 0", "minimumAge: 16").Replace(line)))
		require.NoError(t, err)
		elsewhere := w
		elsewhere.Service, err = issuance.New(config)
		require.NoError(t, err)
		_, err = elsewhere.clerk().apply(t, w.person(t, "马秀兰", "1990-01-01").ID)
		require.ErrorIs(t, err, issuance.ErrNoPolicy)
		config.Policies[0].Place = "632723"
		elsewhere.Service, err = issuance.New(config)
		require.NoError(t, err)
		for birth, expected := range map[string]error{"2010-03-02": nil, "2010-03-03": issuance.ErrTooYoung} {
			_, err = elsewhere.clerk().apply(t, w.person(t, "马秀兰", birth).ID)
			require.ErrorIs(t, err, expected, birth)
		}
	})
}

// FuzzParsePolicies: what is accepted is complete, holds for its own place and
// day, and is the same when it is written and read again.
func FuzzParsePolicies(f *testing.F) {
	shipped, err := os.ReadFile("policy.yaml")
	require.NoError(f, err)
	for _, seed := range []string{string(shipped), line, line + strings.Replace(line, "630000", "632723", 1), "- null", "&a [*a]", "- {<<: {place: x}}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := issuance.ParsePolicies(text)
		if err != nil {
			require.ErrorIs(t, err, issuance.ErrPolicy)
			require.Nil(t, all)
			return
		}
		require.NotEmpty(t, all)
		for _, p := range all {
			at, err := all.At(p.Place, p.From)
			require.NoError(t, err)
			require.Equal(t, p, at)
		}
		written, err := yaml.Marshal(all)
		require.NoError(t, err)
		again, err := issuance.ParsePolicies(written)
		require.NoError(t, err)
		require.Equal(t, all, again)
	})
}
