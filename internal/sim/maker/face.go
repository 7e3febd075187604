package maker

import (
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg" // of photographs
	_ "image/png"
	"os"
)

// print prints the photograph on the face, where there is one.
func (j *job) print(r record) error {
	if len(r.Face.Photo) == 0 {
		return nil
	}
	_, form, err := image.DecodeConfig(bytes.NewReader(r.Face.Photo))
	if err != nil {
		return fmt.Errorf("photograph: %w", err)
	}
	if "image/"+form != r.Face.PhotoType {
		return fmt.Errorf("photograph: %s is told as %s", form, r.Face.PhotoType)
	}
	return os.WriteFile(j.path("faces", r.Number+"."+form), r.Face.Photo, 0o600)
}
