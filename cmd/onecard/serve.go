package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"onecard/issuance/production"
)

// serveCommand is the platform.
type serveCommand struct {
	settings
	Listen *string  `placeholder:"HOST:PORT" help:"Address of the interface; default 127.0.0.1:8443. 服务地址。"`
	Names  []string `placeholder:"NAME" help:"Further names and addresses by which workstations reach it. 证书中的其他名称和地址。"`
}

func (c *serveCommand) config() (config, error) {
	flags := c.given()
	if c.Listen != nil {
		flags["listen"] = *c.Listen
	}
	if c.Names != nil {
		flags["names"] = c.Names
	}
	return load(c.Config, os.Environ, flags)
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, out streams) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	logger := newLogger(out.Err, config.Log)
	logger.InfoContext(ctx, "配置 configuration", "config", config)
	if config.Trial {
		logger.WarnContext(ctx, "试用模式：软件密钥，勿用于真实人员和真实卡 trial mode: software keys, not for real persons and real cards")
	}
	// The address first: when it is taken, nothing else has been touched.
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", config.Listen)
	if err != nil {
		return &listenError{address: config.Listen, err: err}
	}
	p, err := openPlatform(ctx, config, logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	return errors.Join(p.serve(ctx, listener), p.close())
}

// listenError says which address could not be taken.
type listenError struct {
	address string
	err     error
}

func (e *listenError) Error() string { return "listen on " + e.address + ": " + e.err.Error() }
func (e *listenError) Unwrap() error { return e.err }

// clockPause is how long the platform waits before it looks again for what is
// due by itself, such as the end of a temporary loss report.
const clockPause = time.Minute

// drainLimit is how long requests under way may take when the platform stops.
const drainLimit = 45 * time.Second

// addressFile tells programs on the same machine where the platform listens,
// while it does: with port 0 the system has chosen.
const addressFile = "platform.address"

// serve answers requests on the listener and brings open transactions to their
// end until ctx ends; then it finishes the requests under way.
func (p *platform) serve(ctx context.Context, listener net.Listener) error {
	certificates, err := p.authority.TLS()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	banks, err := p.openBanks()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	carrier, err := p.carrier(banks)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := p.api.HTTP(certificates)
	address := filepath.Join(p.config.Data, addressFile)
	if err := os.WriteFile(address, []byte(listener.Addr().String()+"\n"), 0o644); err != nil {
		return errors.Join(fmt.Errorf("address file: %w", err), listener.Close())
	}
	defer func() { _ = os.Remove(address) }()
	p.logger.InfoContext(ctx, "平台已启动 the platform is up", "address", listener.Addr().String())

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		p.exchange.Run(ctx)
		return nil
	})
	group.Go(func() error {
		p.watchAudit(ctx)
		return nil
	})
	group.Go(func() error {
		p.issuance.RunClock(ctx, province, clockPause, p.logger)
		return nil
	})
	group.Go(func() error {
		carrier.Run(ctx, tellPause)
		return nil
	})
	group.Go(func() error { return p.carry(ctx, banks) })
	group.Go(func() error { return p.serveBanks(ctx, banks) })
	group.Go(func() error {
		production.Silence{DB: p.db, Withdraw: banks.GiveUp, Logger: p.logger}.Run(ctx, clockPause)
		return nil
	})
	group.Go(func() error { return p.decide(ctx) })
	group.Go(func() error { return p.tellMinistry(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
		defer cancel()
		p.logger.InfoContext(drain, "正在停止，先办完在途请求 stopping, requests under way are finished first")
		if err := server.Shutdown(drain); err != nil {
			return errors.Join(fmt.Errorf("stop: %w", err), server.Close())
		}
		return nil
	})
	return group.Wait()
}
