package chip

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
)

// FuzzTransmit sends commands of any bytes to a personalised card on which
// much is proven. It always answers with a status word and never more than a
// short answer holds; what it keeps is always the memory of a chip. The input
// is commands, each behind a byte of its length; a length of 0 is a reset.
func FuzzTransmit(f *testing.F) {
	seed := func(commands ...string) {
		var all []byte
		for _, c := range commands {
			b := unhex(f, c)
			all = append(append(all, byte(len(b))), b...)
		}
		f.Add(all)
	}
	seed("00B2012C00", "00B2013400", "80CA00E000")
	seed(selectEnvironment+"00", "00C0000018", "0084000008", "0082000A10"+zeroes)
	seed("0020000003123456", "805E010007123456FF654321", "00A4000002DF04", "00DC00AB03010203", "00B201AC00")
	seed("00D68710 03 010203", "00B0870F05", "", selectEnvironment, "00B2012C")
	seed("0084000010", "84D4000524"+strings.Repeat("00", 36), "84F000000400000000", "842400011400", "00B00000000101")
	profiles, _ := load(f)
	made := []byte(holder(f).stored())
	f.Fuzz(func(t *testing.T, input []byte) {
		b := power(t, &Memory{image: made}, profiles)
		b.enter()
		b.verify(testPIN)
		b.prove("UKSSSE")
		b.prove("RKSSSE")
		for len(input) > 0 {
			n := min(int(input[0]), len(input)-1)
			command := bytes.Clone(input[1 : 1+n])
			input = input[1+n:]
			if n == 0 {
				b.chip.Reset()
				continue
			}
			answer := b.chip.Transmit(command)
			r, err := apdu.ParseResponse(answer)
			require.NoError(t, err)
			require.LessOrEqual(t, len(r.Data), apdu.MaxShortNe)
			require.NotEmpty(t, r.SW>>12, "a status word is 6xxx or 9xxx")
		}
		_, err := New(profiles, b.store, nil)
		require.NoError(t, err)
	})
}

// FuzzImage reads card files of any bytes: a chip that answers, or ErrImage.
func FuzzImage(f *testing.F) {
	profiles, p := load(f)
	image, err := Blank(p, [4]byte{1, 2, 3, 4}, makerKey)
	require.NoError(f, err)
	store, err := NewMemory(image)
	require.NoError(f, err)
	f.Add([]byte(store.image))
	f.Add([]byte(`{"atr":"3B00","answers":{"00A40400":"9000"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := New(profiles, &Memory{image: text}, nil)
		if err != nil {
			return
		}
		c.PowerOn()
		for _, command := range []string{selectEnvironment, "00B2012C00", "0084000008", "80CA00E000", "0020000003123456"} {
			require.GreaterOrEqual(t, len(c.Transmit(unhex(t, command))), 2)
		}
	})
}
