package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/api/peers"
	"onecard/api/pki"
	"onecard/internal/gb"
	"onecard/issuance/bank"
	"onecard/registry"
	"onecard/registry/indicator"
	"onecard/registry/intake"
	"onecard/registry/stores"
)

// storesConfig says where the stores beside production are.
type storesConfig struct {
	Exchange string `koanf:"exchange"` // 交换库: sqlite:FILE or postgres://…
	Decision string `koanf:"decision"` // 决策库
	Tables   string `koanf:"tables"`   // directory of mapping tables that stand before those built in
	Listen   string `koanf:"listen"`   // address of the peers' interface
}

var errNoStore = errors.New("没有配置此库 this store is not configured")

// openExchange opens the exchange store.
func (c config) openExchange(ctx context.Context) (*stores.Exchange, error) {
	if c.Stores.Exchange == "" {
		return nil, fmt.Errorf("%w: stores.exchange", errNoStore)
	}
	exchange, err := stores.OpenExchange(ctx, c.Stores.Exchange, time.Now)
	if err != nil {
		return nil, &databaseError{where: redacted(c.Stores.Exchange), err: err}
	}
	return exchange, nil
}

func (c config) openDecision(ctx context.Context) (*stores.Decision, error) {
	if c.Stores.Decision == "" {
		return nil, fmt.Errorf("%w: stores.decision", errNoStore)
	}
	decision, err := stores.OpenDecision(ctx, c.Stores.Decision, time.Now)
	if err != nil {
		return nil, &databaseError{where: redacted(c.Stores.Decision), err: err}
	}
	return decision, nil
}

type exchangePeerCommand struct {
	settings
	Name   string   `arg:"" help:"The peer, such as police. 外部单位。"`
	Topics []string `help:"What it is told: card.status, police.check, ministry.check. 可取的主题。"`
	Sends  []string `help:"What it may send: police.result, ministry.result, bank.account. 可发的主题。"`
	Places []string `help:"Of which places: codes or their beginnings; default all. 地区。"`
	// Mapping is the name of its mapping table.
	Mapping string `help:"Its mapping table (onecard mapping lists them); default the one of its name. 对照表。"`
	Out     string `required:"" type:"path" placeholder:"DIR" help:"Directory for its certificate and key. 证书和私钥的存放目录。"`
}

// Run enters a peer and makes its certificate, in place of any earlier one.
func (c *exchangePeerCommand) Run(ctx context.Context, out streams) error {
	config, err := load(c.Config, os.Environ, c.given())
	if err != nil {
		return err
	}
	tables, err := config.tables()
	if err != nil {
		return err
	}
	table, err := tableNamed(tables, cmp.Or(c.Mapping, c.Name))
	if err != nil {
		return err
	}
	for _, topic := range slices.Concat(c.Topics, c.Sends) {
		if topic == bank.TopicAccount {
			continue // a notice in the bank's own form: docs/bank.md
		}
		if _, err := table.Columns(topic); err != nil {
			return err
		}
	}
	authority, err := pki.Open(config.pkiDir(), config.Names, time.Now)
	if err != nil {
		return err
	}
	exchange, err := config.openExchange(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = exchange.Close() }()
	enrolment, err := authority.Enrol("peer." + c.Name)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(enrolment.Certificate)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	if err := enrolment.WriteFiles(c.Out); err != nil {
		return err
	}
	if err := exchange.PutPeer(ctx, stores.Peer{Name: c.Name, Certificate: certificate, Topics: c.Topics, Sends: c.Sends, Places: c.Places, Mapping: c.Mapping}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.Out, "外部单位 %s 已登记，证书在 %s\npeer %s is entered, its certificate is in %s\n", c.Name, c.Out, c.Name, c.Out)
	return err
}

type exchangeServeCommand struct {
	settings
	Listen *string `placeholder:"HOST:PORT" help:"Address of the peers' interface; default 127.0.0.1:8444. 服务地址。"`
}

// Run serves peers until ctx ends. It opens neither keys nor production.
func (c *exchangeServeCommand) Run(ctx context.Context, out streams) error {
	flags := c.given()
	if c.Listen != nil {
		flags["stores.listen"] = *c.Listen
	}
	config, err := load(c.Config, os.Environ, flags)
	if err != nil {
		return err
	}
	authority, err := pki.Open(config.pkiDir(), config.Names, time.Now)
	if err != nil {
		return err
	}
	sealing, err := authority.Exchange()
	if err != nil {
		return err
	}
	transport, err := authority.TLS()
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", config.Stores.Listen)
	if err != nil {
		return &listenError{address: config.Stores.Listen, err: err}
	}
	exchange, err := config.openExchange(ctx)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	logger := newLogger(out.Err, config.Log)
	server := peers.New(exchange, sealing.Leaf, transport, logger)
	fmt.Fprintf(out.Out, "外部单位接口已启动 the peers' interface is up: https://%s\n", listener.Addr())
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(listener, "", "") }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
		defer cancel()
		err = server.Shutdown(drain)
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, exchange.Close())
}

// exchangePause is how long the platform waits before it looks again for
// messages to carry; decisionPause before it looks whether a day is over.
const (
	exchangePause = 2 * time.Second
	decisionPause = 10 * time.Minute
)

// unlessStopped passes over an error that came of the platform being stopped
// while it was starting.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// carry moves messages between production and the exchange store while the
// platform runs.
func (p *platform) carry(ctx context.Context, banks *bank.Service) error {
	exchange, err := p.config.openExchange(ctx)
	if errors.Is(err, errNoStore) {
		p.logger.WarnContext(ctx, "没有交换库，消息留在待发表 no exchange store, messages wait", "error", err)
		return nil
	}
	if err != nil && ctx.Err() != nil {
		return nil // stopped while it was being opened
	}
	if err != nil {
		return unlessStopped(ctx, err)
	}
	tables, err := p.config.tables()
	if err != nil {
		return errors.Join(err, exchange.Close())
	}
	p.flow(exchange, tables, banks).Run(ctx, exchangePause)
	return exchange.Close()
}

func (p *platform) flow(exchange *stores.Exchange, tables indicator.Tables, banks *bank.Service) *stores.Flow {
	return &stores.Flow{
		Tables: tables, Production: p.db, Exchange: exchange, Province: province, Certificate: p.authority.Exchange, Logger: p.logger,
		Takers: bankTakers(banks),
		Bodies: map[string]stores.Compose{
			registry.TopicPoliceCheck: p.askAbout, registry.TopicMinistryCheck: p.askAbout,
		},
	}
}

// askAbout makes the message about a person; that it was told, and under which
// bytes, is on record before it leaves.
func (p *platform) askAbout(ctx context.Context, peer string, table *indicator.Table, m registry.Outgoing) ([]byte, error) {
	_, text, _ := strings.Cut(m.Subject, ":")
	id, err := uuid.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", m.ID, err)
	}
	person, err := p.db.PersonByID(ctx, id)
	if err != nil {
		return nil, err
	}
	record := indicator.OfPerson(person)
	body, err := table.Encode(m.Topic, record)
	if err != nil {
		return nil, err
	}
	name, named, err := table.NameBytes(m.Topic, peer, record)
	if err != nil {
		return nil, err
	}
	actor := registry.Actor{Operator: "exchange", Place: m.Place}
	err = p.db.InTx(ctx, actor, func(tx *registry.Tx) error {
		if named {
			if err := tx.TellName(id, name, m.Topic+" "+m.ID.String()); err != nil {
				return err
			}
		}
		return tx.Audit("person.told", m.Subject, map[string]string{"topic": m.Topic, "message": m.ID.String(), "peer": peer})
	})
	if err != nil {
		return nil, err
	}
	return body, nil
}

// decide takes the facts of each day that is over into the decision store while
// the platform runs.
func (p *platform) decide(ctx context.Context) error {
	decision, err := p.config.openDecision(ctx)
	if errors.Is(err, errNoStore) {
		p.logger.WarnContext(ctx, "没有决策库 no decision store", "error", err)
		return nil
	}
	if err != nil && ctx.Err() != nil {
		return nil // stopped while it was being opened
	}
	if err != nil {
		return unlessStopped(ctx, err)
	}
	for ctx.Err() == nil {
		if err := p.yesterday(ctx, decision); err != nil && ctx.Err() == nil {
			p.logger.ErrorContext(ctx, "每日快照未能进行 the facts of the day could not be taken", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(decisionPause):
		}
	}
	return decision.Close()
}

func (p *platform) yesterday(ctx context.Context, decision *stores.Decision) error {
	day := p.db.Now().In(gb.Beijing).AddDate(0, 0, -1)
	if taken, err := decision.Taken(ctx, day); err != nil || taken {
		return err
	}
	facts, err := decision.Take(ctx, p.db, day)
	if err == nil {
		p.logger.InfoContext(ctx, "每日快照已完成 the facts of the day are taken", "day", day.Format(time.DateOnly), "facts", facts)
	}
	return err
}

type decisionTakeCommand struct {
	settings
	Day string `placeholder:"YYYY-MM-DD" help:"Of which day the facts count; default today. 日期。"`
}

// Run takes the facts as they are now.
func (c *decisionTakeCommand) Run(ctx context.Context, out streams) error {
	day := time.Now().In(gb.Beijing)
	if c.Day != "" {
		var err error
		if day, err = time.Parse(time.DateOnly, c.Day); err != nil {
			return fmt.Errorf("--day: 应为 YYYY-MM-DD: %w", err)
		}
	}
	return c.withRecords(ctx, out, func(p *platform) error {
		decision, err := p.config.openDecision(ctx)
		if err != nil {
			return err
		}
		facts, err := decision.Take(ctx, p.db, day)
		if err == nil {
			_, err = fmt.Fprintf(out.Out, "%s：%d 项 facts\n", day.Format(time.DateOnly), facts)
		}
		return errors.Join(err, decision.Close())
	})
}

type checkCommand struct {
	settings
	By     string `arg:"" enum:"police,ministry" help:"police (公安比对) or ministry (部级持卡库查重)."`
	Out    string `xor:"way" required:"" type:"path" placeholder:"FILE" help:"Write who has not been checked. 导出待比对人员。"`
	Result string `xor:"way" required:"" type:"existingfile" placeholder:"FILE" help:"Take the answers. 导入比对结果。"`
	Place  string `default:"630000" help:"Division that it is done for. 地区。"`
	// Mapping is the name of the mapping table.
	Mapping string `help:"Mapping table of the file (onecard mapping lists them); default the one of that name. 对照表。"`
}

// Run gives residents out to be checked by another authority, or takes its
// answers, as files.
func (c *checkCommand) Run(ctx context.Context, out streams) error {
	check := registry.Police
	if c.By == registry.Ministry.Name {
		check = registry.Ministry
	}
	return c.withRecords(ctx, out, func(p *platform) error {
		tables, err := p.config.tables()
		if err != nil {
			return err
		}
		table, err := tableNamed(tables, cmp.Or(c.Mapping, c.By))
		if err != nil {
			return err
		}
		if c.Result != "" {
			taken, refused, err := intake.ReadChecks(ctx, p.db, localActor(c.Place), check, table, c.Result, c.By+" "+time.Now().In(gb.Beijing).Format(time.DateOnly))
			for _, r := range refused {
				fmt.Fprintf(out.Err, "第 %d 行 row: %v\n", r.Row, r.Err)
			}
			fmt.Fprintf(out.Out, "更新 %d 人，拒收 %d 行 persons changed, rows refused\n", taken, len(refused))
			return err
		}
		file, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		written, untold, err := intake.WriteChecks(ctx, p.db, localActor(c.Place), check, table, file)
		for _, u := range untold {
			fmt.Fprintf(out.Err, "未导出 not written: %s: %v\n", u.Person, u.Err)
		}
		fmt.Fprintf(out.Out, "导出 %d 人，未导出 %d 人 persons written, not written: %s\n", written, len(untold), c.Out)
		return errors.Join(err, file.Close())
	})
}
