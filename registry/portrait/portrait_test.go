package portrait_test

import (
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/registry/portrait"
)

func codes(findings []portrait.Finding) (all []string) {
	for _, f := range findings {
		all = append(all, f.Code)
	}
	return all
}

// painted is a picture of one light with a lighter or darker middle.
func painted(ground, middle uint8) *image.Gray {
	picture := image.NewGray(image.Rect(0, 0, 358, 441))
	draw.Draw(picture, picture.Bounds(), image.NewUniform(color.Gray{Y: ground}), image.Point{}, draw.Src)
	draw.Draw(picture, image.Rect(90, 110, 270, 330), image.NewUniform(color.Gray{Y: middle}), image.Point{}, draw.Src)
	return picture
}

func TestLight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		picture image.Image
		want    []string
	}{
		"blank":      {painted(255, 255), []string{"blank"}},
		"no face":    {painted(250, 150), []string{"no-face"}},
		"background": {painted(120, 150), []string{"background", "no-face"}},
		"dark":       {painted(250, 10), []string{"too-dark", "no-face"}},
		"bright":     {painted(250, 255), []string{"too-bright", "no-face"}},
		"one point":  {image.NewGray(image.Rect(0, 0, 1, 1)), []string{"blank"}},
	} {
		found := portrait.Check(c.picture)
		require.Equal(t, c.want, codes(found), name)
		for _, f := range found {
			require.NotEmpty(t, f.ZH+f.EN)
			require.Contains(t, []string{portrait.Refuse, portrait.Warn}, f.Level)
		}
	}
}

// TestFace: the detector's own sample shows that a face is found, and where.
func TestFace(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/esimov/pigo").Output()
	require.NoError(t, err)
	file, err := os.Open(filepath.Join(strings.TrimSpace(string(out)), "testdata", "sample.jpg"))
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	sample, _, err := image.Decode(file)
	require.NoError(t, err)
	found := codes(portrait.Check(sample))
	t.Log(sample.Bounds(), found)
	require.NotContains(t, found, "no-face")
	// The same picture at the side of a wide one.
	wide := image.NewRGBA(image.Rect(0, 0, 2*sample.Bounds().Dx(), sample.Bounds().Dy()))
	draw.Draw(wide, wide.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(wide, sample.Bounds(), sample, image.Point{}, draw.Src)
	require.Contains(t, codes(portrait.Check(wide)), "off-centre")
	draw.Draw(wide, image.Rect(sample.Bounds().Dx(), 0, 2*sample.Bounds().Dx(), sample.Bounds().Dy()), sample, sample.Bounds().Min, draw.Src)
	require.Contains(t, codes(portrait.Check(wide)), "two-faces")
}
