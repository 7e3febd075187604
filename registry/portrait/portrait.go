// Package portrait looks at a photograph for a card (照片检查): its light, its
// background, and whether there is one face where it should be. What the figures
// are, and whether a finding refuses a photograph or is shown to the reviewer, is
// data. Faces are found by the cascade of the pico detector (facefinder, with its
// licence beside it); it finds where a face is, and knows nobody.
package portrait

import (
	"bytes"
	_ "embed"
	"fmt"
	"image"
	_ "image/jpeg" // photographs are one of these
	_ "image/png"
	"math"
	"sync"

	pigo "github.com/esimov/pigo/core"
	"go.yaml.in/yaml/v3"
)

//go:embed facefinder
var cascade []byte

//go:embed rules.yaml
var rulesFile []byte

// Finding is something that is wrong with a photograph.
type Finding struct {
	Code  string `yaml:"code"`
	Level string `yaml:"level"` // refuse or warn
	ZH    string `yaml:"zh"`
	EN    string `yaml:"en"`
}

// Levels of a finding.
const (
	Refuse = "refuse" // 不予接收
	Warn   = "warn"   // 提示
)

type rules struct {
	Assumed bool    `yaml:"assumed"`
	Border  float64 `yaml:"border"`
	White   float64 `yaml:"white"`
	Even    float64 `yaml:"even"`
	Dark    float64 `yaml:"dark"`
	Bright  float64 `yaml:"bright"`
	Quality float32 `yaml:"quality"`
	Face    struct {
		Least float64 `yaml:"least"`
		Most  float64 `yaml:"most"`
	} `yaml:"face"`
	Centre struct {
		Across float64 `yaml:"across"`
		From   float64 `yaml:"from"`
		To     float64 `yaml:"to"`
	} `yaml:"centre"`
	Findings []Finding `yaml:"findings"`
}

// finder is the rules with the cascade.
type finder struct {
	rules
	faces *pigo.Pigo
}

// How faces are looked for: the figures of the detector's own examples.
const (
	smallest = 0.15 // of the width
	shift    = 0.1
	growth   = 1.1
	overlap  = 0.2
)

func (f finder) find(g grey) []pigo.Detection {
	found := f.faces.RunCascade(pigo.CascadeParams{
		MinSize: int(smallest * float64(g.width)), MaxSize: min(g.width, g.height), ShiftFactor: shift, ScaleFactor: growth,
		ImageParams: pigo.ImageParams{Pixels: g.pixels, Rows: g.height, Cols: g.width, Dim: g.width},
	}, 0)
	return f.faces.ClusterDetections(found, overlap)
}

// detector is read once: rules and cascade are embedded, and a test reads them.
var detector = sync.OnceValue(func() (d finder) {
	decoder := yaml.NewDecoder(bytes.NewReader(rulesFile))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d.rules); err != nil {
		panic(fmt.Sprintf("portrait: rules.yaml: %v", err))
	}
	var err error
	if d.faces, err = pigo.NewPigo().Unpack(cascade); err != nil {
		panic(fmt.Sprintf("portrait: facefinder: %v", err))
	}
	return d
})

// Check returns all that is wrong with a photograph.
func Check(picture image.Image) []Finding {
	d := detector()
	g := grey{pigo.RgbToGrayscale(picture), picture.Bounds().Dx(), picture.Bounds().Dy()}
	var codes []string
	if _, deviation := g.light(image.Rect(0, 0, g.width, g.height)); deviation < 1 {
		return d.named("blank")
	}
	if back, uneven := g.background(d.Border); back < d.White || uneven > d.Even {
		codes = append(codes, "background")
	}
	mean, _ := g.light(image.Rect(g.width/4, g.height/4, 3*g.width/4, 3*g.height/4))
	switch {
	case mean < d.Dark:
		codes = append(codes, "too-dark")
	case mean > d.Bright:
		codes = append(codes, "too-bright")
	}
	var faces []pigo.Detection
	for _, found := range d.find(g) {
		if found.Q >= d.Quality {
			faces = append(faces, found)
		}
	}
	switch len(faces) {
	case 0:
		codes = append(codes, "no-face")
	case 1:
		codes = append(codes, d.place(faces[0], g)...)
	default:
		codes = append(codes, "two-faces")
	}
	return d.named(codes...)
}

func (r rules) named(codes ...string) []Finding {
	var found []Finding
	for _, code := range codes {
		for _, f := range r.Findings {
			if f.Code == code {
				found = append(found, f)
			}
		}
	}
	return found
}

// place says what is wrong with where a face is.
func (r rules) place(face pigo.Detection, g grey) (codes []string) {
	width := float64(face.Scale) / float64(g.width)
	switch {
	case width < r.Face.Least:
		codes = append(codes, "small-face")
	case width > r.Face.Most:
		codes = append(codes, "large-face")
	}
	across, down := float64(face.Col)/float64(g.width)-0.5, float64(face.Row)/float64(g.height)
	if math.Abs(across) > r.Centre.Across || down < r.Centre.From || down > r.Centre.To {
		codes = append(codes, "off-centre")
	}
	return codes
}

// grey is a picture's light.
type grey struct {
	pixels        []uint8
	width, height int
}

// light returns mean and mean deviation of the light in a part.
func (g grey) light(parts ...image.Rectangle) (mean, deviation float64) {
	var sum, squares, n float64
	for _, part := range parts {
		for y := part.Min.Y; y < part.Max.Y; y++ {
			for x := part.Min.X; x < part.Max.X; x++ {
				v := float64(g.pixels[y*g.width+x])
				sum, squares, n = sum+v, squares+v*v, n+1
			}
		}
	}
	if n == 0 {
		return 0, 0
	}
	mean = sum / n
	return mean, math.Sqrt(max(0, squares/n-mean*mean))
}

// background is the light of the top edge and of the upper half of both sides:
// shoulders are below.
func (g grey) background(share float64) (mean, deviation float64) {
	wide, high := max(1, int(share*float64(g.width))), max(1, int(share*float64(g.height)))
	half := max(high, g.height/2)
	return g.light(image.Rect(0, 0, g.width, high), image.Rect(0, high, wide, half), image.Rect(g.width-wide, high, g.width, half))
}

// CheckFile is [Check] for a picture as a file.
func CheckFile(content []byte) ([]Finding, error) {
	picture, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("portrait: %w", err)
	}
	return Check(picture), nil
}

// Blank says whether nothing is to be seen in a picture as a file, such as a
// signature that nobody has written (空白).
func Blank(content []byte) (bool, error) {
	picture, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		return false, fmt.Errorf("portrait: %w", err)
	}
	g := grey{pigo.RgbToGrayscale(picture), picture.Bounds().Dx(), picture.Bounds().Dy()}
	_, deviation := g.light(image.Rect(0, 0, g.width, g.height))
	return deviation < 1, nil
}
