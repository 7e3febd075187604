package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"onecard/issuance/production"
	"onecard/registry"
)

// batchCommands are the commands of batch production (批量制卡).
type batchCommands struct {
	Supplier supplierCommand      `cmd:"" help:"Enter what the ministry approved: maker, product, quota, period. 登记获批卡商。"`
	Chips    batchChipsCommand    `cmd:"" help:"Take a maker's signed list of blank chips. 芯片清单。"`
	Create   batchCreateCommand   `cmd:"" help:"Make a batch of the applications that wait. 组批。"`
	List     batchListCommand     `cmd:"" help:"List batches. 批次列表。"`
	Show     batchShowCommand     `cmd:"" help:"Show a batch, its rows and files. 查看批次。"`
	Accounts batchAccountsCommand `cmd:"" help:"How far the bank is with the accounts; writes the account-opening file if it is missing. 开户进度、开户文件。"`
	Send     batchSendCommand     `cmd:"" help:"Prepare the sealed and signed production file. 生成制卡文件。"`
	Take     batchTakeCommand     `cmd:"" help:"Take a maker's return. 回盘。"`
	Inspect  batchInspectCommand  `cmd:"" help:"Record the inspection of a card, or end the quality check. 质检。"`
	Scrap    batchScrapCommand    `cmd:"" help:"Sign that a spoiled card was destroyed; two sign. 销毁废卡。"`
	Close    batchCloseCommand    `cmd:"" help:"Close a batch: made and destroyed are what was ordered. 结批。"`
	Cancel   batchCancelCommand   `cmd:"" help:"Give up a batch that was not sent. 取消批次。"`
	Story    batchStoryCommand    `cmd:"" help:"What happened to a batch. 批次经过。"`
}

// signedIn is who does something from the command line: an operator with the
// rights that they have at the counter, by the password that they have there.
type signedIn struct {
	settings
	Operator     string `required:"" help:"Your login. 登录名。"`
	Workstation  string `required:"" help:"The workstation. 工作站。"`
	PasswordFile string `type:"existingfile" help:"File with the password, mode 0600; default asked for at the terminal. 口令文件。"`
}

// errPasswordFile: others could read it.
var errPasswordFile = errors.New("口令文件权限应为 0600 the password's file must be of mode 0600")

func (c signedIn) password(ctx context.Context, out streams) (string, error) {
	if c.PasswordFile != "" {
		info, err := os.Stat(c.PasswordFile)
		if err != nil {
			return "", err
		}
		if info.Mode().Perm()&0o077 != 0 {
			return "", errPasswordFile
		}
		text, err := os.ReadFile(c.PasswordFile)
		return string(bytes.TrimSpace(text)), err
	}
	terminal, err := openTerminal(out)
	if err != nil {
		return "", err
	}
	password, err := terminal.secret(ctx, "口令 password")
	return string(password), errors.Join(err, terminal.close())
}

// withBatches signs in, works, and signs out.
func (c signedIn) withBatches(ctx context.Context, out streams, work func(s *production.Service, who production.Who) error) error {
	password, err := c.password(ctx, out)
	if err != nil {
		return err
	}
	return c.withRecords(ctx, out, func(p *platform) error {
		s, err := p.production()
		if err != nil {
			return err
		}
		session, err := p.db.Authenticate(ctx, c.Operator, password, c.Workstation)
		if err != nil {
			return err
		}
		who := production.Who{Actor: session.Operator.Actor(session.Workstation), Roles: session.Operator.Roles}
		return errors.Join(work(s, who), p.db.SignOut(context.WithoutCancel(ctx), session.Token, session.Workstation))
	})
}

// withBatchesRead is for who only looks at batches, which say nothing of persons.
func (s settings) withBatchesRead(ctx context.Context, out streams, work func(s *production.Service) error) error {
	return s.withRecords(ctx, out, func(p *platform) error {
		service, err := p.production()
		if err != nil {
			return err
		}
		return work(service)
	})
}

// errNoDelivery: the configured keeper cannot do it.
var errNoDelivery = errors.New("密钥保管方不支持批量制卡 the keeper of keys prepares no cards for makers")

// production makes the service from the records.
func (p *platform) production() (*production.Service, error) {
	if err := p.assemble(); err != nil {
		return nil, err
	}
	keeper, able := p.keeper.(production.Keeper)
	if !able {
		return nil, errNoDelivery
	}
	if _, err := p.authority.Exchange(); err != nil { // makers are given it
		return nil, err
	}
	profiles, err := p.config.profiles()
	if err != nil {
		return nil, err
	}
	accounts, err := p.batchAccounts()
	if err != nil {
		return nil, err
	}
	return production.New(production.Config{
		DB: p.db, Issuance: p.issuance, Accounts: accounts, Profiles: profiles, Keeper: keeper, Signing: p.authority.Orders, Receiving: p.authority.Exchange,
		Dir: filepath.Join(p.config.Data, "production"),
	})
}

type batchCreateCommand struct {
	signedIn
	Number   string `help:"The batch's number; the same again goes on with the same batch. Default the next of the day. 批次号。"`
	Kind     string `default:"normal" enum:"normal,test" help:"normal, or test cards that are never issued. 类型。"`
	Supplier string `required:"" help:"Approved supplier. 卡商。"`
	Bank     string `help:"Bank that opens the holders' accounts, by either of its codes; without it the cards have none. 开户银行代码，不填则不开户。"`
	CardType string `default:"3" help:"卡的类别。"`
	Place    string `default:"630000" help:"Division of the applications. 地区。"`
	Most     int64  `required:"" help:"At most so many. 数量上限。"`
}

// Run makes a batch.
func (c *batchCreateCommand) Run(ctx context.Context, out streams) error {
	return c.withBatches(ctx, out, func(s *production.Service, who production.Who) error {
		b, err := s.Create(ctx, who, production.Order{Number: c.Number, Kind: c.Kind, Supplier: c.Supplier, Bank: c.Bank, CardType: c.CardType, Place: c.Place, Most: c.Most})
		if err == nil {
			err = printBatch(out, b)
		}
		if err == nil && b.State == production.StateOrdered {
			err = writeAccounts(ctx, out, s, who, b)
		}
		return err
	})
}

func printBatch(out streams, b production.Batch) error {
	bank := ""
	if b.Bank != nil {
		bank = "\t开户银行 bank " + *b.Bank
	}
	_, err := fmt.Fprintf(out.Out, "%s\t%s\t%s %s\t%d%s\n", b.Number, b.Supplier, b.State, production.Batches.State(b.State).Text.ZH, b.Size, bank)
	return err
}

type batchListCommand struct {
	settings
	State string `help:"Only those in a state. 状态。"`
	Most  int    `default:"50" help:"At most so many, newest first."`
}

// Run lists batches.
func (c *batchListCommand) Run(ctx context.Context, out streams) error {
	return c.withBatchesRead(ctx, out, func(s *production.Service) error {
		all, err := s.List(ctx, c.State, nil, c.Most)
		table := tabwriter.NewWriter(out.Out, 0, 4, 2, ' ', 0)
		for _, b := range all {
			err = errors.Join(err, printBatch(streams{Out: table}, b))
		}
		return errors.Join(err, table.Flush())
	})
}

type batchShowCommand struct {
	settings
	Number string `arg:"" help:"批次号。"`
	Rows   string `placeholder:"STATE" help:"List the rows in a state, such as failed. 按状态列明细。"`
}

// Run shows a batch.
func (c *batchShowCommand) Run(ctx context.Context, out streams) error {
	return c.withBatchesRead(ctx, out, func(s *production.Service) error {
		b, err := s.Batch(ctx, c.Number)
		if err != nil {
			return err
		}
		counts, countErr := s.Counts(ctx, b.ID)
		files, fileErr := s.Files(ctx, b.ID)
		if err := errors.Join(countErr, fileErr, printBatch(out, b)); err != nil {
			return err
		}
		if err := printAccounts(out, s, b, counts); err != nil {
			return err
		}
		states := make([]string, 0, len(counts))
		for state := range counts {
			states = append(states, state)
		}
		slices.Sort(states)
		for _, state := range states {
			fmt.Fprintf(out.Out, "  %-10s %d\n", state, counts[state])
		}
		for _, f := range files {
			fmt.Fprintf(out.Out, "  %s %s  %d 条 records，采纳 accepted %d，重复 repeated %d，拒绝 refused %d\n", f.Kind, f.Name, f.Records, f.Accepted, f.Repeated, f.Refused)
		}
		return c.rows(ctx, out, s, b)
	})
}

func (c *batchShowCommand) rows(ctx context.Context, out streams, s *production.Service, b production.Batch) error {
	if c.Rows == "" {
		return nil
	}
	for after := int64(0); ; {
		items, err := s.Items(ctx, b.ID, c.Rows, after, 500)
		if err != nil || len(items) == 0 {
			return err
		}
		for _, item := range items {
			fmt.Fprintf(out.Out, "  %d\t%s\t%s\n", item.Seq, item.CardNumber, item.Reason)
			after = item.Seq
		}
	}
}

type batchSendCommand struct {
	signedIn
	Number string `arg:"" help:"批次号。"`
}

// Run prepares the production file.
func (c *batchSendCommand) Run(ctx context.Context, out streams) error {
	return c.withBatches(ctx, out, func(s *production.Service, who production.Who) error {
		file, err := s.Send(ctx, who, c.Number)
		if err == nil {
			_, err = fmt.Fprintf(out.Out, "%s\n%d 条 records，%d 字节 bytes\n", filepath.Join(s.Dir, file.Name), file.Records, file.Size)
		}
		return err
	})
}

type batchTakeCommand struct {
	signedIn
	File string `arg:"" type:"existingfile" help:"The return; its .jws lies beside it. 回盘文件。"`
}

// Run takes a return.
func (c *batchTakeCommand) Run(ctx context.Context, out streams) error {
	return c.withBatches(ctx, out, func(s *production.Service, who production.Who) error {
		taken, err := s.Take(ctx, who, c.File)
		if err != nil {
			return err
		}
		r := taken.Return
		_, err = fmt.Fprintf(out.Out, "采纳 accepted %d，重复 repeated %d，拒绝 refused %d，批次 batch %s\n回盘结果 outcome: %s\n",
			r.Accepted, r.Repeated, r.Refused, taken.State, filepath.Join(s.Dir, taken.Outcome.Name))
		return err
	})
}

type batchInspectCommand struct {
	signedIn
	Number  string `arg:"" help:"批次号。"`
	Card    string `help:"Card number that was inspected. 卡号。"`
	Session string `help:"The comparison at the counter that it passed. 比对会话编号。"`
	Reject  string `help:"Why the card is rejected. 不合格原因。"`
	Done    bool   `help:"End the quality check. 质检合格。"`
}

// errInspect: neither a card nor the end.
var errInspect = errors.New("须给出 --card 或 --done give --card or --done")

// Run records an inspection.
func (c *batchInspectCommand) Run(ctx context.Context, out streams) error {
	if (c.Card == "") != c.Done {
		return errInspect
	}
	return c.withBatches(ctx, out, func(s *production.Service, who production.Who) error {
		if c.Done {
			return s.Pass(ctx, who, c.Number)
		}
		found := production.Inspection{Number: c.Card, Reject: c.Reject}
		if c.Session != "" {
			var err error
			if found.Session, err = uuid.Parse(c.Session); err != nil {
				return &registry.FieldError{Field: "session", ZH: "应为会话编号", EN: "the id of a session"}
			}
		}
		return s.Inspect(ctx, who, c.Number, found)
	})
}

type batchScrapCommand struct {
	signedIn
	Number string `arg:"" help:"批次号。"`
	Card   string `arg:"" help:"卡号。"`
	Method string `help:"shredded, punched or melted; of the first signature. 销毁方式。"`
	Reason string `help:"Why; of the first signature. 原因。"`
}

// Run signs a destruction.
func (c *batchScrapCommand) Run(ctx context.Context, out streams) error {
	return c.withBatches(ctx, out, func(s *production.Service, who production.Who) error {
		done := false
		err := s.DB.InTx(ctx, who.Actor, func(tx *registry.Tx) (err error) {
			done, err = s.Scrap(tx, who, c.Number, c.Card, c.Method, c.Reason)
			return err
		})
		if err == nil && done {
			_, err = fmt.Fprintln(out.Out, "已销毁 destroyed")
		} else if err == nil {
			_, err = fmt.Fprintln(out.Out, "第一人已签，等待第二人 signed by one, waits for another")
		}
		return err
	})
}

type batchCloseCommand struct {
	signedIn
	Number string `arg:"" help:"批次号。"`
}

// Run closes a batch.
func (c *batchCloseCommand) Run(ctx context.Context, out streams) error {
	return c.withBatches(ctx, out, func(s *production.Service, who production.Who) error {
		return s.DB.InTx(ctx, who.Actor, func(tx *registry.Tx) error {
			_, err := s.Close(tx, who, c.Number)
			return err
		})
	})
}

type batchCancelCommand struct {
	signedIn
	Number string `arg:"" help:"批次号。"`
	Reason string `required:"" help:"Why. 原因。"`
}

// Run cancels a batch.
func (c *batchCancelCommand) Run(ctx context.Context, out streams) error {
	return c.withBatches(ctx, out, func(s *production.Service, who production.Who) error {
		return s.Cancel(ctx, who, c.Number, c.Reason)
	})
}

type batchStoryCommand struct {
	settings
	Number string `arg:"" help:"批次号。"`
}

// Run tells what happened.
func (c *batchStoryCommand) Run(ctx context.Context, out streams) error {
	return c.withBatchesRead(ctx, out, func(s *production.Service) error {
		b, err := s.Batch(ctx, c.Number)
		if err != nil {
			return err
		}
		story, err := s.Story(ctx, b.ID)
		for _, r := range story {
			fmt.Fprintf(out.Out, "%s  %s  %s  %v\n", r.At.Format(time.RFC3339), r.Actor.Operator, r.Action, r.Detail)
		}
		return err
	})
}
