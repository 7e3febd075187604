package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"onecard/keys"
	"onecard/registry"
)

type keysReindexCommand struct {
	settings
	Version int `arg:"" help:"Version of the key INDEX to change to. 换到盲索引密钥的哪个版本。"`
	Rate    int `placeholder:"N" help:"Most rows a second; default as fast as it goes. 每秒最多行数。"`
	Batch   int `default:"500" help:"Most rows in a transaction. 每个事务最多行数。"`
}

// Run moves the digests by which persons and their numbers are found to another
// version of the key INDEX. It may be interrupted and started again: it goes on
// where it was.
func (c *keysReindexCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		run := registry.Reindexing{
			DB: p.db, Actor: localActor(province), Version: c.Version, Batch: c.Batch, Rate: c.Rate, Settle: registry.IndexSettle, Report: reindexing(out.Err),
		}
		done, err := run.Do(ctx)
		fmt.Fprintf(out.Out, "已换 rows indexed anew %d\n", done.Changed)
		if errors.Is(err, context.Canceled) {
			_, err = fmt.Fprintln(out.Out, "已停止，查找和登记照常；再次运行同一命令即可继续 stopped, everything goes on being found; the same command goes on")
			return err
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "人员和号码的盲索引已全部换到版本 %d all digests of persons and numbers are under version %d\n", c.Version, c.Version)
		return err
	})
}

// reindexing shows progress once a second.
func reindexing(out io.Writer) func(registry.ReindexProgress) {
	return eachSecond(func(p registry.ReindexProgress) {
		fmt.Fprintf(out, "第 %d 遍 pass，%s：已读 read %d / %d，已换 indexed anew %d，预计还需 left %s，不能重算 strange %d\n",
			p.Pass, p.Table, p.Seen, p.Total, p.Changed, p.Left, len(p.Strange))
	})
}

// unusedOf proves of a version of a key of data at rest that nothing stands
// under it.
func (p *platform) unusedOf(name string) keys.Unused {
	if name != keys.IndexKey {
		return p.unused
	}
	return func(ctx context.Context, version int) error {
		if err := p.db.IndexUnused(ctx, version); err != nil {
			return errors.Join(keys.ErrInUse, err)
		}
		return nil
	}
}
