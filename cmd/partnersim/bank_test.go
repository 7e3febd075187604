package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/api/pki"
	"onecard/issuance/bank"
)

// TestBank runs the program's bank and speaks to it as the platform does.
func TestBank(t *testing.T) {
	t.Parallel()
	province, err := pki.Open(filepath.Join(t.TempDir(), "pki"), nil, time.Now)
	require.NoError(t, err)
	seal, err := province.Exchange()
	require.NoError(t, err)
	given := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(given, "ca.pem"), province.CA(), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(given, "exchange.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: seal.Leaf.Raw}), 0o600))
	free := func() string {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { require.NoError(t, listener.Close()) }()
		return listener.Addr().String()
	}
	c := &bankCommand{Code: "95533", BIN: "621467", Listen: free(), Control: free(), PKI: filepath.Join(t.TempDir(), "bank"), Province: given, Out: t.TempDir(), In: t.TempDir(), Seed: 1,
		State: filepath.Join(t.TempDir(), "books.json")}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	control := func(method, path, body string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.Control+path, strings.NewReader(body))
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, ""
		}
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode, string(text)
	}
	require.Eventually(t, func() bool { status, _ := control("GET", "/accounts", ""); return status == 200 }, 10*time.Second, 20*time.Millisecond)

	bankSeal, _, err := certificate(filepath.Join(c.PKI, "exchange.pem"))
	require.NoError(t, err)
	_, roots, err := certificate(filepath.Join(c.PKI, "ca.pem"))
	require.NoError(t, err)
	wire := bank.Dial(bank.Peer{Code: "95533", Address: "https://" + c.Listen, Roots: roots, Seal: bankSeal, Client: province.Client, Sign: province.Orders, Open: province.Exchange,
		Timeout: 5 * time.Second, Now: time.Now})
	body, err := json.Marshal(bank.Ask{Name: "扎西", IDNumber: "632701197507020111"})
	require.NoError(t, err)
	id := uuid.New()
	first, err := wire.Carry(t.Context(), id, bank.OpenAccount, body)
	require.NoError(t, err)
	again, err := wire.Carry(t.Context(), id, bank.OpenAccount, body)
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, accounts := control("GET", "/accounts", "")
	require.Contains(t, accounts, first.Account)
	status, _ := control("POST", "/statement?day="+first.Day, "")
	require.Equal(t, 200, status)
	status, _ = control("POST", "/change?account="+first.Account+"&change=activate", "")
	require.Equal(t, 409, status, "it knows no inbox")
	station, err := province.Enrol("ws-1")
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(station.Certificate, station.Key)
	require.NoError(t, err)
	stranger := bank.Dial(bank.Peer{Code: "95533", Address: "https://" + c.Listen, Roots: roots, Seal: bankSeal, Sign: province.Orders, Open: province.Exchange,
		Client: func() (*tls.Certificate, error) { return &pair, nil }, Timeout: 5 * time.Second, Now: time.Now})
	_, err = stranger.Carry(t.Context(), uuid.New(), bank.OpenAccount, body)
	require.ErrorContains(t, err, "403", "a workstation is not the platform")
	control("POST", "/faults", `{"Down":100}`)
	_, err = wire.Carry(t.Context(), uuid.New(), bank.OpenAccount, body)
	require.ErrorIs(t, err, bank.ErrNoAnswer)

	stop()
	require.NoError(t, <-ended)
	books, err := os.ReadFile(c.State)
	require.NoError(t, err)
	require.Contains(t, string(books), first.Account)
}
