package main

import (
	"context"
	"errors"
	"fmt"

	"onecard/keys"
)

type keysChannelCommand struct {
	settings
	Name      string `arg:"" help:"The key's name, as the maker's file in card/profile/makers has it. 密钥名。"`
	Algorithm string `arg:"" enum:"3DES,AES-128,AES-192,AES-256" help:"3DES for SCP02, AES-128, AES-192 or AES-256 for SCP03. 算法。"`
	File      string `arg:"" type:"path" help:"The key in hexadecimal, mode 0600; a key block comes in by keys import. 密钥文件。"`
}

// Run imports the next version of one of a maker's static keys.
func (c *keysChannelCommand) Run(ctx context.Context, out streams) error {
	return c.withKeys(ctx, out, func(p *platform, keeper *keys.Keeper) error {
		version, err := keeper.Current(c.Name)
		if err != nil && !errors.Is(err, keys.ErrNoKey) {
			return err
		}
		spec, version := keys.Spec{Name: c.Name, Usage: keys.Channel, Algorithm: keys.Algorithm(c.Algorithm)}, version+1
		err = p.recorded(ctx, "keys.channel", "key:"+spec.Name, described(spec, version), func() error {
			return keeper.ImportFile(spec, version, c.File)
		})
		if err != nil {
			return err
		}
		kcv, method, err := keeper.CheckValue(ctx, keys.Key{Name: spec.Name, Version: version})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "安全通道密钥已导入 channel key imported: %s 版本 version %d\n校验值 check value %X (%s)，请与卡商核对 compare it with the maker's\n", spec.Name, version, kcv, method)
		return err
	})
}
