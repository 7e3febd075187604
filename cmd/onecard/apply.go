package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"onecard/issuance/collective"
)

type applyListCommand struct {
	settings
	File        string `arg:"" type:"existingfile" help:"CSV or .xlsx, a row for each holder. 名册。"`
	Institution string `required:"" help:"The employer, school, village or bank, as the registry has it. 申领单位编号。"`
	Kind        string `default:"first" help:"first, replacement, exchange or temporary. 申领类型。"`
	Method      string `default:"batch" help:"instant or batch. 制卡方式。"`
	Sheet       string `help:"Sheet of an Excel file. 工作表。"`
	Place       string `default:"630000" help:"Division of the office that takes the list. 受理地。"`
	Result      string `type:"path" placeholder:"FILE" help:"File for what became of each row (default: beside the list). 逐行结果文件。"`
	Refused     string `type:"path" placeholder:"FILE" help:"Excel file of the rows that were refused, with reasons, to be corrected and brought again; it holds personal data. 未受理名单，更正后可再次提交。"`
	Handout     string `type:"path" placeholder:"FILE" help:"File of the list to hand the cards out by; it holds personal data. 领卡清单文件，含个人信息。"`
}

// Run takes a list. It may be interrupted and started again: it goes on where
// it was; once it is through it tries again what was refused and submits the
// drafts that are complete now.
func (c *applyListCommand) Run(ctx context.Context, out streams) error {
	content, err := readList(c.File)
	if err != nil {
		return err
	}
	return c.withRecords(ctx, out, func(p *platform) error {
		if err := p.assemble(); err != nil {
			return err
		}
		lists, actor := collective.Service{DB: p.db, Issuance: p.issuance}, localActor(c.Place)
		order, err := lists.Run(ctx, actor, collective.List{
			Institution: c.Institution, Kind: c.Kind, Method: c.Method, Sheet: c.Sheet, Content: content,
			Report: func(o collective.Order) {
				fmt.Fprintf(out.Err, "\r%s", counted(o))
			},
		})
		fmt.Fprintln(out.Err)
		if errors.Is(err, context.Canceled) {
			_, err := fmt.Fprintln(out.Out, "已停止，再次运行同一命令即可继续 stopped; the same command goes on")
			return err
		}
		if err != nil {
			return err
		}
		result := cmp.Or(c.Result, c.File+".结果.csv")
		err = written(result, func(w io.Writer) error { return lists.WriteResult(ctx, order.ID, w) })
		if err == nil && c.Refused != "" {
			err = written(c.Refused, func(w io.Writer) error {
				return lists.WriteRefused(ctx, order.ID, collective.List{Content: content, Sheet: c.Sheet}, w)
			})
		}
		if err == nil && c.Handout != "" {
			err = written(c.Handout, func(w io.Writer) error { return lists.WriteHandout(ctx, actor, order.ID, w) })
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "集体申领 order %s：%s；%s\n", order.ID, counted(order), filepath.Base(result))
		return err
	})
}

func counted(o collective.Order) string {
	return fmt.Sprintf("已申请 applied %d，草稿 draft %d，未受理 refused %d，草稿已撤销 withdrawn %d", o.Applied, o.Draft, o.Refused, o.Withdrawn)
}

func readList(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	return io.ReadAll(io.LimitReader(file, collective.MaxSize+1))
}

// written writes a file that only this user reads, in place of one of that name.
func written(path string, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
