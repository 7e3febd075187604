// Package pinyin makes of a name what a clerk remembers of it: the first
// letters of its syllables (拼音首字母) and how it sounds (读音), whichever
// characters it was written with.
package pinyin

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"unicode"

	gopinyin "github.com/mozillazg/go-pinyin"
	"go.yaml.in/yaml/v3"
)

//go:embed variants.yaml
var variantsFile []byte

// The block of the common Han characters, whose readings lie in a table.
const (
	firstHan = 0x4E00
	lastHan  = 0x9FFF
)

// reader knows how characters are read.
type reader struct {
	common   [lastHan - firstHan + 1]string
	surnames map[rune]string
	readings map[rune]string
	like     map[string]string // syllable → the one that stands for it
	known    map[string]bool   // all syllables that a character has
}

var readers = sync.OnceValues(func() (*reader, error) { return newReader(variantsFile) })

func newReader(file []byte) (*reader, error) {
	var variants struct {
		Assumed   bool
		Syllables [][]string
		Surnames  map[string]string
		Readings  map[string]string
	}
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	decoder.KnownFields(true)
	if err := decoder.Decode(&variants); err != nil {
		return nil, fmt.Errorf("pinyin: variants: %w", err)
	}
	r := &reader{surnames: map[rune]string{}, readings: map[rune]string{}, like: map[string]string{}, known: map[string]bool{}}
	for i := range r.common {
		r.common[i] = look(rune(firstHan + i))
		r.known[r.common[i]] = true
	}
	delete(r.known, "")
	for _, group := range variants.Syllables {
		for _, syllable := range group[1:] {
			if _, twice := r.like[syllable]; twice {
				return nil, fmt.Errorf("pinyin: variants: %s stands in two groups", syllable)
			}
			r.like[syllable] = group[0]
		}
	}
	for _, single := range []struct {
		from map[string]string
		to   map[rune]string
	}{{variants.Surnames, r.surnames}, {variants.Readings, r.readings}} {
		for character, syllable := range single.from {
			characters := []rune(character)
			if len(characters) != 1 {
				return nil, fmt.Errorf("pinyin: variants: %q is not one character", character)
			}
			single.to[characters[0]] = syllable
		}
	}
	return r, nil
}

// look returns the first reading of a character without tone, empty if it has
// none.
func look(character rune) string {
	readings := gopinyin.SinglePinyin(character, gopinyin.Args{Style: gopinyin.Normal})
	if len(readings) == 0 {
		return ""
	}
	return readings[0]
}

func (r *reader) syllable(character rune, first bool) string {
	if reading, ok := r.surnames[character]; ok && first {
		return reading
	}
	if reading, ok := r.readings[character]; ok {
		return reading
	}
	if character >= firstHan && character <= lastHan {
		return r.common[character-firstHan]
	}
	return look(character)
}

// syllables splits a name into what is read: a syllable for each Han character,
// a word for each run of Latin letters. A character without a reading is kept
// as it is.
func (r *reader) syllables(name string) []string {
	syllables := make([]string, 0, 8)
	start := -1 // of a Latin word
	for i, character := range name {
		latin := character < unicode.MaxASCII && unicode.IsLetter(character)
		if start >= 0 && !latin {
			syllables = append(syllables, strings.ToLower(name[start:i]))
			start = -1
		}
		switch {
		case latin:
			if start < 0 {
				start = i
			}
		case unicode.Is(unicode.Han, character):
			syllable := r.syllable(character, len(syllables) == 0)
			if syllable == "" {
				syllable = string(character)
			}
			syllables = append(syllables, syllable)
		case unicode.IsLetter(character):
			syllables = append(syllables, string(unicode.ToLower(character)))
		}
	}
	if start >= 0 {
		syllables = append(syllables, strings.ToLower(name[start:]))
	}
	return syllables
}

func mustReader() *reader {
	r, err := readers()
	if err != nil {
		return &reader{} // a test holds that the file parses
	}
	return r
}

// Initials returns the first letters of a name's syllables, such as zxdj for
// 扎西·多杰.
func Initials(name string) string {
	var b strings.Builder
	for _, syllable := range mustReader().syllables(name) {
		first := []rune(syllable)[0]
		b.WriteRune(first)
	}
	return b.String()
}

// Sound returns how a name sounds, the same for spellings that are mixed up in
// practice: zhaxiduojie for 扎西·多杰 and 札西多吉.
func Sound(name string) string {
	r := mustReader()
	return r.join(r.syllables(name))
}

func (r *reader) join(syllables []string) string {
	var b strings.Builder
	for _, syllable := range syllables {
		if other, ok := r.like[syllable]; ok {
			syllable = other
		}
		b.WriteString(syllable)
	}
	return b.String()
}

// SoundOf returns the sound of what was typed in Latin letters without gaps,
// such as zhaxiduoji, if it can be read as syllables.
func SoundOf(typed string) (string, bool) {
	r := mustReader()
	syllables, ok := r.split(strings.ToLower(typed))
	if !ok {
		return "", false
	}
	return r.join(syllables), true
}

// longest is the number of letters of the longest syllable (zhuang).
const longest = 6

// split cuts letters into known syllables, where there is a choice the longest
// first.
func (r *reader) split(letters string) ([]string, bool) {
	// cut[i] is the length of the syllable with which letters[i:] can begin so
	// that the rest can be cut as well; 0 if there is none.
	cut := make([]int, len(letters)+1)
	for i := len(letters) - 1; i >= 0; i-- {
		for n := min(longest, len(letters)-i); n > 0; n-- {
			if r.known[letters[i:i+n]] && (i+n == len(letters) || cut[i+n] > 0) {
				cut[i] = n
				break
			}
		}
	}
	var syllables []string
	for i := 0; i < len(letters); i += cut[i] {
		if cut[i] == 0 {
			return nil, false
		}
		syllables = append(syllables, letters[i:i+cut[i]])
	}
	return syllables, len(syllables) > 0
}
