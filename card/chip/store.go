package chip

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Store keeps an image as a card's memory does: Save replaces it as a whole.
type Store interface {
	Load() (*Image, error)
	Save(*Image) error
}

// Memory is a store that lives as long as the program.
type Memory struct{ image []byte }

// NewMemory returns a store that holds the image.
func NewMemory(image *Image) (*Memory, error) {
	m := &Memory{}
	return m, m.Save(image)
}

// Load implements Store.
func (m *Memory) Load() (*Image, error) { return decode(m.image) }

// Save implements Store.
func (m *Memory) Save(image *Image) error {
	text, err := json.Marshal(image)
	m.image = text
	return err
}

func decode(text []byte) (*Image, error) {
	var image Image
	if err := json.Unmarshal(text, &image); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	return &image, nil
}

// File is a store in a file. A power cut at any moment leaves the old or the
// new image.
type File string

// Load implements Store.
func (f File) Load() (*Image, error) {
	text, err := os.ReadFile(string(f))
	if err != nil {
		return nil, fmt.Errorf("chip image: %w", err)
	}
	return decode(text)
}

// Save implements Store: a new file is written, made durable, and put in the
// old one's place. An image that has not changed is not written.
func (f File) Save(image *Image) error {
	text, err := json.Marshal(image)
	if err != nil {
		return fmt.Errorf("chip image: %w", err)
	}
	if old, err := os.ReadFile(string(f)); err == nil && bytes.Equal(old, text) {
		return nil
	}
	dir := filepath.Dir(string(f))
	fresh, err := os.CreateTemp(dir, ".card-*")
	if err != nil {
		return fmt.Errorf("chip image: %w", err)
	}
	_, err = fresh.Write(text)
	if err == nil {
		err = fresh.Sync()
	}
	if err = errors.Join(err, fresh.Close()); err == nil {
		err = os.Rename(fresh.Name(), string(f))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("chip image: %w", err), os.Remove(fresh.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("chip image: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// Create makes a new card file; one that is there is not replaced.
func (f File) Create(image *Image) error {
	switch _, err := os.Stat(string(f)); {
	case err == nil:
		return fmt.Errorf("chip image %s: %w", string(f), fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("chip image: %w", err)
	}
	return f.Save(image)
}
