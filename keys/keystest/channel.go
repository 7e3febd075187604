package keystest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/keys"
)

// exchange is one published session on a secure channel: what opens it, then
// its first commands and the answer to the first of them.
type exchange struct {
	request  keys.ChannelRequest
	fixtures []Fixture
	open     string
	commands []keys.ChannelCommand
	wrapped  []string
	// answer is that to the first command alone, plain what it says; none for a
	// protocol that protects no answers.
	answer, plain string
}

// exchanges are those of osmocom pySim, tests/unittests/test_globalplatform.py:
// SCP03 with AES-128 at level 33, SCP02 at level 01.
func exchanges(t *testing.T) map[string]exchange {
	t.Helper()
	static := func(algorithm keys.Algorithm, enc, mac, dek string) []Fixture {
		return []Fixture{
			fixture("GPENC", 1, keys.Channel, algorithm, 0, enc), fixture("GPMAC", 1, keys.Channel, algorithm, 0, mac), fixture("GPDEK", 1, keys.Channel, algorithm, 0, dek),
			fixture("IRK", 1, keys.Authentication, keys.SM4, 2, testKey), fixture("CHECK", 1, keys.CheckCode, keys.SM4, 0, testKey),
		}
	}
	request := func(protocol string, level byte, challenge, response string) keys.ChannelRequest {
		return keys.ChannelRequest{
			Protocol: protocol, ENC: flat("GPENC"), MAC: flat("GPMAC"), DEK: flat("GPDEK"), Diversification: keys.DiversifyNone, Level: level,
			HostChallenge: unhex(t, challenge), Response: unhex(t, response), Chip: []byte("a chip"),
		}
	}
	store := keys.ChannelCommand{Header: unhex(t, "80E29100"), Data: unhex(t, "BF3E035C015A"), Answer: true}
	status := keys.ChannelCommand{Header: unhex(t, "80F22002")}
	data := keys.ChannelCommand{Header: unhex(t, "80CA0066"), Answer: true}
	return map[string]exchange{
		"SCP03": {
			request:  request(keys.SCP03, 0x33, "fdf38259a1e0de44", "000000000000000000003003703b1aca81e821f219081cdc01c26b372d000003"),
			fixtures: static(keys.AES128, "000102030405060708090a0b0c0d0e0f", "101112131415161718191a1b1c1d1e1f", "202122232425262728292a2b2c2d2e2f"),
			open:     "84823300108c36f96bcc00724a4e13ad591d7da3f0",
			commands: []keys.ChannelCommand{store, status, data},
			wrapped:  []string{"84e2910018267a85dfe4a98fca6fb0527e0dfecce4914e40401433c87f00", "84f2200208ac6a59024bed84cc", "84ca006608409912ad8fb7aed000"},
			answer:   "f3ba2b1013aa6224f5e1c138d71805c569e5439b47576260b75fc021b25097cb2e68f8a0144975b99000",
			plain:    "bf3e125a10898821199000000000000000000000059000",
		},
		"SCP02": {
			request:  request(keys.SCP02, 0x01, "40A62C37FA6304F8", "00000000000000000000700200016B4524ABEE7CF32EA3838BC148F3"),
			fixtures: static(keys.TripleDES, "100102030405060708090a0b0c0d0e0f", "101102030405060708090a0b0c0d0e0f", "102102030405060708090a0b0c0d0e0f"),
			open:     "8482010010BA6961667737C5BCEBECE14C7D6A4376",
			commands: []keys.ChannelCommand{status, data},
			wrapped:  []string{"84F220020814DB34FA4341DCA8", "84CA00660855ED7C5FF069512B00"},
			answer:   "6A88", plain: "6A88",
		},
	}
}

// runChannel holds published exchanges, or that a keeper who holds no channels
// says so and takes no key for one.
func runChannel(t *testing.T, can Capabilities, open Open) {
	for name, x := range exchanges(t) {
		if !can.can(x.fixtures[0].Spec.Algorithm, keys.Channel) {
			t.Run("no "+name, func(t *testing.T) {
				testRefused(t, open, x.fixtures[:3])
				testNoChannel(t, open.must(t, can.vaultFixtures(1)), x)
			})
			continue
		}
		t.Run(name, func(t *testing.T) {
			keeper := open.must(t, append(x.fixtures, can.vaultFixtures(1)...))
			testExchange(t, keeper, x)
			testOpening(t, keeper, x)
			testSession(t, keeper, x)
			testLoads(t, keeper, x)
		})
	}
}

// testNoChannel: a keeper that holds no channels names that.
func testNoChannel(t *testing.T, keeper Keeper, x exchange) {
	_, _, err := keeper.OpenChannel(t.Context(), x.request)
	require.ErrorIs(t, err, keys.ErrNoChannel)
	_, _, err = keeper.WrapCommands(t.Context(), []byte("state"), x.request.Chip, x.commands)
	require.ErrorIs(t, err, keys.ErrNoChannel)
	_, _, err = keeper.UnwrapResponses(t.Context(), []byte("state"), x.request.Chip, [][]byte{{0x90, 0}})
	require.ErrorIs(t, err, keys.ErrNoChannel)
}

// testExchange holds the published exchange.
func testExchange(t *testing.T, keeper Keeper, x exchange) {
	command, state, err := keeper.OpenChannel(t.Context(), x.request)
	require.NoError(t, err)
	require.Equal(t, unhex(t, x.open), command)
	first, state, err := keeper.WrapCommands(t.Context(), state, x.request.Chip, x.commands[:1])
	require.NoError(t, err)
	plain, state, err := keeper.UnwrapResponses(t.Context(), state, x.request.Chip, [][]byte{unhex(t, x.answer)})
	require.NoError(t, err)
	require.Equal(t, [][]byte{unhex(t, x.plain)}, plain)
	rest, _, err := keeper.WrapCommands(t.Context(), state, x.request.Chip, x.commands[1:])
	require.NoError(t, err)
	for i, want := range x.wrapped {
		require.Equal(t, unhex(t, want), append(first, rest...)[i])
	}
}

// testOpening: another chip, another key and another challenge open nothing.
func testOpening(t *testing.T, keeper Keeper, x exchange) {
	for name, test := range map[string]struct {
		change func(*keys.ChannelRequest)
		want   error
	}{
		"cryptogram":   {func(r *keys.ChannelRequest) { r.Response = append([]byte{}, r.Response...); r.Response[27] ^= 1 }, keys.ErrCardCryptogram},
		"other keys":   {func(r *keys.ChannelRequest) { r.ENC, r.MAC = r.MAC, r.ENC }, keys.ErrCardCryptogram},
		"no such key":  {func(r *keys.ChannelRequest) { r.DEK.Name = "NONE" }, keys.ErrNoKey},
		"wrong usage":  {func(r *keys.ChannelRequest) { r.MAC.Name = "CHECK" }, keys.ErrWrongUsage},
		"no protocol":  {func(r *keys.ChannelRequest) { r.Protocol = "SCP01" }, keys.ErrInput},
		"no level":     {func(r *keys.ChannelRequest) { r.Level = 0 }, keys.ErrInput},
		"short answer": {func(r *keys.ChannelRequest) { r.Response = r.Response[:12] }, keys.ErrInput},
	} {
		request := x.request
		test.change(&request)
		command, state, err := keeper.OpenChannel(t.Context(), request)
		require.ErrorIs(t, err, test.want, name)
		require.Nil(t, command)
		require.Nil(t, state)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := keeper.OpenChannel(ctx, x.request)
	require.ErrorIs(t, err, context.Canceled)
}

// testSession: a session is one chip's, and ends with a security error.
func testSession(t *testing.T, keeper Keeper, x exchange) {
	_, state, err := keeper.OpenChannel(t.Context(), x.request)
	require.NoError(t, err)
	_, _, err = keeper.WrapCommands(t.Context(), state, []byte("another"), x.commands)
	require.ErrorIs(t, err, keys.ErrSealed)
	_, state, err = keeper.WrapCommands(t.Context(), state, x.request.Chip, x.commands)
	require.NoError(t, err)
	_, _, err = keeper.WrapCommands(t.Context(), state, x.request.Chip, x.commands)
	require.ErrorIs(t, err, keys.ErrChannelAborted, "while answers are out")
	if x.request.Level&0x10 != 0 {
		_, _, err = keeper.UnwrapResponses(t.Context(), state, x.request.Chip, [][]byte{{0x90, 0}})
		require.ErrorIs(t, err, keys.ErrResponseMAC)
	}
	_, state, err = keeper.UnwrapResponses(t.Context(), state, x.request.Chip, [][]byte{{0x69, 0x82}})
	require.NoError(t, err)
	_, _, err = keeper.WrapCommands(t.Context(), state, x.request.Chip, x.commands)
	require.ErrorIs(t, err, keys.ErrChannelAborted)
}

// testLoads: a key for cards goes out diversified to one, and no other does.
func testLoads(t *testing.T, keeper Keeper, x exchange) {
	_, state, err := keeper.OpenChannel(t.Context(), x.request)
	require.NoError(t, err)
	load := func(target keys.Key) ([][]byte, error) {
		command := keys.ChannelCommand{Header: unhex(t, "80D80001"), Data: []byte{1}, Loads: []keys.ChannelLoad{{Target: target, Type: 0x88}}, Answer: true}
		wrapped, _, err := keeper.WrapCommands(t.Context(), state, x.request.Chip, []keys.ChannelCommand{command})
		return wrapped, err
	}
	wrapped, err := load(keys.Key{Name: "IRK", Version: 1, Factors: factors(t)})
	require.NoError(t, err)
	require.Len(t, wrapped, 1)
	require.Empty(t, Find(unhex(t, testKeySM4Card), wrapped[0]))
	for _, test := range []struct {
		target keys.Key
		want   error
	}{
		{flat("IRK"), keys.ErrFactors}, {flat("GPENC"), keys.ErrWrongUsage}, {flat(keys.DataKey), keys.ErrWrongUsage}, {flat("NONE"), keys.ErrNoKey},
	} {
		wrapped, err := load(test.target)
		require.ErrorIs(t, err, test.want, test.target.Name)
		require.Nil(t, wrapped)
	}
}
