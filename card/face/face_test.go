package face_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/card/face"
	"onecard/internal/gb"
)

var fonts = face.NewFonts("") // read once for all tests

func printer(t testing.TB) *face.Printer {
	t.Helper()
	layout, err := face.BuiltIn()
	require.NoError(t, err)
	return face.NewPrinter(layout, fonts)
}

func date(t testing.TB, text string) gb.Date {
	t.Helper()
	d, err := gb.ParseDate(text)
	require.NoError(t, err)
	return d
}

// portrait is a made-up photograph.
func portrait(t testing.TB) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, 358, 441))
	for y := range 441 {
		for x := range 358 {
			shade := color.RGBA{200, 215, 230, 255}
			if dx, dy := x-179, y-180; dx*dx+dy*dy < 90*90 {
				shade = color.RGBA{230, 190, 160, 255}
			}
			picture.Set(x, y, shade)
		}
	}
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, picture, nil))
	return out.Bytes()
}

// data is what stands on the sample's card; change makes another of it.
func data(t testing.TB, change func(d *face.Data)) face.Data {
	d := face.Data{
		Name: "扎西·多杰", NameTibetan: "བཀྲ་ཤིས་རྡོ་རྗེ", Number: "632701197507020111", Birth: date(t, "19750702"), CardNumber: "100000008",
		IssuedOn: date(t, "20260302"), ExpiresOn: date(t, "20360302"), Issuer: "青海省人力资源和社会保障厅", Bank: "中国建设银行　6217 0030 1234 5678 901", Photo: portrait(t),
	}
	if change != nil {
		change(&d)
	}
	return d
}

// read extracts the text of a document with another program than ours.
func read(t *testing.T, document []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "face.pdf")
	require.NoError(t, os.WriteFile(file, document, 0o600))
	out, err := exec.CommandContext(t.Context(), "pdftotext", "-raw", file, "-").Output()
	require.NoError(t, err)
	return string(out)
}

var spaces = regexp.MustCompile(`\s+`)

// TestNames: a name stands on the card letter by letter, however long and rare.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ what, name, tibetan string }{
		{"ordinary", "扎西·多杰", "བཀྲ་ཤིས་རྡོ་རྗེ"},
		{"thirteen characters", "阿旺洛桑图登嘉措·索南旺杰", "ངག་དབང་བློ་བཟང་ཐུབ་བསྟན་རྒྱ་མཚོ་བསོད་ནམས་དབང་རྒྱལ"},
		{"twenty-one characters", "热依拉木汗·阿卜杜热合曼·买买提吐尔逊·艾", ""},
		{"fifty characters", strings.Repeat("阿卜杜热合曼买买提", 5) + "吐尔逊江艾", ""},
		{"rare", "㛃𠅤", ""},
		{"outside the main font", "𪛖𰻝龘", ""}, // U+2A6D6, U+30EDD
		{"Latin", "MARIA DEL CARMEN GARCIA-LOPEZ", ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			t.Parallel()
			document, err := printer(t).PDF(data(t, func(d *face.Data) { d.Name, d.NameTibetan = test.name, test.tibetan }))
			require.NoError(t, err)
			text := spaces.ReplaceAllString(read(t, document), "")
			require.Contains(t, text, spaces.ReplaceAllString(test.name, ""))
			require.Contains(t, text, test.tibetan)
			for _, also := range []string{"632701197507020111", "100000008", "2026.03.02", "2036.03.02", "青海省人力资源和社会保障厅", "6217003012345678901", "社会保障卡"} {
				require.Contains(t, text, also)
			}
			require.NotContains(t, text, "?")
			require.NotContains(t, text, "\uFFFD")
		})
	}
}

// TestDrawn: what is read is also what is seen. Without the glyphs the page would
// be another, and a rare character is not drawn as another one.
func TestDrawn(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, name := range []string{"张㛃", "张𠅤", "张一"} {
		document, err := printer(t).PDF(data(t, func(d *face.Data) { d.Name, d.Photo, d.Birth = name, nil, date(t, "20240101") }))
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "face.pdf")
		require.NoError(t, os.WriteFile(file, document, 0o600))
		pixels, err := exec.CommandContext(t.Context(), "pdftoppm", "-gray", "-r", "150", file).Output()
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(pixels, []byte("P5\n506 319\n")), "the size of ID-1: %q", pixels[:12])
		for other, same := range seen {
			require.NotEqual(t, same, string(pixels), "%s and %s look alike", name, other)
		}
		seen[name] = string(pixels)
	}
}

func TestSameBytes(t *testing.T) {
	t.Parallel()
	p := printer(t)
	first, err := p.PDF(data(t, nil))
	require.NoError(t, err)
	again, err := p.PDF(data(t, nil))
	require.NoError(t, err)
	require.Equal(t, first, again)
}

// TestRefused: what cannot be printed as it is gives no document, and the error
// says what it is.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		what   string
		change func(d *face.Data)
		field  string
		says   string
	}{
		{"a character that no font has", func(d *face.Data) { d.Name = "张\U000E5678" }, "name", "U+E5678"},
		{"a character for private use", func(d *face.Data) { d.Name = "张\uF8F0" }, "name", "U+F8F0"},
		{"a script that the card has no font for", func(d *face.Data) { d.NameTibetan = "ᠪᠠᠲᠤ" }, "nameTibetan", "U+182A"},
		{"no name", func(d *face.Data) { d.Name = "" }, "name", "empty"},
		{"no photograph of an adult", func(d *face.Data) { d.Photo = nil }, "photo", "照片"},
		{"no photograph of a child of seven", func(d *face.Data) { d.Photo, d.Birth = nil, date(t, "20190302") }, "photo", "照片"},
		{"no picture", func(d *face.Data) { d.Photo = []byte("GIF89a") }, "photo", "JPEG"},
		{"a picture cut off", func(d *face.Data) { d.Photo = d.Photo[:200] }, "photo", "JPEG"},
		{"an issuer without end", func(d *face.Data) { d.Issuer = strings.Repeat("青海省", 20) }, "issuer", "太长"},
	} {
		t.Run(test.what, func(t *testing.T) {
			t.Parallel()
			document, err := printer(t).PDF(data(t, test.change))
			require.Error(t, err)
			require.Nil(t, document)
			require.True(t, face.Refused(err))
			require.True(t, strings.HasPrefix(err.Error(), test.field+"："), err.Error())
			require.Contains(t, err.Error(), test.says)
		})
	}
}

// TestChild: a small child's card has no photograph, and its texts take the room.
func TestChild(t *testing.T) {
	t.Parallel()
	document, err := printer(t).PDF(data(t, func(d *face.Data) { d.Photo, d.Bank, d.Birth = nil, "", date(t, "20190303") }))
	require.NoError(t, err)
	require.False(t, bytes.Contains(document, []byte("/Subtype /Image")))
	require.Contains(t, read(t, document), "扎西·多杰")
	document, err = printer(t).PDF(data(t, nil))
	require.NoError(t, err)
	require.True(t, bytes.Contains(document, []byte("/Subtype /Image")))
}

func TestNoFont(t *testing.T) {
	t.Parallel()
	layout, err := face.BuiltIn()
	require.NoError(t, err)
	_, err = face.NewPrinter(layout, face.NewFonts(t.TempDir())).PDF(data(t, nil))
	var missing *face.FontError
	require.ErrorAs(t, err, &missing)
	require.Contains(t, err.Error(), "fonts-noto-cjk")
	require.False(t, face.Refused(err))
}

func TestLayouts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("layout.yaml")
	require.NoError(t, err)
	for _, test := range []struct{ what, old, new string }{
		{"an unknown key", "assumed: true", "asumed: true"},
		{"a field that is none", "value: bank", "value: bnak"},
		{"a font that is none", "value: bank, font: text", "value: bank, font: tetx"},
		{"outside the card", "x: 58, y: 51.3", "x: 68, y: 51.3"},
		{"a colour that is none", "F3F8FC", "F3F8F"},
		{"letters that grow", "size: 11, min: 8.5", "size: 8, min: 8.5"},
		{"an alignment that is none", "align: centre", "align: center"},
	} {
		changed := strings.Replace(string(text), test.old, test.new, 1)
		require.NotEqual(t, string(text), changed, test.what)
		_, err := face.ParseLayout([]byte(changed))
		require.ErrorIs(t, err, face.ErrLayout, test.what)
	}
}

func FuzzLayout(f *testing.F) {
	text, err := os.ReadFile("layout.yaml")
	require.NoError(f, err)
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		layout, err := face.ParseLayout(text)
		if err == nil {
			require.Positive(t, layout.Card.Width)
		}
	})
}

func BenchmarkPDF(b *testing.B) {
	p, d := printer(b), data(b, nil)
	for b.Loop() {
		if _, err := p.PDF(d); err != nil {
			b.Fatal(err)
		}
	}
}
