package face

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

//go:embed layout.yaml
var builtIn []byte

// Layout is where what stands on a card, in millimetres from its upper left
// corner; sizes of letters are in points (版式).
type Layout struct {
	Assumed   bool                            `yaml:"assumed"`
	Card      struct{ Width, Height float64 } `yaml:"card"`
	Issuer    string                          `yaml:"issuer"`    // 发卡机构
	PhotoFrom int                             `yaml:"photoFrom"` // years of age
	Fonts     map[string][]FontAt             `yaml:"fonts"`
	Shapes    []Shape                         `yaml:"shapes"`
	Photo     Box                             `yaml:"photo"`
	Texts     []Text                          `yaml:"texts"`
}

// FontAt says where a font is, below the directory of fonts.
type FontAt struct {
	File    string `yaml:"file"`
	Index   int    `yaml:"index"`   // in a collection
	Package string `yaml:"package"` // that brings it
}

// Box is a place on the card.
type Box struct {
	X      float64 `yaml:"x"`
	Y      float64 `yaml:"y"`
	Width  float64 `yaml:"width"`
	Height float64 `yaml:"height"`
}

// Shape is an area of one colour.
type Shape struct {
	Box    `yaml:",inline"`
	Colour string `yaml:"colour"`
}

// Text is one text: a field, or words that stand on every card. Y is its base
// line; when there are more lines they stand in Height, below one another.
type Text struct {
	Value string `yaml:"value"` // name of a field of Data
	Text  string `yaml:"text"`
	Font  string `yaml:"font"`
	Box   `yaml:",inline"`
	// Size shrinks to Min while the text does not fit into one line; then the text is
	// broken, between words if it can be, into Lines at most, and the letters shrink
	// to Least. What does not fit even then is an error: nothing is cut off.
	Size   float64 `yaml:"size"`
	Min    float64 `yaml:"min"`
	Lines  int     `yaml:"lines"`
	Least  float64 `yaml:"least"`
	Align  string  `yaml:"align"`
	Colour string  `yaml:"colour"`
	// Wide takes the place of X and Width on a card without a photograph.
	Wide *struct{ X, Width float64 } `yaml:"wide"`
}

// ErrLayout: a layout that nothing can be printed by.
var ErrLayout = errors.New("版式有误 wrong layout")

// ParseLayout reads a layout and checks it.
func ParseLayout(text []byte) (*Layout, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var l Layout
	if err := decoder.Decode(&l); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLayout, err)
	}
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLayout, err)
	}
	return &l, nil
}

// BuiltIn returns the layout of the program.
func BuiltIn() (*Layout, error) { return ParseLayout(builtIn) }

func (l *Layout) check() error {
	if l.Issuer == "" {
		return errors.New("issuer: none")
	}
	if l.Card.Width <= 0 || l.Card.Height <= 0 {
		return errors.New("card: width and height")
	}
	for name, fonts := range l.Fonts {
		if len(fonts) == 0 {
			return fmt.Errorf("fonts: %s: none", name)
		}
	}
	for i, s := range l.Shapes {
		if _, err := parseColour(s.Colour); err != nil || !l.holds(s.Box) {
			return fmt.Errorf("shapes: %d: colour as RRGGBB, inside the card", i)
		}
	}
	if !l.holds(l.Photo) {
		return errors.New("photo: inside the card")
	}
	for i := range l.Texts {
		if err := l.checkText(&l.Texts[i]); err != nil {
			return fmt.Errorf("texts: %d: %w", i, err)
		}
	}
	return nil
}

func (l *Layout) holds(b Box) bool {
	return b.X >= 0 && b.Y >= 0 && b.Width >= 0 && b.Height >= 0 && b.X+b.Width <= l.Card.Width && b.Y+b.Height <= l.Card.Height
}

// checkText checks a text and fills in what follows from the rest.
func (l *Layout) checkText(t *Text) error {
	if t.Min == 0 {
		t.Min = t.Size
	}
	if t.Least == 0 {
		t.Least = t.Min
	}
	t.Lines = max(t.Lines, 1)
	if t.Colour == "" {
		t.Colour = "000000"
	}
	_, known := Data{}.fields()[t.Value]
	_, err := parseColour(t.Colour)
	switch {
	case (t.Text == "") == (t.Value == "") || t.Value != "" && !known:
		return fmt.Errorf("value or text: no field %q", t.Value)
	case len(l.Fonts[t.Font]) == 0:
		return fmt.Errorf("font: no %q", t.Font)
	case err != nil:
		return err
	case t.Least <= 0 || t.Min < t.Least || t.Size < t.Min:
		return errors.New("size, min, least: each not more than the one before")
	case t.Align != "" && t.Align != "centre" && t.Align != "right":
		return fmt.Errorf("align: %q", t.Align)
	case !l.holds(t.Box) || t.Width <= 0 || t.Wide != nil && !l.holds(Box{t.Wide.X, t.Y, t.Wide.Width, 0}):
		return errors.New("x, y, width: inside the card")
	}
	return nil
}

type colour struct{ r, g, b int }

func parseColour(text string) (colour, error) {
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) != 6 {
		return colour{}, fmt.Errorf("colour: %q", text)
	}
	return colour{int(n >> 16), int(n >> 8 & 0xFF), int(n & 0xFF)}, nil
}
