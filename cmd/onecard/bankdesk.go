package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/issuance/bank"
	"onecard/issuance/tell"
	"onecard/registry"
)

type bankReconcileCommand struct {
	bankSettings
	Bank   string     `arg:"" optional:"" help:"The bank; default all. 银行。"`
	Item   *uuid.UUID `placeholder:"ID" help:"A difference to be given to somebody or settled. 差异编号。"`
	Owner  string     `help:"Who is to clear it up. 责任人。"`
	Reason string     `help:"How it was cleared up: settles it. 处理结果（销账）。"`
}

// Run shows reconciled days and open differences, or works on one.
func (c *bankReconcileCommand) Run(ctx context.Context, out streams) error {
	return c.withBanks(ctx, out, func(p *platform, banks *bank.Service) error {
		if c.Item != nil {
			return c.change(ctx, p, func(tx *registry.Tx) error {
				if c.Owner != "" {
					if err := banks.Assign(tx, *c.Item, c.Owner); err != nil || c.Reason == "" {
						return err
					}
				}
				return banks.Settle(tx, *c.Item, c.Reason)
			})
		}
		for _, status := range banks.Banks() {
			if c.Bank != "" && c.Bank != status.Code && c.Bank != status.Institution {
				continue
			}
			days, err := banks.Days(ctx, status.Code, 7)
			if err != nil {
				return err
			}
			for _, d := range days {
				printDay(out, d)
			}
			items, err := banks.Items(ctx, status.Code, 200)
			if err != nil {
				return err
			}
			for _, i := range items {
				fmt.Fprintf(out.Out, "%s %s %s %s 我方 ours=%q 银行 bank=%q 责任 owner=%s %s\n", i.ID, i.Day, i.Kind, i.Class, i.Ours, i.Theirs, i.Owner, i.Key)
			}
		}
		return nil
	})
}

type bankOrdersCommand struct {
	bankSettings
	Bank    string     `help:"Of one bank. 银行。"`
	State   string     `help:"In one state. 状态。"`
	All     bool       `help:"Those that have ended, too. 含已结束。"`
	Most    int        `default:"50" help:"At most so many. 最多条数。"`
	Reverse *uuid.UUID `placeholder:"ID" help:"Reverse an order that has no end yet. 冲正。"`
	Reason  string     `help:"Why. 原因。"`
}

// Run lists orders, or reverses one.
func (c *bankOrdersCommand) Run(ctx context.Context, out streams) error {
	return c.withBanks(ctx, out, func(p *platform, banks *bank.Service) error {
		if c.Reverse != nil {
			return c.change(ctx, p, func(tx *registry.Tx) error { return banks.Reverse(tx, *c.Reverse, c.Reason) })
		}
		orders, err := banks.Orders(ctx, bank.Filter{Bank: c.Bank, State: c.State, Open: !c.All && c.State == "", Limit: c.Most})
		if err != nil {
			return err
		}
		for _, o := range orders {
			state := bank.Orders.State(o.State).Text
			fmt.Fprintf(out.Out, "%s %s %-15s %s %s %s 次数 attempts=%d %s %s\n", o.ID, o.Bank, o.Operation, padRight(state.ZH, 18), o.BegunAt.In(gb.Beijing).Format(time.DateTime), o.Subject, o.Attempts, o.Code, o.Answer)
		}
		_, err = fmt.Fprintf(out.Out, "%d 条指令 orders\n", len(orders))
		return err
	})
}

type bankOpenCommand struct {
	bankSettings
	Bank        string    `arg:"" help:"The bank. 银行。"`
	Application uuid.UUID `arg:"" help:"The application. 申领。"`
}

// Run orders an account by real-time message; the platform's worker sends it.
func (c *bankOpenCommand) Run(ctx context.Context, out streams) error {
	return c.withBanks(ctx, out, func(p *platform, banks *bank.Service) error {
		var ordered int
		err := c.change(ctx, p, func(tx *registry.Tx) (err error) {
			ordered, err = banks.OpenAccounts(tx, c.Bank, "", c.Application)
			return errors.Join(err, tx.Audit("bank.open.asked", "application:"+c.Application.String(), nil))
		})
		if err == nil {
			_, err = fmt.Fprintf(out.Out, "开户指令 %d 条 orders\n", ordered)
		}
		return err
	})
}

type bankFeeCommand struct {
	bankSettings
	Application uuid.UUID `arg:"" help:"The application. 申领。"`
	Charge      string    `xor:"what" placeholder:"BANK" help:"Have this bank charge it. 收费银行。"`
	Item        string    `default:"replacement" help:"first, replacement, exchange or quality. 项目。"`
	Refund      string    `xor:"what" placeholder:"REASON" help:"Have it given back, for this reason. 退费原因。"`
}

// Run charges what a card costs, or gives it back.
func (c *bankFeeCommand) Run(ctx context.Context, out streams) error {
	return c.withBanks(ctx, out, func(p *platform, banks *bank.Service) error {
		var fee bank.Fee
		err := c.change(ctx, p, func(tx *registry.Tx) (err error) {
			if c.Refund != "" {
				fee, err = banks.Refund(tx, c.Application, c.Refund)
			} else {
				fee, err = banks.Charge(tx, c.Charge, c.Application, c.Item)
			}
			return err
		})
		if err == nil {
			_, err = fmt.Fprintf(out.Out, "收据 receipt %s：%s，%s\n", fee.Receipt, yuan(fee.AmountFen), fee.State)
		}
		return err
	})
}

type bankTellCommand struct {
	bankSettings
	Subject string `arg:"" help:"card:ID (its status) or person:ID (data). 告知对象。"`
}

// Run tells the banks how a card or a person is now, as when the platform does
// it by itself, and waits for what they say.
func (c *bankTellCommand) Run(ctx context.Context, out streams) error {
	return c.withBanks(ctx, out, func(_ *platform, banks *bank.Service) error {
		topic := registry.TopicCardStatus
		if strings.HasPrefix(c.Subject, "person:") {
			topic = issuance.TopicPersonChanged
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		told, err := banks.Deliver(ctx, tell.Delivery{ID: id, Topic: topic, Place: c.Place, Subject: c.Subject})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "已告知 acknowledged=%t %s %s\n", told.Acknowledged, told.Code, told.Text)
		return err
	})
}

type bankPeerCommand struct {
	bankSettings
	Stop     string `xor:"what" placeholder:"BANK" help:"Send nothing to a bank for now. 停发。"`
	Start    string `xor:"what" placeholder:"BANK" help:"Send again. 恢复。"`
	Reason   string `help:"Why. 原因。"`
	HandOver string `xor:"what" type:"path" placeholder:"DIR" help:"Write what a bank needs of the province: ca.pem, exchange.pem. 导出交给银行的证书。"`
}

// Run shows the banks and how their lines are, or changes one.
func (c *bankPeerCommand) Run(ctx context.Context, out streams) error {
	return c.withBanks(ctx, out, func(p *platform, banks *bank.Service) error {
		switch {
		case c.HandOver != "":
			return p.handOver(c.HandOver)
		case c.Stop != "" || c.Start != "":
			return c.change(ctx, p, func(tx *registry.Tx) error { return banks.Stop(tx, c.Stop+c.Start, c.Stop != "", c.Reason) })
		}
		for _, b := range banks.Banks() {
			line, err := banks.Line(ctx, b.Code)
			if err != nil {
				return err
			}
			fmt.Fprintf(out.Out, "%s (%s) %s 停发 stopped=%t %s 未结指令 open=%d 最早 oldest=%s\n", b.Code, b.Institution, b.Name, line.Stopped, line.Reason, line.Open, line.Oldest)
		}
		return nil
	})
}

// handOver writes the certificates that a bank is given.
func (p *platform) handOver(directory string) error {
	seal, err := p.authority.Exchange()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(directory, "ca.pem"), p.authority.CA(), 0o644),
		os.WriteFile(filepath.Join(directory, "exchange.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: seal.Leaf.Raw}), 0o644))
}
