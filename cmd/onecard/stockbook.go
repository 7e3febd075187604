package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"onecard/issuance/stock"
	"onecard/registry"
)

type stockReportCommand struct {
	stockSigning
	Event    string   `arg:"" enum:"lose,find,spoil" help:"lose, find or spoil. 报失、找回、作废。"`
	Cards    []string `arg:"" help:"Serials or card numbers. 卡。"`
	Reason   string   `required:"" help:"Why. 原因。"`
	Owner    string   `placeholder:"LOGIN" help:"Who clears it; default the operator. 责任人。"`
	Finished bool     `help:"Finished cards, by card number. 成品卡。"`
}

// Run reports cards.
func (c *stockReportCommand) Run(ctx context.Context, out streams) error {
	return c.run(ctx, out, func(tx *registry.Tx, s *stock.Service, h stock.Hands) error {
		err := s.Report(tx, h, stock.Report{Event: c.Event, Kind: kindOf(c.Finished), Cards: c.Cards, Reason: c.Reason, Owner: c.Owner})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "已登记 recorded: %s, %d\n", c.Event, len(c.Cards))
		return err
	})
}

type stockDestroyCommand struct {
	stockSigning
	Cards    []string `arg:"" help:"Serials or card numbers of waste. 作废卡。"`
	Method   string   `required:"" help:"How they are destroyed. 销毁方式。"`
	Finished bool     `help:"Finished cards, by card number. 成品卡。"`
}

// Run destroys waste.
func (c *stockDestroyCommand) Run(ctx context.Context, out streams) error {
	return c.run(ctx, out, func(tx *registry.Tx, s *stock.Service, h stock.Hands) error {
		d, err := s.Destroy(tx, h, kindOf(c.Finished), c.Cards, c.Method)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "销毁记录 record of destruction %s: %d 张 cards, %s, %s\n", d.ID, d.Cards, d.FirstBy, d.SecondBy)
		return err
	})
}

type stockCloseDayCommand struct {
	stockSigning
	Day        string `required:"" placeholder:"YYYY-MM-DD" help:"The day. 日期。"`
	Blank      int64  `required:"" help:"Blanks counted. 空白卡实点。"`
	BlankWaste int64  `help:"Spoiled blanks counted. 作废空白卡实点。"`
	Card       int64  `help:"Finished cards counted. 成品卡实点。"`
	CardWaste  int64  `help:"Spoiled finished cards counted. 作废成品卡实点。"`
	Note       string `help:"About a difference. 差异说明。"`
	Owner      string `placeholder:"LOGIN" help:"Who clears a difference; default the operator. 责任人。"`
}

// Run closes the book of a day.
func (c *stockCloseDayCommand) Run(ctx context.Context, out streams) error {
	count := stock.Count{Day: c.Day, Note: c.Note, Owner: c.Owner, Cards: map[string]map[string]int64{
		stock.Blank:    {stock.Good: c.Blank, stock.Waste: c.BlankWaste},
		stock.Finished: {stock.Good: c.Card, stock.Waste: c.CardWaste},
	}}
	var days []stock.Day
	err := c.run(ctx, out, func(tx *registry.Tx, s *stock.Service, h stock.Hands) (err error) {
		days, err = s.Close(tx, h, count)
		return err
	})
	if err != nil {
		return err
	}
	return printDays(out.Out, days)
}

func printDays(out io.Writer, days []stock.Day) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "日 day\t类 kind\t仓 bin\t上日 opening\t收 received\t发 sent\t用 used\t废 spoiled\t缺 missing\t毁 destroyed\t结存 closing\t实点 counted\t差 difference")
	for _, d := range days {
		mark := "✔"
		if d.Difference != 0 {
			mark = "✘"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d %s\n",
			d.Day, d.Kind, d.Bin, d.Opening, d.Received, d.Sent, d.Used, d.Spoiled, d.Missing, d.Destroyed, d.Closing, d.Counted, d.Difference, mark)
	}
	return table.Flush()
}

type stockClearCommand struct {
	stockSigning
	ID      string `arg:"" help:"The incident. 异常编号。"`
	Outcome string `required:"" help:"How it was cleared. 处理结果。"`
}

// Run closes an incident.
func (c *stockClearCommand) Run(ctx context.Context, out streams) error {
	id, err := parseID(c.ID)
	if err != nil {
		return err
	}
	return c.run(ctx, out, func(tx *registry.Tx, s *stock.Service, h stock.Hands) error {
		if _, err := s.CloseIncident(tx, h, id, c.Outcome); err != nil {
			return err
		}
		_, err := fmt.Fprintln(out.Out, "已办结 closed:", id)
		return err
	})
}

type stockListCommand struct {
	settings
	Place string `arg:"" help:"The institution. 机构。"`
}

// Run shows the stock of a place.
func (c *stockListCommand) Run(ctx context.Context, out streams) error {
	return c.withStock(ctx, out, func(p *platform) error {
		v, err := p.stock.View(ctx, c.Place)
		if err != nil {
			return err
		}
		fmt.Fprintln(out.Out, v.Place.ID, v.Place.Name)
		for _, h := range v.Held {
			text := stock.Machine(h.Kind).State(h.State).Text
			fmt.Fprintf(out.Out, "  %-6s %s %s %d\n", h.Kind, padRight(text.ZH, 10), padRight(text.EN, 16), h.Cards)
		}
		for _, a := range v.Arriving {
			fmt.Fprintf(out.Out, "  待签收 arriving %s ← %s\n", a.ID, a.From)
		}
		for _, a := range v.Leaving {
			fmt.Fprintf(out.Out, "  在途 leaving %s → %s\n", a.ID, a.To)
		}
		for _, b := range v.Boxes {
			text := stock.Boxes.State(b.State).Text
			fmt.Fprintf(out.Out, "  箱 box %s %s %s\n", b.Label, text.ZH, text.EN)
		}
		for _, l := range v.Leases {
			late := ""
			if l.Expired(p.db.Now()) {
				late = " 已到期 expired"
			}
			fmt.Fprintf(out.Out, "  领用 lease %s %s %s%s\n", l.ID, l.Workstation, l.Holder, late)
		}
		for _, i := range v.Incidents {
			fmt.Fprintf(out.Out, "  异常 incident %s %s %s 责任人 owner %s\n", i.ID, i.Finding, i.Note, i.Owner)
		}
		if len(v.Days) == 0 {
			return nil
		}
		return printDays(out.Out, v.Days)
	})
}

type stockStoryCommand struct {
	settings
	Card string `arg:"" help:"Serial of a blank or number of a finished card. 序列号或卡号。"`
}

// Run tells the story of a card.
func (c *stockStoryCommand) Run(ctx context.Context, out streams) error {
	return c.withStock(ctx, out, func(p *platform) error {
		story, err := p.stock.Story(ctx, c.Card)
		if err != nil {
			return err
		}
		text := stock.Machine(story.Kind).State(story.State).Text
		fmt.Fprintln(out.Out, story.Card, story.Product, story.Place, text.ZH, text.EN)
		if story.Became != "" {
			fmt.Fprintln(out.Out, "  制成的卡 has become card", story.Became)
		}
		for _, m := range story.Movements {
			rule, _ := stock.Machine(m.Kind).Rule(m.FromState, m.Event)
			fmt.Fprintf(out.Out, "  %3d %s %s %s → %s %s %s %s\n", m.Seq, m.At.Local().Format("2006-01-02 15:04"), padRight(rule.Text.ZH, 10), m.FromPlace, m.ToPlace, m.Operator, m.Document, m.Reason)
		}
		for _, at := range story.Positions {
			fmt.Fprintf(out.Out, "  箱位 position %s-%d\n", at.Label, at.Slot)
		}
		for _, i := range story.Incidents {
			fmt.Fprintf(out.Out, "  异常 incident %s %s\n", i.Finding, i.Note)
		}
		return nil
	})
}

type stockUnclaimedCommand struct {
	settings
	Place string `arg:"" help:"The institution. 机构。"`
}

// Run lists the finished cards of a place that nobody has fetched.
func (c *stockUnclaimedCommand) Run(ctx context.Context, out streams) error {
	return c.withStock(ctx, out, func(p *platform) error {
		cards, err := p.stock.Unclaimed(ctx, c.Place)
		if err != nil {
			return err
		}
		for _, card := range cards {
			fmt.Fprintln(out.Out, card.Number, card.Since.Local().Format("2006-01-02"))
		}
		_, err = fmt.Fprintf(out.Out, "逾期未领 unclaimed: %d\n", len(cards))
		return err
	})
}

type stockCheckCommand struct{ settings }

var errBooks = errors.New("库存账目有误 the books of the stock are wrong")

// Run holds the books against the workflow and against each other.
func (c *stockCheckCommand) Run(ctx context.Context, out streams) error {
	return c.withStock(ctx, out, func(p *platform) error {
		found, err := p.stock.Verify(ctx)
		if err != nil {
			return err
		}
		for _, f := range found {
			fmt.Fprintln(out.Out, "✘", f)
		}
		if len(found) > 0 {
			return fmt.Errorf("%w: %d", errBooks, len(found))
		}
		_, err = fmt.Fprintln(out.Out, "✔ 库存账目相符 the books of the stock agree")
		return err
	})
}
