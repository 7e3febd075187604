package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"onecard/internal/memory"
	"onecard/registry"
	"onecard/registry/intake"
)

type importCommand struct {
	settings
	File     string `arg:"" type:"existingfile" help:"CSV or .xlsx. 导出文件。"`
	Mapping  string `required:"" help:"Layout of the system that the file is from: pension, medical, labour, talent, or a name in --mappings. 布局对照。"`
	Mappings string `type:"existingdir" help:"Directory of further mappings. 布局对照目录。"`
	Rejects  string `help:"File for the rows that are refused (default: beside FILE). 拒收文件。"`
	Sheet    string `help:"Sheet of an Excel file. 工作表。"`
	Place    string `default:"630000" help:"Division that the import is made for. 导入地。"`
}

// localActor is who works at the platform's own machine: its user there.
func localActor(place string) registry.Actor {
	name := "root"
	if who, err := user.Current(); err == nil {
		name = who.Username
	}
	return registry.Actor{Operator: "local:" + name, Place: place}
}

// Run takes a file of another system over. It may be interrupted and started
// again: it goes on where it was.
func (c *importCommand) Run(ctx context.Context, out streams) error {
	memory.Relax(memory.Loading)
	mappings, err := c.read()
	if err != nil {
		return err
	}
	mapping, ok := mappings[c.Mapping]
	if !ok {
		return fmt.Errorf("没有布局对照 no such mapping: %.40q; 有 there are: %s", c.Mapping, strings.Join(slices.Sorted(maps.Keys(mappings)), ", "))
	}
	rejects := c.Rejects
	if rejects == "" {
		rejects = c.File + ".拒收.csv"
	}
	return c.withRecords(ctx, out, func(p *platform) (err error) {
		// What of an Excel file does not fit into memory: a directory of this
		// program's user alone, not the one that all share.
		temp, err := os.MkdirTemp(p.config.Data, "import-*")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
		host, _ := os.Hostname() // a name for the lease, whichever
		run := intake.Run{
			DB: p.db, Actor: localActor(c.Place), Mapping: mapping, Path: c.File, Rejects: rejects, Sheet: c.Sheet,
			Temp: temp, Owner: fmt.Sprintf("%s/%d", host, os.Getpid()), Gone: gone(host), Report: reporter(out.Err),
		}
		done, err := run.Do(ctx)
		switch {
		case errors.Is(err, context.Canceled):
			fmt.Fprintf(out.Out, "已停止，再次运行同一命令即可继续 stopped at line %d; the same command goes on\n", done.Row)
			return nil
		case errors.Is(err, intake.ErrDone):
			fmt.Fprintln(out.Out, intake.ErrDone)
		case err != nil:
			return err
		}
		return summary(ctx, out.Out, p.db, done, rejects)
	})
}

// gone says of an import's owner whether it was a process of this machine that
// runs no more, such as one that was killed.
func gone(host string) func(owner string) bool {
	return func(owner string) bool {
		where, number, _ := strings.Cut(owner, "/")
		pid, err := strconv.Atoi(number)
		return err == nil && where == host && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
}

func (c *importCommand) read() (map[string]*intake.Mapping, error) {
	mappings, err := intake.Mappings()
	if err != nil || c.Mappings == "" {
		return mappings, err
	}
	more, err := intake.ReadMappings(os.DirFS(c.Mappings))
	if err != nil {
		return nil, err
	}
	all := maps.Clone(mappings)
	maps.Copy(all, more)
	return all, nil
}

// reporter shows progress once a second.
func reporter(out io.Writer) func(intake.Status) {
	var last time.Time
	return func(s intake.Status) {
		if time.Since(last) < time.Second && s.State != "done" {
			return
		}
		last = time.Now()
		share := ""
		if s.Size > 0 {
			share = fmt.Sprintf("（%.1f%%）", 100*float64(s.Position)/float64(s.Size))
		}
		left := ""
		if s.Left > 0 {
			left = fmt.Sprintf("，预计还需 left %s", s.Left)
		}
		fmt.Fprintf(out, "已读 read %d 行%s，每秒 %.0f 行，新增 added %d，补充 filled %d，已有 known %d，拒收 rejected %d%s\n",
			s.Read, share, s.Rate, s.Added, s.Changed, s.Unchanged, s.Rejected, left)
	}
}

// summary proves the counts.
func summary(ctx context.Context, out io.Writer, db *registry.DB, done registry.Import, rejects string) error {
	persons, err := db.CountPersons(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "文件行数 rows of the file      %d\n", done.Read)
	fmt.Fprintf(out, "  新增 added                   %d\n", done.Added)
	fmt.Fprintf(out, "  补充 filled in               %d\n", done.Changed)
	fmt.Fprintf(out, "  已有 known already           %d\n", done.Unchanged)
	fmt.Fprintf(out, "  拒收 rejected                %d　%s\n", done.Rejected, rejects)
	fmt.Fprintf(out, "登记人数 residents on record   %d，导入前 before %d\n", persons, done.PersonsBefore)
	mark := "✔"
	if done.Read != done.Added+done.Changed+done.Unchanged+done.Rejected {
		mark = "✘"
	}
	_, err = fmt.Fprintf(out, "%s %d = %d + %d + %d + %d\n", mark, done.Read, done.Added, done.Changed, done.Unchanged, done.Rejected)
	if err == nil && persons != done.PersonsBefore+done.Added {
		_, err = fmt.Fprintln(out, "登记人数另有变动：导入期间或之后还有其他登记 others were registered meanwhile")
	}
	return err
}

type duplicatesCommand struct {
	settings
	Place string `default:"630000" help:"Division for whose audit chain this is recorded. 记录审计的地区。"`
}

// Run compares all residents of the same sound and day of birth.
func (c *duplicatesCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		pairs, err := p.db.ScanDuplicates(ctx, localActor(c.Place))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "疑似重复 suspicious pairs: %d\n", pairs)
		return err
	})
}
