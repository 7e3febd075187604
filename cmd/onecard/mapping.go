package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"onecard/internal/gb"
	"onecard/registry/indicator"
)

// tables returns the mapping tables of the peers: those built in, and before
// them those of the directory that is configured.
func (c config) tables() (indicator.Tables, error) { return tablesWith(c.Stores.Tables) }

func tablesWith(directory string) (indicator.Tables, error) {
	all, err := indicator.All()
	if err != nil || directory == "" {
		return all, err
	}
	local, err := indicator.Read(os.DirFS(directory))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", directory, err)
	}
	all = maps.Clone(all)
	maps.Copy(all, local)
	return all, nil
}

func tableNamed(tables indicator.Tables, name string) (*indicator.Table, error) {
	if table := tables[name]; table != nil {
		return table, nil
	}
	return nil, fmt.Errorf("没有对照表 no such mapping table: %.40q; 有 there are: %s", name, strings.Join(slices.Sorted(maps.Keys(tables)), ", "))
}

type mappingCommand struct {
	Peer   string `arg:"" optional:"" help:"The peer; without it all are listed. 外部单位。"`
	Tables string `type:"existingdir" help:"Directory of tables that stand before those built in (stores.tables). 对照表目录。"`
}

// Run prints the mapping table of a peer: our name, its code, what the code means
// there, and the codes of its values.
func (c *mappingCommand) Run(out streams) error {
	tables, err := tablesWith(c.Tables)
	if err != nil {
		return err
	}
	if c.Peer == "" {
		for _, name := range slices.Sorted(maps.Keys(tables)) {
			if _, err := fmt.Fprintf(out.Out, "%s %s %s\n", padRight(name, 12), tables[name].Title.ZH, tables[name].Title.EN); err != nil {
				return err
			}
		}
		return nil
	}
	table, err := tableNamed(tables, c.Peer)
	if err != nil {
		return err
	}
	return printTable(out.Out, table)
}

func printTable(out io.Writer, t *indicator.Table) error {
	fmt.Fprintf(out, "%s %s\n编码 encoding %s，格式 form %s %s\n", t.Title.ZH, t.Title.EN, t.Encoding, t.Form, t.Separator)
	if t.Assumed {
		fmt.Fprintln(out, "含推定内容，与对方核实后使用 assumed in part: agree it with the peer before use")
	}
	fmt.Fprintf(out, "\n%s%s%s%s%s\n", padRight("字段 own", 15), padRight("代码 code", 14), padRight("字节", 6), padRight("对方含义 meaning", 26), "取值 values (本平台 ours = 对方 theirs)")
	for _, name := range slices.Sorted(maps.Keys(t.Fields)) {
		rule := t.Fields[name]
		fmt.Fprintf(out, "%s%s%s%s%s\n", padRight(name, 15), padRight(rule.Code, 14), padRight(fmt.Sprint(rule.Bytes), 6), padRight(rule.Meaning, 26), rule.Shown())
	}
	fmt.Fprintln(out)
	for _, topic := range slices.Sorted(maps.Keys(t.Messages)) {
		if _, err := fmt.Fprintf(out, "%s %s\n", padRight(topic, 16), strings.Join(t.Messages[topic], ", ")); err != nil {
			return err
		}
	}
	return nil
}

type exchangeUndeliveredCommand struct {
	settings
	Again bool   `help:"Tell them once more, such as after a mapping table was put right. 重新转发。"`
	Place string `default:"630000" help:"Division that it is done for. 地区。"`
}

// Run lists what peers could not be told, and has it told once more.
func (c *exchangeUndeliveredCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		withheld, err := p.db.Withheld(ctx)
		if err != nil {
			return err
		}
		for _, m := range withheld {
			fmt.Fprintf(out.Out, "%s %s %s %s：%s\n", m.At.In(gb.Beijing).Format("2006-01-02 15:04"), m.Peer, m.Topic, m.Subject, m.Why)
		}
		if !c.Again {
			_, err = fmt.Fprintf(out.Out, "未能转发 undelivered: %d\n", len(withheld))
			return err
		}
		again, err := p.db.TellAgain(ctx, localActor(c.Place))
		if err == nil {
			_, err = fmt.Fprintf(out.Out, "将重新转发 told once more: %d\n", again)
		}
		return err
	})
}
