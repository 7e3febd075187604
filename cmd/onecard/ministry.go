package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"onecard/api/pki"
	"onecard/internal/gb"
	"onecard/issuance/ministry"
	"onecard/registry"
	"onecard/registry/stores"
)

// ministryConfig says how the ministry's base of card holders is reached
// (部级持卡库). Without an address nothing is sent, and cards wait.
type ministryConfig struct {
	URL         string `koanf:"url"`         // https://host:port
	CA          string `koanf:"ca"`          // file of the authority of its certificate
	Certificate string `koanf:"certificate"` // directory of the province's own; default in the data directory
	Schema      string `koanf:"schema"`      // file of the interface's messages (接口规范); default those built in
}

func (c config) ministryDir() string {
	if c.Ministry.Certificate != "" {
		return c.Ministry.Certificate
	}
	return filepath.Join(c.Data, "ministry")
}

func (c config) ministrySchema() (*ministry.Schema, error) {
	if c.Ministry.Schema == "" {
		return ministry.BuiltIn()
	}
	text, err := os.ReadFile(c.Ministry.Schema)
	if err != nil {
		return nil, fmt.Errorf("%w: ministry.schema: %w", errSetting, err)
	}
	return ministry.ParseSchema(text)
}

var errNoMinistry = errors.New("没有配置部级持卡库地址 the ministry's address is not configured: ministry.url, ministry.ca")

// ministry makes what tells the ministry.
func (p *platform) ministry() (*ministry.Service, error) {
	c := p.config
	if c.Ministry.URL == "" || c.Ministry.CA == "" {
		return nil, errNoMinistry
	}
	schema, err := c.ministrySchema()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(c.Ministry.CA)
	if err != nil {
		return nil, fmt.Errorf("%w: ministry.ca: %w", errSetting, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%w: ministry.ca: 不是证书 no certificate", errSetting)
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(c.ministryDir(), pki.FileCertificate), filepath.Join(c.ministryDir(), pki.FileKey))
	if err != nil {
		return nil, fmt.Errorf("%w: ministry.certificate: 请先执行 run first: onecard ministry certificate: %w", errSetting, err)
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{own}},
		MaxIdleConnsPerHost: 4,
	}}
	line := &ministry.Line{Schema: schema, URL: strings.TrimSuffix(c.Ministry.URL, "/"), Client: client, Sign: signer{p.authority}.Sign, Now: time.Now}
	return &ministry.Service{DB: p.db, Line: line, Place: province}, nil
}

// ministryPause is how long the platform waits before it looks again for cards
// that the ministry must be told of.
const ministryPause = 30 * time.Second

// tellMinistry tells the ministry while the platform runs: of cards as they
// change, once a day it compares, once a month it sends statistics.
func (p *platform) tellMinistry(ctx context.Context) error {
	telling, err := p.ministry()
	if errors.Is(err, errNoMinistry) {
		p.logger.WarnContext(ctx, "未连接部级持卡库，待上传的卡留待以后 the ministry is not connected, cards wait", "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		counts, err := telling.Resend(ctx)
		if counts != (ministry.Counts{}) {
			p.logger.InfoContext(ctx, "已向部级上传 told the ministry", "told", counts.Told, "refused", counts.Refused, "unanswered", counts.Unanswered)
		}
		if err == nil && counts.Unanswered == 0 {
			err = p.regularMinistry(ctx, telling)
		}
		if err != nil && ctx.Err() == nil {
			p.logger.ErrorContext(ctx, "向部级的工作未能完成 work with the ministry could not be done", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(ministryPause):
		}
	}
	return nil
}

// regularMinistry does what a day and a month ask for, once.
func (p *platform) regularMinistry(ctx context.Context, telling *ministry.Service) error {
	now := p.db.Now().In(gb.Beijing)
	if done, err := telling.Done(ctx, "compare", now.Format(time.DateOnly)); err != nil || !done {
		if err != nil {
			return err
		}
		if _, err := p.issuance.AskUnasked(ctx, registry.Actor{Operator: "system", Place: province}); err != nil {
			return err
		}
		found, err := telling.Compare(ctx)
		if err != nil {
			return err
		}
		p.logger.InfoContext(ctx, "与部级核对完成 compared with the ministry", "compared", found.Compared, "missing", found.Missing, "older", found.Older, "foreign", len(found.Foreign))
	}
	month := firstOf(now).AddDate(0, 0, -1)
	if done, err := telling.Done(ctx, "statistics", month.Format("2006-01")); err != nil || done {
		return err
	}
	facts, err := p.cardFacts(ctx, month)
	if errors.Is(err, errNoStore) || err == nil && len(facts) == 0 {
		return nil // the platform was not there at the end of that month
	}
	if err != nil {
		return err
	}
	return telling.Statistics(ctx, month.Format("2006-01"), facts)
}

func firstOf(day time.Time) time.Time {
	return time.Date(day.Year(), day.Month(), 1, 0, 0, 0, 0, day.Location())
}

// cardFacts are the counts of cards of a day, from the decision store.
func (p *platform) cardFacts(ctx context.Context, day time.Time) ([]ministry.Fact, error) {
	decision, err := p.config.openDecision(ctx)
	if err != nil {
		return nil, err
	}
	counted, err := decision.Facts(ctx, day, "cards", "")
	facts := make([]ministry.Fact, len(counted))
	for i, f := range counted {
		facts[i] = factOf(f)
	}
	return facts, errors.Join(err, decision.Close())
}

func factOf(f stores.Fact) ministry.Fact {
	return ministry.Fact{Place: f.Place, Status: f.First, Specification: f.Second, Cards: f.Number}
}

// withMinistry opens the records and the line for a command.
func (s settings) withMinistry(ctx context.Context, out streams, work func(*platform, *ministry.Service) error) error {
	return s.withRecords(ctx, out, func(p *platform) error {
		telling, err := p.ministry()
		if err != nil {
			return err
		}
		return work(p, telling)
	})
}

type ministryCertificateCommand struct{ settings }

// Run makes the certificate that the province shows the ministry.
func (c *ministryCertificateCommand) Run(ctx context.Context, out streams) error {
	config, err := load(c.Config, os.Environ, c.given())
	if err != nil {
		return err
	}
	authority, err := pki.Open(config.pkiDir(), config.Names, time.Now)
	if err != nil {
		return err
	}
	enrolment, err := authority.Enrol("ministry")
	if err != nil {
		return err
	}
	if err := enrolment.WriteFiles(config.ministryDir()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.Out, "证书在 certificate in %s\n部级须信任 the ministry must trust: %s\n", config.ministryDir(), filepath.Join(config.ministryDir(), pki.FileCA))
	return err
}

type ministryStateCommand struct {
	settings
	List int `default:"20" help:"How many cards that were not taken are listed. 列出几张未入库的卡。"`
}

// Run shows how the ministry's copies stand. It asks the ministry for nothing but
// a sign of life.
func (c *ministryStateCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		telling := &ministry.Service{DB: p.db}
		counts, err := telling.State(ctx)
		if err != nil {
			return err
		}
		for _, state := range slices.Sorted(maps.Keys(counts)) {
			told := ministry.Copies.State(state).Text
			fmt.Fprintf(out.Out, "%8d  %-10s %s %s\n", counts[state], state, told.ZH, told.EN)
		}
		troubles, err := telling.Troubles(ctx, "", c.List)
		if err != nil {
			return err
		}
		for _, t := range troubles {
			fmt.Fprintf(out.Out, "%s  %s  %s %s\n", t.Card, t.State, t.Code, t.Answer)
		}
		connected, err := p.ministry()
		if err != nil {
			return err
		}
		if err := connected.Line.Ping(ctx); err != nil {
			return err
		}
		_, err = fmt.Fprintln(out.Out, "✔ 部级有应答 the ministry answers")
		return err
	})
}

type ministryResendCommand struct {
	settings
	Card string `placeholder:"NUMBER" help:"One card, whatever its state. 指定一张卡。"`
}

var errNotTaken = errors.New("部级没有接收 the ministry did not take it")

// Run tells the ministry of all cards that are due, or of one.
func (c *ministryResendCommand) Run(ctx context.Context, out streams) error {
	return c.withMinistry(ctx, out, func(p *platform, telling *ministry.Service) error {
		if c.Card == "" {
			counts, err := telling.Resend(ctx)
			fmt.Fprintf(out.Out, "入库 %d，未接收 %d，无应答 %d accepted, refused, unanswered\n", counts.Told, counts.Refused, counts.Unanswered)
			return err
		}
		if err := p.assemble(); err != nil {
			return err
		}
		found, err := p.issuance.CardByNumber(ctx, c.Card)
		if err != nil {
			return fmt.Errorf("卡 card: %w", err)
		}
		answer, err := telling.Tell(ctx, found.ID)
		fmt.Fprintf(out.Out, "%s  %s %s\n", c.Card, answer.Code, answer.Text)
		if err == nil && !answer.Acknowledged {
			err = errNotTaken
		}
		return err
	})
}

type ministryQueryCommand struct {
	settings
	Person uuid.UUID `xor:"who" required:"" placeholder:"ID" help:"One person, by the platform's id. 人员编号。"`
	Most   int       `xor:"who" required:"" placeholder:"N" help:"Persons whom the ministry has not answered for, so many at most. 待查重人员，至多几人。"`
}

// Run asks whether persons have a card in another province.
func (c *ministryQueryCommand) Run(ctx context.Context, out streams) error {
	return c.withMinistry(ctx, out, func(_ *platform, telling *ministry.Service) error {
		if c.Most > 0 {
			answered, err := telling.QueryWaiting(ctx, c.Most)
			fmt.Fprintf(out.Out, "已答复 %d 人 persons answered for\n", answered)
			return err
		}
		found, err := telling.Query(ctx, c.Person)
		fmt.Fprintf(out.Out, "%s %s\n", found.State, found.Province)
		return err
	})
}

type ministryAskCommand struct {
	settings
	Place string `default:"630000" help:"Division that it is done for. 地区。"`
}

// Run has the ministry asked about all who wait for a review and were entered
// before their place asked for it. The platform does the same once a day.
func (c *ministryAskCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		if err := p.assemble(); err != nil {
			return err
		}
		asked, err := p.issuance.AskUnasked(ctx, localActor(c.Place))
		fmt.Fprintf(out.Out, "待查重 %d 份申领，由平台送出 applications to ask about, sent by the platform\n", asked)
		return err
	})
}

type ministryStatisticsCommand struct {
	settings
	Month string `arg:"" placeholder:"YYYY-MM" help:"Of which month. 月份。"`
}

// Run sends the statistics of a month.
func (c *ministryStatisticsCommand) Run(ctx context.Context, out streams) error {
	month, err := time.ParseInLocation("2006-01", c.Month, gb.Beijing)
	if err != nil {
		return fmt.Errorf("month: 应为 YYYY-MM: %w", err)
	}
	return c.withMinistry(ctx, out, func(p *platform, telling *ministry.Service) error {
		facts, err := p.cardFacts(ctx, month.AddDate(0, 1, -1))
		if err != nil {
			return err
		}
		if err := telling.Statistics(ctx, c.Month, facts); err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "%s：%d 行 rows\n", c.Month, len(facts))
		return err
	})
}

type ministryCompareCommand struct{ settings }

// Run compares the ministry's copies with ours.
func (c *ministryCompareCommand) Run(ctx context.Context, out streams) error {
	return c.withMinistry(ctx, out, func(_ *platform, telling *ministry.Service) error {
		found, err := telling.Compare(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(out.Out, "核对 %d，部级缺 %d，陈旧 %d，本省没有 %d compared, missing, older, foreign\n", found.Compared, found.Missing, found.Older, len(found.Foreign))
		for _, number := range found.Foreign {
			fmt.Fprintln(out.Out, number)
		}
		return nil
	})
}
