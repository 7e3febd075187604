package gb

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The check character of these published examples agrees, of the last does not.
func TestCardNumberCheck(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"X00000019": true, "E5305627X": true, "B6Z315526": true, "H10175617": true,
		"BA0010547": true, "CC6947546": true, "KD5578904": true,
		"A12345678": false, "12345678X": false,
	} {
		number, err := ParseCardNumber(text)
		require.NoError(t, err)
		require.Equal(t, ok, number.CheckOK(), text)
		made, err := NewCardNumber(text[:8])
		require.NoError(t, err)
		require.True(t, made.CheckOK())
		require.Equal(t, ok, made == number)
		require.Equal(t, text[:8], number.Body())
	}
	require.False(t, CardNumber{}.CheckOK())
	require.True(t, CardNumber{}.IsZero())
	require.Empty(t, CardNumber{}.Body())
}

func TestParseCardNumberErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text     string
		problem  *Problem
		position int
	}{
		"empty":      {"", ErrLength, 0},
		"short":      {"X0000001", ErrLength, 0},
		"long":       {"X000000190", ErrLength, 0},
		"lower case": {"x00000019", ErrCharacter, 1},
		"hyphen":     {"X000000-1", ErrCharacter, 8},
		"chinese":    {"卡00000019", ErrCharacter, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseCardNumber(c.text)
			require.ErrorIs(t, err, c.problem)
			var format *FormatError
			require.ErrorAs(t, err, &format)
			require.Equal(t, c.position, format.Position)
		})
	}
	_, err := NewCardNumber("X00000019")
	require.ErrorIs(t, err, ErrLength)
}

func TestCardNumberJSON(t *testing.T) {
	t.Parallel()
	number, err := NewCardNumber("QH000001")
	require.NoError(t, err)
	for _, n := range []CardNumber{number, {}} {
		text, err := json.Marshal(n)
		require.NoError(t, err)
		back := number
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, n, back)
	}
	require.ErrorIs(t, new(CardNumber).UnmarshalText([]byte("X")), ErrLength)
}

// The modulus is 11 and characters reach 35, so the standard promises to detect
// a substitution unless the two characters differ by a multiple of 11, and a
// transposition in the body likewise.
func TestCardNumberDetects(t *testing.T) {
	t.Parallel()
	const characters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	character := rapid.SampledFrom([]byte(characters))
	value := func(c byte) int { return strings.IndexByte(characters, c) }
	same := func(a, b byte) bool { return (value(a)-value(b))%11 == 0 }
	rapid.Check(t, func(t *rapid.T) {
		number, err := NewCardNumber(string(rapid.SliceOfN(character, 8, 8).Draw(t, "body")))
		require.NoError(t, err)
		changed := []byte(number.String())
		i := rapid.IntRange(0, 7).Draw(t, "position")
		if c := character.Draw(t, "character"); !same(c, changed[i]) {
			changed[i] = c
			parsed, err := ParseCardNumber(string(changed))
			require.NoError(t, err)
			require.False(t, parsed.CheckOK())
		}
		swapped := []byte(number.String())
		j := rapid.IntRange(0, 7).Draw(t, "other")
		if !same(swapped[i], swapped[j]) {
			swapped[i], swapped[j] = swapped[j], swapped[i]
			parsed, err := ParseCardNumber(string(swapped))
			require.NoError(t, err)
			require.False(t, parsed.CheckOK())
		}
	})
}

func FuzzParseCardNumber(f *testing.F) {
	for _, seed := range []string{"X00000019", "12345678X", "", "x", "卡00000019"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		number, err := ParseCardNumber(text)
		if err != nil {
			var format *FormatError
			require.ErrorAs(t, err, &format)
			return
		}
		require.Equal(t, text, number.String())
		made, err := NewCardNumber(number.Body())
		require.NoError(t, err)
		require.Equal(t, number.CheckOK(), made == number)
	})
}
