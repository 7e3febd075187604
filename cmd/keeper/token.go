package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"onecard/keys"
	"onecard/keys/pkcs11"
)

type listCommand struct{ settings }

// Run lists the keys, without the keys.
func (s *listCommand) Run(ctx context.Context, out streams) error {
	return s.with(ctx, out, func(_ config, opened backend, _ *slog.Logger) error { return list(out.Out, opened.Keys()) })
}

func list(out io.Writer, infos []keys.Info) error {
	for _, info := range infos {
		if _, err := fmt.Fprintf(out, "%-16s %3d  %-11s %-16s %d  %s\n", info.Name, info.Version, info.Algorithm, info.Usage, info.Depth, info.CheckValue); err != nil {
			return err
		}
	}
	return nil
}

// withToken opens the token for a command that changes it. The process that
// serves it sees the change when it is started again.
func (s settings) withToken(ctx context.Context, out streams, work func(*pkcs11.Keeper) error) error {
	c, err := load(s.Config)
	if err != nil {
		return err
	}
	if err := harden(ctx, slog.New(slog.NewJSONHandler(out.Err, nil))); err != nil {
		return err
	}
	token, err := openToken(c)
	if err != nil {
		return err
	}
	return errors.Join(work(token), token.Close())
}

type tokenInitCommand struct{ settings }

// Run makes version 1 of every key of the hierarchy that the token can hold
// and does not have.
func (s *tokenInitCommand) Run(ctx context.Context, out streams) error {
	return s.withToken(ctx, out, func(token *pkcs11.Keeper) error {
		if err := token.Add(pkcs11.Hierarchy()...); err != nil {
			return err
		}
		return list(out.Out, token.Keys())
	})
}

type tokenImportCommand struct {
	settings
	Name    string `arg:"" help:"Name of the key. 密钥名。"`
	Version int    `arg:"" help:"1 to 254. 版本。"`
	File    string `arg:"" type:"path" help:"The key in hexadecimal and its check value, mode 0600. 密钥文件。"`
	Usage   string `enum:"authentication,maintenance" default:"authentication" help:"What the key is for. 用途。"`
	Depth   int    `default:"2" help:"Levels of diversification below it. 分散级数。"`
}

// Run puts a 3DES key for cards into the token.
func (s *tokenImportCommand) Run(ctx context.Context, out streams) error {
	spec := keys.Spec{Name: s.Name, Usage: keys.Usage(s.Usage), Algorithm: keys.TripleDES, Depth: s.Depth}
	return s.withToken(ctx, out, func(token *pkcs11.Keeper) error {
		if err := keys.LendFile(spec, s.File, func(value []byte) error { return token.Import(spec, s.Version, value) }); err != nil {
			return err
		}
		return list(out.Out, token.Keys())
	})
}

type tokenRotateCommand struct {
	settings
	Name string `arg:"" help:"Name of the key. 密钥名。"`
}

// Run makes the next version of a key of the token.
func (s *tokenRotateCommand) Run(ctx context.Context, out streams) error {
	return s.withToken(ctx, out, func(token *pkcs11.Keeper) error {
		version, err := token.Rotate(s.Name)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "%s 版本 version %d\n", s.Name, version)
		return err
	})
}
