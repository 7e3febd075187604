package main

import (
	"errors"
	"fmt"
	"os"

	"onecard/keys"
)

type keysChannelCommand struct {
	settings
	Name      string `arg:"" help:"The key's name, as the maker's file in card/profile/makers has it. 密钥名。"`
	Algorithm string `arg:"" enum:"3DES,AES-128,AES-192,AES-256" help:"3DES for SCP02, AES-128, AES-192 or AES-256 for SCP03. 算法。"`
	File      string `arg:"" type:"path" help:"The key in hexadecimal, mode 0600. 密钥文件。"`
}

// Run imports the next version of one of a maker's static keys.
func (c *keysChannelCommand) Run(out streams) error {
	config, err := load(c.Config, os.Environ, c.given())
	if err != nil {
		return err
	}
	keeper, err := openKeeper(config)
	if err != nil {
		return err
	}
	version, err := keeper.Current(c.Name)
	if err != nil && !errors.Is(err, keys.ErrNoKey) {
		return err
	}
	spec := keys.Spec{Name: c.Name, Usage: keys.Channel, Algorithm: keys.Algorithm(c.Algorithm)}
	if err := keeper.ImportFile(spec, version+1, c.File); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out.Out, "安全通道密钥已导入 channel key imported:", c.Name)
	return err
}
