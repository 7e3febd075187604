package face

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"unicode"

	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/harfbuzz"
)

// FontsOf is where Debian keeps fonts.
const FontsOf = "/usr/share/fonts"

// Fonts are the fonts of this machine, read when they are first needed. They may
// be used by several goroutines.
type Fonts struct {
	dir  fs.FS
	mu   sync.Mutex
	read map[FontAt]func() (*font.Font, error)
}

// NewFonts returns the fonts of a directory; "" is that of Debian.
func NewFonts(dir string) *Fonts {
	if dir == "" {
		dir = FontsOf
	}
	return &Fonts{dir: os.DirFS(dir), read: map[FontAt]func() (*font.Font, error){}}
}

// A FontError says that a font is not on this machine, or is not one.
type FontError struct {
	FontAt
	Err error
}

func (e *FontError) Error() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return fmt.Sprintf("缺少字库 %s，请安装软件包 %s no such font, install the package", e.File, e.Package)
	}
	return fmt.Sprintf("字库 font %s: %v", e.File, e.Err)
}

// Unwrap returns what is wrong with the file.
func (e *FontError) Unwrap() error { return e.Err }

func (f *Fonts) open(at FontAt) (*font.Font, error) {
	f.mu.Lock()
	once, ok := f.read[at]
	if !ok {
		once = sync.OnceValues(func() (*font.Font, error) { return f.parse(at) })
		f.read[at] = once
	}
	f.mu.Unlock()
	return once()
}

func (f *Fonts) parse(at FontAt) (*font.Font, error) {
	content, err := fs.ReadFile(f.dir, at.File)
	if err != nil {
		return nil, &FontError{at, err}
	}
	faces, err := font.ParseTTC(bytes.NewReader(content))
	if err != nil {
		return nil, &FontError{at, err}
	}
	if at.Index < 0 || at.Index >= len(faces) {
		return nil, &FontError{at, fmt.Errorf("no font of number %d", at.Index)}
	}
	return faces[at.Index].Font, nil
}

// A GlyphError names a character that no font has.
type GlyphError struct {
	Field     string
	Character rune
}

func (e *GlyphError) Error() string {
	return fmt.Sprintf("%s：字库没有“%c”（%U）这个字 / no font has the character %c (%U)", e.Field, e.Character, e.Character, e.Character, e.Character)
}

// run is a part of a text that one font draws.
type run struct {
	font *font.Font
	text []rune
}

// split finds for each character the first of the fonts that has it. A mark stays
// with the letter that it stands on.
func (f *Fonts) split(field string, text []rune, fonts []FontAt) ([]run, error) {
	var runs []run
	for _, r := range text {
		if n := len(runs); n > 0 && unicode.Is(unicode.M, r) && has(runs[n-1].font, r) {
			runs[n-1].text = append(runs[n-1].text, r)
			continue
		}
		found, err := f.whoHas(field, r, fonts)
		if err != nil {
			return nil, err
		}
		if n := len(runs); n > 0 && runs[n-1].font == found {
			runs[n-1].text = append(runs[n-1].text, r)
			continue
		}
		runs = append(runs, run{found, []rune{r}})
	}
	return runs, nil
}

func (f *Fonts) whoHas(field string, r rune, fonts []FontAt) (*font.Font, error) {
	for _, at := range fonts {
		opened, err := f.open(at)
		if err != nil {
			return nil, err
		}
		if has(opened, r) {
			return opened, nil
		}
	}
	return nil, &GlyphError{field, r}
}

// has says whether a font has a character. One for private use is nobody's: each
// font draws something else in its place.
func has(f *font.Font, r rune) bool {
	glyph, ok := f.NominalGlyph(r)
	return ok && glyph != 0 && !unicode.Is(unicode.Co, r)
}

// glyph is one shape of a line: where it stands, in units of the size of the
// letters, and its outline.
type glyph struct {
	x, y     float64
	scale    float64
	segments []font.Segment
}

// line is a text as it is drawn in one line. Width is in units of the size.
type line struct {
	text   string
	width  float64
	glyphs []glyph
}

// shape sets a line: what the fonts' own rules say of stacks, marks and distances
// is done by HarfBuzz.
func (f *Fonts) shape(field, text string, fonts []FontAt) (line, error) {
	runs, err := f.split(field, []rune(text), fonts)
	if err != nil {
		return line{}, err
	}
	set := line{text: text}
	for _, r := range runs {
		face := font.NewFace(r.font)
		buffer := harfbuzz.NewBuffer()
		buffer.AddRunes(r.text, 0, -1)
		buffer.GuessSegmentProperties()
		buffer.Shape(harfbuzz.NewFont(face), nil)
		scale := 1 / float64(face.Upem())
		for i, info := range buffer.Info {
			if info.Glyph == 0 {
				return line{}, &GlyphError{field, r.text[info.Cluster]}
			}
			at := buffer.Pos[i]
			outline, ok := face.GlyphData(info.Glyph).(font.GlyphOutline)
			if !ok {
				return line{}, &GlyphError{field, r.text[info.Cluster]}
			}
			set.glyphs = append(set.glyphs, glyph{set.width + float64(at.XOffset)*scale, float64(at.YOffset) * scale, scale, outline.Segments})
			set.width += float64(at.XAdvance) * scale
		}
	}
	return set, nil
}
