package face

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf16"

	"codeberg.org/go-pdf/fpdf"
	"github.com/go-text/typesetting/font/opentype"
)

// Printer makes cards' faces by a layout. It may be used by several goroutines.
type Printer struct {
	layout *Layout
	fonts  *Fonts
}

// NewPrinter returns a printer for a layout with the fonts of this machine.
func NewPrinter(layout *Layout, fonts *Fonts) *Printer { return &Printer{layout, fonts} }

// Issuer is who issues the cards that the layout is for (发卡机构).
func (p *Printer) Issuer() string { return p.layout.Issuer }

// PDF returns a document of one page of the size of the card. What cannot be
// printed as it is (no font has a character, a text has no room, no photograph)
// is a *FieldError, *GlyphError or *FontError, and there is no document.
func (p *Printer) PDF(d Data) ([]byte, error) {
	if err := d.check(p.layout.PhotoFrom); err != nil {
		return nil, err
	}
	c := &canvas{Printer: p, pdf: fpdf.NewCustom(&fpdf.InitType{
		UnitStr: "mm", Size: fpdf.SizeType{Wd: p.layout.Card.Width, Ht: p.layout.Card.Height},
	})}
	c.begin()
	for _, s := range p.layout.Shapes {
		c.fill(s)
	}
	err := c.photo(d.Photo)
	fields := d.fields()
	for _, t := range p.layout.Texts {
		if err == nil {
			err = c.text(t, fields, len(d.Photo) == 0)
		}
	}
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := c.pdf.Output(&out); err != nil {
		return nil, fmt.Errorf("card face: %w", err)
	}
	return out.Bytes(), nil
}

// canvas is a page on which is drawn.
type canvas struct {
	*Printer
	pdf *fpdf.Fpdf
}

// begin makes the page. The document says nothing of when and with what it was
// made: the same data are the same bytes.
func (c *canvas) begin() {
	c.pdf.SetCatalogSort(true)
	c.pdf.SetCreationDate(time.Unix(0, 0).UTC())
	c.pdf.SetModificationDate(time.Unix(0, 0).UTC())
	c.pdf.SetProducer("OneCard", true)
	c.pdf.SetLang("zh-CN")
	c.pdf.SetMargins(0, 0, 0)
	c.pdf.SetAutoPageBreak(false, 0)
	c.pdf.AddPage()
	c.pdf.SetFont("Helvetica", "", carrierSize)
}

func (c *canvas) colour(text string) {
	told, _ := parseColour(text) // the layout has been checked
	c.pdf.SetFillColor(told.r, told.g, told.b)
}

func (c *canvas) fill(s Shape) {
	c.colour(s.Colour)
	c.pdf.Rect(s.X, s.Y, s.Width, s.Height, "F")
}

// photo puts the photograph into its place, whole, in its own proportions.
func (c *canvas) photo(photo []byte) error {
	if len(photo) == 0 {
		return nil
	}
	kind, err := photoKind(photo)
	if err != nil {
		return err
	}
	info := c.pdf.RegisterImageOptionsReader("photo", fpdf.ImageOptions{ImageType: kind}, bytes.NewReader(photo))
	if err := c.pdf.Error(); err != nil {
		return &FieldError{"photo", "照片已损坏，或其格式不能打印", "the photograph is damaged, or of a form that cannot be printed"}
	}
	box := c.layout.Photo
	scale := min(box.Width/info.Width(), box.Height/info.Height())
	width, height := info.Width()*scale, info.Height()*scale
	c.pdf.ImageOptions("photo", box.X+(box.Width-width)/2, box.Y+(box.Height-height)/2, width, height, false, fpdf.ImageOptions{}, 0, "")
	return c.pdf.Error()
}

// text draws a text of the layout.
func (c *canvas) text(t Text, fields map[string]string, wide bool) error {
	field, text := t.Value, t.Text
	if field != "" {
		text = fields[field]
	} else {
		field = "layout"
	}
	if text == "" {
		return nil
	}
	x, width := t.X, t.Width
	if wide && t.Wide != nil {
		x, width = t.Wide.X, t.Wide.Width
	}
	set, err := c.fonts.fit(field, text, t, c.layout.Fonts[t.Font], width)
	if err != nil {
		return err
	}
	c.colour(t.Colour)
	base := t.Y
	if more := len(set.lines) - 1; more > 0 { // the block keeps its middle
		base -= float64(more) * leading * set.size / pointsPerMillimetre / 2
	}
	for _, l := range set.lines {
		left := x
		room := width - l.width*set.size/pointsPerMillimetre
		switch t.Align {
		case "centre":
			left += room / 2
		case "right":
			left += room
		}
		c.line(l, left, base, set.size)
		base += leading * set.size / pointsPerMillimetre
	}
	return nil
}

// line draws the outlines of a line, and under them the text.
func (c *canvas) line(l line, x, y, size float64) {
	unit := size / pointsPerMillimetre
	c.underlay(l.text, x, y, l.width*unit)
	for _, g := range l.glyphs {
		at := func(p opentype.SegmentPoint) (float64, float64) {
			return x + (g.x+float64(p.X)*g.scale)*unit, y - (g.y+float64(p.Y)*g.scale)*unit
		}
		var lastX, lastY float64
		for _, s := range g.segments {
			endX, endY := at(s.Args[len(s.ArgsSlice())-1])
			switch s.Op {
			case opentype.SegmentOpMoveTo:
				c.pdf.MoveTo(endX, endY)
			case opentype.SegmentOpLineTo:
				c.pdf.LineTo(endX, endY)
			case opentype.SegmentOpQuadTo: // PDF knows cubic curves only
				qx, qy := at(s.Args[0])
				c.pdf.CurveBezierCubicTo(lastX+2*(qx-lastX)/3, lastY+2*(qy-lastY)/3, endX+2*(qx-endX)/3, endY+2*(qy-endY)/3, endX, endY)
			case opentype.SegmentOpCubeTo:
				ax, ay := at(s.Args[0])
				bx, by := at(s.Args[1])
				c.pdf.CurveBezierCubicTo(ax, ay, bx, by, endX, endY)
			}
			lastX, lastY = endX, endY
		}
		if len(g.segments) > 0 {
			c.pdf.DrawPath("F")
		}
	}
}

// carrierSize is the size of the invisible letters that carry the text.
const carrierSize = 4

// underlay puts the text under its outlines: invisible spaces of the same width,
// with the text told as their meaning (ActualText, ISO 32000-1, 14.9.4).
func (c *canvas) underlay(text string, x, y, width float64) {
	var meaning strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&meaning, "%04X", unit)
	}
	spaces := int(math.Max(1, math.Round(width/c.pdf.GetStringWidth(" "))))
	c.pdf.RawWriteStr("/Span <</ActualText <FEFF" + meaning.String() + ">>> BDC\n")
	c.pdf.SetTextRenderingMode(invisible)
	c.pdf.Text(x, y, strings.Repeat(" ", spaces))
	c.pdf.SetTextRenderingMode(filled)
	c.pdf.RawWriteStr("EMC\n")
}

// Text rendering modes (ISO 32000-1, table 106).
const (
	filled    = 0
	invisible = 3
)

// Refused says whether an error is about the data, not about this machine.
func Refused(err error) bool {
	var field *FieldError
	var missing *GlyphError
	return errors.As(err, &field) || errors.As(err, &missing)
}
