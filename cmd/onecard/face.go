package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"onecard/card/face"
	"onecard/issuance/prints"
)

// prints makes the service that prints cards, with the fonts of this machine.
func (p *platform) prints() (*prints.Service, error) {
	layout, err := face.BuiltIn()
	if err != nil {
		return nil, err
	}
	return &prints.Service{
		DB: p.db, Printer: face.NewPrinter(layout, face.NewFonts(p.config.Fonts)), Photos: prints.Attachments{DB: p.db},
	}, nil
}

type faceCommand struct {
	settings
	Card  string `arg:"" help:"Card number. 卡号。"`
	Out   string `required:"" type:"path" placeholder:"FILE.pdf" help:"The document; it holds personal data. 输出文件，含个人信息。"`
	Photo string `type:"existingfile" placeholder:"FILE" help:"A photograph, JPEG or PNG, in place of the one on record. 照片文件。"`
}

// maxPhoto bounds a photograph, in bytes.
const maxPhoto = 4 << 20

// Run writes the face of a card. What cannot be printed leaves no file.
func (c *faceCommand) Run(ctx context.Context, out streams) error {
	photo, err := readPhoto(c.Photo)
	if err != nil {
		return err
	}
	return c.withRecords(ctx, out, func(p *platform) error {
		if err := p.assemble(); err != nil {
			return err
		}
		found, err := p.issuance.CardByNumber(ctx, c.Card)
		if err != nil {
			return fmt.Errorf("卡 card: %w", err)
		}
		printing, err := p.prints()
		if err != nil {
			return err
		}
		document, err := printing.Face(ctx, console, found, photo)
		if err != nil {
			return err
		}
		file, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = file.Write(document)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "卡面已写入 the face of the card is in %s\n", c.Out)
		return err
	})
}

func readPhoto(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	photo, err := io.ReadAll(io.LimitReader(file, maxPhoto+1))
	if len(photo) > maxPhoto {
		return nil, fmt.Errorf("照片不能超过 4 MiB the photograph is larger than 4 MiB: %s", path)
	}
	return photo, err
}
