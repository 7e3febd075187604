package chip

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card/profile"
)

// The exchanges of osmocom pySim, tests/unittests/test_globalplatform.py, seen
// from the chip: the host's and the chip's challenge, the chip's cryptogram,
// and protected commands with what is in them.
func TestSessionOfPySim(t *testing.T) {
	t.Parallel()
	three := func(option byte) *Platform {
		return &Platform{Protocol: profile.SCP03, Option: option, ENC: unhex(t, "000102030405060708090a0b0c0d0e0f"), MAC: unhex(t, "101112131415161718191a1b1c1d1e1f"), DEK: unhex(t, "202122232425262728292a2b2c2d2e2f")}
	}
	des := &Platform{Protocol: profile.SCP02, ENC: unhex(t, "100102030405060708090a0b0c0d0e0f"), MAC: unhex(t, "101102030405060708090a0b0c0d0e0f"), DEK: unhex(t, "102102030405060708090a0b0c0d0e0f")}
	plain := []string{"80E2910006BF3E035C015A00", "80F22002", "80CA006600", "80F220020A4F0212345C054F9F70C5", "80F28002024F0000"}
	for name, test := range map[string]struct {
		platform         *Platform
		host, challenge  string
		cryptogram       string
		authenticate     string
		commands, answer []string
	}{
		"SCP03 11": {three(0x70), "b13e5f938fc108c4", "3eb51047495b249f", "66c484c1d2ef1948", "84821100107d5f5826a993ebc89eea24957fa0b3ce",
			[]string{"84e291000ebf3e035c015a558d036518a2829700", "84f220020863a63f8959827fb2", "84ca006608a0c6a4a74166f7ce00", "84f22002124f0212345c054f9f70c52249b50272656536", "84f280020a4f00e91443f6dce6b8ed00"},
			[]string{"bf3e125a1089882119900000000000000000000005", "bf3e125a1089882119900000000000000000000005971be68992dbbdfa"}},
		"SCP03 03": {three(0x70), "8e1552d0513c60f3", "30760cd2c47c1dd3", "95065fe5ead8a9d7", "8482030010fd4721a14d9b07003c451d2f8ae6bb21",
			[]string{"84e2910018ca9c00f6713d79bc8baa642bdff51c3f6a4082d3bd9ad26c00", "84f2200208c9811b11f1264cf1", "84ca006608e10ab60b3054798800", "84f22002184e2908bdb48b2315a55482e9e936ca122d6ecfae7d17416e", "84f28002180dd10a6b6193e5340b9e77d32d5a179cd710ac2773aefb2800"},
			[]string{"bf3e125a1089882119900000000000000000000005", "bf3e125a1089882119900000000000000000000005"}},
		"SCP03 33": {three(0x70), "fdf38259a1e0de44", "3b1aca81e821f219", "081cdc01c26b372d", "84823300108c36f96bcc00724a4e13ad591d7da3f0",
			[]string{"84e2910018267a85dfe4a98fca6fb0527e0dfecce4914e40401433c87f00", "84f2200208ac6a59024bed84cc", "84ca006608409912ad8fb7aed000", "84f22002185f3dafc3ac14c381536a488bf44e06d056df9d74dbd21e5a", "84f280021865165105be3373347d0424d4400af2ac393f569ec779389e00"},
			[]string{"bf3e125a1089882119900000000000000000000005", "f3ba2b1013aa6224f5e1c138d71805c569e5439b47576260b75fc021b25097cb2e68f8a0144975b9"}},
		"SCP02 01": {des, "40A62C37FA6304F8", "00016B4524ABEE7C", "F32EA3838BC148F3", "8482010010BA6961667737C5BCEBECE14C7D6A4376",
			[]string{"", "84F220020814DB34FA4341DCA8", "84CA00660855ED7C5FF069512B00", "84F22002124F0212345C054F9F70C58FC1B380C4228AF8", "84F280020A4F003B95F09317DE6A4E00"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			challenge := unhex(t, test.challenge)
			s, answer, err := newSession03(test.platform, unhex(t, test.host), challenge)
			if test.platform.Protocol == profile.SCP02 {
				s, answer, err = newSession02(test.platform, unhex(t, test.host), challenge[:2], challenge[2:])
			}
			require.NoError(t, err)
			require.Equal(t, unhex(t, test.challenge+test.cryptogram), answer)
			authenticate, err := apdu.ParseCommand(unhex(t, test.authenticate))
			require.NoError(t, err)
			opened, err := s.unprotect(authenticate)
			require.NoError(t, err)
			require.Equal(t, s.host, opened.Data)
			s.level, s.counter = authenticate.P1, 0
			for i, text := range test.commands {
				if text == "" {
					continue
				}
				command, err := apdu.ParseCommand(unhex(t, text))
				require.NoError(t, err)
				opened, err := s.unprotect(command)
				require.NoError(t, err, text)
				raw, err := opened.Bytes()
				require.NoError(t, err)
				require.Equal(t, plain[i], strings.ToUpper(hex.EncodeToString(raw)))
				if i == 0 {
					protected, err := s.protect(unhex(t, test.answer[0]), apdu.OK)
					require.NoError(t, err)
					require.Equal(t, unhex(t, test.answer[1]), protected)
				}
			}
		})
	}
}

// side is the other side of a session on the table: a session of the same keys
// that protects commands instead of opening them.
type side struct {
	*bench
	*channelSession
}

// platformBench is a blank with the environment selected.
func platformBench(t testing.TB, name string) (*bench, *profile.BlankMaker) {
	t.Helper()
	profiles, p := load(t)
	for _, m := range p.Makers {
		if m.Name != name {
			continue
		}
		image, err := PlatformBlank(p, m, [4]byte{0, 0, 0, 7}, makerKey[:], makerKey[:], makerKey[:])
		require.NoError(t, err)
		store, err := NewMemory(image)
		require.NoError(t, err)
		b := power(t, store, profiles)
		b.enter()
		return b, m
	}
	t.Fatal("no maker " + name)
	return nil, nil
}

// open opens a session at a level.
func (b *bench) open(level byte) *side {
	b.t.Helper()
	host := unhex(b.t, "0102030405060708")
	data := b.ok(append(append([]byte{0x80, 0x50, 0, 0, 8}, host...), 0))
	p := b.chip.image.Platform
	require.Equal(b.t, []byte(p.Data), data[:10])
	s := &side{bench: b}
	var err error
	if b.chip.scp() == 2 {
		s.channelSession, _, err = newSession02(p, host, data[12:14], data[14:20])
	} else {
		s.channelSession, _, err = newSession03(p, host, data[13:21])
	}
	require.NoError(b.t, err)
	require.Equal(b.t, apdu.OK, s.say([]byte{0x80, 0x82, level, 0}, s.host), "the host's cryptogram")
	s.level, s.counter = level, 0
	return s
}

// seal protects a command by the side's session.
func (s *side) seal(head, data []byte) []byte {
	s.t.Helper()
	s.counter++
	command := apdu.Command{CLA: head[0] | 4, INS: head[1], P1: head[2], P2: head[3], Data: data}
	if s.aes && s.level&2 != 0 && len(data) > 0 {
		block, err := aes.NewCipher(s.enc)
		require.NoError(s.t, err)
		command.Data = cbcTail(block, s.counterIV(block, 0), padded(data, 16))
	}
	length := byte(len(command.Data) + s.size)
	message := append([]byte{command.CLA, command.INS, command.P1, command.P2, length}, command.Data...)
	var tag []byte
	var err error
	if s.aes {
		tag, err = aesMAC(s.mac, s.last, message)
	} else {
		tag, err = s.desMAC(message)
	}
	require.NoError(s.t, err)
	s.last = tag
	return append(message, tag[:s.size]...)
}

// say sends a protected command.
func (s *side) say(head, data []byte) apdu.SW {
	s.t.Helper()
	_, sw := s.send(s.seal(head, data))
	return sw
}

// TestSessionRules: in a session every command is protected; a security error
// aborts it; an aborted one refuses until another is begun.
func TestSessionRules(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]func(s *side) []byte{
		"unprotected":      func(*side) []byte { return unhex(t, "00B2012C12") },
		"of another maker": func(*side) []byte { return unhex(t, "84F000000400000000") },
		"too short":        func(*side) []byte { return unhex(t, "84CA00E000") },
		"changed": func(s *side) []byte {
			c := s.seal(unhex(t, "80CA00E0"), nil)
			c[3] ^= 1
			return c
		},
		"left out": func(s *side) []byte {
			s.seal(unhex(t, "80CA00E0"), nil)
			return s.seal(unhex(t, "80CA00E0"), nil)
		},
		"other class": func(s *side) []byte {
			c := s.seal(unhex(t, "80CA00E0"), nil)
			c[0] = 0x80
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := platformBench(t, "gp-scp03")
			s := b.open(0x01)
			require.Equal(t, apdu.OK, s.say(unhex(t, "80CA00E0"), nil))
			_, sw := b.send(wrong(s))
			require.Equal(t, apdu.SW(0x6982), sw)
			require.Equal(t, apdu.SW(0x6982), s.say(unhex(t, "80CA00E0"), nil), "aborted")
			require.Equal(t, apdu.SW(0x6982), b.sw("00B2012C12"), "aborted")
			s = b.open(0x01)
			require.Equal(t, apdu.OK, s.say(unhex(t, "80CA00E0"), nil), "a new one")
			b.enter()
			require.Equal(t, apdu.OK, b.sw("00B2012C12"), "another selection ends it")
		})
	}
}

// TestReplay: what was sent once is refused the second time, in the session and
// in the next.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"gp-scp03", "gp-scp02"} {
		b, _ := platformBench(t, name)
		s := b.open(0x01)
		command := s.seal(unhex(t, "80CA00E0"), nil)
		_, sw := b.send(command)
		require.Equal(t, apdu.OK, sw)
		_, sw = b.send(command)
		require.Equal(t, apdu.SW(0x6982), sw)
		b.open(0x01)
		_, sw = b.send(command)
		require.Equal(t, apdu.SW(0x6982), sw)
	}
}

// TestUpdateRefused: what begins no session.
func TestUpdateRefused(t *testing.T) {
	t.Parallel()
	b, _ := platformBench(t, "gp-scp03")
	require.Equal(t, apdu.SW(0x6A88), b.sw("80507700080102030405060708"), "no such key set")
	require.Equal(t, apdu.SW(0x6A86), b.sw("80500001080102030405060708"))
	require.Equal(t, apdu.SW(0x6700), b.sw("805000000701020304050607"))
	first := b.ok(unhex(t, "80500000080102030405060708"))
	second := b.ok(unhex(t, "80500000080102030405060708"))
	require.NotEqual(t, first[13:21], second[13:21])
	require.Equal(t, apdu.SW(0x6300), b.sw("8482010010"+zeroes))
	require.Equal(t, apdu.SW(0x6E00), b.sw("8482010010"+zeroes), "there is none to be opened")
	b.chip.image.Platform.Sequence = 0xFFFF
	require.Equal(t, apdu.OK, b.chip.save())
	require.Equal(t, apdu.SW(0x6985), b.sw("80500000080102030405060708"))
}

// TestMakerTold: a blank tells its make.
func TestMakerTold(t *testing.T) {
	t.Parallel()
	b, _ := platformBench(t, "gp-scp02")
	require.Contains(t, hex.EncodeToString(b.ok(unhex(t, "80CA006600"))), "2a864886fc6b040255")
	cplc := b.ok(unhex(t, "80CA9F7F00"))
	require.Len(t, cplc, 3+42)
	require.Equal(t, []byte("\x82GP2"), cplc[3:7])
	require.Equal(t, apdu.SW(0x6A88), b.sw("80CA9F7E00"))
	require.Equal(t, apdu.OK, b.sw("00A4040008A000000151000000"))
	require.Equal(t, apdu.SW(0x6985), b.open(0x01).say(unhex(t, "80E28800"), unhex(t, "05010101")), "the issuer's domain holds no records")
	laboratory := blank(t)
	laboratory.enter()
	require.Equal(t, apdu.SW(0x6A88), laboratory.sw("80CA006600"))
	require.Equal(t, apdu.SW(0x6985), laboratory.sw("80500000080102030405060708"), "a movement of the account, elsewhere")
}

// TestPutKeyRefused: no key data that are wrong in any part get into a slot,
// and a command loads all of its keys or none.
func TestPutKeyRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		p1p2   string
		change func([]byte) []byte
		want   apdu.SW
	}{
		"sound":             {"0001", func(b []byte) []byte { return b }, apdu.OK},
		"two":               {"0081", func(b []byte) []byte { return append(b, b[1:]...) }, apdu.OK},
		"two for one":       {"0001", func(b []byte) []byte { return append(b, b[1:]...) }, 0x6A80},
		"second broken":     {"0081", func(b []byte) []byte { return append(b, b[1:20]...) }, 0x6A80},
		"past the last":     {"00B1", func(b []byte) []byte { return append(b, b[1:]...) }, 0x6A88},
		"replace":           {"0101", func(b []byte) []byte { return b }, 0x6A86},
		"identifier 0":      {"0000", func(b []byte) []byte { return b }, 0x6A86},
		"version 0":         {"0001", func(b []byte) []byte { b[0] = 0; return b }, 0x6A80},
		"version 80":        {"0001", func(b []byte) []byte { b[0] = 0x80; return b }, 0x6A80},
		"no key":            {"0001", func(b []byte) []byte { return b[:1] }, 0x6A80},
		"other type":        {"0001", func(b []byte) []byte { b[1] = 0x80; return b }, 0x6A80},
		"other length":      {"0001", func(b []byte) []byte { b[2]++; return b }, 0x6A80},
		"key of 24":         {"0001", func(b []byte) []byte { b[3] = 24; return b }, 0x6A80},
		"other check value": {"0001", func(b []byte) []byte { b[21] ^= 1; return b }, 0x6A80},
		"no check value":    {"0001", func(b []byte) []byte { b[20] = 0; return b[:21] }, 0x6A80},
		"under another key": {"0001", func(b []byte) []byte { b[4] ^= 1; return b }, 0x6A80},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, m := platformBench(t, "gp-scp03")
			s := b.open(0x03)
			before := b.stored()
			sw := s.say(unhex(t, "80D8"+test.p1p2), test.change(keyData(t, b, m)))
			require.Equal(t, test.want.String(), sw.String())
			require.Equal(t, test.want == apdu.OK, before != b.stored())
			if test.want == apdu.OK {
				require.Equal(t, issuerKey("IRK"), []byte(b.chip.image.Keys["IRK"].Key))
			}
		})
	}
}

// keyData is version 1 of a key as PUT KEY carries it.
func keyData(t testing.TB, b *bench, m *profile.BlankMaker) []byte {
	t.Helper()
	block, err := aes.NewCipher(b.chip.image.Platform.DEK)
	require.NoError(t, err)
	enciphered := cbcTail(block, make([]byte, 16), issuerKey("IRK"))
	check, err := sm4Suite.encrypt(issuerKey("IRK"), make([]byte, 16))
	require.NoError(t, err)
	return bytes.Join([][]byte{{1, m.KeyTypes[profile.SM4], 0x11, 0x10}, enciphered, {3}, check[:3]}, nil)
}

// TestStoreDataRefused: a command writes all of its records or none.
func TestStoreDataRefused(t *testing.T) {
	t.Parallel()
	const sound = "0505060504 20261123"
	for name, test := range map[string]struct {
		p1p2, data string
		want       apdu.SW
	}{
		"sound":           {"8800", sound, apdu.OK},
		"two":             {"0800", sound + "0604030A0131", apdu.OK},
		"second broken":   {"0800", sound + "0604030A01", 0x6A80},
		"no such file":    {"8800", "1D01030A0131", 0x6A88},
		"no such record":  {"8800", "0699030A0131", 0x6A88},
		"transparent":     {"8800", "0701030A0131", 0x6A88},
		"other tag":       {"8800", "0604030B0131", 0x6A80},
		"other length":    {"8800", "0604040A013131", 0x6A80},
		"no grouping":     {"8000", sound, 0x6A86},
		"out of sequence": {"8801", sound, 0x6A86},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := platformBench(t, "gp-scp02")
			s := b.open(0x01)
			before := b.stored()
			require.Equal(t, test.want.String(), s.say(unhex(t, "80E2"+test.p1p2), unhex(t, test.data)).String())
			require.Equal(t, test.want == apdu.OK, before != b.stored())
		})
	}
}

// TestSetStatusRefused: no card without all of its own keys.
func TestSetStatusRefused(t *testing.T) {
	t.Parallel()
	b, m := platformBench(t, "gp-scp03")
	s := b.open(0x01)
	name := []byte(b.chip.profile.Environment)
	require.Equal(t, apdu.OK, s.say(unhex(t, "80D80001"), keyData(t, b, m)))
	require.Equal(t, apdu.SW(0x6985), s.say(unhex(t, "80F0400F"), name))
	for _, slot := range b.chip.image.Keys {
		slot.Version = 1
	}
	require.Equal(t, apdu.SW(0x6A86), s.say(unhex(t, "80F04007"), name))
	require.Equal(t, apdu.SW(0x6A88), s.say(unhex(t, "80F0400F"), name[1:]))
	require.Equal(t, apdu.OK, s.say(unhex(t, "80F0400F"), name))
	require.Equal(t, apdu.SW(0x6985), s.say(unhex(t, "80D80001"), keyData(t, b, m)), "a card takes no keys")
	b.chip.Reset()
	b.enter()
	require.Equal(t, apdu.SW(0x6985), b.sw("80500000080102030405060708"), "and opens no session")
}

// TestPlatformBlankRefused: what is no blank of GlobalPlatform.
func TestPlatformBlankRefused(t *testing.T) {
	t.Parallel()
	profiles, p := load(t)
	_, m := platformBench(t, "gp-scp03")
	change := func(f func(*profile.BlankMaker)) *profile.BlankMaker {
		other := *m
		f(&other)
		return &other
	}
	for name, wrong := range map[string]*profile.BlankMaker{
		"the laboratory's": change(func(m *profile.BlankMaker) { m.Protocol = profile.ChainedMAC }),
		"unknown ATR":      change(func(m *profile.BlankMaker) { m.ATR.Value = make([]byte, 17) }),
		"diversification":  change(func(m *profile.BlankMaker) { m.Diversification = "other" }),
	} {
		_, err := PlatformBlank(p, wrong, [4]byte{}, makerKey[:], makerKey[:], makerKey[:])
		require.Error(t, err, name)
	}
	_, err := PlatformBlank(p, m, [4]byte{}, makerKey[:], makerKey[:], bytes.Repeat([]byte{1}, 24))
	require.ErrorIs(t, err, ErrImage)
	image, err := PlatformBlank(p, m, [4]byte{}, makerKey[:], makerKey[:], makerKey[:])
	require.NoError(t, err)
	image.Platform.MAC = nil
	store, err := NewMemory(image)
	require.NoError(t, err)
	_, err = New(profiles, store, nil)
	require.ErrorIs(t, err, ErrImage)
}

// FuzzPlatform sends protected commands of any content, and commands of any
// bytes, to a blank: it always answers with a status word, and what it keeps is
// always the memory of a chip.
func FuzzPlatform(f *testing.F) {
	f.Add([]byte{0x80, 0xD8, 0, 1}, []byte{1, 0x88, 0x11, 0x10})
	f.Add([]byte{0x80, 0xE2, 0x88, 0}, unhex(f, "0505060504202611230604030A0131"))
	f.Add([]byte{0x80, 0xF0, 0x40, 0x0F}, unhex(f, selectEnvironment)[5:])
	f.Add([]byte{0x00, 0xB2, 1, 0x2C}, []byte{})
	f.Fuzz(func(t *testing.T, head, data []byte) {
		for _, name := range []string{"gp-scp03", "gp-scp02"} {
			b, _ := platformBench(t, name)
			s := b.open(0x01)
			if len(head) >= 4 && len(data) <= 200 {
				require.NotEmpty(t, s.say(head[:4], data)>>12)
			}
			b.chip.Transmit(append(head, data...))
			_, err := New([]*profile.Profile{b.chip.profile}, b.store, nil)
			require.NoError(t, err)
		}
	})
}
