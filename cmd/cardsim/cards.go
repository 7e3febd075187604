package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"

	"onecard/card/chip"
	"onecard/card/profile"
)

// catalogue is the card profiles that there are.
type catalogue struct {
	Profiles string `type:"path" env:"CARDSIM_PROFILES" placeholder:"DIR" help:"Directory of further card profiles. 卡规范文件目录。"`
}

func (c catalogue) load() ([]*profile.Profile, error) { return profile.LoadWith(c.Profiles) }

type blankCommand struct {
	catalogue
	Card             string   `required:"" help:"File of the new card."`
	Serial           string   `required:"" help:"Serial number of the chip, 8 hexadecimal digits."`
	Version          string   `default:"3.00" help:"Specification version. 规范版本。"`
	Maker            string   `default:"laboratory" help:"Make of the blank: laboratory, gp-scp03, gp-scp02. 卡商。"`
	TransportKeyFile []string `required:"" help:"File with the maker's transport key, 32 hexadecimal digits; for a GlobalPlatform make, one for all or one each for ENC, MAC and DEK."`
}

// Run makes a blank of the maker's.
func (c *blankCommand) Run() error {
	profiles, err := c.load()
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
	image, err := c.image(p, [4]byte(serial))
	if err != nil {
		return err
	}
	return chip.File(c.Card).Create(image)
}

// image makes the blank's memory, as its make has it.
func (c *blankCommand) image(p *profile.Profile, serial [4]byte) (*chip.Image, error) {
	i := slices.IndexFunc(p.Makers, func(m *profile.BlankMaker) bool { return m.Name == c.Maker })
	if i < 0 {
		return nil, fmt.Errorf("maker %q is not known", c.Maker)
	}
	maker := p.Makers[i]
	var keys [][16]byte
	for _, path := range c.TransportKeyFile {
		key, err := readKey(path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	switch {
	case len(keys) == 1 && !maker.Platform():
		return chip.Blank(p, serial, keys[0])
	case len(keys) == 1:
		keys = [][16]byte{keys[0], keys[0], keys[0]}
	case len(keys) != 3 || !maker.Platform():
		return nil, fmt.Errorf("transport key: maker %s: one file, or three for GlobalPlatform", maker.Name)
	}
	return chip.PlatformBlank(p, maker, serial, keys[0][:], keys[1][:], keys[2][:])
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
