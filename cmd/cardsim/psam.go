package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/keys/keyblock"
)

// psamCommand makes a terminal's security module as its maker does: of key
// blocks that the province exported for it.
type psamCommand struct {
	catalogue
	Card      string   `required:"" help:"File of the new module."`
	Terminal  string   `required:"" help:"Number of the terminal, 12 digits. 终端机编号。"`
	Serial    string   `default:"00000000000000000001" help:"Serial number, 20 hexadecimal digits. 卡序列号。"`
	Version   string   `default:"3.00" help:"Specification version of the cards that it is for. 规范版本。"`
	Levels    int      `default:"1" help:"Levels between its keys and the cards': 1 for a city's, 2 for the province's. 分散级数。"`
	KBPKFile  string   `required:"" name:"kbpk-file" help:"File with the key block protection key, hexadecimal. 密钥块保护密钥文件。"`
	BlockFile []string `required:"" help:"Files with key blocks (TR-31), one each. 密钥块文件。"`
}

// moduleATR is that of a module seen in the field.
var moduleATR = chip.Hex{0x3B, 0x6D, 0x00, 0x00, 0x00, 0x81, 0x54, 0x4C, 0x00, 0x86, 0x84, 0x08, 0x07, 0x23, 0x00, 0x05, 0xC0}

// Run makes the module.
func (c *psamCommand) Run() error {
	profiles, err := c.load()
	if err != nil {
		return err
	}
	p, err := profile.ByVersion(profiles, c.Version)
	if err != nil {
		return err
	}
	image := &chip.ModuleImage{ATR: moduleATR, Algorithm: p.Algorithm}
	if image.Serial, err = hex.DecodeString(c.Serial); err != nil || len(image.Serial) != 10 {
		return errors.New("serial: 20 hexadecimal digits")
	}
	if image.Terminal, err = hex.DecodeString(c.Terminal); err != nil || len(image.Terminal) != 6 {
		return errors.New("terminal: 12 digits")
	}
	if c.Levels < 1 || c.Levels > 3 {
		return errors.New("levels: 1 to 3")
	}
	kbpk, err := c.protection()
	if err != nil {
		return err
	}
	for _, path := range c.BlockFile {
		key, err := c.key(p, kbpk, path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		image.Keys = append(image.Keys, key)
	}
	return chip.CreateModule(c.Card, image)
}

func (c *psamCommand) protection() (keyblock.KBPK, error) {
	text, err := os.ReadFile(c.KBPKFile)
	if err != nil {
		return keyblock.KBPK{}, fmt.Errorf("key block protection key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return keyblock.KBPK{}, fmt.Errorf("key block protection key %s: hexadecimal", c.KBPKFile)
	}
	return keyblock.KBPK{Algorithm: 'A', Key: key}, nil
}

// key takes a key out of its block. The block's label says which of the
// province's it is, the profile where a module keeps that.
func (c *psamCommand) key(p *profile.Profile, kbpk keyblock.KBPK, path string) (chip.ModuleKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return chip.ModuleKey{}, err
	}
	header, value, err := keyblock.Open(kbpk, strings.TrimSpace(string(text)))
	if err != nil {
		return chip.ModuleKey{}, err
	}
	label, _ := header.Get("LB")
	_, known, ok := p.Key(strings.TrimSuffix(label, p.KeySuffix))
	if !ok || known.PSAM == (profile.PSAM{}) {
		return chip.ModuleKey{}, fmt.Errorf("no module holds a key %.32q", label)
	}
	return chip.ModuleKey{ID: known.PSAM.ID, Usage: byte(c.Levels)<<5 | known.PSAM.Usage&0x1F, Key: value}, nil
}
