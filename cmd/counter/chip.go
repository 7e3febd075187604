package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"onecard/api/client"
	"onecard/card"
	"onecard/card/profile"
	"onecard/terminal"
)

// chipCommand is the chip work of an engineer (芯片业务): the same that the
// counter's page offers, under the same rights.
type chipCommand struct {
	atReader

	Read       chipRead     `cmd:"" help:"Read elements, records and files. 读数据项。"`
	Write      chipWrite    `cmd:"" help:"Write an element and read it back. 写一个数据项。"`
	Append     chipParts    `cmd:"" help:"Append a record to a cyclic file, or write the parts of a template. 追加记录。"`
	Refresh    chipWork     `cmd:"" help:"Bring the holder's data up to date with the record. 按记录更新持卡人信息。"`
	Rekey      chipWork     `cmd:"" help:"Change the card's keys. 更换卡内密钥。"`
	ResetPIN   chipReset    `cmd:"" name:"reset-pin" help:"Set a new PIN. 重置社保密码。"`
	UnblockPIN chipWork     `cmd:"" name:"unblock-pin" help:"Give the attempts for the PIN back. 解锁社保密码。"`
	BlockCard  chipBlock    `cmd:"" name:"block-card" help:"Block a cancelled card for ever. 锁定卡片（不可恢复）。"`
	Debit      chipMovement `cmd:"" help:"Pay from the account on the card. 个人账户消费。"`
	Credit     chipMovement `cmd:"" help:"Load the account on the card. 个人账户圈存。"`
	BankNumber chipBank     `cmd:"" name:"bank-number" help:"Show the bank account's number, masked. 银行卡号（遮蔽）。"`
	Areas      chipAreas    `cmd:"" help:"List what the card in the reader can hold. 列出数据项。"`
}

// onCard does a job on the card in the reader: which of the province's it is, a
// reading says, which also proves it.
func (c *chipCommand) onCard(ctx context.Context, in io.Reader, job func(ctx context.Context, p post) (terminal.Job, error)) (client.ChipResult, error) {
	var result client.ChipResult
	err := c.signedIn(ctx, in, func(ctx context.Context, p post) error {
		wanted, err := job(ctx, p)
		if err != nil {
			return err
		}
		found, err := p.perform(ctx, terminal.Job{Operation: string(client.Read)})
		if err != nil {
			return err
		}
		wanted.CardID = found.Result.CardId
		done, err := p.perform(ctx, wanted)
		result = done.Result
		return err
	})
	return result, err
}

// access reads and writes items, with the holder's number where one of them
// needs it.
func (c *chipCommand) access(ctx context.Context, in io.Reader, items []card.Item) (client.ChipResult, error) {
	return c.onCard(ctx, in, func(ctx context.Context, p post) (terminal.Job, error) {
		job := terminal.Job{Operation: string(client.Access), Items: items}
		all, err := areas(ctx, p.station)
		if err != nil {
			return job, err
		}
		needed := slices.ContainsFunc(all, func(area terminal.Area) bool {
			return slices.ContainsFunc(area.Targets, func(t terminal.Target) bool {
				return t.PIN && slices.ContainsFunc(items, func(item card.Item) bool { return item.Path == t.Path })
			})
		})
		if needed {
			job.PIN, err = p.secrets.ask(holdersPIN)
		}
		return job, err
	})
}

const holdersPIN = "持卡人社保密码 the holder's PIN"

type chipRead struct {
	Paths []string `arg:"" optional:"" name:"path" help:"Such as DF01/EF06/telephone, DF02/EF07, SSSE/EF08. 数据项。"`
	All   bool     `help:"Read all but transparent files. 读取全部。"`
	PIN   bool     `name:"pin" help:"With --all: also what needs the holder's number, which is asked for. 同时读取需社保密码的数据项。"`
	JSON  bool     `help:"Print JSON. 以 JSON 输出。"`
}

var errNothing = errors.New("请给出数据项，或用 --all name what to read, or use --all")

// Run reads.
func (r *chipRead) Run(ctx context.Context, c *chipCommand, in io.Reader, out io.Writer) error {
	var items []card.Item
	for _, path := range r.Paths {
		items = append(items, card.Item{Path: path})
	}
	var result client.ChipResult
	var err error
	switch {
	case r.All == (len(items) > 0):
		return errNothing
	case r.All:
		result, err = c.onCard(ctx, in, func(ctx context.Context, p post) (terminal.Job, error) {
			job := terminal.Job{Operation: string(client.Access), Everything: true}
			if !r.PIN {
				return job, nil
			}
			var err error
			job.PIN, err = p.secrets.ask(holdersPIN)
			return job, err
		})
	default:
		result, err = c.access(ctx, in, items)
	}
	if err != nil {
		return err
	}
	return printFields(out, result.Fields, r.JSON)
}

type chipWrite struct {
	Assignment string `arg:"" name:"path=value" help:"Such as DF01/EF06/telephone=09718123456. 数据项=值。"`
}

// Run writes an element.
func (w *chipWrite) Run(ctx context.Context, c *chipCommand, in io.Reader, out io.Writer) error {
	path, value, ok := strings.Cut(w.Assignment, "=")
	if !ok {
		return fmt.Errorf("%q：%w", w.Assignment, errAssignment)
	}
	result, err := c.access(ctx, in, []card.Item{{Path: path, Write: &card.Data{Text: value}}})
	if err != nil {
		return err
	}
	return printFields(out, result.Fields, false)
}

var errAssignment = errors.New("应为 名称=值 must be name=value")

type chipParts struct {
	Path   string   `arg:"" help:"Such as DF02/EF07. 循环文件或模板。"`
	Values []string `arg:"" name:"name=value" help:"The parts; what is left out is written as never written. 分项=值。"`
}

// Run appends a record.
func (a *chipParts) Run(ctx context.Context, c *chipCommand, in io.Reader, out io.Writer) error {
	parts := map[string]string{}
	for _, value := range a.Values {
		name, text, ok := strings.Cut(value, "=")
		if !ok {
			return fmt.Errorf("%q：%w", value, errAssignment)
		}
		parts[name] = text
	}
	result, err := c.access(ctx, in, []card.Item{{Path: a.Path, Write: &card.Data{Parts: parts}}})
	if err != nil {
		return err
	}
	return printFields(out, result.Fields, false)
}

// chipWork is work that takes nothing but the card.
type chipWork struct {
	operation client.NewChipSessionOperation
}

// Run does the work.
func (w *chipWork) Run(ctx context.Context, c *chipCommand, in io.Reader, out io.Writer) error {
	result, err := c.onCard(ctx, in, func(context.Context, post) (terminal.Job, error) {
		return terminal.Job{Operation: string(w.operation)}, nil
	})
	if err != nil {
		return err
	}
	return printDone(out, result)
}

type chipReset struct{}

var errDiffer = errors.New("两次输入的密码不一致 the two entries differ")

// Run sets a new number, which the holder enters twice.
func (*chipReset) Run(ctx context.Context, c *chipCommand, in io.Reader, out io.Writer) error {
	result, err := c.onCard(ctx, in, func(ctx context.Context, p post) (terminal.Job, error) {
		first, err := p.secrets.ask("新社保密码 new PIN")
		if err != nil {
			return terminal.Job{}, err
		}
		again, err := p.secrets.ask("再输入一次 again")
		if err == nil && first != again {
			err = errDiffer
		}
		return terminal.Job{Operation: string(client.ResetPIN), PIN: first}, err
	})
	if err != nil {
		return err
	}
	return printDone(out, result)
}

type chipBlock struct {
	Yes bool `help:"Yes: nothing undoes it. 确认锁定，不可恢复。"`
}

var errNotSure = errors.New("锁定卡片不可恢复，请加 --yes 确认 nothing undoes it: confirm with --yes")

// Run ends a card.
func (b *chipBlock) Run(ctx context.Context, c *chipCommand, in io.Reader, out io.Writer) error {
	if !b.Yes {
		return errNotSure
	}
	return (&chipWork{client.BlockCard}).Run(ctx, c, in, out)
}

type chipBank struct{}

// Run shows the number of the bank account, masked.
func (*chipBank) Run(ctx context.Context, c *chipCommand, in io.Reader, out io.Writer) error {
	return c.signedIn(ctx, in, func(ctx context.Context, p post) error {
		number := ""
		err := alone(ctx, func() (err error) {
			number, err = p.station.BankNumber(ctx, p.operator.Roles)
			return err
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, number)
		return err
	})
}

type chipAreas struct {
	JSON bool `help:"Print JSON. 以 JSON 输出。"`
}

// Run lists the areas of the card in the reader; it needs nobody signed in.
func (a *chipAreas) Run(ctx context.Context, c *chipCommand, out io.Writer) error {
	config, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	var all []terminal.Area
	err = c.withCard(ctx, config, func(ctx context.Context, station *terminal.Station) error {
		all, err = areas(ctx, station)
		return err
	})
	if err != nil {
		return err
	}
	return a.print(out, all)
}

func (a *chipAreas) print(out io.Writer, areas []terminal.Area) error {
	if a.JSON {
		return printJSON(out, areas)
	}
	var lines strings.Builder
	for _, area := range areas {
		fmt.Fprintf(&lines, "%s %s\n", area.ZH, area.EN)
		for _, t := range area.Targets {
			marks := ""
			for _, mark := range []struct {
				shown bool
				text  string
			}{{!t.Read, "不可读 never read"}, {!t.Write, "不可手工写 not written by hand"}, {t.PIN, "需社保密码 PIN"}, {t.Kind == profile.Cyclic, "循环 cyclic"}, {t.Kind == profile.Transparent, "透明 transparent"}, {t.Assumed, "暂定 assumed"}} {
				if mark.shown {
					marks += "，" + mark.text
				}
			}
			fmt.Fprintf(&lines, "  %-32s %4d %-8s %s %s%s（%s）\n", t.Path, t.Length, t.Coding, t.ZH, t.EN, marks, t.Source)
			for _, part := range t.Parts {
				fmt.Fprintf(&lines, "    %-30s %4d %-8s %s %s\n", part.Name, part.Length, part.Coding, part.ZH, part.EN)
			}
		}
	}
	_, err := io.WriteString(out, lines.String())
	return err
}

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func printFields(out io.Writer, fields []client.ChipField, asJSON bool) error {
	if asJSON {
		return printJSON(out, fields)
	}
	var lines strings.Builder
	for _, f := range fields {
		fmt.Fprintln(&lines, strings.TrimRight(fmt.Sprintf("%-9s %-3s %-24s %s：%s %s", f.File, f.Tag, f.Name, f.Zh, f.Value, text(f.Meaning)), " "))
		if f.Parts == nil {
			continue
		}
		for _, part := range *f.Parts {
			fmt.Fprintln(&lines, strings.TrimRight(fmt.Sprintf("%14s%-24s %s：%s", "", part.Name, part.Zh, part.Value), " "))
		}
	}
	_, err := io.WriteString(out, lines.String())
	return err
}

func printDone(out io.Writer, result client.ChipResult) error {
	status := ""
	if result.StatusText != nil {
		status = "，" + result.StatusText.Zh + " " + result.StatusText.En
	}
	if err := printFields(out, result.Fields, false); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "✔ 已完成 done：%s%s\n", text(result.CardNumber), status)
	return err
}
