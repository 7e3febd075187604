package face

import (
	"strings"
	"unicode"
)

// pointsPerMillimetre turns a width in units of the size into millimetres.
const pointsPerMillimetre = 72 / 25.4

// step is by how much letters shrink at a time, in points.
const step = 0.25

// block is a text that fits: lines of letters of one size.
type block struct {
	lines []line
	size  float64
}

// fit finds the largest letters by the layout's rule: in one line, else broken
// between words, else anywhere.
func (f *Fonts) fit(field, text string, t Text, fonts []FontAt, width float64) (block, error) {
	for _, way := range []struct {
		pieces []string
		least  float64
		lines  int
	}{{[]string{text}, t.Min, 1}, {words([]rune(text)), t.Least, t.Lines}, {letters([]rune(text)), t.Least, t.Lines}} {
		for size := t.Size; size >= way.least; size -= step {
			set, err := f.wrap(field, way.pieces, fonts, width*pointsPerMillimetre/size, way.lines)
			if err != nil {
				return block{}, err
			}
			if set != nil && stands(len(set), size, t.Height) {
				return block{set, size}, nil
			}
		}
	}
	return block{}, &FieldError{field, "太长，卡面印不下", "too long for the card's face"}
}

// leading is the distance of lines, in units of the size of the letters.
const leading = 1.12

// stands says whether lines have room one below the other.
func stands(lines int, size, height float64) bool {
	return lines == 1 || height == 0 || (float64(lines-1)*leading+1)*size/pointsPerMillimetre <= height+0.01
}

// wrap sets pieces into lines of a width (in units of the size), as many as are
// allowed; nil if they do not fit.
func (f *Fonts) wrap(field string, pieces []string, fonts []FontAt, width float64, most int) ([]line, error) {
	var lines []line
	current := ""
	for _, piece := range pieces {
		longer, err := f.shape(field, strings.TrimRight(current+piece, " "), fonts)
		if err != nil {
			return nil, err
		}
		if longer.width <= width {
			current += piece
			continue
		}
		if current == "" || len(lines)+2 > most {
			return nil, nil
		}
		ended, err := f.shape(field, strings.TrimRight(current, " "), fonts)
		if err != nil {
			return nil, err
		}
		if alone, err := f.shape(field, strings.TrimRight(piece, " "), fonts); err != nil || alone.width > width {
			return nil, err
		}
		lines, current = append(lines, ended), piece
	}
	last, err := f.shape(field, strings.TrimRight(current, " "), fonts)
	return append(lines, last), err
}

// words breaks where a name may be broken: after the dot of a name, the Tibetan
// mark between syllables (་), a space.
func words(text []rune) []string {
	return cut(text, func(before, _ rune) bool { return strings.ContainsRune("· ་", before) })
}

// letters breaks between any two letters, but not before a mark or the dot.
func letters(text []rune) []string {
	return cut(text, func(_, after rune) bool {
		return !unicode.Is(unicode.M, after) && !strings.ContainsRune("· ་", after)
	})
}

func cut(text []rune, between func(before, after rune) bool) []string {
	var pieces []string
	start := 0
	for i := 1; i < len(text); i++ {
		if between(text[i-1], text[i]) {
			pieces = append(pieces, string(text[start:i]))
			start = i
		}
	}
	return append(pieces, string(text[start:]))
}
