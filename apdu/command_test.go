package apdu_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return b
}

// TestCommandCases holds the coding of the four cases, short and extended, of
// ISO/IEC 7816-4 clause 5.1 in both directions.
func TestCommandCases(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte{0xAB}, 300)
	for name, test := range map[string]struct {
		command apdu.Command
		coded   []byte
	}{
		"case 1":                  {apdu.Command{CLA: 0x84, INS: 0x1E}, unhex(t, "841E0000")},
		"case 2":                  {apdu.Command{INS: 0x84, Ne: 8}, unhex(t, "00840000 08")},
		"case 2, all":             {apdu.Command{INS: 0xB2, P1: 1, P2: 4, Ne: 256}, unhex(t, "00B20104 00")},
		"case 3":                  {apdu.Command{INS: 0x20, Data: []byte{0x12, 0x34}}, unhex(t, "00200000 02 1234")},
		"case 4":                  {apdu.Command{INS: 0xA4, P1: 4, Data: []byte{0xA0}, Ne: 256}, unhex(t, "00A40400 01 A0 00")},
		"case 2 extended":         {apdu.Command{INS: 0xB0, Ne: 257}, unhex(t, "00B00000 00 0101")},
		"case 2 extended, all":    {apdu.Command{INS: 0xB0, Ne: 65536}, unhex(t, "00B00000 00 0000")},
		"case 3 extended":         {apdu.Command{INS: 0xD6, Data: long}, append(unhex(t, "00D60000 00 012C"), long...)},
		"case 4 extended by data": {apdu.Command{INS: 0xD6, Data: long, Ne: 1}, append(append(unhex(t, "00D60000 00 012C"), long...), 0, 1)},
		"case 4 extended by Ne":   {apdu.Command{INS: 0xCB, Data: []byte{1}, Ne: 300}, unhex(t, "00CB0000 00 0001 01 012C")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			coded, err := test.command.Bytes()
			require.NoError(t, err)
			require.Equal(t, test.coded, coded)
			decoded, err := apdu.ParseCommand(coded)
			require.NoError(t, err)
			require.Equal(t, test.command, decoded)
		})
	}
}

func TestCommandRefused(t *testing.T) {
	t.Parallel()
	for name, coded := range map[string]string{
		"nothing":                     "",
		"three bytes":                 "00A404",
		"data cut":                    "00A40400 05 A000",
		"data beyond Lc and Le":       "00A40400 01 A0 00 00",
		"extended length cut":         "00D60000 00 01",
		"extended data cut":           "00D60000 00 012C AB",
		"extended without data":       "00D60000 00 0000 01",
		"extended with a half Le":     "00D60000 00 0001 AB 01",
		"extended with a long Le":     "00D60000 00 0001 AB 000001",
		"short zero Lc with data":     "00D60000 00 AB",
		"extended zero length, again": "00D60000 00 0000 00 00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := apdu.ParseCommand(unhex(t, coded))
			require.ErrorIs(t, err, apdu.ErrMalformed)
		})
	}
	for _, c := range []apdu.Command{{Ne: -1}, {Ne: 65537}, {Data: make([]byte, 65536)}} {
		_, err := c.Bytes()
		require.ErrorIs(t, err, apdu.ErrMalformed)
	}
}

func TestResponse(t *testing.T) {
	t.Parallel()
	r, err := apdu.ParseResponse(unhex(t, "0102 9000"))
	require.NoError(t, err)
	require.Equal(t, apdu.Response{Data: []byte{1, 2}, SW: apdu.OK}, r)
	require.NoError(t, r.Err())
	require.Equal(t, unhex(t, "01029000"), r.Bytes())
	for _, short := range []string{"", "90"} {
		_, err := apdu.ParseResponse(unhex(t, short))
		require.ErrorIs(t, err, apdu.ErrMalformed)
	}
}

// TestParsedIsACopy: what a caller does with the buffer afterwards is its own
// business.
func TestParsedIsACopy(t *testing.T) {
	t.Parallel()
	buffer := unhex(t, "00A40400 02 A1A2")
	c, err := apdu.ParseCommand(buffer)
	require.NoError(t, err)
	answer := unhex(t, "B1B2 9000")
	r, err := apdu.ParseResponse(answer)
	require.NoError(t, err)
	clear(buffer)
	clear(answer)
	require.Equal(t, []byte{0xA1, 0xA2}, c.Data)
	require.Equal(t, []byte{0xB1, 0xB2}, r.Data)
}

func FuzzCommand(f *testing.F) {
	for _, seed := range []string{"00A40400", "00840000 08", "00A40400 01 A0 00", "00D60000 00 0001 AB 012C", "00D60000 00 01"} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := apdu.ParseCommand(b)
		if err != nil {
			require.ErrorIs(t, err, apdu.ErrMalformed)
			return
		}
		coded, err := c.Bytes()
		require.NoError(t, err)
		again, err := apdu.ParseCommand(coded)
		require.NoError(t, err)
		require.Equal(t, c, again)
		require.LessOrEqual(t, len(coded), len(b), "the shortest coding is taken")
	})
}

func FuzzResponse(f *testing.F) {
	f.Add(unhex(f, "9000"))
	f.Add(unhex(f, "01026A82"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := apdu.ParseResponse(b)
		if err != nil {
			require.Less(t, len(b), 2)
			return
		}
		require.Equal(t, b, r.Bytes())
		info := r.SW.Info()
		require.NotEmpty(t, info.ZH)
		require.NotEmpty(t, info.EN)
	})
}
