package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/api/pki"
	"onecard/internal/gb"
	sim "onecard/internal/sim/bank"
	"onecard/issuance"
)

// trialBank is a simulated bank and the province's settings for it.
type trialBank struct {
	settings
	*sim.Bank
	inbox sim.Inbox
	files string
}

func read(t *testing.T, path string) (*x509.Certificate, *x509.CertPool) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(text))
	block, _ := pem.Decode(text)
	found, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return found, pool
}

// newTrialBank gives both sides each other's certificates, as docs/bank.md
// says, and starts the bank.
func newTrialBank(t *testing.T, s settings) *trialBank {
	t.Helper()
	out, _ := terminalWith("")
	province, own := t.TempDir(), filepath.Join(t.TempDir(), "pki")
	require.NoError(t, (&bankPeerCommand{bankSettings: bankSettings{settings: s, Place: "630000"}, HandOver: province}).Run(t.Context(), out))
	authority, err := pki.Open(own, nil, time.Now)
	require.NoError(t, err)
	_, err = authority.Exchange()
	require.NoError(t, err)
	_, roots := read(t, filepath.Join(province, "ca.pem"))
	seal, _ := read(t, filepath.Join(province, "exchange.pem"))
	b, err := sim.New(sim.Config{Code: "95533", BIN: "621467", Now: time.Now, Sign: authority.Orders, Open: authority.Exchange, ProvinceRoots: roots, ProvinceSeal: seal})
	require.NoError(t, err)
	config, err := authority.TLS()
	require.NoError(t, err)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := b.Server(config, slog.New(slog.DiscardHandler))
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { require.NoError(t, server.Close()) })

	peer, files := t.TempDir(), t.TempDir()
	require.NoError(t, (&exchangePeerCommand{settings: s, Name: "bank.95533", Mapping: "bank", Sends: []string{"bank.account"}, Out: peer}).Run(t.Context(), out))
	pair, err := tls.LoadX509KeyPair(filepath.Join(peer, pki.FileCertificate), filepath.Join(peer, pki.FileKey))
	require.NoError(t, err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}
	t.Cleanup(transport.CloseIdleConnections)
	s.Config = filepath.Join(t.TempDir(), "onecard.yaml")
	require.NoError(t, os.WriteFile(s.Config, fmt.Appendf(nil, "bank:\n- {code: '105', inbox: bank.95533, address: 'https://%s', ca: %s, seal: %s, files: %s, timeout: 2s}\n",
		listener.Addr(), filepath.Join(own, "ca.pem"), filepath.Join(own, "exchange.pem"), files), 0o600))
	return &trialBank{settings: s, Bank: b, files: files, inbox: sim.Inbox{HTTP: &http.Client{Transport: transport}, Seal: seal}}
}

// run runs a command and returns what it prints.
func run(t *testing.T, command interface {
	Run(ctx context.Context, out streams) error
}) string {
	t.Helper()
	out, printed := terminalWith("")
	require.NoError(t, command.Run(t.Context(), out))
	return printed.String()
}

// TestBank: the commands and the running platform with a bank: an account by
// message, activated by the bank's notice, accounts by file, the end of a day.
func TestBank(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	prepared(t, s)
	b := newTrialBank(t, s)
	at := bankSettings{settings: b.settings, Place: "630000"}
	applications := applied(t, s, 4, issuance.MethodInstant)
	_, stop := serving(t, b.settings)
	stopInbox := b.serveInbox(t)

	require.Contains(t, run(t, &bankOpenCommand{bankSettings: at, Bank: "95533", Application: applications[0]}), "1 条")
	run(t, &bankFeeCommand{bankSettings: at, Application: applications[0], Charge: "95533", Item: "replacement"})
	require.Eventually(t, func() bool {
		return strings.Count(run(t, &bankOrdersCommand{bankSettings: at, State: "done", Most: 9}), "已完成") == 2
	}, 20*time.Second, 200*time.Millisecond)
	require.NoError(t, b.Tell(t.Context(), b.inbox, b.Accounts()[0].Number, "activate"))
	require.Eventually(t, func() bool {
		var active int64
		out, _ := terminalWith("")
		require.NoError(t, b.withRecords(t.Context(), out, func(p *platform) error {
			return p.db.Read(t.Context()).Table("bank_accounts").Where("state = 'active'").Count(&active).Error
		}))
		return active == 1
	}, 20*time.Second, 200*time.Millisecond)

	made := run(t, &bankOutCommand{bankSettings: at, Bank: "95533", Batch: "B1", Most: 100})
	require.Contains(t, made, "开户文件 3 人")
	files, err := filepath.Glob(filepath.Join(b.files, "out", "*.ocf"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	_, err = b.OpenFile(files[0], filepath.Join(b.files, "in"))
	require.NoError(t, err)
	_, err = b.Statement(time.Now().In(gb.Beijing).Format(time.DateOnly), filepath.Join(b.files, "in"))
	require.NoError(t, err)
	taken := run(t, &bankInCommand{bankSettings: at})
	require.Contains(t, taken, "办妥 3，未办 0")
	require.Contains(t, taken, "收费 1 笔 20.00 元")
	require.Contains(t, run(t, &bankPeerCommand{bankSettings: at}), "中国建设银行")
	require.Contains(t, run(t, &bankReconcileCommand{bankSettings: at}), "相符 5，仅我方 0")
	run(t, &bankPeerCommand{bankSettings: at, Stop: "105", Reason: "银行升级"})
	require.Contains(t, run(t, &bankPeerCommand{bankSettings: at}), "stopped=true 银行升级")
	require.NoError(t, stopInbox())
	require.NoError(t, stop())
}

// serveInbox starts the peers' interface and tells the bank where it is.
func (b *trialBank) serveInbox(t *testing.T) func() error {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	b.inbox.URL = "https://" + address
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	out, _ := terminalWith("")
	go func() { ended <- (&exchangeServeCommand{settings: b.settings, Listen: &address}).Run(ctx, out) }()
	require.Eventually(t, func() bool {
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		return err == nil && connection.Close() == nil
	}, 10*time.Second, 20*time.Millisecond)
	return func() error { cancel(); return <-ended }
}
