package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"onecard/keys"
	"onecard/registry/inventory"
)

type keysResealCommand struct {
	settings
	Rate  int `placeholder:"N" help:"Most rows a second; default as fast as it goes. 每秒最多行数。"`
	Batch int `default:"500" help:"Most rows in a transaction. 每个事务最多行数。"`
}

// Run enciphers every sealed value anew under the newest version of the key
// DATA. It may be interrupted and started again: it goes on where it was.
func (c *keysResealCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		run := inventory.Resealing{
			DB: p.db, Actor: localActor(province), Batch: c.Batch, Rate: c.Rate, Settle: 2 * keys.Refresh, Report: resealing(out.Err),
		}
		done, err := run.Do(ctx)
		fmt.Fprintf(out.Out, "已读 rows read %d，已换 rows sealed anew %d\n", done.Seen, done.Resealed)
		if errors.Is(err, context.Canceled) {
			_, err = fmt.Fprintln(out.Out, "已停止，再次运行同一命令即可继续 stopped; the same command goes on")
			return err
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out.Out, "旧密钥下已无数据，可停用旧版本 nothing is sealed under an older key: it may retire (onecard keys life DATA N --status retired)")
		return err
	})
}

// resealing shows progress once a second.
func resealing(out io.Writer) func(inventory.Progress) {
	return eachSecond(func(p inventory.Progress) {
		fmt.Fprintf(out, "%s：已读 read %d / %d，已换 sealed anew %d，预计还需 left %s，不能解密 unreadable %d\n",
			p.Table, p.Seen, p.Total, p.Resealed, p.Left, len(p.Unreadable))
	})
}

// eachSecond passes progress on at most once a second.
func eachSecond[T any](show func(T)) func(T) {
	var last time.Time
	return func(progress T) {
		if time.Since(last) >= time.Second {
			last = time.Now()
			show(progress)
		}
	}
}

// unused proves that nothing is sealed under a version of the key DATA.
func (p *platform) unused(ctx context.Context, version int) error {
	heads, err := inventory.Heads(ctx, p.db)
	if err != nil {
		return err
	}
	left := int64(0)
	for head, count := range heads {
		if keys.SealedVersion([]byte(head)) == version {
			left += count
		}
	}
	if left > 0 {
		return fmt.Errorf("%w: %s %d: %d 个值，先运行 values, run first: onecard keys reseal", keys.ErrInUse, keys.DataKey, version, left)
	}
	return nil
}

type keysDestroyCommand struct {
	settings
	Name    string `arg:"" enum:"DATA,INDEX" help:"DATA or INDEX. 数据密钥或盲索引密钥。"`
	Version int    `arg:"" help:"Its version, retired for a day. 版本，须已停用满一天。"`
}

// Run removes a retired version of a key of data at rest for ever.
func (c *keysDestroyCommand) Run(ctx context.Context, out streams) error {
	return c.withKeys(ctx, out, func(p *platform, keeper *keys.Keeper) error {
		detail := map[string]string{"key": c.Name, "version": strconv.Itoa(c.Version)}
		err := p.recorded(ctx, "keys.destroy", "key:"+c.Name, detail, func() error { return keeper.Destroy(ctx, c.Name, c.Version, p.unusedOf(c.Name)) })
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "密钥 key %s 版本 version %d 已销毁；备份的密钥文件须一并销毁 destroyed; destroy the backups of the key file too\n", c.Name, c.Version)
		return err
	})
}
