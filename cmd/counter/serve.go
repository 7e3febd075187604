package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"onecard/api/client"
	"onecard/card/order"
	"onecard/card/profile"
	"onecard/terminal"
	"onecard/terminal/desk"
)

type serveCommand struct {
	Config string `required:"" type:"path" help:"Configuration file. 配置文件。"`
}

// addressFile tells programs on the same machine where the page is, while it
// is: with port 0 the system has chosen.
const addressFile = "page.address"

// Run serves the page until ctx ends.
func (c *serveCommand) Run(ctx context.Context) error {
	config, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", config.Listen)
	if err != nil {
		return fmt.Errorf("页面地址 %s 被占用或不可用，请换一个（listen） the page's address cannot be taken, choose another: %w", config.Listen, err)
	}
	work, page, err := build(config, logger)
	if err != nil {
		_ = listener.Close()
		return err
	}
	address := filepath.Join(config.State, addressFile)
	if err := os.WriteFile(address, []byte(listener.Addr().String()+"\n"), 0o600); err != nil {
		_ = listener.Close()
		return fmt.Errorf("address file: %w", err)
	}
	defer func() { _ = os.Remove(address) }()
	logger.Info("柜台页面已启动 the page is up", "address", listener.Addr().String())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return work.Station.Run(ctx) })
	group.Go(func() error { return page.Serve(ctx, listener) })
	group.Go(func() error {
		keepUp(ctx, work, page, logger)
		return nil
	})
	return group.Wait()
}

// build puts the counter together; nothing runs yet.
func build(config config, logger *slog.Logger) (*terminal.Desk, *desk.Server, error) {
	profiles, err := profile.LoadWith(config.Profiles)
	if err != nil {
		return nil, nil, err
	}
	api, err := client.Dial(config.connection())
	if err != nil {
		return nil, nil, err
	}
	journal, err := terminal.OpenJournal(config.State)
	if err != nil {
		return nil, nil, err
	}
	transcript, err := openTranscript(config.Transcript)
	if err != nil {
		return nil, nil, err
	}
	roots, err := config.connection().Roots()
	if err != nil {
		return nil, nil, err
	}
	station := terminal.NewStation(terminal.StationConfig{Readers: readers{transcript, public(profiles)}, Profiles: profiles, Reader: config.Reader, Kind: config.Kind, Logger: logger, Orders: order.Reader{Roots: roots, Now: time.Now}})
	work := &terminal.Desk{Station: station, Journal: journal, Invalid: terminal.NewInvalidList(roots), Now: time.Now}
	page, err := desk.New(desk.Config{Desk: work, API: api, Logger: logger})
	return work, page, err
}

// behind does the work behind the page as one operator; where it did not
// succeed, another one may have the right to it.
func behind(ctx context.Context, work *terminal.Desk, operator terminal.Platform, logger *slog.Logger) (done bool) {
	refreshed := work.Invalid.Refresh(ctx, operator)
	if refreshed != nil {
		logger.Info("list of invalid cards not refreshed", "error", refreshed)
	}
	recovered := work.Recover(ctx, operator)
	if recovered != nil {
		logger.Info("open transactions remain", "error", recovered)
	}
	return refreshed == nil && recovered == nil
}

// keepUpPause is how often a counter looks after what goes on behind the page.
const keepUpPause = 2 * time.Second

// keepUp looks whether the platform answers and, with whoever is signed in,
// fetches the list of invalid cards and ends the transactions whose end is
// not known.
func keepUp(ctx context.Context, work *terminal.Desk, page *desk.Server, logger *slog.Logger) {
	tick := time.NewTicker(keepUpPause)
	defer tick.Stop()
	for {
		answer, err := page.Platform().HealthWithResponse(ctx)
		work.Station.SetPlatform(err == nil && answer.StatusCode() == http.StatusOK)
		for _, operator := range page.Operators() {
			if err != nil || behind(ctx, work, operator, logger) {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
