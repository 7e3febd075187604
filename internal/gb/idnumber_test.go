package gb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sample is synthetic: area 639900 is the province's card area, no county.
const sample = "639900199002290011"

func mustDate(t require.TestingT, year int, month time.Month, day int) Date {
	date, err := NewDate(year, month, day)
	require.NoError(t, err)
	return date
}

func TestIDNumberParts(t *testing.T) {
	t.Parallel()
	number, err := NewIDNumber("639900", mustDate(t, 1988, time.February, 29), 12)
	require.NoError(t, err)
	require.Equal(t, "639900198802290128", number.String())
	require.Equal(t, "639900", number.Area())
	require.Equal(t, "1988-02-29", number.Birth().String())
	require.Equal(t, Female, number.Sex())
	require.Equal(t, "639*************28", number.Masked())

	man, err := NewIDNumber("639900", mustDate(t, 1988, time.February, 29), 13)
	require.NoError(t, err)
	require.Equal(t, Male, man.Sex())
	require.True(t, IDNumber{}.IsZero())
	require.Equal(t, SexUnknown, IDNumber{}.Sex())
	require.True(t, IDNumber{}.Birth().IsZero())
	require.Empty(t, IDNumber{}.Masked())
}

// The worked examples of GB 11643-1999 itself.
func TestIDNumberStandardExamples(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"11010519491231002X", "440524188001010014"} {
		number, err := ParseIDNumber(text)
		require.NoError(t, err)
		require.Equal(t, text, number.String())
		lower, err := ParseIDNumber(strings.ToLower(text))
		require.NoError(t, err)
		require.Equal(t, number, lower)
	}
}

func TestParseIDNumberErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text     string
		problem  *Problem
		position int
	}{
		"empty":            {"", ErrLength, 0},
		"15 digits":        {"639900900229001", ErrLength, 0},
		"too long":         {sample + "1", ErrLength, 0},
		"letter inside":    {"6399001990O2290011", ErrCharacter, 11},
		"X inside":         {"63990019900X290011", ErrCharacter, 12},
		"full-width digit": {"６39900199002290011", ErrCharacter, 1},
		"space":            {" 39900199002290011", ErrCharacter, 1},
		"area":             {"009900199002280011", ErrArea, 1},
		"no such date":     {sample, ErrDate, 7},
		"month 13":         {"639900199013010011", ErrDate, 7},
		"year 0000":        {"639900000001010011", ErrDate, 7},
		"check":            {"639900198802290121", ErrCheck, 18},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			number, err := ParseIDNumber(c.text)
			require.ErrorIs(t, err, c.problem)
			require.True(t, number.IsZero())
			var format *FormatError
			require.ErrorAs(t, err, &format)
			require.Equal(t, c.position, format.Position)
			require.Contains(t, format.Error(), "公民身份号码")
			require.Contains(t, format.Error(), "identity number")
			if len(c.text) > 3 {
				require.NotContains(t, err.Error(), c.text)
			}
		})
	}
}

func TestNewIDNumberErrors(t *testing.T) {
	t.Parallel()
	birth := mustDate(t, 1990, time.May, 1)
	_, err := NewIDNumber("639900", birth, 1000)
	require.ErrorIs(t, err, ErrSequence)
	_, err = NewIDNumber("639900", birth, -1)
	require.ErrorIs(t, err, ErrSequence)
	_, err = NewIDNumber("63990", birth, 1)
	require.ErrorIs(t, err, ErrArea)
	_, err = NewIDNumber("63990X", birth, 1)
	require.ErrorIs(t, err, ErrCharacter)
	_, err = NewIDNumber("639900", Date{}, 1)
	require.ErrorIs(t, err, ErrDate)
}

func TestIDNumberStaysOutOfLogs(t *testing.T) {
	t.Parallel()
	number, err := ParseIDNumber("639900198802290128")
	require.NoError(t, err)
	for _, handler := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var out bytes.Buffer
		slog.New(handler(&out)).Info("person", "number", number)
		require.NotContains(t, out.String(), "19880229")
		require.Contains(t, out.String(), "639*")
	}
}

func TestIDNumberJSON(t *testing.T) {
	t.Parallel()
	number, err := ParseIDNumber("639900198802290128")
	require.NoError(t, err)
	for _, n := range []IDNumber{number, {}} {
		text, err := json.Marshal(n)
		require.NoError(t, err)
		back := number
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, n, back)
	}
	var n IDNumber
	require.ErrorIs(t, json.Unmarshal([]byte(`"639900198802290121"`), &n), ErrCheck)
}

// drawIDNumber draws any well-formed number.
func drawIDNumber(t *rapid.T) IDNumber {
	area := rapid.SampledFrom(provinces).Draw(t, "province") + fmt.Sprintf("%04d", rapid.IntRange(0, 9999).Draw(t, "area"))
	day := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 50000).Draw(t, "day"))
	number, err := NewIDNumber(area, DateOf(day), rapid.IntRange(0, 999).Draw(t, "sequence"))
	require.NoError(t, err)
	return number
}

// ISO 7064 MOD 11-2 promises to detect every single substitution.
func TestIDNumberDetectsSubstitution(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(drawIDNumber(t).String())
		position := rapid.IntRange(0, 17).Draw(t, "position")
		digits := "0123456789"
		if position == 17 {
			digits += "X"
		}
		digit := rapid.SampledFrom([]byte(digits)).Draw(t, "digit")
		if digit == text[position] {
			return
		}
		text[position] = digit
		_, err := ParseIDNumber(string(text))
		require.Error(t, err)
		require.NotEqual(t, text[17], idNumberCheck(string(text[:17])))
	})
}

// The weights repeat after ten places; every other transposition of two
// different characters is detected, neighbours in particular.
func TestIDNumberDetectsTransposition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(drawIDNumber(t).String())
		i := rapid.IntRange(0, 16).Draw(t, "first")
		j := rapid.IntRange(i+1, 17).Draw(t, "second")
		if j-i == 10 || text[i] == text[j] || (j == 17 && text[j] == 'X') {
			return
		}
		text[i], text[j] = text[j], text[i]
		_, err := ParseIDNumber(string(text))
		require.Error(t, err)
		require.NotEqual(t, text[17], idNumberCheck(string(text[:17])))
	})
}

func FuzzParseIDNumber(f *testing.F) {
	for _, seed := range []string{"11010519491231002X", "11010519491231002x", "639900198802290128", sample, "", "６"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		number, err := ParseIDNumber(text)
		if err != nil {
			var format *FormatError
			require.ErrorAs(t, err, &format)
			require.True(t, number.IsZero())
			return
		}
		require.Equal(t, strings.ToUpper(text), number.String())
		again, err := NewIDNumber(number.Area(), number.Birth(), int(text[14]-'0')*100+int(text[15]-'0')*10+int(text[16]-'0'))
		require.NoError(t, err)
		require.Equal(t, number, again)
	})
}
