package gb

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// nameDot is the separator of the parts of a name (间隔号, 民委发〔2016〕33号),
// which GBK has as A1A4.
const nameDot = '·'

// NormaliseName brings a name (姓名) to the one form in which it is stored and
// compared: Unicode NFC; each of the dots met in practice (U+2022, U+30FB,
// U+2027, U+FF0E and the full stop, unless it ends a Latin initial) becomes
// U+00B7; no space at the ends and around dots, one space at most elsewhere.
// Normalising twice changes nothing more.
//
// An empty name is ErrEmpty; invalid UTF-8, U+FFFD, and control or invisible
// format characters are ErrCharacter, with the position in characters.
func NormaliseName(s string) (string, error) {
	position := 0
	for _, r := range s {
		position++
		if r == utf8.RuneError || !allowedInName(r) {
			return "", &FormatError{Subject: subjectName, Problem: ErrCharacter, Position: position}
		}
	}
	name := norm.NFC.String(strings.Join(strings.Fields(s), " "))
	var b strings.Builder
	previous := rune(0)
	for _, r := range name {
		if isNameDot(r, previous) {
			r = nameDot
		}
		b.WriteRune(r)
		previous = r
	}
	dot := string(nameDot)
	name = strings.NewReplacer(" "+dot+" ", dot, " "+dot, dot, dot+" ", dot).Replace(b.String())
	if name = norm.NFC.String(strings.TrimSpace(name)); name == "" {
		return "", &FormatError{Subject: subjectName, Problem: ErrEmpty}
	}
	return name, nil
}

// isNameDot reports whether r, after previous, separates the parts of a name.
func isNameDot(r, previous rune) bool {
	switch r {
	case '•', '・', '‧', nameDot:
		return true
	case '.', '．':
		return !unicode.Is(unicode.Latin, previous)
	}
	return false
}

// allowedInName refuses what cannot be seen; the Mongolian vowel separator is
// part of the script.
func allowedInName(r rune) bool {
	const mongolianVowelSeparator = '\u180E'
	if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Cs) {
		return r == mongolianVowelSeparator
	}
	return true
}
