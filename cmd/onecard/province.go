package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"onecard/internal/gb"
	madeup "onecard/registry/province"
)

type provinceCommand struct {
	Residents int    `default:"6000000" help:"How many. 人数。"`
	Seed      uint64 `default:"63" help:"The same seed makes the same people. 种子。"`
	Layout    string `default:"pension" enum:"pension,medical,labour,talent" help:"Whose table: ${enum}. 布局。"`
	Errors    int    `default:"100" help:"One row of so many has an error of twelve kinds; 0: none. 每多少行一个错误。"`
	Out       string `required:"" type:"path" placeholder:"FILE" help:"Where to write; the account of the errors goes beside it. 输出文件。"`
}

// Run writes made-up residents as CSV, and which rows have which error.
func (c *provinceCommand) Run(out streams) error {
	p, err := madeup.New(c.Seed, gb.DateOf(time.Now()))
	if err != nil {
		return err
	}
	table, err := os.Create(c.Out)
	if err != nil {
		return err
	}
	truth := c.Out + ".错误.csv"
	account, err := os.Create(truth)
	if err != nil {
		return errors.Join(err, table.Close())
	}
	w := madeup.Writer{Layout: c.Layout, Errors: c.Errors}
	err = errors.Join(w.Write(p, c.Residents, table, account), table.Close(), account.Close())
	if err == nil {
		_, err = fmt.Fprintf(out.Out, "%d 人 residents: %s\n错误清单 errors: %s\n", c.Residents, filepath.Base(c.Out), filepath.Base(truth))
	}
	return err
}
