package keys_test

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
	"onecard/keys/keyblock"
)

// exchange describes a key-exchange key.
func exchange(algorithm keys.Algorithm) keys.Spec {
	return keys.Spec{Name: "KBPK", Usage: keys.KeyExchange, Algorithm: algorithm}
}

// under names it.
func under() keys.Key { return keys.Key{Name: "KBPK"} }

const (
	kbpk16 = "EFE0853B256B583D868F251CE99EA1D9"
	kbpk32 = "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6"
)

// kbpkValue is the value of a key-exchange key of that algorithm.
func kbpkValue(algorithm keys.Algorithm) string {
	if algorithm == keys.AES256 {
		return kbpk32
	}
	return kbpk16
}

// withExchange makes a keeper that holds the key-exchange key and others.
func withExchange(t testing.TB, algorithm keys.Algorithm, specs ...keys.Spec) *keys.Keeper {
	t.Helper()
	kek, err := keys.GenerateKEK(rand.Reader)
	require.NoError(t, err)
	keeper, err := keys.Create(t.TempDir()+"/keys.json", kek, nil)
	require.NoError(t, err)
	require.NoError(t, keeper.Import(exchange(algorithm), 1, strings.NewReader(kbpkValue(algorithm))))
	for _, spec := range specs {
		require.NoError(t, keeper.Import(spec, 7, strings.NewReader(testRoot)))
	}
	return keeper
}

// exportable is a key that may leave.
func exportable(name string, usage keys.Usage, algorithm keys.Algorithm, depth int) keys.Spec {
	return keys.Spec{Name: name, Usage: usage, Algorithm: algorithm, Depth: depth, Exportable: true}
}

// A key goes from one keeper to another as a block and is the same there: the
// key itself, and one derived for a level below.
func TestBlockBetweenKeepers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		exchange keys.Algorithm
		spec     keys.Spec
		factors  [][]byte
	}{
		{keys.AES256, exportable("IRK", keys.Authentication, keys.SM4, 2), nil},
		{keys.AES128, exportable("IRK", keys.Authentication, keys.SM4, 2), [][]byte{cityFactor}},
		{keys.AES256, exportable("UKSSSE_3DES", keys.Authentication, keys.TripleDES, 3), [][]byte{provinceFactor, cityFactor}},
		{keys.TripleDES, exportable("STK_3DES", keys.Maintenance, keys.TripleDES, 2), [][]byte{cityFactor}},
		{keys.TripleDES, exportable("MK_3DES", keys.Master, keys.TripleDES, 2), nil},
		{keys.AES128, exportable("TRANSPORT", keys.Transport, keys.SM4, 1), nil},
		{keys.AES256, exportable("CHECK", keys.CheckCode, keys.SM4, 0), nil},
		{keys.AES128, exportable("GPENC", keys.Channel, keys.AES128, 0), nil},
		{keys.TripleDES, exportable("KMC", keys.Channel, keys.TripleDES, 0), nil},
	} {
		t.Run(c.spec.Name+" "+string(c.exchange), func(t *testing.T) {
			t.Parallel()
			sender, receiver := withExchange(t, c.exchange, c.spec), withExchange(t, c.exchange)
			block, err := sender.ExportBlock(t.Context(), under(), keys.Key{Name: c.spec.Name, Version: 7, Factors: c.factors}, keys.AssumedCodes())
			require.NoError(t, err)
			require.NotContains(t, block, testRoot)

			there := c.spec
			there.Depth -= len(c.factors)
			there.Exportable = false
			require.NoError(t, receiver.ImportBlock(t.Context(), under(), there, 7, block+"\n", keys.AssumedCodes()))
			want, method, err := sender.CheckValue(t.Context(), keys.Key{Name: c.spec.Name, Version: 7, Factors: c.factors})
			require.NoError(t, err)
			got, same, err := receiver.CheckValue(t.Context(), keys.Key{Name: c.spec.Name, Version: 7})
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Equal(t, method, same)
			_, err = receiver.ExportBlock(t.Context(), under(), keys.Key{Name: c.spec.Name, Version: 7}, keys.AssumedCodes())
			require.ErrorIs(t, err, keys.ErrNotExportable, "the block says that it ends here")
		})
	}
}

func TestExportBlockRefuses(t *testing.T) {
	t.Parallel()
	secret := exportable("SECRET", keys.Authentication, keys.SM4, 2)
	secret.Exportable = false
	keeper := withExchange(t, keys.AES256, secret,
		exportable("IRK", keys.Authentication, keys.SM4, 2),
		exportable("FLAT", keys.Authentication, keys.SM4, 0),
		exportable("CHECK2", keys.CheckCode, keys.SM4, 2))
	require.NoError(t, keeper.Add(keys.Spec{Name: keys.DataKey, Usage: keys.FieldEncryption, Algorithm: keys.SM4}))
	require.NoError(t, keeper.Import(exportable("IRK", keys.Authentication, keys.SM4, 2), 100, strings.NewReader(testRoot)))
	require.NoError(t, keeper.SetLife("IRK", 100, keys.Life{Status: keys.Field}))
	weak := withExchange(t, keys.TripleDES, exportable("IRK", keys.Authentication, keys.SM4, 2))
	short := withExchange(t, keys.AES128)
	require.NoError(t, short.Import(exportable("GPENC", keys.Channel, keys.AES192, 0), 1, strings.NewReader(testRoot+testRoot[:16])))

	key := func(name string, factors ...[]byte) keys.Key { return keys.Key{Name: name, Factors: factors} }
	for name, c := range map[string]struct {
		keeper     *keys.Keeper
		under, key keys.Key
		want       error
	}{
		"not exportable":    {keeper, under(), key("SECRET"), keys.ErrNotExportable},
		"personal data":     {keeper, under(), key(keys.DataKey), keys.ErrNotExportable},
		"KBPK itself":       {keeper, under(), key("KBPK"), keys.ErrNotExportable},
		"no key":            {keeper, under(), key("NONE"), keys.ErrNoKey},
		"no KBPK":           {keeper, key("NONE"), key("IRK"), keys.ErrNoKey},
		"not a KBPK":        {keeper, key("SECRET"), key("IRK"), keys.ErrWrongUsage},
		"the card's key":    {keeper, under(), key("IRK", cityFactor, cardFactor), keys.ErrFactors},
		"too many factors":  {keeper, under(), key("IRK", cityFactor, cardFactor, cardFactor), keys.ErrFactors},
		"short factor":      {keeper, under(), key("IRK", cityFactor[:7]), keys.ErrFactors},
		"weak KBPK":         {weak, under(), key("IRK"), keys.ErrWeak},
		"short KBPK":        {short, under(), key("GPENC"), keys.ErrWeak},
		"nothing below":     {keeper, under(), key("FLAT"), keys.ErrNotInBlock},
		"derived check key": {keeper, under(), key("CHECK2"), keys.ErrNotInBlock},
		"version of three":  {keeper, under(), keys.Key{Name: "IRK", Version: 100}, keys.ErrNotInBlock},
	} {
		block, err := c.keeper.ExportBlock(t.Context(), c.under, c.key, keys.AssumedCodes())
		require.ErrorIs(t, err, c.want, name)
		require.Empty(t, block, name)
	}
	require.NoError(t, keeper.SetLife("IRK", 7, keys.Life{Status: keys.Retired}))
	_, err := keeper.ExportBlock(t.Context(), under(), keys.Key{Name: "IRK", Version: 7}, keys.AssumedCodes())
	require.ErrorIs(t, err, keys.ErrRetired)
}

// sealed is a block as another program makes it.
func sealed(t *testing.T, change func(*keyblock.Header)) string {
	t.Helper()
	protection, err := hex.DecodeString(kbpk32)
	require.NoError(t, err)
	value, err := hex.DecodeString(testRoot)
	require.NoError(t, err)
	header := keyblock.Header{Version: 'D', Usage: "E0", Algorithm: '4', Mode: 'X', KeyVersion: "07", Exportability: 'N', Context: '0'}
	change(&header)
	block, err := keyblock.Seal(keyblock.KBPK{Algorithm: 'A', Key: protection}, header, value, rand.Reader)
	require.NoError(t, err)
	return block
}

func TestImportBlockRefuses(t *testing.T) {
	t.Parallel()
	keeper := withExchange(t, keys.AES256)
	spec := keys.Spec{Name: "IRK", Usage: keys.Authentication, Algorithm: keys.SM4, Depth: 2}
	changed := func(change func(*keys.Spec)) keys.Spec {
		other := spec
		change(&other)
		return other
	}
	right := sealed(t, func(*keyblock.Header) {})
	for name, c := range map[string]struct {
		spec    keys.Spec
		version int
		block   string
		want    error
	}{
		"another usage":       {changed(func(s *keys.Spec) { s.Usage = keys.Maintenance }), 7, right, keys.ErrNotInBlock},
		"another algorithm":   {changed(func(s *keys.Spec) { s.Algorithm = keys.TripleDES }), 7, right, keys.ErrNotInBlock},
		"nothing below":       {changed(func(s *keys.Spec) { s.Depth = 0 }), 7, right, keys.ErrNotInBlock},
		"exportable":          {changed(func(s *keys.Spec) { s.Exportable = true }), 7, right, keys.ErrNotInBlock},
		"personal data":       {keys.Spec{Name: "DATA", Usage: keys.FieldEncryption, Algorithm: keys.SM4}, 7, right, keys.ErrNotInBlock},
		"another KBPK":        {exchange(keys.AES128), 7, right, keys.ErrNotInBlock},
		"name":                {changed(func(s *keys.Spec) { s.Name = "irk" }), 7, right, keys.ErrInput},
		"version":             {spec, 8, right, keys.ErrNotInBlock},
		"label":               {spec, 7, sealed(t, func(h *keyblock.Header) { h.Optional = []keyblock.Optional{{ID: "LB", Data: "PUK"}} }), keys.ErrNotInBlock},
		"block's usage":       {spec, 7, sealed(t, func(h *keyblock.Header) { h.Usage = "P0" }), keys.ErrNotInBlock},
		"block's mode":        {spec, 7, sealed(t, func(h *keyblock.Header) { h.Mode = 'N' }), keys.ErrNotInBlock},
		"block's algorithm":   {spec, 7, sealed(t, func(h *keyblock.Header) { h.Algorithm = 'A' }), keys.ErrNotInBlock},
		"sensitive":           {spec, 7, sealed(t, func(h *keyblock.Header) { h.Exportability = 'S' }), keys.ErrNotInBlock},
		"may be exported":     {spec, 7, sealed(t, func(h *keyblock.Header) { h.Exportability = 'E' }), keys.ErrNotInBlock},
		"component":           {spec, 7, sealed(t, func(h *keyblock.Header) { h.KeyVersion = "c1" }), keys.ErrNotInBlock},
		"cut":                 {spec, 7, right[:len(right)-2], keys.ErrBlock},
		"empty":               {spec, 7, "", keys.ErrBlock},
		"version not of ours": {spec, 255, sealed(t, func(h *keyblock.Header) { h.KeyVersion = "00" }), keys.ErrInput},
	} {
		require.ErrorIs(t, keeper.ImportBlock(t.Context(), under(), c.spec, c.version, c.block, keys.AssumedCodes()), c.want, name)
	}
	for i := range len(right) {
		altered := []byte(right)
		altered[i] ^= 1
		require.ErrorIs(t, keeper.ImportBlock(t.Context(), under(), spec, 7, string(altered), keys.AssumedCodes()), keys.ErrBlock, "character %d", i)
	}
	other := withExchange(t, keys.AES128)
	require.ErrorIs(t, other.ImportBlock(t.Context(), under(), spec, 7, right, keys.AssumedCodes()), keys.ErrBlock, "another KBPK")
	require.Len(t, keeper.Keys(), 1)

	require.NoError(t, keeper.ImportBlock(t.Context(), under(), spec, 7, right, keys.AssumedCodes()))
	require.ErrorIs(t, keeper.ImportBlock(t.Context(), under(), spec, 7, right, keys.AssumedCodes()), keys.ErrExists)
	require.NoError(t, keeper.ImportBlock(t.Context(), under(), changed(func(s *keys.Spec) { s.Name, s.Exportable = "OPEN", true }), 3,
		sealed(t, func(h *keyblock.Header) { h.Exportability, h.KeyVersion = 'E', "00" }), keys.AssumedCodes()))
}

// A block that another program made opens here: payShield 10k, by
// test/tr31_decrypt_test.c of openemv/tr31, with the codes that it uses; and
// the check values printed there are ours.
func TestBlockOfAnotherProgram(t *testing.T) {
	t.Parallel()
	codes := keys.AssumedCodes()
	codes.Usages[keys.CheckCode] = keys.UsageCode{Usage: "K0", Mode: "N"}
	keeper := withExchange(t, keys.TripleDES)
	spec := keys.Spec{Name: "CHECK_3DES", Usage: keys.CheckCode, Algorithm: keys.TripleDES}
	for version, block := range []string{
		"A0072K0TN00N0000F40D5672C6D0EC86F860BA88D44D00F0CA9A8CE8CD2F640287A9A9EB",
		"B0080K0TN00N00001C414014375212C24995E405B5EE052CB92B67F455EA2680F6751088F9F1C228",
		"C0072K0TN00N0000C9B875FF7A5316BF221C09ED52080DE0B45632A4EA9CE87699CB565E",
	} {
		require.NoError(t, keeper.ImportBlock(t.Context(), under(), spec, version+1, block, codes))
		kcv, method, err := keeper.CheckValue(t.Context(), keys.Key{Name: spec.Name, Version: version + 1})
		require.NoError(t, err)
		require.Equal(t, "5c9405", hex.EncodeToString(kcv))
		require.Equal(t, keys.CheckValueECB, method)
	}
}

// The check value of an AES key is that of ANSI X9.143:2021, 8.1.
func TestCheckValueAES(t *testing.T) {
	t.Parallel()
	keeper, _ := create(t, newKEK(t))
	require.NoError(t, keeper.Import(exchange(keys.AES128), 1, strings.NewReader("3F419E1CB7079442AA37474C2EFBF8B8 08793E25AB")))
	kcv, method, err := keeper.CheckValue(t.Context(), under())
	require.NoError(t, err)
	require.Equal(t, "08793e25ab", hex.EncodeToString(kcv))
	require.Equal(t, keys.CheckValueAES, method)
}

func TestCodes(t *testing.T) {
	t.Parallel()
	require.True(t, keys.AssumedCodes().Assumed)
	const algorithms = "algorithms: {3DES: T, SM4: S}\n"
	const usages = "usages:\n  authentication: {usage: E0, mode: X}\n  maintenance: {usage: E2, mode: X}\n  master: {usage: E5, mode: X}\n  transport: {usage: K0, mode: X}\n  check-code: {usage: M1, mode: C}\n"
	agreed, err := keys.ParseCodes(strings.NewReader(algorithms + usages))
	require.NoError(t, err)
	require.False(t, agreed.Assumed)
	require.Equal(t, "S", agreed.Algorithms[keys.SM4])
	channels, err := keys.ParseCodes(strings.NewReader(algorithms + usages + "  channel: {usage: D0, mode: N}\n"))
	require.NoError(t, err, "with a code for a maker's channel, too")
	require.Equal(t, "D0", channels.Usages[keys.Channel].Usage)
	for name, text := range map[string]string{
		"empty":             "",
		"unknown field":     algorithms + usages + "x: 1\n",
		"two documents":     algorithms + usages + "---\n{}\n",
		"no algorithms":     usages,
		"no usages":         algorithms,
		"a usage twice":     algorithms + strings.Replace(usages, "E2", "E0", 1),
		"an algorithm":      strings.Replace(algorithms, "S}", "T}", 1) + usages,
		"usage's form":      algorithms + strings.Replace(usages, "E2", "e2", 1),
		"mode's form":       algorithms + strings.Replace(usages, "mode: C", "mode: CC", 1),
		"algorithm's form":  strings.Replace(algorithms, "S}", "SM}", 1) + usages,
		"unknown usage":     algorithms + usages + "  other: {usage: D0, mode: N}\n",
		"personal data":     algorithms + usages + "  field-encryption: {usage: D0, mode: N}\n",
		"unknown algorithm": strings.Replace(algorithms, "S}", "S, AES-128: A}", 1) + usages,
		"the code of AES":   strings.Replace(algorithms, "S}", "A}", 1) + usages,
		"missing usage":     algorithms + strings.Replace(usages, "  master: {usage: E5, mode: X}\n", "", 1),
	} {
		_, err := keys.ParseCodes(strings.NewReader(text))
		require.ErrorIs(t, err, keys.ErrFormat, name)
	}
}

func FuzzParseCodes(f *testing.F) {
	f.Add("assumed: true\nalgorithms: {3DES: T}\nusages: {master: {usage: E5, mode: X}}\n")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := keys.ParseCodes(strings.NewReader(text)); err != nil {
			require.ErrorIs(t, err, keys.ErrFormat)
		}
	})
}
