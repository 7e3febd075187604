package terminal_test

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/api/pki"
	"onecard/issuance"
	"onecard/issuance/bank"
	"onecard/issuance/tell"
	"onecard/registry"
	"onecard/terminal"

	sim "onecard/internal/sim/bank"
)

// banking is a province with a bank, whose worker and messages run as in the
// platform.
type banking struct {
	*world
	banks *bank.Service
	bank  *sim.Bank
}

func (w *world) withBank() *banking {
	w.t.Helper()
	own, err := pki.Open(filepath.Join(w.t.TempDir(), "bank"), nil, time.Now)
	require.NoError(w.t, err)
	pool := func(a *pki.Authority) *x509.CertPool {
		roots := x509.NewCertPool()
		require.True(w.t, roots.AppendCertsFromPEM(a.CA()))
		return roots
	}
	ours, err := w.authority.Exchange()
	require.NoError(w.t, err)
	theirs, err := own.Exchange()
	require.NoError(w.t, err)
	b := &banking{world: w}
	b.bank, err = sim.New(sim.Config{Code: "95533", BIN: "621467", Now: time.Now, Sign: own.Orders, Open: own.Exchange, ProvinceRoots: pool(w.authority), ProvinceSeal: ours.Leaf})
	require.NoError(w.t, err)
	tls, err := own.TLS()
	require.NoError(w.t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	server := b.bank.Server(tls, slog.New(slog.DiscardHandler))
	go func() { _ = server.ServeTLS(listener, "", "") }()
	w.t.Cleanup(func() { require.NoError(w.t, server.Close()) })
	b.banks, err = bank.New(bank.Config{DB: w.db, Province: "630000", Logger: slog.New(slog.DiscardHandler), Pause: 20 * time.Millisecond, Peers: []bank.Peer{{
		Code: "105", Inbox: "bank.95533", Address: "https://" + listener.Addr().String(), Roots: pool(own), Seal: theirs.Leaf,
		Client: w.authority.Client, Sign: w.authority.Orders, Open: w.authority.Exchange, Timeout: 5 * time.Second,
	}}})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	carrier := &tell.Carrier{DB: w.db, Deliverers: map[string]tell.Deliverer{tell.Bank: b.banks}, Place: "630000", Logger: slog.New(slog.DiscardHandler)}
	var running sync.WaitGroup
	running.Go(func() { b.banks.Run(ctx) })
	running.Go(func() { carrier.Run(ctx, 20*time.Millisecond) })
	w.t.Cleanup(func() { cancel(); running.Wait(); b.banks.Close() })
	return b
}

// account has an account opened for an application and returns its number.
func (b *banking) account(application uuid.UUID) string {
	b.t.Helper()
	known := len(b.bank.Accounts())
	b.change(clerk, func(tx *registry.Tx) error {
		_, err := b.banks.OpenAccounts(tx, "105", "", application)
		return err
	})
	require.Eventually(b.t, func() bool {
		var n int64
		err := b.db.Read(b.t.Context()).Table("bank_accounts").Where("application_id = ?", application).Count(&n).Error
		return err == nil && n == 1
	}, wait, tick)
	accounts := b.bank.Accounts()
	require.Len(b.t, accounts, known+1)
	return accounts[len(accounts)-1].Number
}

// both asks as the counter's page does for both activations.
func (p *post) both(card uuid.UUID) client.CardActivation {
	p.t.Helper()
	answer, err := p.platform.API.CardActivationWithResponse(p.t.Context(), card, func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+p.platform.Token)
		return nil
	})
	require.NoError(p.t, err)
	require.NotNil(p.t, answer.JSON200, string(answer.Body))
	return *answer.JSON200
}

// becomes waits until the bank's half shows a state.
func (p *post) becomes(card uuid.UUID, state client.FinancialActivationState) (both client.CardActivation) {
	p.t.Helper()
	for deadline := time.Now().Add(wait); both.Financial.State != state; both = p.both(card) {
		require.True(p.t, time.Now().Before(deadline), "shows %+v, not %s", both, state)
		time.Sleep(tick)
	}
	return both
}

// TestBothActivations: in one visit the card is activated with its chip and the
// account with the bank; both results stand side by side, and the first never
// waits for the second (社保功能启用、金融账户激活).
func TestBothActivations(t *testing.T) {
	t.Parallel()
	w := newWorld(t).withBank()
	desk := w.at(counter, "counter", clerk)
	handing := func(name string, account bool) (card uuid.UUID, number string) {
		a := w.numbered(name)
		if account {
			number = w.account(a.ID)
		}
		desk.bench.remove()
		desk.shows(terminal.CardNone)
		desk.bench.insert(blank(t))
		desk.shows(terminal.CardBlank)
		desk.make(a)
		made := w.application(a.ID)
		return *made.CardID, number
	}
	activate := func(card uuid.UUID) client.CardActivation {
		began := time.Now()
		reading, err := desk.station.Perform(t.Context(), desk.platform, terminal.Job{Operation: "activate", CardID: &card, PIN: pin})
		require.NoError(t, err)
		require.Equal(t, issuance.StatusNormal, *reading.Result.Status)
		require.Less(t, time.Since(began), 4*time.Second, "nobody waited for a bank")
		both := desk.both(card)
		require.True(t, both.Social.Done)
		return both
	}

	done, _ := handing(residents[0], true)
	before := desk.both(done)
	require.False(t, before.Social.Done)
	require.Equal(t, client.FinancialActivationStateReady, before.Financial.State)
	activate(done)
	both := desk.becomes(done, client.FinancialActivationStateDone)
	require.Equal(t, "正常 已激活 中国建设银行", both.Social.Text.Zh+" "+both.Financial.Text.Zh+" "+*both.Financial.BankName)

	refused, number := handing(residents[1], true)
	_, err := w.bank.Notice(number, "freeze") // the bank knows something that we do not
	require.NoError(t, err)
	activate(refused)
	both = desk.becomes(refused, client.FinancialActivationStateRefused)
	require.Equal(t, "2002 账户状态不允许", *both.Financial.Code+" "+*both.Financial.Words)
	require.True(t, both.Social.Done && both.Financial.Askable && !both.Financial.Pending)

	none, _ := handing(residents[2], false)
	activate(none)
	desk.becomes(none, client.FinancialActivationStateNone)

	// The bank hangs: the card is in use all the same, and the account follows by
	// itself when the bank is back.
	away, _ := handing(residents[3], true)
	w.bank.SetFaults(sim.Faults{Down: 100})
	activate(away)
	both = desk.becomes(away, client.FinancialActivationStateAway)
	require.True(t, both.Social.Done && both.Financial.Pending)
	w.bank.SetFaults(sim.Faults{})
	desk.becomes(away, client.FinancialActivationStateDone)
	require.NoError(t, w.db.VerifyAudit(t.Context()))
}
