package keys_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// The keys of one hierarchy at its three levels below testRoot, by the formulas
// of docs/keys.md: computed with another implementation (Python's cryptography,
// 3DES and SM4 in ECB).
const (
	testRoot             = "00112233445566778899AABBCCDDEEFF"
	sm4Province, sm4City = "E05EAAACBD85D61B2767B10952BAB855", "264DCB81E7938C301BF4698E92103E87"
	desProvince, desCity = "42E3CBF18FA722AC1CED92FB56C3833E", "70E5CD7EC6956E2D20E9BFF942DCEAFE"
)

var (
	provinceFactor = []byte("630000sx")
	cityFactor     = []byte("630100sx")
	cardFactor     = []byte{0x86, 0x65, 0x33, 0x01, 0, 0, 0, 1}
)

// delivered makes a keeper that holds the key as described.
func delivered(t *testing.T, spec keys.Spec, value string) *keys.Keeper {
	t.Helper()
	keeper, _ := create(t, newKEK(t))
	require.NoError(t, keeper.Import(spec, 1, strings.NewReader(value)))
	return keeper
}

// at is the key at that level.
func at(t *testing.T, spec keys.Spec, level keys.Level, factor []byte) keys.Spec {
	t.Helper()
	spec, err := spec.At(level, factor)
	require.NoError(t, err)
	require.Equal(t, level, spec.Level())
	return spec
}

// A card is served alike by the ministry's key in a laboratory, the province's
// and the city's: its operations name the same two factors.
func TestLevels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		algorithm      keys.Algorithm
		province, city string
	}{
		{keys.SM4, sm4Province, sm4City},
		{keys.TripleDES, desProvince, desCity},
	} {
		t.Run(string(c.algorithm), func(t *testing.T) {
			t.Parallel()
			spec := keys.Spec{Name: "IRK", Usage: keys.Authentication, Algorithm: c.algorithm, Depth: 2}
			require.Equal(t, keys.Province, spec.Level())
			card := keys.Key{Name: "IRK", Version: 1, Factors: [][]byte{cityFactor, cardFactor}}
			answers := map[string]bool{}
			for _, keeper := range []*keys.Keeper{
				delivered(t, at(t, spec, keys.Ministry, provinceFactor), testRoot),
				delivered(t, spec, c.province),
				delivered(t, at(t, spec, keys.City, cityFactor), c.city),
			} {
				auth, err := keeper.Cryptogram(t.Context(), card, make([]byte, 8), make([]byte, 8))
				require.NoError(t, err)
				answers[hex.EncodeToString(auth)] = true
			}
			require.Len(t, answers, 1)
		})
	}
}

func TestLevelsRefuse(t *testing.T) {
	t.Parallel()
	spec := keys.Spec{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.SM4, Depth: 2}
	use := func(keeper *keys.Keeper, factors ...[]byte) error {
		_, err := keeper.Cryptogram(t.Context(), keys.Key{Name: "IRK", Factors: factors}, make([]byte, 8), make([]byte, 8))
		return err
	}
	ministry := delivered(t, at(t, spec, keys.Ministry, provinceFactor), testRoot)
	require.NoError(t, use(ministry, provinceFactor, cityFactor, cardFactor), "all three may be named as well")
	require.ErrorIs(t, use(ministry, cardFactor), keys.ErrFactors)
	require.ErrorIs(t, use(ministry), keys.ErrFactors)

	anyProvince := delivered(t, at(t, spec, keys.Ministry, nil), testRoot)
	require.NoError(t, use(anyProvince, provinceFactor, cityFactor, cardFactor))
	require.ErrorIs(t, use(anyProvince, cityFactor, cardFactor), keys.ErrFactors)

	city := delivered(t, at(t, spec, keys.City, cityFactor), sm4City)
	require.NoError(t, use(city, cardFactor))
	require.ErrorIs(t, use(city, []byte("630200sx"), cardFactor), keys.ErrFactors, "another city's card")
	require.ErrorIs(t, use(city), keys.ErrFactors)
	require.ErrorIs(t, use(city, provinceFactor, cityFactor, cardFactor), keys.ErrFactors)

	for _, wrong := range []struct {
		spec   keys.Spec
		level  keys.Level
		factor []byte
	}{
		{spec, "county", nil},
		{spec, keys.Province, cityFactor},
		{spec, keys.City, cityFactor[:7]},
		{transport(), keys.Ministry, nil},
		{keys.Spec{Name: "CHECK", Usage: keys.CheckCode, Algorithm: keys.SM4}, keys.City, nil},
	} {
		_, err := wrong.spec.At(wrong.level, wrong.factor)
		require.ErrorIs(t, err, keys.ErrInput)
	}
	require.Empty(t, transport().Level())
}
