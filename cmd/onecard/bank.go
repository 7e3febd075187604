package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/issuance/bank"
	"onecard/registry"
)

// bankConfig is a bank and how it is reached (合作银行).
type bankConfig struct {
	Code    string        `koanf:"code"`    // by either code of the directory, such as 95533 or 105
	Address string        `koanf:"address"` // https://host:port of its messages
	CA      string        `koanf:"ca"`      // its authority, PEM
	Seal    string        `koanf:"seal"`    // certificate that it is sealed to, PEM
	Inbox   string        `koanf:"inbox"`   // as which peer it sends to the exchange store; default bank.CODE
	Files   string        `koanf:"files"`   // directory of its files: out, in, taken
	Serves  []string      `koanf:"serves"`  // places whose approved applications it opens accounts for and charges by itself (自动开户、收费的地区)
	Timeout time.Duration `koanf:"timeout"` // of one message; default 10 s
}

func (c bankConfig) out() string   { return filepath.Join(c.Files, "out") }
func (c bankConfig) in() string    { return filepath.Join(c.Files, "in") }
func (c bankConfig) taken() string { return filepath.Join(c.Files, "taken") }

// bankOf returns the configuration of a bank.
func (c config) bankOf(known bank.Bank) (bankConfig, error) {
	for _, b := range c.Bank {
		if b.Code == known.Code || b.Code == known.Institution {
			return b, nil
		}
	}
	return bankConfig{}, fmt.Errorf("%w: %s", bank.ErrBank, known.Code)
}

// bankPeer reads a bank's certificates.
func (p *platform) bankPeer(c bankConfig) (bank.Peer, error) {
	if c.Code == "" || !strings.HasPrefix(c.Address, "https://") {
		return bank.Peer{}, fmt.Errorf("%w: bank: code、address（https://）须填 code and an address that begins with https:// are needed", errSetting)
	}
	roots := x509.NewCertPool()
	text, err := os.ReadFile(c.CA)
	if err != nil {
		return bank.Peer{}, fmt.Errorf("%w: bank %s: ca: %w", errSetting, c.Code, err)
	}
	if !roots.AppendCertsFromPEM(text) {
		return bank.Peer{}, fmt.Errorf("%w: bank %s: ca: %w", errSetting, c.Code, errCertificate)
	}
	if text, err = os.ReadFile(c.Seal); err != nil {
		return bank.Peer{}, fmt.Errorf("%w: bank %s: seal: %w", errSetting, c.Code, err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return bank.Peer{}, fmt.Errorf("%w: bank %s: seal: %w", errSetting, c.Code, errCertificate)
	}
	seal, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return bank.Peer{}, fmt.Errorf("%w: bank %s: seal: %w", errSetting, c.Code, errCertificate)
	}
	if _, err := seal.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return bank.Peer{}, fmt.Errorf("%w: bank %s: seal: %w", errSetting, c.Code, err)
	}
	if c.Inbox == "" {
		c.Inbox = "bank." + c.Code
	}
	return bank.Peer{Code: c.Code, Inbox: c.Inbox, Address: c.Address, Roots: roots, Seal: seal, Serves: c.Serves, Timeout: c.Timeout,
		Client: p.authority.Client, Sign: p.authority.Orders, Open: p.authority.Exchange}, nil
}

// openBanks makes the banks' service from the configuration, once.
func (p *platform) openBanks() (*bank.Service, error) {
	if p.banks != nil {
		return p.banks, nil
	}
	if p.issuance == nil { // what banks answer moves applications
		if err := p.assemble(); err != nil {
			return nil, err
		}
	}
	peers := make([]bank.Peer, len(p.config.Bank))
	for i, c := range p.config.Bank {
		var err error
		if peers[i], err = p.bankPeer(c); err != nil {
			return nil, err
		}
	}
	var err error
	p.banks, err = bank.New(bank.Config{DB: p.db, Peers: peers, Opened: p.accountsOpened, Province: province, Logger: p.logger})
	return p.banks, err
}

// serveBanks works on the orders of banks while the platform runs.
func (p *platform) serveBanks(ctx context.Context, banks *bank.Service) error {
	banks.Run(ctx)
	banks.Close()
	return nil
}

// bankTakers take what banks send to the exchange store.
func bankTakers(banks *bank.Service) map[string]registry.Taker {
	return map[string]registry.Taker{bank.TopicAccount: banks.Take}
}

// bankSettings are what every command about banks has.
type bankSettings struct {
	settings
	Place string `default:"630000" help:"Division in whose name it is done. 地区。"`
}

func (c bankSettings) withBanks(ctx context.Context, out streams, work func(p *platform, banks *bank.Service) error) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		banks, err := p.openBanks()
		if err != nil {
			return err
		}
		defer banks.Close()
		return work(p, banks)
	})
}

// change runs a change in the name of whoever is at the console.
func (c bankSettings) change(ctx context.Context, p *platform, change func(tx *registry.Tx) error) error {
	return p.db.InTx(ctx, localActor(c.Place), change)
}

type bankOutCommand struct {
	bankSettings
	Bank         string      `arg:"" help:"The bank, as configured. 银行。"`
	Batch        string      `required:"" help:"Name of the batch: letters, digits, -. 批次号。"`
	Applications []uuid.UUID `arg:"" optional:"" help:"Applications to be put into the batch; default those of the place that have no account, if the batch has nobody yet. 申领。"`
	Most         int         `default:"5000" help:"At most so many. 最多人数。"`
}

// Run puts applications into a batch and writes its account-opening file.
func (c *bankOutCommand) Run(ctx context.Context, out streams) error {
	return c.withBanks(ctx, out, func(p *platform, banks *bank.Service) error {
		known, err := banks.Known(c.Bank)
		if err != nil {
			return err
		}
		where, err := p.config.bankOf(known)
		if err != nil {
			return err
		}
		wanted := c.Applications
		if len(wanted) == 0 {
			if wanted, err = c.without(ctx, banks); err != nil {
				return err
			}
		}
		const together = 100
		for len(wanted) > 0 {
			some := wanted[:min(together, len(wanted))]
			wanted = wanted[len(some):]
			err := c.change(ctx, p, func(tx *registry.Tx) error {
				n, err := banks.OpenAccounts(tx, c.Bank, c.Batch, some...)
				return errors.Join(err, tx.Audit("bank.batch", "bank-batch:"+c.Batch, map[string]string{"orders": fmt.Sprint(n)}))
			})
			if err != nil && !errors.Is(err, registry.ErrInvalid) {
				return err
			} else if err != nil {
				fmt.Fprintln(out.Err, err)
				break
			}
		}
		made, err := banks.MakeFile(ctx, localActor(c.Place), c.Bank, c.Batch, where.out())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "开户文件 %d 人 file of accounts to open: %s\n", made.Rows, made.Path)
		return err
	})
}

// without returns who is to be put into the batch. One that has orders, such as
// a batch of cards, is written as it is.
func (c *bankOutCommand) without(ctx context.Context, banks *bank.Service) ([]uuid.UUID, error) {
	if waiting, err := banks.Waiting(ctx, c.Bank, c.Batch); err != nil || waiting > 0 {
		return nil, err
	}
	return banks.Without(ctx, c.Place, c.Most)
}

type bankInCommand struct {
	bankSettings
	Files []string `arg:"" optional:"" type:"existingfile" help:"Files; default all in the banks' directories. 文件。"`
}

// Run takes files of banks. What was taken goes to the directory taken.
func (c *bankInCommand) Run(ctx context.Context, out streams) error {
	return c.withBanks(ctx, out, func(p *platform, banks *bank.Service) error {
		if len(c.Files) > 0 {
			return c.take(ctx, out, banks, c.Files, "")
		}
		var failed []error
		for _, b := range p.config.Bank {
			files, err := filepath.Glob(filepath.Join(b.in(), "*.ocf"))
			failed = append(failed, err, c.take(ctx, out, banks, files, b.taken()))
		}
		return errors.Join(failed...)
	})
}

func (c *bankInCommand) take(ctx context.Context, out streams, banks *bank.Service, files []string, taken string) error {
	var failed []error
	for _, file := range files {
		t, err := banks.TakeFile(ctx, file)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", filepath.Base(file), err))
			continue
		}
		fmt.Fprintf(out.Out, "%s %s：%d 行，办妥 %d，未办 %d rows, taken, not taken\n", t.Kind, t.Batch, t.Rows, t.Done, t.Bad)
		if t.Bad > 0 {
			outcomes, err := banks.Outcomes(ctx, t.Bank, t.Batch)
			failed = append(failed, err)
			for _, o := range outcomes {
				fmt.Fprintf(out.Out, "  第 %d 行 row：%s\n", o.Row, o.Reason)
			}
		}
		if t.Day != nil {
			printDay(out, t.Day)
		}
		if taken != "" {
			failed = append(failed, os.MkdirAll(taken, 0o700), os.Rename(file, filepath.Join(taken, filepath.Base(file))))
		}
	}
	return errors.Join(failed...)
}

func printDay(out streams, d *bank.Day) {
	fmt.Fprintf(out.Out, "%s %s 已对账：相符 %d，仅我方 %d，仅银行 %d，不一致 %d agreed, only ours, only the bank's, differing\n",
		d.Bank, d.Day, d.Agreed, d.OnlyOurs, d.OnlyBank, d.Differing)
	for _, side := range []struct {
		name   string
		totals bank.Totals
	}{{"我方 ours", d.Ours}, {"银行 bank", d.Theirs}} {
		fmt.Fprintf(out.Out, "  %s：账户 %v，收费 %d 笔 %s，退费 %d 笔 %s accounts, fees, refunds\n",
			side.name, side.totals.Accounts, side.totals.Charges, yuan(side.totals.ChargedFen), side.totals.Refunds, yuan(side.totals.RefundFen))
	}
}
