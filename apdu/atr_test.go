package apdu_test

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
)

// TestATR: the first two are of ISO/IEC 7816-3 forms seen in social security
// cards, contact and contactless; the third is the example of PC/SC part 3.
func TestATR(t *testing.T) {
	t.Parallel()
	one := func(b byte) *byte { return &b }
	for text, want := range map[string]apdu.ATR{
		"3B6D000000814E43318697639900BF7C7A": {Direct: true, Interface: []apdu.Interface{{TB: one(0), TC: one(0)}}, Protocols: []byte{0},
			Historical: unhex(t, "00814E43318697639900BF7C7A")},
		"3B8F8001804F0CA000000306030001000000006A": {Direct: true, Interface: []apdu.Interface{{TD: one(0x80)}, {TD: one(0x01)}}, Protocols: []byte{0, 1},
			Historical: unhex(t, "804F0CA00000030603000100000000"), Check: 0x6A, HasCheck: true},
		"3F00": {Protocols: []byte{0}, Historical: []byte{}},
	} {
		got, err := apdu.ParseATR(unhex(t, text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestATRRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"nothing":                 {"", apdu.ErrMalformed},
		"TS alone":                {"3B", apdu.ErrMalformed},
		"another TS":              {"3C00", apdu.ErrMalformed},
		"interface bytes cut":     {"3B7000", apdu.ErrMalformed},
		"no end of TD":            {"3B80" + strings.Repeat("80", 40), apdu.ErrMalformed},
		"historical bytes cut":    {"3B02AA", apdu.ErrMalformed},
		"a byte too many":         {"3B01AABB", apdu.ErrMalformed},
		"no TCK":                  {"3B8001", apdu.ErrMalformed},
		"another TCK":             {"3B800180", apdu.ErrCheckByte},
		"TCK where T=0 is alone":  {"3B800080", apdu.ErrMalformed},
		"longer than 33 in total": {"3B" + strings.Repeat("00", 33), apdu.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := apdu.ParseATR(unhex(t, test.text))
			require.ErrorIs(t, err, test.want)
		})
	}
}

// smartcardList is the list of answers to reset that the pcsc-tools package
// installs: 4041 lines, of which those with a pattern in place of a byte are
// left out here.
const smartcardList = "/usr/share/pcsc/smartcard_list.txt"

// TestATRList parses the answers to reset of the world's cards. Some that were
// reported have a wrong check byte or are not of the standard's form.
func TestATRList(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile(smartcardList)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("pcsc-tools is not installed")
	}
	require.NoError(t, err)
	parsed, check, form := 0, 0, 0
	for line := range strings.Lines(string(list)) {
		atr, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(line), " ", ""))
		if err != nil || !strings.HasPrefix(line, "3B ") && !strings.HasPrefix(line, "3F ") {
			continue
		}
		a, err := apdu.ParseATR(atr)
		switch {
		case err == nil:
			parsed++
			require.Len(t, a.Historical, int(atr[1]&0x0F), line)
		case errors.Is(err, apdu.ErrCheckByte):
			check++
		default:
			require.ErrorIs(t, err, apdu.ErrMalformed)
			form++
		}
	}
	t.Logf("%d parsed, %d with another check byte, %d of another form", parsed, check, form)
	require.Greater(t, parsed, 3000)
	require.Less(t, check+form, parsed/20)
}

func FuzzATR(f *testing.F) {
	f.Add(unhex(f, "3B6D000000814E43318697639900BF7C7A"))
	f.Add(unhex(f, "3B8F8001804F0CA000000306030001000000006A"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := apdu.ParseATR(b)
		if err != nil {
			require.True(t, errors.Is(err, apdu.ErrMalformed) || errors.Is(err, apdu.ErrCheckByte))
			return
		}
		require.Len(t, a.Historical, int(b[1]&0x0F))
		require.NotEmpty(t, a.Protocols)
		size := 2 + len(a.Historical)
		for _, g := range a.Interface {
			for _, at := range []*byte{g.TA, g.TB, g.TC, g.TD} {
				if at != nil {
					size++
				}
			}
		}
		if a.HasCheck {
			size++
		}
		require.Equal(t, len(b), size)
	})
}
