package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"onecard/card/chip"
	"onecard/card/profile"
)

type blankCommand struct {
	Card             string `required:"" help:"File of the new card."`
	Serial           string `required:"" help:"Serial number of the chip, 8 hexadecimal digits."`
	Version          string `default:"3.00" help:"Specification version. 规范版本。"`
	TransportKeyFile string `required:"" help:"File with the maker's transport key, 32 hexadecimal digits."`
}

// Run makes a blank of the maker's.
func (c *blankCommand) Run() error {
	profiles, err := profile.Load()
	if err != nil {
		return err
	}
	p, err := profile.ByVersion(profiles, c.Version)
	if err != nil {
		return err
	}
	serial, err := hex.DecodeString(c.Serial)
	if err != nil || len(serial) != 4 {
		return fmt.Errorf("serial: 8 hexadecimal digits")
	}
	key, err := readKey(c.TransportKeyFile)
	if err != nil {
		return err
	}
	image, err := chip.Blank(p, [4]byte(serial), key)
	if err != nil {
		return err
	}
	return chip.File(c.Card).Create(image)
}

// readKey reads a key file: hexadecimal, with lines of comment.
func readKey(path string) (key [16]byte, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return key, fmt.Errorf("transport key: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		b, err := hex.DecodeString(line)
		if err != nil || len(b) != len(key) {
			return key, fmt.Errorf("transport key %s: 32 hexadecimal digits", path)
		}
		return [16]byte(b), nil
	}
	return key, fmt.Errorf("transport key %s: no key in it", path)
}

type bankCommand struct {
	Card string `required:"" help:"File of the new card."`
}

// Run makes a bank card.
func (c *bankCommand) Run() error { return chip.File(c.Card).Create(chip.BankCard()) }

type foreignCommand struct {
	Card string `required:"" help:"File of the new card."`
}

// Run makes a card of an unknown kind.
func (c *foreignCommand) Run() error { return chip.File(c.Card).Create(chip.OtherCard()) }
