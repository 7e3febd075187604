package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/term"

	"onecard/issuance/stock"
	"onecard/registry"
)

type stockCommands struct {
	Receive   stockReceiveCommand   `cmd:"" help:"Enter a maker's delivery list (CSV, Excel). 登记厂家送货清单。"`
	Accept    stockAcceptCommand    `cmd:"" help:"Accept a consignment, with the difference. 签收。"`
	Pack      stockPackCommand      `cmd:"" help:"Pack and seal a box; two persons. 装箱封签。"`
	Open      stockOpenCommand      `cmd:"" help:"Open a sealed box; two persons. 开箱。"`
	Send      stockSendCommand      `cmd:"" help:"Send boxes a step down or up. 发运。"`
	Lend      stockLendCommand      `cmd:"" help:"Lend blanks to a counter. 柜台领用。"`
	Return    stockReturnCommand    `cmd:"" help:"End a lease: what was not used comes back. 交回。"`
	Report    stockReportCommand    `cmd:"" help:"Report cards missing, found or spoiled; two persons. 报失、找回、作废。"`
	Destroy   stockDestroyCommand   `cmd:"" help:"Destroy waste; two persons, one a supervisor. 销毁。"`
	CloseDay  stockCloseDayCommand  `cmd:"" name:"close-day" help:"Close the book of a day against a count; two persons. 日结。"`
	Clear     stockClearCommand     `cmd:"" help:"Say how an incident was cleared. 异常办结。"`
	List      stockListCommand      `cmd:"" help:"The stock of a place. 库存。"`
	Story     stockStoryCommand     `cmd:"" help:"The story of a serial or a card number. 流转记录。"`
	Unclaimed stockUnclaimedCommand `cmd:"" help:"Finished cards that nobody has fetched. 逾期未领。"`
	Check     stockCheckCommand     `cmd:"" help:"Hold the books against each other. 核对账目。"`
}

// stockSigning is who does something with the stock: each proves himself with
// his password, typed, or as a line of the standard input, the operator's first.
type stockSigning struct {
	settings
	Operator    string `required:"" placeholder:"LOGIN" help:"Who does it. 经办人。"`
	Witness     string `placeholder:"LOGIN" help:"Who signs as the second person. 第二人。"`
	Workstation string `required:"" placeholder:"ID" help:"Workstation of their office. 所在工作站。"`
}

// run lets a change of the stock happen, in the names of those who sign.
func (c stockSigning) run(ctx context.Context, out streams, change func(tx *registry.Tx, s *stock.Service, h stock.Hands) error) error {
	passwords, err := c.passwords(ctx, out)
	if err != nil {
		return err
	}
	return c.withStock(ctx, out, func(p *platform) error {
		by, err := p.stock.Sign(ctx, c.Operator, passwords[0], c.Workstation)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Operator, err)
		}
		h := stock.Hands{By: *by}
		if c.Witness != "" {
			if h.Witness, err = p.stock.Sign(ctx, c.Witness, passwords[1], c.Workstation); err != nil {
				return fmt.Errorf("%s: %w", c.Witness, err)
			}
		}
		return p.db.InTx(ctx, by.Actor(c.Workstation), func(tx *registry.Tx) error { return change(tx, p.stock, h) })
	})
}

// withStock opens the records with the services.
func (s settings) withStock(ctx context.Context, out streams, work func(*platform) error) error {
	return s.withRecords(ctx, out, func(p *platform) error {
		if err := p.assemble(); err != nil {
			return err
		}
		return work(p)
	})
}

func (c stockSigning) passwords(ctx context.Context, out streams) ([]string, error) {
	logins := []string{c.Operator}
	if c.Witness != "" {
		logins = append(logins, c.Witness)
	}
	if file, ok := out.In.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		t, err := openTerminal(out)
		if err != nil {
			return nil, err
		}
		return typed(ctx, t, logins)
	}
	lines := bufio.NewReader(io.LimitReader(out.In, 4096))
	passwords := make([]string, len(logins))
	for n := range logins {
		line, err := lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("password: %w", err)
		}
		passwords[n] = strings.TrimRight(line, "\r\n")
	}
	return passwords, nil
}

func typed(ctx context.Context, t *secretTerminal, logins []string) (passwords []string, err error) {
	defer func() { err = errors.Join(err, t.close()) }()
	for _, login := range logins {
		line, err := t.secret(ctx, login+" 密码 password")
		if err != nil {
			return nil, err
		}
		passwords = append(passwords, string(line))
		clear(line)
	}
	return passwords, nil
}

type stockReceiveCommand struct {
	stockSigning
	File     string `arg:"" type:"existingfile" help:"Columns serial, product, box (29211-5-3-1), seal. 送货清单。"`
	Maker    string `required:"" help:"The maker, as the registry has it. 厂家编号。"`
	Finished bool   `help:"The list is of finished cards, by card number. 成品卡清单。"`
}

// Run enters what a maker has sent; another person accepts it.
func (c *stockReceiveCommand) Run(ctx context.Context, out streams) error {
	d, err := stock.ReadList(c.File)
	if err != nil {
		return err
	}
	d.Maker, d.Kind = c.Maker, kindOf(c.Finished)
	return c.run(ctx, out, func(tx *registry.Tx, s *stock.Service, h stock.Hands) error {
		sent, err := s.Announce(tx, h, d)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "已登记 %d 箱，由另一人签收 boxes entered, another accepts them: onecard stock accept %s\n", len(d.Boxes), sent.ID)
		return err
	})
}

func kindOf(finished bool) string {
	if finished {
		return stock.Finished
	}
	return stock.Blank
}

type stockAcceptCommand struct {
	stockSigning
	ID           string   `arg:"" help:"The consignment. 发运编号。"`
	MissingBoxes []string `placeholder:"LABEL" help:"Boxes that did not come. 缺箱。"`
	BrokenSeals  []string `placeholder:"LABEL" help:"Boxes whose seal is broken: opened and counted. 封签破损。"`
	Missing      []string `placeholder:"CARD" help:"Cards of the list that are not there. 缺卡。"`
	Damaged      []string `placeholder:"CARD" help:"Cards that are spoiled. 损坏。"`
	Extra        []string `placeholder:"CARD" help:"Cards that are not on the list. 多卡。"`
	Note         string   `help:"What was found, in words. 情况说明。"`
	Owner        string   `placeholder:"LOGIN" help:"Who clears the difference; default the operator. 责任人。"`
}

// Run accepts a consignment.
func (c *stockAcceptCommand) Run(ctx context.Context, out streams) error {
	id, err := parseID(c.ID)
	if err != nil {
		return err
	}
	found := stock.Acceptance{
		MissingBoxes: c.MissingBoxes, BrokenSeals: c.BrokenSeals, Missing: c.Missing, Damaged: c.Damaged, Extra: c.Extra, Note: c.Note, Owner: c.Owner,
	}
	return c.run(ctx, out, func(tx *registry.Tx, s *stock.Service, h stock.Hands) error {
		done, err := s.Accept(tx, h, id, found)
		if err != nil {
			return err
		}
		text := stock.Consignments.State(done.State).Text
		_, err = fmt.Fprintln(out.Out, text.ZH, text.EN)
		return err
	})
}

func parseID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return id, &registry.FieldError{Field: "id", ZH: "应为编号（UUID）", EN: "an id (UUID)"}
	}
	return id, nil
}

type stockPackCommand struct {
	stockSigning
	Label    string   `arg:"" help:"Batch-box-carton, such as 29211-5-3. 箱号。"`
	Cards    []string `arg:"" help:"Serials or card numbers, in the order of their slots. 卡。"`
	Seal     string   `required:"" help:"Number of the seal. 封签号。"`
	Finished bool     `help:"Finished cards, by card number. 成品卡。"`
}

// Run packs and seals a box.
func (c *stockPackCommand) Run(ctx context.Context, out streams) error {
	box := stock.NewBox{Label: c.Label, Seal: c.Seal}
	for n, card := range c.Cards {
		box.Cards = append(box.Cards, stock.Slot{Slot: n + 1, Card: card})
	}
	return c.run(ctx, out, func(tx *registry.Tx, s *stock.Service, h stock.Hands) error {
		if _, err := s.Pack(tx, h, kindOf(c.Finished), box); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out.Out, "已装箱封签 packed and sealed: %s, %d\n", c.Label, len(c.Cards))
		return err
	})
}

type stockOpenCommand struct {
	stockSigning
	Label string `arg:"" help:"The box. 箱号。"`
}

// Run opens a sealed box.
func (c *stockOpenCommand) Run(ctx context.Context, out streams) error {
	return c.run(ctx, out, func(tx *registry.Tx, s *stock.Service, h stock.Hands) error {
		if _, err := s.Open(tx, h, c.Label); err != nil {
			return err
		}
		_, err := fmt.Fprintln(out.Out, "已开箱 opened:", c.Label)
		return err
	})
}

type stockSendCommand struct {
	stockSigning
	To     string   `required:"" help:"The place, a step away. 收货机构。"`
	Labels []string `arg:"" help:"The boxes. 箱号。"`
}

// Run sends boxes.
func (c *stockSendCommand) Run(ctx context.Context, out streams) error {
	return c.run(ctx, out, func(tx *registry.Tx, s *stock.Service, h stock.Hands) error {
		sent, err := s.Send(tx, h, c.To, c.Labels)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out.Out, "已发运 sent:", sent.ID)
		return err
	})
}

type stockLendCommand struct {
	stockSigning
	Counter string   `required:"" placeholder:"ID" help:"Workstation of the counter. 柜台工作站。"`
	Holder  string   `required:"" placeholder:"LOGIN" help:"Who takes them. 领用人。"`
	Days    int      `default:"1" help:"Until they are returned. 期限（天）。"`
	Cards   []string `arg:"" optional:"" help:"Serials. 序列号。"`
	From    string   `help:"First serial of a range. 起。"`
	To      string   `help:"Last serial of a range. 止。"`
}

// Run lends blanks to a counter.
func (c *stockLendCommand) Run(ctx context.Context, out streams) error {
	return c.run(ctx, out, func(tx *registry.Tx, s *stock.Service, h stock.Hands) error {
		lease, cards, err := s.Lend(tx, h, stock.NewLease{Workstation: c.Counter, Holder: c.Holder, Days: c.Days, Cards: c.Cards, From: c.From, To: c.To})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "已领用 lent: %s, %d 张 cards, 至 until %s\n", lease.ID, len(cards), lease.ExpiresAt.Format("2006-01-02 15:04 MST"))
		return err
	})
}

type stockReturnCommand struct {
	stockSigning
	ID string `arg:"" help:"The lease. 领用编号。"`
}

// Run ends a lease.
func (c *stockReturnCommand) Run(ctx context.Context, out streams) error {
	id, err := parseID(c.ID)
	if err != nil {
		return err
	}
	return c.run(ctx, out, func(tx *registry.Tx, s *stock.Service, h stock.Hands) error {
		_, cards, err := s.Return(tx, h, id)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "已交回 returned: %d 张 cards %s\n", len(cards), strings.Join(cards, " "))
		return err
	})
}
