package chip

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
)

// zeroes are a question or an answer of 16 bytes.
const zeroes = "00000000000000000000000000000000"

// TestRefusals sends commands that a card with nothing proven refuses, each
// with its own status word, and nothing of the memory changes.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		command string
		want    apdu.SW
	}{
		"unknown instruction":                               {"00FF0000", 0x6D00},
		"unknown class":                                     {"80A4040000", 0x6E00},
		"secured instruction without class":                 {"0024000000", 0x6E00},
		"empty":                                             {"", 0x6700},
		"shorter than a header":                             {"00A404", 0x6700},
		"data shorter than announced":                       {"00A4040005A0", 0x6700},
		"extended":                                          {"00B0000000 0101", 0x6700},
		"select, wrong P1":                                  {"00A4030002EF05", 0x6A86},
		"select, wrong P2":                                  {"00A4000102EF05", 0x6A86},
		"select, half an identifier":                        {"00A4000001EF", 0x6700},
		"select, no such file":                              {"00A4000002EFEE", 0x6A82},
		"select, no such application":                       {"00A4040005A000000003", 0x6A82},
		"read record, no such file":                         {"00B201F400", 0x6A82},
		"read record, no such record":                       {"00B2632C00", 0x6A83},
		"read record, other reference":                      {"00B2012A00", 0x6A86},
		"read record, wrong length":                         {"00B2012C01", 0x6C12},
		"read record, no current file":                      {"00B2010400", 0x6985},
		"read record of a transparent file":                 {"00B2013C00", 0x6981},
		"read record, not allowed":                          {"00B2013400", 0x6982},
		"update record, not allowed":                        {"00DC052C06050420261123", 0x6982},
		"update record of a transparent one":                {"00DC013C0100", 0x6981},
		"read binary of records":                            {"00B0850000", 0x6981},
		"read binary, not allowed":                          {"00B0870000", 0x6982},
		"read binary, no current file":                      {"00B0040000", 0x6985},
		"update binary, not allowed":                        {"00D687000101", 0x6982},
		"challenge, wrong P1":                               {"0084010008", 0x6A86},
		"challenge of another size":                         {"0084000009", 0x6700},
		"internal, wrong P1":                                {"0088010010" + zeroes, 0x6A86},
		"internal, half a question":                         {"0088000008" + "0000000000000000", 0x6700},
		"internal, no such key":                             {"0088007F10" + zeroes, 0x6A88},
		"external, wrong P1":                                {"0082010410" + zeroes, 0x6A86},
		"external, half an answer":                          {"0082000408" + "0000000000000000", 0x6700},
		"external, key of another purpose":                  {"0082000010" + zeroes, 0x6A88},
		"external without a challenge":                      {"0082000410" + zeroes, 0x6984},
		"verify, wrong P1":                                  {"0020010003123456", 0x6A86},
		"verify, five digits":                               {"002000000212345F", 0x6700},
		"verify, no number set":                             {"0020000003123456", 0x6984},
		"change, wrong P1":                                  {"805E000007123456FF654321", 0x6A86},
		"change, no divider":                                {"805E01000612345654321F", 0x6700},
		"change, no digits":                                 {"805E010007123456FF65432A", 0x6A80},
		"change, no number set":                             {"805E010007123456FF654321", 0x6984},
		"reload, wrong P2":                                  {"842400020400000000", 0x6A86},
		"reload without the right":                          {"842400000400000000", 0x6982},
		"block without a challenge":                         {"841E00000400000000", 0x6984},
		"block, no MAC":                                     {"841E000000", 0x6700},
		"block, wrong P2":                                   {"841E00020400000000", 0x6A86},
		"unblock, wrong P2":                                 {"841800010400000000", 0x6A86},
		"card block, wrong P2":                              {"841600010400000000", 0x6A86},
		"card block without a challenge":                    {"841600000400000000", 0x6984},
		"response, none waits":                              {"00C0000000", 0x6985},
		"key information, another object":                   {"80CA00E100", 0x6A88},
		"key information with data":                         {"80CA00E00100", 0x6700},
		"finish of a finished card":                         {"84F000000400000000", 0x6984},
		"load key into a finished card without a challenge": {"84D4000024" + strings.Repeat("00", 36), 0x6984},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := personal(t)
			before := b.stored()
			require.Equal(t, test.want.String(), b.sw(test.command).String())
			require.Equal(t, before, b.stored(), "a refusal changes nothing")
		})
	}
}

// TestNoEnvironment: outside of the environment there is nothing to be had.
func TestNoEnvironment(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]apdu.SW{
		"00A4000002EF05": 0x6A82, "00B2012C00": 0x6985, "00B0870000": 0x6985, "00DC052C06050420261123": 0x6985, "00D687000101": 0x6985,
		"0088000010" + zeroes: 0x6985, "0082000410" + zeroes: 0x6985, "0020000003123456": 0x6985, "805E010007123456FF654321": 0x6985,
		"841E00000400000000": 0x6985, "841800000400000000": 0x6985, "841600000400000000": 0x6985,
	} {
		b := personal(t)
		require.Equal(t, apdu.OK, b.sw("00A40000023F00"), "the master file")
		require.Equal(t, want.String(), b.sw(command).String(), command)
	}
}

// TestDelivery: an answer waits after a command with data, for one command
// only; a wrong length is told and costs nothing.
func TestDelivery(t *testing.T) {
	t.Parallel()
	b := personal(t)
	raw := func(command string) apdu.Response {
		t.Helper()
		r, err := apdu.ParseResponse(b.chip.Transmit(unhex(t, command)))
		require.NoError(t, err)
		return r
	}
	first := raw(selectEnvironment + "00")
	require.Equal(t, apdu.SW(0x6118), first.SW)
	require.Empty(t, first.Data)
	require.Equal(t, apdu.SW(0x6C18), raw("00C0000001").SW)
	require.Equal(t, apdu.SW(0x6C18), raw("00C0000002").SW, "it goes on waiting")
	answer := raw("00C0000018")
	require.Equal(t, apdu.OK, answer.SW)
	require.Equal(t, []byte(b.chip.profile.FCI), answer.Data)
	require.Equal(t, apdu.SW(0x6985), raw("00C0000018").SW, "it is gone")

	for _, between := range []string{"0084000008", "00FF", "00C000000100"} {
		require.Equal(t, apdu.SW(0x6118), raw(selectEnvironment).SW)
		raw(between)
		require.Equal(t, apdu.SW(0x6985), raw("00C0000018").SW, between)
	}
	// Le of 256 takes whatever there is; without data the answer comes at once.
	require.Len(t, raw("00B2012C00").Data, 18)
	require.Equal(t, apdu.SW(0x6C12), raw("00B2012C").SW)
}

// TestSelect goes through the tree by every way in.
func TestSelect(t *testing.T) {
	t.Parallel()
	b := personal(t)
	for i := range b.chip.profile.Scopes {
		scope := &b.chip.profile.Scopes[i]
		if len(scope.FID) > 0 {
			b.ok(append([]byte{0, 0xA4, 0, 0, 2}, scope.FID...))
			require.Same(t, scope, b.chip.scope)
		}
		if len(scope.AID) > 0 {
			b.enter()
			fci := b.ok(append([]byte{0, 0xA4, 4, 0, byte(len(scope.AID))}, scope.AID...))
			require.Equal(t, apdu.AppendTLV(nil, 0x6F, apdu.AppendTLV(nil, 0x84, scope.AID)), fci)
			require.Same(t, scope, b.chip.scope)
		}
		for f := range scope.Files {
			b.ok(append([]byte{0, 0xA4, 2, 0, 2}, scope.Files[f].FID...))
			require.Same(t, &scope.Files[f], b.chip.file)
		}
	}
}

// TestPowerless: a chip without power answers nothing useful, and power brings
// it back without what it had gained.
func TestPowerless(t *testing.T) {
	t.Parallel()
	b := personal(t)
	b.prove("RKSSSE")
	require.Equal(t, apdu.OK, b.sw("00B2013400"))
	b.chip.PowerOff()
	require.Equal(t, apdu.SW(0x6F00), b.sw(selectEnvironment))
	require.Equal(t, b.chip.ATR(), b.chip.PowerOn())
	require.Equal(t, apdu.SW(0x6985), b.sw("00B2013400"))
	b.enter()
	require.Equal(t, apdu.SW(0x6982), b.sw("00B2013400"))
}

// TestForeign: a card of others answers what it knows, and is in a hurry to
// refuse the rest.
func TestForeign(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		image   *Image
		answers map[string]string
	}{
		"bank": {BankCard(), map[string]string{
			"00A404000E315041592E5359532E4444463031":   "6F10840E315041592E5359532E44444630319000",
			"00A404000E315041592E5359532E444446303100": "6F10840E315041592E5359532E44444630319000",
			selectEnvironment:                          "6A82", "00B2010C00": "700C5A0A6222000000000000000F9000", "0084000008": "6D00", "": "6D00",
		}},
		"other": {OtherCard(), map[string]string{selectEnvironment: "6A82", "0084000008": "6D00"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, err := NewMemory(test.image)
			require.NoError(t, err)
			c, err := New(nil, store, nil)
			require.NoError(t, err)
			require.Equal(t, []byte(test.image.ATR), c.PowerOn())
			for command, want := range test.answers {
				require.Equal(t, unhex(t, want), c.Transmit(unhex(t, command)), command)
			}
		})
	}
}
