package keys_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// unhex decodes a vector.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	value, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return value
}

// platform is a keeper with the static keys of a blank.
type platform struct {
	*keys.Keeper
	request keys.ChannelRequest
}

// newPlatform imports the three keys of a protocol; one value is a master key.
func newPlatform(t testing.TB, protocol string, algorithm keys.Algorithm, values ...string) platform {
	t.Helper()
	kek, err := keys.GenerateKEK(bytes.NewReader(make([]byte, 32)))
	require.NoError(t, err)
	keeper, err := keys.Create(t.TempDir()+"/keys.json", kek, keys.Provincial())
	require.NoError(t, err)
	p := platform{keeper, keys.ChannelRequest{Protocol: protocol, Diversification: keys.DiversifyNone, Chip: []byte("chip 1")}}
	names := []string{"GPENC", "GPMAC", "GPDEK"}
	for i, value := range values {
		require.NoError(t, keeper.Import(keys.Spec{Name: names[i], Usage: keys.Channel, Algorithm: algorithm}, 1, strings.NewReader(value)))
	}
	if len(values) == 1 {
		names = []string{names[0], names[0], names[0]}
	}
	p.request.ENC.Name, p.request.MAC.Name, p.request.DEK.Name = names[0], names[1], names[2]
	return p
}

// repeated is a key of the pySim sets.
func repeated(start, size int) string {
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(start + i%16)
	}
	return hex.EncodeToString(value)
}

// open opens a channel and compares the command.
func (p platform) open(t *testing.T, level byte, update, response, want string) []byte {
	t.Helper()
	p.request.Level, p.request.Response = level, unhex(t, response)
	u := unhex(t, update)
	p.request.HostChallenge = u[5 : 5+int(u[4])]
	command, state, err := p.OpenChannel(t.Context(), p.request)
	require.NoError(t, err)
	require.Equal(t, unhex(t, want), command)
	return state
}

// wrap protects plain commands and compares.
func (p platform) wrap(t *testing.T, state []byte, plain, want []string) []byte {
	t.Helper()
	wrapped, next, err := p.WrapCommands(t.Context(), state, p.request.Chip, commands(t, plain...))
	require.NoError(t, err)
	for i := range want {
		require.Equal(t, strings.ToUpper(want[i]), strings.ToUpper(hex.EncodeToString(wrapped[i])), plain[i])
	}
	return next
}

// commands reads plain commands.
func commands(t testing.TB, plain ...string) []keys.ChannelCommand {
	t.Helper()
	var list []keys.ChannelCommand
	for _, text := range plain {
		raw := unhex(t, text)
		c := keys.ChannelCommand{Header: raw[:4]}
		switch {
		case len(raw) == 5:
			c.Answer = true
		case len(raw) > 5:
			c.Data, c.Answer = raw[5:5+int(raw[4])], len(raw) > 5+int(raw[4])
		}
		list = append(list, c)
	}
	return list
}

// The four kinds of command in the pySim sets.
var fourKinds = []string{"80F22002", "80CA006600", "80F220020A4F0212345C054F9F70C5", "80F28002024F0000"}

func TestSCP03OfPySim(t *testing.T) {
	t.Parallel()
	for _, set := range pySimSCP03 {
		t.Run(set.algorithm+" "+hex.EncodeToString([]byte{set.level}), func(t *testing.T) {
			t.Parallel()
			size := map[string]int{"AES-128": 16, "AES-192": 24, "AES-256": 32}[set.algorithm]
			p := newPlatform(t, keys.SCP03, keys.Algorithm(set.algorithm), repeated(0x00, size), repeated(0x10, size), repeated(0x20, size))
			state := p.open(t, set.level, set.update, set.response, set.authenticate)
			state = p.wrap(t, state, []string{"80E2910006BF3E035C015A00"}, []string{set.command})
			plain, state, err := p.UnwrapResponses(t.Context(), state, p.request.Chip, [][]byte{unhex(t, set.answer+"9000")})
			require.NoError(t, err)
			require.Equal(t, [][]byte{unhex(t, "bf3e125a10898821199000000000000000000000059000")}, plain)
			p.wrap(t, state, fourKinds, set.rest)
		})
	}
}

// TestSCP03OfAsterix holds the exchange of suma12/asterix, SCP03.py, a chip
// whose challenge is pseudo-random and can be computed.
func TestSCP03OfAsterix(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, keys.SCP03, keys.AES128, "404142434445464748494A4B4C4D4E4F", "401122334445566748494A4B4C4D4E4F", "9876543210404142434445464748494A")
	p.request.AID = unhex(t, "A000000018434D08090A0B0C000000")
	const update, response = "80503000080807060504030201", "000050C7606A8CF64800300370A3F5F144D19BE66E72BFCBDF4A14515F00002A"
	p.open(t, 0x01, update, response, "8482010010AEB8DAD1865B85E249FC4CF184E61DCD")
	p.request.Level, p.request.HostChallenge, p.request.Response = 0x03, unhex(t, "0807060504030201"), unhex(t, response)
	_, state, err := p.OpenChannel(t.Context(), p.request)
	require.NoError(t, err)
	wrapped, _, err := p.WrapCommands(t.Context(), state, p.request.Chip, commands(t, "80E60200150A45786572636973655236000006EF04C602068200"))
	require.NoError(t, err)
	require.Equal(t, unhex(t, "DF31907FC027482D5DCB7DC028245F7C108CA4D2AFF12275079768E1EFE9429E"), wrapped[0][5:len(wrapped[0])-8])

	// Another name, or another counter, has another challenge.
	for _, change := range []func(){
		func() { p.request.AID[0] ^= 1 },
		func() { p.request.AID[0] ^= 1; p.request.Response[len(p.request.Response)-1]++ },
	} {
		change()
		_, _, err = p.OpenChannel(t.Context(), p.request)
		require.ErrorIs(t, err, keys.ErrCardCryptogram)
	}
}

// TestSCP02OfPySim holds the exchange of osmocom pySim.
func TestSCP02OfPySim(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, keys.SCP02, keys.TripleDES, "100102030405060708090a0b0c0d0e0f", "101102030405060708090a0b0c0d0e0f", "102102030405060708090a0b0c0d0e0f")
	state := p.open(t, 0x01, "805020000840A62C37FA6304F800", "00000000000000000000700200016B4524ABEE7CF32EA3838BC148F3", "8482010010BA6961667737C5BCEBECE14C7D6A4376")
	p.wrap(t, state, fourKinds, []string{"84F220020814DB34FA4341DCA8", "84CA00660855ED7C5FF069512B00",
		"84F22002124F0212345C054F9F70C58FC1B380C4228AF8", "84F280020A4F003B95F09317DE6A4E00"})
	p.request.Level, p.request.HostChallenge, p.request.Response = 0x01, unhex(t, "40A62C37FA6304F8"), unhex(t, "00000000000000000000700200016B4524ABEE7CF32EA3838BC148FF")
	_, _, err := p.OpenChannel(t.Context(), p.request)
	require.ErrorIs(t, err, keys.ErrCardCryptogram)
}

// TestSCP02OfKeycard holds the opening of status-im/keycard-go,
// globalplatform/session_test.go.
func TestSCP02OfKeycard(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, keys.SCP02, keys.TripleDES, "404142434445464748494a4b4c4d4e4f")
	p.request.Level, p.request.HostChallenge = 0x01, unhex(t, "f0467f908e5ca23f")
	p.request.Response = unhex(t, "000002650183039536622002000de9c62ba1c4c8e55fcb91b6654ce4")
	_, _, err := p.OpenChannel(t.Context(), p.request)
	require.NoError(t, err)
}

// established opens the channel of the first pySim set of a level.
func established(t *testing.T, level byte) (p platform, state []byte) {
	t.Helper()
	for _, set := range pySimSCP03 {
		if set.level == level {
			p = newPlatform(t, keys.SCP03, keys.AES128, repeated(0x00, 16), repeated(0x10, 16), repeated(0x20, 16))
			return p, p.open(t, level, set.update, set.response, set.authenticate)
		}
	}
	t.Fatal("no set of that level")
	return p, nil
}

// TestChannelAborts: by rule a security error ends the session.
func TestChannelAborts(t *testing.T) {
	t.Parallel()
	set := pySimSCP03[0]
	for name, test := range map[string]struct {
		answers []string
		err     error
		aborted bool
	}{
		"sound":               {[]string{set.answer + "9000"}, nil, false},
		"error":               {[]string{"6A88"}, nil, false},
		"security status":     {[]string{"6982"}, nil, true},
		"MAC refused":         {[]string{"6988"}, nil, true},
		"no answer":           {nil, nil, true},
		"another status word": {[]string{set.answer + "6283"}, keys.ErrResponseMAC, true},
		"data changed":        {[]string{"00" + set.answer[2:] + "9000"}, keys.ErrResponseMAC, true},
		"no MAC":              {[]string{"9000"}, keys.ErrResponseMAC, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, state := established(t, 0x11)
			state = p.wrap(t, state, []string{"80E2910006BF3E035C015A00"}, []string{set.command})
			_, _, err := p.WrapCommands(t.Context(), state, p.request.Chip, commands(t, "80F22002"))
			require.ErrorIs(t, err, keys.ErrChannelAborted, "while answers are out")
			var answers [][]byte
			for _, answer := range test.answers {
				answers = append(answers, unhex(t, answer))
			}
			_, state, err = p.UnwrapResponses(t.Context(), state, p.request.Chip, answers)
			require.ErrorIs(t, err, test.err)
			_, next, err := p.WrapCommands(t.Context(), state, p.request.Chip, commands(t, "80F22002"))
			if !test.aborted {
				require.NoError(t, err)
				require.NotEmpty(t, next)
				return
			}
			require.ErrorIs(t, err, keys.ErrChannelAborted)
			_, _, err = p.UnwrapResponses(t.Context(), state, p.request.Chip, nil)
			require.ErrorIs(t, err, keys.ErrChannelAborted)
		})
	}
}

// TestChannelRefuses: what does not belong together opens nothing.
func TestChannelRefuses(t *testing.T) {
	t.Parallel()
	set := pySimSCP03[0]
	for name, test := range map[string]struct {
		change func(*keys.ChannelRequest)
		want   error
	}{
		"protocol":         {func(r *keys.ChannelRequest) { r.Protocol = "SCP01" }, keys.ErrInput},
		"other protocol":   {func(r *keys.ChannelRequest) { r.Protocol = keys.SCP02 }, keys.ErrInput},
		"level":            {func(r *keys.ChannelRequest) { r.Level = 0 }, keys.ErrInput},
		"unsupported":      {func(r *keys.ChannelRequest) { r.Response[12] = 0x10 }, keys.ErrInput},
		"S16 by i":         {func(r *keys.ChannelRequest) { r.Response[12] |= 1 }, keys.ErrInput},
		"short":            {func(r *keys.ChannelRequest) { r.Response = r.Response[:12] }, keys.ErrInput},
		"long":             {func(r *keys.ChannelRequest) { r.Response = append(r.Response, 0) }, keys.ErrInput},
		"short challenge":  {func(r *keys.ChannelRequest) { r.HostChallenge = r.HostChallenge[:7] }, keys.ErrInput},
		"cryptogram":       {func(r *keys.ChannelRequest) { r.Response[28] ^= 1 }, keys.ErrCardCryptogram},
		"card challenge":   {func(r *keys.ChannelRequest) { r.Response[13] ^= 1 }, keys.ErrCardCryptogram},
		"host challenge":   {func(r *keys.ChannelRequest) { r.HostChallenge[0] ^= 1 }, keys.ErrCardCryptogram},
		"diversification":  {func(r *keys.ChannelRequest) { r.Diversification = keys.DiversifyKDF3 }, keys.ErrCardCryptogram},
		"of the other one": {func(r *keys.ChannelRequest) { r.Diversification = keys.DiversifyEMV }, keys.ErrInput},
		"no such key":      {func(r *keys.ChannelRequest) { r.DEK.Name = "NONE" }, keys.ErrNoKey},
		"other usage":      {func(r *keys.ChannelRequest) { r.DEK.Name = keys.DataKey }, keys.ErrWrongUsage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, keys.SCP03, keys.AES128, repeated(0x00, 16), repeated(0x10, 16), repeated(0x20, 16))
			p.request.Level, p.request.Response, p.request.HostChallenge = 0x11, unhex(t, set.response), unhex(t, set.update)[5:13]
			test.change(&p.request)
			command, state, err := p.OpenChannel(t.Context(), p.request)
			require.ErrorIs(t, err, test.want)
			require.Nil(t, command)
			require.Nil(t, state)
		})
	}
}

// TestChannelStateIsSealed: the state opens for its chip, at its keeper, whole,
// and shows nothing.
func TestChannelStateIsSealed(t *testing.T) {
	t.Parallel()
	p, state := established(t, 0x33)
	other, _ := established(t, 0x33)
	require.NotContains(t, string(state), "GPENC")
	for name, try := range map[string]func() error{
		"another chip": func() error {
			_, _, err := p.WrapCommands(t.Context(), state, []byte("chip 2"), nil)
			return err
		},
		"another keeper": func() error {
			_, _, err := other.WrapCommands(t.Context(), state, p.request.Chip, nil)
			return err
		},
		"the vault": func() error {
			_, err := p.Open(t.Context(), p.request.Chip, state)
			return err
		},
		"what the vault sealed": func() error {
			sealed, err := p.Seal(t.Context(), p.request.Chip, []byte(`{"protocol":"SCP03"}`))
			require.NoError(t, err)
			_, _, err = p.UnwrapResponses(t.Context(), sealed, p.request.Chip, nil)
			return err
		},
		"changed": func() error {
			changed := bytes.Clone(state)
			changed[len(changed)/2] ^= 1
			_, _, err := p.WrapCommands(t.Context(), changed, p.request.Chip, nil)
			return err
		},
		"short": func() error {
			_, _, err := p.UnwrapResponses(t.Context(), state[:5], p.request.Chip, nil)
			return err
		},
	} {
		require.ErrorIs(t, try(), keys.ErrSealed, name)
	}
}

// TestChannelLoads: only keys for cards, diversified to the card, go out; and a
// channel's static keys serve nothing else.
func TestChannelLoads(t *testing.T) {
	t.Parallel()
	p, state := established(t, 0x33)
	factors := [][]byte{[]byte("330100sx"), unhex(t, "8665330100000001")}
	load := func(key keys.Key) (wrapped [][]byte, err error) {
		wrapped, _, err = p.WrapCommands(t.Context(), state, p.request.Chip,
			[]keys.ChannelCommand{{Header: unhex(t, "80D80001"), Data: []byte{1}, Loads: []keys.ChannelLoad{{Target: key, Type: 0x88}}}})
		return wrapped, err
	}
	wrapped, err := load(keys.Key{Name: "IRK", Factors: factors})
	require.NoError(t, err)
	require.Len(t, wrapped[0], 5+32+8, "version, 23 bytes of key data, padding")
	for name, test := range map[string]struct {
		key  keys.Key
		want error
	}{
		"not diversified": {keys.Key{Name: "IRK"}, keys.ErrFactors},
		"half":            {keys.Key{Name: "IRK", Factors: factors[:1]}, keys.ErrFactors},
		"data key":        {keys.Key{Name: keys.DataKey}, keys.ErrWrongUsage},
		"static key":      {keys.Key{Name: "GPENC"}, keys.ErrWrongUsage},
		"no key":          {keys.Key{Name: "NONE"}, keys.ErrNoKey},
	} {
		_, err := load(test.key)
		require.ErrorIs(t, err, test.want, name)
	}
	_, err = p.DirectMAC(t.Context(), keys.Key{Name: "GPENC"}, make([]byte, 16), unhex(t, "84F0000004"))
	require.ErrorIs(t, err, keys.ErrWrongUsage)
	_, _, err = p.WrapKey(t.Context(), keys.Key{Name: "GPDEK"}, keys.Key{Name: "IRK", Factors: factors}, [3]byte{}, unhex(t, "84D4000024"), make([]byte, 16))
	require.ErrorIs(t, err, keys.ErrWrongUsage)
	_, err = p.Rotate("GPENC")
	require.ErrorIs(t, err, keys.ErrWrongUsage)

	// The maker's keys are imported, and are used as they are.
	require.NoError(t, p.Add(keys.Spec{Name: "GPNEW", Usage: keys.Channel, Algorithm: keys.AES256}))
	_, err = p.Current("GPNEW")
	require.ErrorIs(t, err, keys.ErrNoKey)
	require.ErrorIs(t, p.Add(keys.Spec{Name: "GPNEW", Usage: keys.Channel, Algorithm: keys.AES256, Depth: 1}), keys.ErrInput)
	require.ErrorIs(t, p.Add(keys.Spec{Name: "GPNEW", Usage: keys.Channel, Algorithm: keys.SM4}), keys.ErrAlgorithm)

	for _, c := range []keys.ChannelCommand{
		{Header: unhex(t, "84D80001")}, {Header: unhex(t, "81D80001")}, {Header: unhex(t, "80D800")},
		{Header: unhex(t, "80D80001"), Data: make([]byte, 240)},
	} {
		_, _, err := p.WrapCommands(t.Context(), state, p.request.Chip, []keys.ChannelCommand{c})
		require.ErrorIs(t, err, keys.ErrInput)
	}
}

// FuzzChannel gives the keeper whatever a chip may answer.
func FuzzChannel(f *testing.F) {
	set := pySimSCP03[2]
	aes := newPlatform(f, keys.SCP03, keys.AES128, repeated(0x00, 16), repeated(0x10, 16), repeated(0x20, 16))
	des := newPlatform(f, keys.SCP02, keys.TripleDES, "100102030405060708090a0b0c0d0e0f")
	aes.request.Level, aes.request.Response, aes.request.HostChallenge = 0x33, unhex(f, set.response), unhex(f, set.update)[5:13]
	_, state, err := aes.OpenChannel(f.Context(), aes.request)
	require.NoError(f, err)
	_, state, err = aes.WrapCommands(f.Context(), state, aes.request.Chip, commands(f, "80E2910006BF3E035C015A00"))
	require.NoError(f, err)
	f.Add(unhex(f, set.response), unhex(f, set.answer+"9000"))
	f.Add(unhex(f, "00000000000000000000700200016B4524ABEE7CF32EA3838BC148F3"), []byte{0x69, 0x82})
	f.Fuzz(func(t *testing.T, update, answer []byte) {
		for _, p := range []platform{aes, des} {
			p.request.Response, p.request.Level = update, 0x03
			_, opened, err := p.OpenChannel(t.Context(), p.request)
			require.Equal(t, err == nil, opened != nil)
		}
		plain, next, err := aes.UnwrapResponses(t.Context(), state, aes.request.Chip, [][]byte{answer})
		require.True(t, err != nil || len(plain) == 1 && next != nil)
		if err == nil && !bytes.Equal(answer, unhex(t, set.answer+"9000")) {
			require.Len(t, plain[0], 2, "without its MAC an answer says its status word at most")
		}
	})
}
