package main

import (
	"context"
	"errors"
	"log/slog"

	"onecard/keys/pkcs11"
	"onecard/keys/remote"
)

// settings are the flags of every command.
type settings struct {
	Config string `required:"" type:"path" placeholder:"FILE" help:"Configuration file, YAML. 配置文件。"`
}

// with opens the keeper for a command, hardened as the process itself.
func (s settings) with(ctx context.Context, out streams, work func(config, backend, *slog.Logger) error) error {
	c, err := load(s.Config)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(out.Err, nil))
	if err := harden(ctx, logger); err != nil {
		return err
	}
	opened, err := open(c, out)
	if err != nil {
		return err
	}
	return errors.Join(work(c, opened, logger), opened.close())
}

type serveCommand struct{ settings }

// Run serves until ctx ends, or the token is gone: whoever runs the process
// starts it again.
func (s *serveCommand) Run(ctx context.Context, out streams) error {
	return s.with(ctx, out, func(c config, opened backend, logger *slog.Logger) error {
		return serve(ctx, c, opened, logger)
	})
}

func serve(ctx context.Context, c config, opened backend, logger *slog.Logger) error {
	callers, err := c.callers()
	if err != nil {
		return err
	}
	mode, err := c.mode()
	if err != nil {
		return err
	}
	group, err := c.group()
	if err != nil {
		return err
	}
	listener, err := remote.Listen(c.Socket, mode, group)
	if err != nil {
		return err
	}
	if c.Trial {
		logger.WarnContext(ctx, "试用模式：勿用于真实人员和真实卡 trial mode: not for real persons and real cards")
	}
	logger.InfoContext(ctx, "密钥保管进程已启动 the keeper is up", "backend", c.Backend, "socket", c.Socket, "callers", callers, "keys", len(opened.Keys()))
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-opened.lost:
			stop(pkcs11.ErrToken)
		case <-ctx.Done():
		}
	}()
	server := remote.Server{Backend: opened, Callers: callers, Logger: logger}
	err = server.Serve(ctx, listener)
	if errors.Is(context.Cause(ctx), pkcs11.ErrToken) {
		err = errors.Join(pkcs11.ErrToken, err)
	}
	logger.InfoContext(ctx, "已停止 stopped")
	return err
}
