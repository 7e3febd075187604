package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"onecard/internal/sim/ministry"
)

// ministryCommand is the ministry's base of card holders.
type ministryCommand struct {
	Listen   string          `default:"127.0.0.1:8450" placeholder:"HOST:PORT" help:"Address. 服务地址。"`
	Data     string          `required:"" type:"path" placeholder:"DIR" help:"Directory of what it keeps; its certificate ministry.pem is written there. 数据目录。"`
	Province string          `required:"" type:"existingfile" placeholder:"FILE" help:"The province's authority, ca.pem. 省级证书机构。"`
	Faults   ministry.Faults `embed:""`
}

// Run answers provinces until ctx ends.
func (c *ministryCommand) Run(ctx context.Context) error {
	text, err := os.ReadFile(c.Province)
	if err != nil {
		return err
	}
	provinces := x509.NewCertPool()
	if !provinces.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s: no certificate", c.Province)
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	config, certificate, err := ministry.TLS(provinces, time.Now())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.Data, "ministry.pem"), certificate, 0o644); err != nil {
		return err
	}
	store, err := ministry.OpenStore(filepath.Join(c.Data, "ministry.jsonl"))
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	server := &http.Server{Handler: ministry.NewServer(store, provinces, c.Faults), TLSConfig: config, ReadHeaderTimeout: 5 * time.Second}
	fmt.Printf("部级持卡库（模拟）已启动 the ministry is up: https://%s\n", listener.Addr())
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, store.Close())
	}
	return store.Close()
}
