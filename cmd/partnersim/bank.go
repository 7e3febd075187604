package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"onecard/api/pki"
	"onecard/internal/sim/bank"
)

type bankCommand struct {
	Code     string `default:"95533" help:"Its code. 银行代码。"`
	BIN      string `name:"bin" default:"621467" help:"What its account numbers begin with. 卡号前缀。"`
	Listen   string `default:"127.0.0.1:8450" placeholder:"HOST:PORT" help:"Address for messages. 实时报文地址。"`
	Control  string `default:"127.0.0.1:8451" placeholder:"HOST:PORT" help:"Loopback address to act at the bank's counter: POST /change, /statement, /faults; GET /accounts. 柜面操作地址。"`
	Ready    string `type:"path" placeholder:"FILE" help:"Where it writes both addresses, a line each, once it is up. 启动后写入两个地址的文件。"`
	PKI      string `name:"pki" required:"" type:"path" placeholder:"DIR" help:"Its own authority; ca.pem and exchange.pem there are for the province. 银行证书目录。"`
	Province string `required:"" type:"existingdir" placeholder:"DIR" help:"What the province has handed over: ca.pem, exchange.pem. 省平台证书目录。"`
	State    string `type:"path" placeholder:"FILE" help:"Its books; default in memory. 账簿文件。"`
	In       string `type:"path" placeholder:"DIR" help:"Where files of the province come. 接收文件目录。"`
	Out      string `type:"path" placeholder:"DIR" help:"Where files for the province go. 发送文件目录。"`
	Inbox    string `placeholder:"URL" help:"The province's interface for peers. 省平台外部单位接口。"`
	Peer     string `type:"path" placeholder:"DIR" help:"Its certificate as a peer, as onecard exchange peer wrote it. 外部单位证书目录。"`

	Slow         int           `help:"Of a hundred messages, how many are answered after the delay. 慢。"`
	Down         int           `help:"How many find the connection cut. 断线。"`
	Hang         int           `help:"How many are never answered. 挂起。"`
	LateSuccess  int           `help:"How many are carried out when the caller has gone. 迟到成功。"`
	Garbage      int           `help:"How many are carried out and answered with half a message. 乱码。"`
	WrongAmounts int           `help:"How many bookings have another amount. 金额错误。"`
	HalfFile     int           `help:"How many files are broken off. 半个文件。"`
	Repeat       int           `help:"How many notices and rows come twice. 重复。"`
	Refuse       int           `help:"How many accounts are not opened. 拒绝开户。"`
	Misnames     int           `help:"How many rows of a file are answered with another name. 姓名不符。"`
	Delay        time.Duration `default:"2s" help:"How long slow and late answers take. 延迟。"`
	Seed         uint64        `default:"1" help:"Seed of what goes wrong. 随机种子。"`
}

func (c *bankCommand) faults() bank.Faults {
	return bank.Faults{Slow: c.Slow, Down: c.Down, Hang: c.Hang, LateSuccess: c.LateSuccess, Garbage: c.Garbage,
		WrongAmounts: c.WrongAmounts, HalfFile: c.HalfFile, Repeat: c.Repeat, Refuse: c.Refuse, Misnames: c.Misnames, Delay: c.Delay}
}

// Run is the bank until ctx ends.
func (c *bankCommand) Run(ctx context.Context) error {
	authority, err := pki.Open(c.PKI, nil, time.Now)
	if err != nil {
		return err
	}
	if _, err := authority.Exchange(); err != nil { // for the province to fetch
		return err
	}
	ca, roots, err := certificate(filepath.Join(c.Province, "ca.pem"))
	if err != nil {
		return err
	}
	seal, _, err := certificate(filepath.Join(c.Province, "exchange.pem"))
	if err != nil {
		return err
	}
	b, err := bank.New(bank.Config{Code: c.Code, BIN: c.BIN, Now: time.Now, Sign: authority.Orders, Open: authority.Exchange,
		ProvinceRoots: roots, ProvinceSeal: seal, State: c.State, Faults: c.faults(), Seed: c.Seed})
	if err != nil {
		return err
	}
	config, err := authority.TLS()
	if err != nil {
		return err
	}
	inbox, err := c.inbox(ca, seal)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	messages, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return err
	}
	counter, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Control)
	if err != nil {
		return errors.Join(err, messages.Close())
	}
	fmt.Printf("银行 %s 已启动 the bank is up: https://%s, http://%s\n", c.Code, messages.Addr(), counter.Addr())
	if c.Ready != "" {
		if err := os.WriteFile(c.Ready, []byte(messages.Addr().String()+"\n"+counter.Addr().String()+"\n"), 0o600); err != nil {
			return errors.Join(err, messages.Close(), counter.Close())
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server, control := b.Server(config, logger), &http.Server{Handler: c.counter(b, inbox), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 3)
	go func() { ended <- server.ServeTLS(messages, "", "") }()
	go func() { ended <- control.Serve(counter) }()
	go func() { ended <- c.watch(ctx, b, logger) }()
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	return errors.Join(err, server.Close(), control.Close())
}

func certificate(path string) (*x509.Certificate, *x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, nil, fmt.Errorf("%s: not PEM", path)
	}
	found, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(found)
	return found, pool, nil
}

// inbox connects to the province as a peer, if the bank is one.
func (c *bankCommand) inbox(ca, seal *x509.Certificate) (bank.Inbox, error) {
	if c.Inbox == "" {
		return bank.Inbox{}, nil
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(c.Peer, pki.FileCertificate), filepath.Join(c.Peer, pki.FileKey))
	if err != nil {
		return bank.Inbox{}, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{pair}}}
	return bank.Inbox{URL: c.Inbox, HTTP: &http.Client{Transport: transport, Timeout: 10 * time.Second}, Seal: seal}, nil
}

// watch answers files of the province.
func (c *bankCommand) watch(ctx context.Context, b *bank.Bank, logger *slog.Logger) error {
	seen := map[string]bool{}
	for ctx.Err() == nil {
		files, err := filepath.Glob(filepath.Join(c.In, "account-open_"+c.Code+"_*.ocf"))
		if err != nil {
			return err
		}
		for _, file := range files {
			if c.In == "" || c.Out == "" || seen[file] {
				continue
			}
			seen[file] = true
			answer, err := b.OpenFile(file, c.Out)
			logger.InfoContext(ctx, "file", "in", filepath.Base(file), "out", filepath.Base(answer), "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
	return nil
}

// counter is what people do at the bank.
func (c *bankCommand) counter(b *bank.Bank, inbox bank.Inbox) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, value any, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value) // the caller has gone
	}
	mux.HandleFunc("GET /accounts", func(w http.ResponseWriter, _ *http.Request) { answer(w, b.Accounts(), nil) })
	mux.HandleFunc("GET /bookings", func(w http.ResponseWriter, _ *http.Request) { answer(w, b.Bookings(), nil) })
	mux.HandleFunc("POST /change", func(w http.ResponseWriter, r *http.Request) {
		if inbox.HTTP == nil {
			answer(w, nil, errors.New("--inbox is not set"))
			return
		}
		answer(w, "told", b.Tell(r.Context(), inbox, r.FormValue("account"), r.FormValue("change")))
	})
	mux.HandleFunc("POST /statement", func(w http.ResponseWriter, r *http.Request) {
		path, err := b.Statement(r.FormValue("day"), c.Out)
		answer(w, path, err)
	})
	mux.HandleFunc("POST /faults", func(w http.ResponseWriter, r *http.Request) {
		var faults bank.Faults
		err := json.NewDecoder(r.Body).Decode(&faults)
		if err == nil {
			b.SetFaults(faults)
		}
		answer(w, faults, err)
	})
	return mux
}
