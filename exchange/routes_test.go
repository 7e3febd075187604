package exchange

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDefaultRoutes(t *testing.T) {
	t.Parallel()
	routes, err := DefaultRoutes()
	require.NoError(t, err)
	business, known := routes.business("pharmacy.purchase")
	require.True(t, known)
	require.Equal(t, 8*time.Second, business.Timeout)

	for _, c := range []struct {
		name, insured, treatment, rule string
		refused                        bool
	}{
		{"in the province", "630100", "630102", "QH-01", false},
		{"insured elsewhere", "510100", "630102", "QH-02", true},
		{"treated elsewhere", "630100", "620100", "QH-03", true},
		{"both elsewhere", "620100", "620100", "QH-03", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rule, refusal := routes.route("outpatient.settle", Insurance{Kind: KindEmployee, Place: c.insured}, c.treatment)
			require.Equal(t, c.rule, rule.ID)
			if !c.refused {
				require.Nil(t, refusal)
				require.Equal(t, "insurance", rule.Backend)
				return
			}
			require.ErrorIs(t, refusal, ErrNoRoute)
			require.Equal(t, rule.Text, refusal.Text)
		})
	}
	_, refusal := routes.route("outpatient.settle", Insurance{Kind: "maritime", Place: "630100"}, "630102")
	require.ErrorIs(t, refusal, ErrNoRoute)
}

const twoRules = `
version: "1"
businesses: [{code: b, text: {zh: 业务, en: business}, sites: [hospital], timeout: 1s}]
kinds: [employee, resident]
rules:
  - {id: one, text: {zh: 一, en: one}, businesses: [b], kinds: [employee, resident], insured: {within: ["630000"]}, backend: x}
  - {id: two, text: {zh: 二, en: two}, businesses: [b], kinds: [employee, resident], insured: {outside: ["630000"]}, refuse: true}
`

func TestParseRoutes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, old, new, message string }{
		{"as it is", "", "", ""},
		{"gap in a kind", "kinds: [employee, resident], insured: {within", "kinds: [employee], insured: {within", "gap: no rule for b, resident, insured in 63"},
		{"gap in places", `outside: ["630000"]`, `outside: ["630000", "510000"]`, "gap: no rule for b, employee, insured in 51"},
		{"overlap below a place", `outside: ["630000"]`, `outside: ["630100"]`, "overlap: rules one and two"},
		{"overlap everywhere", `insured: {within: ["630000"]}, `, "", "overlap: rules one and two"},
		{"nothing decides", "backend: x", "", "either a backend or refuse"},
		{"both decide", "refuse: true", "backend: x, refuse: true", "either a backend or refuse"},
		{"unknown field", "refuse: true", "refuse: true, priority: 1", "priority"},
		{"unknown business", "id: two, text: {zh: 二, en: two}, businesses: [b]", "id: two, text: {zh: 二, en: two}, businesses: [c]", "unknown business"},
		{"unknown kind", "id: two, text: {zh: 二, en: two}, businesses: [b], kinds: [employee", "id: two, text: {zh: 二, en: two}, businesses: [b], kinds: [other", "unknown kind"},
		{"same id", "id: two", "id: one", "own id"},
		{"no words", "{zh: 二, en: two}", "{zh: 二}", "text zh and en"},
		{"no place", `within: ["630000"]`, `within: ["63"]`, "no GB/T 2260 code"},
		{"no timeout", "timeout: 1s", "timeout: 0s", "timeout"},
		{"no version", `version: "1"`, `version: ""`, "version"},
		{"no yaml", "kinds:", "kinds: [", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, twoRules, c.old)
			routes, err := ParseRoutes([]byte(strings.Replace(twoRules, c.old, c.new, 1)))
			if c.old == "" {
				require.NoError(t, err)
				require.Len(t, routes.Rules, 2)
				return
			}
			require.ErrorIs(t, err, ErrRoutes)
			require.ErrorContains(t, err, c.message)
		})
	}
}

// TestRoutesDecideOnce compares the check at load with brute force over every
// prefecture: accepted tables decide each case exactly once, refused
// ones do not.
func TestRoutesDecideOnce(t *testing.T) {
	t.Parallel()
	accepted, rejected := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		area := func(name string) string {
			side := rapid.SampledFrom([]string{"within", "outside"}).Draw(t, name+" side")
			prefixes := rapid.SliceOfN(rapid.SampledFrom([]string{"110000", "110100", "340000", "340100", "340200"}), 1, 3).Draw(t, name)
			return fmt.Sprintf(`{%s: ["%s"]}`, side, strings.Join(prefixes, `", "`))
		}
		text := "version: '1'\nbusinesses: [{code: b, text: {zh: 业, en: b}, sites: [s], timeout: 1s}]\nkinds: [k]\nrules:\n"
		insured := area("insured")
		for i := range rapid.IntRange(1, 3).Draw(t, "rules") {
			if i > 0 && rapid.Bool().Draw(t, "complement") {
				insured = strings.NewReplacer("within", "outside", "outside", "within").Replace(insured)
			} else if i > 0 {
				insured = area("insured again")
			}
			text += fmt.Sprintf("  - {id: r%d, text: {zh: 规, en: r}, businesses: [b], kinds: [k], insured: %s, refuse: true}\n", i, insured)
		}
		_, err := ParseRoutes([]byte(text))
		once := true
		r := mustDecode(t, text)
		for place := range 10000 {
			if place > 100 && place/100 != 11 && place/100 != 34 {
				continue
			}
			hits := 0
			for _, rule := range r.Rules {
				if rule.matches("b", "k", fmt.Sprintf("%04d00", place), "000000") {
					hits++
				}
			}
			once = once && hits == 1
		}
		require.Equal(t, once, err == nil, "%s\n%v", text, err)
		if once {
			accepted++
		} else {
			rejected++
		}
	})
	require.Positive(t, accepted)
	require.Positive(t, rejected)
}

// mustDecode reads rules without the check of cases.
func mustDecode(t *rapid.T, text string) Routes {
	t.Helper()
	r, err := decodeRoutes([]byte(text))
	require.NoError(t, err)
	return r
}

func FuzzParseRoutes(f *testing.F) {
	f.Add(defaultRoutes)
	f.Add([]byte(twoRules))
	f.Add([]byte("version: 1\nrules: [{}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		routes, err := ParseRoutes(text)
		if err != nil {
			require.ErrorIs(t, err, ErrRoutes)
			return
		}
		for _, b := range routes.Businesses {
			for _, kind := range routes.Kinds {
				rule, _ := routes.route(b.Code, Insurance{Kind: kind, Place: "630100"}, "510100")
				require.NotEmpty(t, rule.ID, "an accepted table decides every case")
			}
		}
	})
}
