package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"onecard/internal/gb"
)

// placesOn is on which day and in which place a command looks.
type placesOn struct {
	settings
	Day    string `placeholder:"YYYY-MM-DD" help:"Default today. 日期，默认今天。"`
	Within string `placeholder:"CODE" help:"Only in this place. 范围。"`
}

// open calls work with the table of places in force.
func (c placesOn) open(ctx context.Context, out streams, work func(table *gb.Table, day gb.Date) error) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		day := p.db.Today()
		if c.Day != "" {
			var err error
			if day, err = gb.ParseDate(c.Day); err != nil {
				return fmt.Errorf("day: %w", err)
			}
		}
		table, err := p.db.Places(ctx)
		if err != nil {
			return err
		}
		return work(table, day)
	})
}

type placesSearchCommand struct {
	placesOn
	Text string `arg:"" optional:"" help:"Part of the name, or first digits of a code of any year; without it what lies directly below. 名称或代码。"`
}

// Run lists places.
func (c *placesSearchCommand) Run(ctx context.Context, out streams) error {
	return c.open(ctx, out, func(table *gb.Table, day gb.Date) error {
		for _, d := range table.Search(c.Text, c.Within, day) {
			if _, err := fmt.Fprintf(out.Out, "%-12s  %s\n", d.Code, table.FullName(d.Code, day)); err != nil {
				return err
			}
		}
		return nil
	})
}

type placesTreeCommand struct {
	placesOn
	Depth int `default:"2" help:"How many levels below. 层数。"`
}

// Run prints a place and what lies below it.
func (c *placesTreeCommand) Run(ctx context.Context, out streams) error {
	return c.open(ctx, out, func(table *gb.Table, day gb.Date) error {
		root := c.Within
		if root == "" {
			root = "630000"
		}
		d, ok := table.Successor(root, day)
		if !ok {
			return fmt.Errorf("没有此地 no such place: %.12q", root)
		}
		return printTree(out.Out, table, d, day, 0, c.Depth)
	})
}

func printTree(out io.Writer, table *gb.Table, d gb.Division, day gb.Date, depth, most int) error {
	if _, err := fmt.Fprintf(out, "%s%s %s\n", strings.Repeat("  ", depth), d.Code, d.Name); err != nil || depth == most || d.Code == "" {
		return err
	}
	for _, below := range table.Children(d.Code, day) {
		if err := printTree(out, table, below, day, depth+1, most); err != nil {
			return err
		}
	}
	return nil
}

type placesHistoryCommand struct {
	settings
	Code string `arg:"" help:"A code of any year. 任一年的代码。"`
}

// Run prints what a place was before and what followed it.
func (c *placesHistoryCommand) Run(ctx context.Context, out streams) error {
	return placesOn{settings: c.settings}.open(ctx, out, func(table *gb.Table, _ gb.Date) error {
		for _, d := range table.History(c.Code) {
			mark := ""
			if d.Assumed {
				mark = "（推定 assumed）"
			}
			_, err := fmt.Fprintf(out.Out, "%-12s  %s  %10s – %-10s  → %-12s  %s%s\n", d.Code, d.Name, d.From, d.To, d.Successor, d.Source, mark)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

type placesLoadCommand struct {
	settings
	File string `arg:"" type:"existingfile" help:"As \"places extract\" writes it. 数据文件。"`
}

// Run loads a newer table of townships and communities; the same again changes
// nothing.
func (c *placesLoadCommand) Run(ctx context.Context, out streams) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	return c.withRecords(ctx, out, func(p *platform) error {
		done, err := p.db.LoadPlaces(ctx, localActor("630000"), text)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "截止 %s：%d 个代码 codes，变更 changed %d\n", done.Edition, done.Codes, done.Changed)
		return err
	})
}
